"""The pictures of the first page: those that are made are those that are shown, whole and small."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from examples import pictures

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / pictures.OUT).iterdir())


def test_the_first_page_shows_every_picture_that_is_made() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((docs/pictures/[^)]+)\)", (ROOT / "README.md").read_text())
    assert sorted(shown) == sorted(str(pictures.OUT / name) for name in pictures.NAMES)
    assert [file.name for file in FILES] == sorted(pictures.NAMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_picture_is_whole_and_small(file: Path) -> None:
    assert file.stat().st_size <= pictures.LARGEST
    root = ElementTree.parse(file).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label")


def test_a_report_without_a_picture_is_told(tmp_path: Path) -> None:
    found = [tmp_path / f"{i:02d}_{name}.svg" for i, name in enumerate(pictures.NAMES.values())]
    assert pictures.chosen(found) == dict(zip(pictures.NAMES, found, strict=True))
    with pytest.raises(SystemExit, match="no picture error_against_evaluations_of_path; it has forecast"):
        pictures.chosen([path for path in found if "error" not in path.name])

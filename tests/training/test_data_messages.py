"""What is said of data that do not fit: one golden file a mistake, from the `.dyn` file and the csv beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline_compiler.data import load_data
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.render import render_error

FOLDER = Path(__file__).parent / "messages"
CASES = sorted(FOLDER.glob("*.dyn"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_messages_read_as_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """Rewrite the golden files with `pytest --snapshot-update`, and read the difference."""
    model = check(path)
    assert model.data is not None
    with pytest.raises(IsoclineError) as error:
        load_data(model.data, model.inputs, model.targets, path.parent, model.source)
    table = path.with_suffix(".csv").read_text(encoding="utf-8")
    message = render_error(error.value).replace(str(path), path.name)
    rule = "-" * 80
    shown = f"{path.read_text(encoding='utf-8')}\n{rule}\n{table}\n{rule}\n{message}\n"
    golden = path.with_suffix(".txt")
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(shown, encoding="utf-8")
    assert [item.code for item in error.value.diagnostics] == [path.stem.split("_")[0]]
    assert shown == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {path.stem for path in CASES}

"""`isocline fmt`: rewrites, checks, leaves alone what it cannot read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app

runner = CliRunner()


@pytest.fixture
def untidy(dyn_file: Path) -> Path:
    dyn_file.write_text(dyn_file.read_text().replace("x' = -rate*x", "x'   =  -rate * x  # falls"))
    return dyn_file


def test_rewrites_and_then_finds_nothing_to_do(untidy: Path) -> None:
    mode = stat.S_IMODE(untidy.stat().st_mode)
    first = runner.invoke(app, ["fmt", str(untidy)])
    assert (first.exit_code, first.stdout) == (0, f"{untidy}: rewritten\n")
    assert "x' = -rate*x  # falls" in untidy.read_text()
    assert stat.S_IMODE(untidy.stat().st_mode) == mode
    again = runner.invoke(app, ["fmt", str(untidy)])
    assert (again.exit_code, again.stdout) == (0, "")


def test_check_writes_nothing(untidy: Path) -> None:
    before = untidy.read_text()
    result = runner.invoke(app, ["fmt", "--check", str(untidy)])
    assert result.exit_code == 1
    assert "not in the canonical layout" in result.stdout
    assert untidy.read_text() == before


def test_several_files_and_one_that_cannot_be_read(untidy: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dyn"
    broken.write_text("dyn 1\nmodel m\nx = (1 + \n")
    result = runner.invoke(app, ["fmt", str(broken), str(untidy), str(tmp_path / "absent.dyn")])
    assert result.exit_code == 1
    assert result.stderr.count("error[") == 2
    assert "absent.dyn" in result.stderr
    assert "rewritten" in result.stdout
    assert broken.read_text() == "dyn 1\nmodel m\nx = (1 + \n"


def test_the_function_returns_both_texts(untidy: Path) -> None:
    layout = isocline.format(untidy, write=False)
    assert layout.before == untidy.read_text()
    assert layout.after != layout.before


def test_the_examples_are_in_the_canonical_layout() -> None:
    files = sorted(Path(__file__).parents[2].glob("examples/*/*.dyn"))
    assert len(files) >= 4
    for file in files:
        layout = isocline.format(file, write=False)
        assert layout.before == layout.after, file

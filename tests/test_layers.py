"""The layers stated in pyproject.toml hold, and a planted violation is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]

PLANTED = """
[importlinter]
root_package = isocline_compiler
[importlinter:contract:upside_down]
name = upside down
type = layers
layers =
    isocline_compiler.graph.tensor_type
    isocline_compiler.graph.solve
"""


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_layers_hold(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename="pyproject.toml", no_cache=True, is_debug_mode=False)
    assert status == 0, capsys.readouterr().out


def test_a_planted_violation_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "planted.ini"
    config.write_text(PLANTED)
    assert lint_imports(config_filename=str(config), no_cache=True, is_debug_mode=False) == 1
    assert "isocline_compiler.graph.solve -> isocline_compiler.graph.tensor_type" in capsys.readouterr().out

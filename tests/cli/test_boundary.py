"""Exit status and stderr of whatever leaves a command: our diagnostics, Ctrl-C, and mistakes of our own."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.tree import Span
from isocline_runtime.errors import ArtifactError

runner = CliRunner()
SOURCE = Source("dyn 1\nx = y\n", "model.dyn")


def make_fail(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setitem(isocline.__dict__, name, fail)


def test_a_diagnostic_is_shown_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    error = IsoclineError([Diagnostic("E201", "there is no `y`", Span(10, 11), hint="write `x`")], SOURCE)
    make_fail(monkeypatch, "train", error)
    result = runner.invoke(app, ["train", "model.dyn"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error[E201]: there is no `y`\n  --> model.dyn:2:5\n   2 | x = y\n     |     ^\n  hint: write `x`\n"
    )


def test_a_fault_of_the_runtime_is_shown_as_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "load", ArtifactError("E701", "there is no artifact here", "compile one"))
    result = runner.invoke(app, ["run", "nowhere"])
    assert result.exit_code == 1
    assert result.stderr == "error[E701]: there is no artifact here\n  hint: compile one\n"


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "train", KeyboardInterrupt())
    result = runner.invoke(app, ["train", "model.dyn", "--run", "runs/a"])
    assert result.exit_code == 130
    assert "isocline train model.dyn --run runs/a --resume" in result.stderr


def test_ctrl_c_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "bench", KeyboardInterrupt())
    assert runner.invoke(app, ["bench", "artifact"]).exit_code == 130


def test_a_mistake_of_ours_keeps_the_traceback_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "bench", ZeroDivisionError("by zero"))
    result = runner.invoke(app, ["bench", "artifact"])
    assert result.exit_code == 70
    assert "Traceback" not in result.stderr
    path = Path(next(word for word in result.stderr.split() if word.endswith(".txt")))
    assert "ZeroDivisionError: by zero" in path.read_text()
    path.unlink()


def test_debug_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCLINE_DEBUG", "")
    make_fail(monkeypatch, "bench", ZeroDivisionError("by zero"))
    result = runner.invoke(app, ["--debug", "bench", "artifact"])
    assert result.exit_code == 70
    assert "Traceback" in result.stderr


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "train", ModuleNotFoundError("No module named 'torch'", name="torch"))
    result = runner.invoke(app, ["train", "model.dyn"])
    assert result.exit_code == 1
    assert "pip install 'isocline[compiler]'" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["check"], ["run"], ["show", "x", "--stage", "soup"], ["train", "--what"]]
)
def test_usage_is_two(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2

"""Exit status and stderr of whatever leaves a command: our diagnostics, Ctrl-C, and mistakes of our own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_compiler.training.interrupt import Interrupted
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.tree import Span
from isocline_runtime.errors import ArtifactError

runner = CliRunner()
SOURCE = Source("dyn 1\nx = y\n", "model.dyn")


def make_fail(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setitem(isocline.__dict__, "check", lambda file: file)
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


@pytest.mark.parametrize("command", ["train", "compile", "build"])
def test_a_mistake_is_told_before_the_compiler_is_loaded(tmp_path: Path, command: str) -> None:
    """Torch takes a second to load, what stands on it another."""
    file = tmp_path / "wrong.dyn"
    file.write_text("dyn 1\nmodel wrong\ninput x: real\noutput y = z\n")
    script = (
        "import sys\nfrom isocline.cli import main\n"
        f"sys.argv = ['isocline', {command!r}, {str(file)!r}]\n"
        "try:\n    main()\nexcept SystemExit as left:\n    print(left.code, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "1 False\n"
    assert "wrong.dyn:4:12" in found.stderr


def test_a_fault_of_the_runtime_is_shown_as_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fail(monkeypatch, "load", ArtifactError("E701", "there is no artifact here", "compile one"))
    result = runner.invoke(app, ["run", "nowhere"])
    assert result.exit_code == 1
    assert result.stderr == "error[E701]: there is no artifact here\n  hint: compile one\n"


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When there is a checkpoint to go on from."""
    (tmp_path / "checkpoint.safetensors").touch()
    make_fail(monkeypatch, "train", Interrupted(tmp_path))
    result = runner.invoke(app, ["train", "model.dyn", "--run", "runs/a"])
    assert result.exit_code == 130
    assert "isocline train model.dyn --run runs/a --resume" in result.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(Path("nowhere"))])
def test_ctrl_c_before_the_first_checkpoint_does_not_promise_one(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    make_fail(monkeypatch, "train", error)
    result = runner.invoke(app, ["train", "model.dyn"])
    assert result.exit_code == 130
    assert "--resume" not in result.stderr


def test_a_library_that_hides_ctrl_c_in_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImportError("initialization failed")
    error.__context__ = KeyboardInterrupt()
    make_fail(monkeypatch, "bench", error)
    result = runner.invoke(app, ["bench", "artifact"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_the_system_refuses_is_no_mistake_of_ours(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    make_fail(monkeypatch, "bench", OSError(number, os.strerror(number), "/data/a"))
    result = runner.invoke(app, ["bench", "artifact"])
    assert result.exit_code == 1
    assert result.stderr == f"error[E718]: cannot open /data/a: {os.strerror(number)}\n"


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

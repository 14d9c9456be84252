"""What is loaded, in a fresh process, by the parts that must answer at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import isocline

HEAVY = ("torch", "onnxruntime", "onnx", "lark", "numpy", "pyarrow", "matplotlib")

LOADED = """
import json, sys
try:
    {code}
except SystemExit:
    pass
print("\\n" + json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""

COMMAND = "import isocline.cli; sys.argv = ['isocline', *{arguments!r}]; isocline.cli.main()"


def loaded_by(code: str) -> set[str]:
    """Which of the heavy packages a statement loads."""
    program = LOADED.format(code=code, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_by_command(*arguments: str) -> set[str]:
    return loaded_by(COMMAND.format(arguments=arguments))


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import numpy")


def test_import_loads_nothing() -> None:
    assert loaded_by("import isocline") == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("check", "--help"), ("run", "--help")])
def test_help_loads_nothing(arguments: tuple[str, ...]) -> None:
    assert loaded_by_command(*arguments) == set()


@pytest.mark.parametrize("arguments", [("check",), ("fmt", "--check")])
def test_check_and_fmt_load_no_torch(dyn_file: Path, arguments: tuple[str, ...]) -> None:
    assert not loaded_by_command(*arguments, str(dyn_file)) & {"torch", "onnxruntime", "onnx"}


@pytest.mark.parametrize("word", ["E214", "E701", "dense", "rk4"])
def test_explain_loads_no_torch(word: str) -> None:
    assert not loaded_by_command("explain", word) & {"torch", "onnxruntime"}


def test_run_loads_no_torch(tiny_artifact: Path) -> None:
    loaded = loaded_by_command("run", str(tiny_artifact), "--input", str(tiny_artifact.with_name("x.json")))
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "onnx", "lark"}


def test_every_public_name_is_there() -> None:
    for name in isocline.__all__:
        assert getattr(isocline, name) is not None
    assert set(isocline.__all__) <= set(dir(isocline))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        isocline.nothing  # noqa: B018

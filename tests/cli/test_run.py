"""`isocline run` and `bench` on a model that is not ours: y = x + x."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline.system import TINY_MODEL

runner = CliRunner()


def test_json_to_the_screen(tiny_artifact: Path) -> None:
    result = runner.invoke(app, ["run", str(tiny_artifact), "--input", str(tiny_artifact.with_name("x.json"))])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"y": [6.0]}


def test_json_to_a_file(tiny_artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.json"
    result = runner.invoke(
        app, ["run", str(tiny_artifact), "-i", str(tiny_artifact.with_name("x.json")), "-o", str(out)]
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(out.read_text()) == {"y": [6.0]}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "absent"], "E701"),
        (["run", "{model}"], "E730"),
        (["run", "{model}", "--input", "x.soup"], "E750"),
        (["run", "{model}", "--provider", "tpu"], "E771"),
        (["bench", "absent"], "E701"),
    ],
)
def test_faults(tiny_artifact: Path, arguments: list[str], code: str) -> None:
    result = runner.invoke(app, [argument.format(model=tiny_artifact) for argument in arguments])
    assert result.exit_code == 1
    assert f"error[{code}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_bench_as_json(tiny_artifact: Path) -> None:
    result = runner.invoke(app, ["bench", str(tiny_artifact), "--json", "--repeats", "20"])
    facts = json.loads(result.stdout)
    assert (facts["nodes"], facts["bytes"], facts["repeats"]) == (1, len(TINY_MODEL), 20)
    assert 0 < facts["p50_us"] <= facts["p99_us"] <= facts["max_us"]


def test_bench_as_a_table(tiny_artifact: Path) -> None:
    result = runner.invoke(app, ["bench", str(tiny_artifact), "--repeats", "20"])
    assert result.stdout.splitlines()[0] == "tiny.onnx"
    assert "p50_us" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--version"], 0), (["run", "absent"], 1), (["run"], 2), (["soup"], 2)]
)
def test_exit_status_of_the_program(arguments: list[str], status: int) -> None:
    done = subprocess.run([sys.executable, "-m", "isocline", *arguments], capture_output=True, text=True)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(status)


def test_the_function(tiny_artifact: Path) -> None:
    assert isocline.load(tiny_artifact).run(x=[2.0])["y"].tolist() == [4.0]

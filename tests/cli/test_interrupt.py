"""Ctrl-C at any moment and a disk that says no, seen from outside: words, an exit status, and nothing lost."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isocline.cli import app

runner = CliRunner()
UP = "from isocline.cli import main\nprint('up', flush=True)\nmain()\n"
LONG = """dyn 1
model long
data {
  source "long.csv"
  x = column(x)
  y = column(y)
}
input x: real
target y: real
param k: real = 0.1
output z = k*x
train { loss mse(z, y); epochs 1000000 }
"""


@pytest.fixture
def long_training(tmp_path: Path) -> Path:
    (tmp_path / "long.csv").write_text("x,y\n1,2\n2,4\n3,6\n")
    path = tmp_path / "long.dyn"
    path.write_text(LONG)
    return path


def trained(path: Path, run: Path) -> None:
    result = runner.invoke(app, ["train", str(path), "--run", str(run), "--epochs", "2", "-q"])
    assert result.exit_code == 0, result.stderr


def listening() -> None:
    """What runs in the background of a shell is started deaf to Ctrl-C, and so is all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.0, 1.6, 2.4, 4.0])
def test_ctrl_c_whenever_it_comes(long_training: Path, delay: float) -> None:
    run = long_training.parent / "run"
    trained(long_training, run)
    before = (run / "weights.safetensors").read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", UP, "train", str(long_training), "--run", str(run), "-q"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in told, "interrupted" in told) == (130, False, True), told
    kept = [path for path in (run / "weights.safetensors", run / "previous" / "weights.safetensors") if path.exists()]
    assert [path.read_bytes() for path in kept] == [before]
    assert ("--resume" in told) == ((run / "checkpoint.safetensors").exists() and "last checkpoint" in told)
    if "--resume" in told:
        again = runner.invoke(app, ["train", str(long_training), "--run", str(run), "--resume", "--epochs", "1", "-q"])
        assert again.exit_code == 0, again.stderr


def limited(arguments: list[str], size: int) -> subprocess.CompletedProcess[str]:
    """The program, where no file can grow beyond `size` bytes: what a full disk is, for a process."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-m", "isocline", *arguments], capture_output=True, text=True, preexec_fn=limit
    )


@pytest.mark.parametrize("size", [0, 10, 900])
def test_a_build_on_a_full_disk(dyn_file: Path, size: int) -> None:
    out = dyn_file.parent / "out"
    assert runner.invoke(app, ["compile", str(dyn_file), "-o", str(out)]).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = limited(["compile", str(dyn_file), "-o", str(out), "-q"], size)
    assert done.returncode == 1, done.stderr
    assert "error[E" in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("size", [64, 6000])
def test_a_training_on_a_full_disk(long_training: Path, size: int) -> None:
    """The first checkpoint fails, or the events that TensorBoard writes in a thread of its own."""
    run = long_training.parent / "run"
    trained(long_training, run)
    before = (run / "weights.safetensors").read_bytes()
    done = limited(["train", str(long_training), "--run", str(run), "--epochs", "3000", "-q"], size)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error[E642]")
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert (run / "previous" / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("command", ["run", "show", "fmt", "plot"])
def test_a_place_that_cannot_be_written(dyn_file: Path, tiny_artifact: Path, tmp_path: Path, command: str) -> None:
    """/dev/full and a folder that is a file: the message names the place."""
    (tmp_path / "file").write_text("mine")
    x = str(tiny_artifact.with_name("x.json"))
    arguments = {
        "run": ["run", str(tiny_artifact), "-i", x, "-o", str(tmp_path / "file" / "y.json")],
        "show": ["show", str(dyn_file), "-o", str(tmp_path / "file" / "y.txt")],
        "fmt": ["fmt", str(tmp_path / "file" / "y.dyn")],
        "plot": ["plot", str(tmp_path / "file")],
    }[command]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1, result.stderr
    assert "error[" in result.stderr
    assert "internal error" not in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_screen_that_is_a_full_disk(tiny_artifact: Path) -> None:
    arguments = ["run", str(tiny_artifact), "-i", str(tiny_artifact.with_name("x.json"))]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "isocline", *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr

"""A training that is killed and resumed ends with the bits of one that was left alone."""

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isocline_compiler.training.checkpoint import read_checkpoint, replace_file, write_checkpoint
from isocline_compiler.training.metrics import Metrics, MetricsRow, read_metrics
from isocline_dsl.diagnostics import IsoclineError

ROOT = Path(__file__).parents[2]
EPOCHS = 24


def start(folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.training.crash_run", str(folder), how, str(EPOCHS)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, how: str) -> str:
    run = start(folder, how)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    return out


def kill_between_epochs(run: subprocess.Popen[str], number: signal.Signals, pause: float) -> None:
    """Wait for the first epoch, then a moment that falls anywhere in a step or in a write."""
    assert run.stdout is not None
    for text in run.stdout:
        if text.startswith("epoch"):
            break
    time.sleep(pause)
    run.send_signal(number)
    run.wait(timeout=60)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, "fresh")
    return folder


def numbers(folder: Path) -> list[tuple[str, ...]]:
    """The rows but for the clock."""
    return [tuple(v for k, v in row.items() if k != "seconds") for row in read_metrics(folder / "metrics.csv")]


@pytest.mark.slow
def test_killed_and_resumed(undisturbed: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    how = "fresh"
    for _ in range(2):
        kill_between_epochs(start(tmp_path, how), signal.SIGKILL, chance.uniform(0, 0.4))
        how = "resume"
    finish(tmp_path, how)
    name = "weights.safetensors"
    assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    assert numbers(tmp_path) == numbers(undisturbed)
    assert len(numbers(tmp_path)) == EPOCHS


@pytest.mark.slow
def test_interrupted_and_resumed(undisturbed: Path, tmp_path: Path) -> None:
    run = start(tmp_path, "fresh")
    kill_between_epochs(run, signal.SIGINT, 0.1)
    assert run.returncode == 0
    assert run.stdout is not None
    assert "go on with --resume" in run.stdout.read()
    assert not (tmp_path / "weights.safetensors").exists()
    finish(tmp_path, "resume")
    name = "weights.safetensors"
    assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    assert numbers(tmp_path) == numbers(undisturbed)


# ------------------------------------------------------------------------------------------------ checkpoints

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(content=NESTED)
def test_what_is_written_is_read(content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("c") / "checkpoint"
    tensor = torch.tensor([1.0, math.nan, -0.0, 1e-45])
    write_checkpoint(path, {"content": content, "deep": [{"t": tensor}], "view": torch.eye(3).T[1:]})
    found = read_checkpoint(path)
    assert found["content"] == content
    assert torch.equal(found["deep"][0]["t"].view(torch.int32), tensor.view(torch.int32))
    assert torch.equal(found["view"], torch.eye(3)[1:])


def test_optimizer_states_survive(tmp_path: Path) -> None:
    """L-BFGS keeps lists of tensors and numbers."""
    w = torch.tensor([3.0, -2.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (w**4).sum() + (w[0] * w[1]) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    write_checkpoint(tmp_path / "c", {"w": w, "state": optimizer.state_dict()})
    optimizer.step(closure)
    kept = read_checkpoint(tmp_path / "c")
    end = w.detach().clone()
    w.data.copy_(kept["w"])
    optimizer = torch.optim.LBFGS([w], max_iter=2)
    optimizer.load_state_dict(kept["state"])
    optimizer.step(closure)
    assert torch.equal(w.detach(), end)


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(IsoclineError, match="E458"):
        read_checkpoint(path)
    write_checkpoint(path, {"w": torch.zeros(9)})
    whole = path.read_bytes()
    for data in (b"", whole[:20], whole[:-5], whole.replace(b"format", b"farmot")):
        path.write_bytes(data)
        with pytest.raises(IsoclineError, match="E459"):
            read_checkpoint(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="full"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_rows_after_the_checkpoint_and_half_rows_are_cut_off(tmp_path: Path) -> None:
    terms = ('mean((a - b)^2), "quoted"',)
    with Metrics(tmp_path, terms) as metrics:
        for epoch in (1, 2, 3):
            metrics.write(MetricsRow(epoch, epoch, 0.5, 0.1, 1.0, 2.0, None, {terms[0]: 0.25}))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4,4,0.")
    with Metrics(tmp_path, terms, after=2) as metrics:
        metrics.write(MetricsRow(3, 3, 0.75, 0.1, 1.0, 2.0, None, {terms[0]: 0.0}))
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [(row["epoch"], row["loss"], row[terms[0]]) for row in rows] == [
        ("1", "0.5", "0.25"),
        ("2", "0.5", "0.25"),
        ("3", "0.75", "0.0"),
    ]

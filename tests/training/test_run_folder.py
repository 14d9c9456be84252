"""The folder of a run: other trainings, earlier runs, files of the user, a full disk, and what a killed run left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from isocline_compiler.training import checkpoint
from isocline_compiler.training.fit import train
from isocline_dsl.diagnostics import IsoclineError
from tests.training.models import line, line_data

HOLD = """
import sys, time
from pathlib import Path
from isocline_compiler.training.run_folder import run_folder
with run_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def run(folder: Path, epochs: int = 3, **options: object) -> None:
    train(line(epochs=epochs), line_data(), folder, device="cpu", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(code: str, folder: Path, **options: object) -> str:
    with pytest.raises(IsoclineError) as caught:
        run(folder, **options)
    assert [item.code for item in caught.value.diagnostics] == [code]
    return str(caught.value)


def test_one_training_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder)
    before = contents(folder)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        assert str(holder.pid) in refused("E641", folder)
        assert str(holder.pid) in refused("E641", folder, resume=True)
        assert {name: item for name, item in contents(folder).items() if name != ".lock"} == before
    finally:
        holder.kill()
        holder.wait()
    run(folder)
    assert not (folder / ".lock").exists()


def test_a_completed_run_moves_aside(tmp_path: Path) -> None:
    run(tmp_path, epochs=2)
    first = load_file(tmp_path / "weights.safetensors")["w"]
    run(tmp_path, epochs=7)
    np.testing.assert_array_equal(load_file(tmp_path / "previous" / "weights.safetensors")["w"], first)
    assert len((tmp_path / "previous" / "metrics.csv").read_text().splitlines()) == 3
    assert (load_file(tmp_path / "weights.safetensors")["w"] != first).all()


def test_a_completed_run_survives_a_training_that_is_stopped_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a second one: what was not completed takes nobody's place."""
    run(tmp_path)
    first = (tmp_path / "weights.safetensors").read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("isocline_compiler.training.loop.Loop.run", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
        assert (tmp_path / "previous" / "weights.safetensors").read_bytes() == first
        assert (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("name", ["metrics.csv", "last_finite.safetensors"])
def test_files_of_the_user_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert name in refused("E640", tmp_path)
    assert contents(tmp_path) == {name: b"mine"}


def test_a_folder_of_the_user_named_as_one_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").write_text("mine")
    refused("E640", tmp_path)
    assert (tmp_path / "tensorboard" / "events").read_text() == "mine"


def test_other_files_beside_a_run_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    run(tmp_path)
    run(tmp_path)
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_half_written_files_of_a_killed_run_go(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / ".checkpoint.safetensors.abc.tmp").write_bytes(b"half")
    (tmp_path / ".mine.tmp").write_bytes(b"mine")
    run(tmp_path, resume=True)
    assert not (tmp_path / ".checkpoint.safetensors.abc.tmp").exists()
    assert (tmp_path / ".mine.tmp").exists()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_full_disk_stops_the_training_with_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The disk is full from the n-th file on; what was written before reads as it did."""
    run(tmp_path)
    before = (tmp_path / "weights.safetensors").read_bytes()
    written: list[Path] = []
    replace = checkpoint.atomic.replace_file

    def until_full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) >= at:
            raise OSError(28, "No space left on device", str(path))
        replace(path, data)

    monkeypatch.setattr(checkpoint.atomic, "replace_file", until_full)
    assert "No space left" in refused("E642", tmp_path, epochs=5)
    assert (tmp_path / "previous" / "weights.safetensors").read_bytes() == before
    if at > 1:
        checkpoint.read_checkpoint(tmp_path / "checkpoint.safetensors")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    refused("E642", tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"

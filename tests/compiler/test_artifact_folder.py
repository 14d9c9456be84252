"""Building into a folder: what was there before, what comes of it, and who else may be at work there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline_compiler.artifact import folder as folders
from isocline_dsl.diagnostics import IsoclineError

EXPLAINED = "deploy {\n  attribute remaining wrt start by saliency\n"


def refused(code: str, dyn_file: Path, out: Path) -> str:
    with pytest.raises(IsoclineError) as caught:
        isocline.compile(dyn_file, out=out)
    assert [item.code for item in caught.value.diagnostics] == [code]
    return str(caught.value)


def answers(folder: Path) -> None:
    """start e^(-t/2) at t = 0, 0.5, ... 2."""
    found = isocline.load(folder).run(start=[0.5])["remaining"]
    np.testing.assert_allclose(found, [0.5 * np.exp(-np.arange(5) / 4)], rtol=1e-4)


def test_a_rebuild_without_explanations_leaves_an_artifact_that_loads(dyn_file: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", dyn_file.read_text()
    dyn_file.write_text(plain.replace("deploy {\n", EXPLAINED))
    isocline.compile(dyn_file, out=out)
    assert (out / "attribute.onnx").exists()
    dyn_file.write_text(plain)
    isocline.compile(dyn_file, out=out)
    assert not (out / "attribute.onnx").exists()
    answers(out)


@pytest.mark.parametrize("name", ["thesis.tex", "report.html", "model.onnx", "manifest.json"])
def test_a_folder_of_the_user_is_left_as_it_is(dyn_file: Path, tmp_path: Path, name: str) -> None:
    """Also when the names are those of an artifact: without a manifest of ours they are the user's."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    assert name in refused("E640", dyn_file, out)
    assert {path.name: path.read_text() for path in out.iterdir()} == {name: "mine"}


def test_a_file_added_to_an_artifact_is_the_users(dyn_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    (out / "notes.md").write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "notes.md" in refused("E640", dyn_file, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_artifact_of_an_older_version_is_replaced_and_the_users_files_are_not(
    dyn_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    manifest = out / "manifest.json"
    text = manifest.read_text().replace('"format_version": 4', '"format_version": 2')
    manifest.write_text(text.replace('"files": {', '"files": {"notes.md": "0",'))
    assert '"format_version": 2' in manifest.read_text()
    isocline.compile(dyn_file, out=out)
    answers(out)
    manifest.write_text(text.replace('"files": {', '"files": {"notes.md": "0",'))
    (out / "notes.md").write_text("mine")
    assert "notes.md" in refused("E640", dyn_file, out)
    assert (out / "notes.md").read_text() == "mine"


def test_hidden_files_stay(dyn_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".gitkeep").write_text("mine")
    isocline.compile(dyn_file, out=out)
    answers(out)
    assert (out / ".gitkeep").read_text() == "mine"
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == [".gitkeep"]


def test_a_link_to_a_folder_stays_a_link(dyn_file: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    isocline.compile(dyn_file, out=tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    answers(tmp_path / "disk")


def test_a_build_that_is_refused_leaves_no_folder(dyn_file: Path, tmp_path: Path) -> None:
    dyn_file.write_text(dyn_file.read_text().replace("rk4(steps=8)", "rk4(steps=8)\n  check mean(remaining) > 2"))
    refused("E419", dyn_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder(dyn_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused("E642", dyn_file, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_where_another_build_is_at_work(dyn_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        assert str(holder.pid) in refused("E641", dyn_file, out)
        answers(out)
    finally:
        holder.kill()
        holder.wait()
    isocline.compile(dyn_file, out=out)  # the lock of a process that was killed is nobody's
    answers(out)


HOLD = """
import sys, time
from pathlib import Path
from isocline_runtime.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_build_that_was_killed_while_moving_files_is_built_again(dyn_file: Path, tmp_path: Path) -> None:
    """Its staging folder says that what has no manifest is ours."""
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    (out / "manifest.json").unlink()
    (out / ".building-x").mkdir()
    isocline.compile(dyn_file, out=out)
    answers(out)
    assert not (out / ".building-x").exists()


def test_a_full_disk_leaves_the_older_artifact(dyn_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(folders.tempfile, "mkdtemp", full)
    assert "No space left" in refused("E642", dyn_file, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_what_cannot_be_loaded_is_not_put_in_place(
    dyn_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is spoiled after it was listed, as a failing disk would."""
    out = tmp_path / "out"
    isocline.compile(dyn_file, out=out)
    before = (out / "manifest.json").read_bytes()
    load = folders._load

    def spoiled(folder: Path) -> None:
        (folder / "report.html").write_text("spoiled")
        load(folder)

    monkeypatch.setattr(folders, "_load", spoiled)
    dyn_file.write_text(dyn_file.read_text().replace("0.5 unit", "0.25 unit"))
    assert "report.html" in refused("E643", dyn_file, out)
    assert (out / "manifest.json").read_bytes() == before
    answers(out)

"""Folders are read whole or refused: every way to alter one is found."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from isocline_runtime.artifact import describe_file, read_artifact, write_atomic
from isocline_runtime.errors import ArtifactError


def refuse(path: Path, code: str, text: str, limit: int = 2**29) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_artifact(path, limit)
    assert caught.value.code == code
    assert text in str(caught.value)


def test_a_whole_folder_is_read(write_artifact) -> None:
    folder = write_artifact(extra={"certificate.json": b'{"parity": 1e-7}', "report.html": b"<p>"})
    artifact = read_artifact(folder)
    assert artifact.certificate == {"parity": 1e-7}
    assert artifact.name == "hare"
    assert artifact.model == (folder / "model.onnx").read_bytes()


def test_a_bare_model_is_read(write_artifact) -> None:
    artifact = read_artifact(write_artifact() / "model.onnx")
    assert artifact.manifest is None
    assert artifact.name == "model.onnx"


def test_describe_file_is_sha256() -> None:
    assert describe_file(b"abc").sha256 == hashlib.sha256(b"abc").hexdigest()


def test_nothing_there(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", "E701", "nowhere")
    refuse(tmp_path, "E701", "manifest.json")


def test_one_changed_byte_is_found(write_artifact) -> None:
    folder = write_artifact()
    content = bytearray((folder / "model.onnx").read_bytes())
    content[40] ^= 1
    (folder / "model.onnx").write_bytes(content)
    refuse(folder, "E708", "sha256")


def test_a_longer_file_is_found(write_artifact) -> None:
    folder = write_artifact()
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    refuse(folder, "E708", "size")


def test_a_missing_file_is_found(write_artifact) -> None:
    folder = write_artifact(extra={"report.html": b"<p>"})
    (folder / "report.html").unlink()
    refuse(folder, "E706", "report.html")


def test_an_unlisted_file_is_found_and_hidden_ones_are_not(write_artifact) -> None:
    folder = write_artifact()
    (folder / ".model.onnx.left.tmp").write_bytes(b"x")
    read_artifact(folder)
    (folder / "out.csv").write_bytes(b"x")
    refuse(folder, "E707", "out.csv")


def test_a_file_above_the_limit_is_refused(write_artifact) -> None:
    folder = write_artifact(extra={"big.bin": b"0" * 9000})
    read_artifact(folder, 9000)
    refuse(folder, "E709", "9000 bytes, the limit is 8999", limit=8999)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "a\\b", "", "a\0b", "a\n"])
def test_a_name_that_leads_out_is_refused(write_artifact, name: str) -> None:
    folder = write_artifact()
    (folder.parent / "secret").write_bytes(b"s")
    value = json.loads((folder / "manifest.json").read_text())
    value["files"][name] = {"sha256": hashlib.sha256(b"s").hexdigest(), "bytes": 1}
    (folder / "manifest.json").write_text(json.dumps(value))
    refuse(folder, "E705", "is refused")


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_link_is_refused_even_to_the_right_bytes(write_artifact, name: str) -> None:
    folder = write_artifact()
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)
    refuse(folder, "E705", "symbolic link")


def test_a_pipe_and_a_folder_are_refused_at_once(write_artifact) -> None:
    folder = write_artifact(extra={"report.html": b"<p>"})
    (folder / "report.html").unlink()
    os.mkfifo(folder / "report.html")
    refuse(folder, "E705", "not a plain file")
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    with pytest.raises(ArtifactError):
        read_artifact(folder)


def test_a_damaged_certificate_is_refused(write_artifact) -> None:
    refuse(write_artifact(extra={"certificate.json": b"[1]"}), "E702", "certificate.json")


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_atomic(target, b"old")
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_write_atomic_respects_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_write_atomic_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"E718.*nowhere"):
        write_atomic(tmp_path / "nowhere" / "a", b"")

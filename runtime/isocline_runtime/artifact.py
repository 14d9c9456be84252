"""An artifact on disk: written file by file without a half state, read with every byte checked."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from isocline_runtime import messages_artifact as messages
from isocline_runtime.atomic import replace_file
from isocline_runtime.limits import JSON_LIMIT, SIZE_LIMIT
from isocline_runtime.manifest import (
    CERTIFICATE_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    FileInfo,
    Manifest,
)
from isocline_runtime.manifest_reader import read_json_object, read_manifest
from isocline_runtime.seal import require_seal

SEAL_LIMIT = 4096
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Artifact:
    """What was read: the model's bytes, and for a folder its manifest and certificate. `path` is for
    messages."""

    path: Path
    model: bytes
    manifest: Manifest | None = None
    certificate: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.manifest.name if self.manifest else self.path.name

    @property
    def model_file(self) -> str:
        """The model's file as messages name it."""
        return str(self.path / MODEL_FILE if self.manifest else self.path)


def describe_file(content: bytes) -> FileInfo:
    """The sha256 and the size that a manifest states for these bytes."""
    return FileInfo(hashlib.sha256(content).hexdigest(), len(content))


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all, as `isocline_runtime.atomic` does. Raises ArtifactError E718."""
    target = Path(path)
    try:
        replace_file(target, content)
    except OSError as error:
        raise messages.unreadable(target, error.strerror or str(error)) from None


Trust: TypeAlias = "str | bytes | os.PathLike[str] | None"
"""A public key: a PEM file, its text, 64 hexadecimal digits, or 32 bytes."""


def read_artifact(path: str | os.PathLike[str], limit: int = SIZE_LIMIT, trust: Trust = None) -> Artifact:
    """Read an artifact's folder, or one `.onnx` file without a manifest.

    For a folder: the manifest is valid, the folder holds the files it lists and no others (names that
    start with a dot aside), each a plain file of the stated size and sha256. `limit` is the largest file
    accepted, in bytes. With `trust` the manifest is signed with that key. Raises ArtifactError E701 to E709, E718 or
    E720 to E722.
    """
    source = Path(path)
    if source.is_dir():
        return _read_folder(source, limit, trust)
    if not source.exists():
        raise messages.nothing_there(source)
    if trust is not None:
        raise messages.unsigned(source, SIGNATURE_FILE)
    return Artifact(source, read_limited(source, limit))


def _read_folder(folder: Path, limit: int, trust: Trust) -> Artifact:
    if not (folder / MANIFEST_FILE).exists():
        raise messages.nothing_there(folder, f"the folder has no {MANIFEST_FILE}: was the build stopped?")
    file = str(folder / MANIFEST_FILE)
    written = read_limited(folder / MANIFEST_FILE, min(limit, JSON_LIMIT), links=False)
    if trust is not None:
        seal = folder / SIGNATURE_FILE
        content = read_limited(seal, SEAL_LIMIT, links=False) if seal.exists() else None
        require_seal(folder, written, content, trust)
    manifest = read_manifest(written, file)
    _compare_listing(folder, manifest)
    limits = {CERTIFICATE_FILE: min(limit, JSON_LIMIT)}
    contents = {name: read_listed(folder, name, info, limits.get(name, limit)) for name, info in manifest.files.items()}
    certificate = contents.get(CERTIFICATE_FILE)
    return Artifact(
        folder,
        contents[MODEL_FILE],
        manifest,
        read_json_object(certificate, str(folder / CERTIFICATE_FILE)) if certificate is not None else None,
    )


def _compare_listing(folder: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not PLAIN_NAME.fullmatch(name):
            raise messages.unsafe_file(folder, name, "it is not a plain file name")
    there = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    for name in sorted(manifest.files.keys() - there):
        raise messages.missing_file(folder, name)
    for name in sorted(there - manifest.files.keys() - {MANIFEST_FILE, SIGNATURE_FILE}):
        raise messages.unlisted_file(folder, name)


def read_listed(folder: Path, name: str, info: FileInfo, limit: int = SIZE_LIMIT) -> bytes:
    """The bytes of one file of an artifact, if they are those that the manifest states."""
    content = read_limited(folder / name, limit, links=False)
    if len(content) != info.bytes:
        raise messages.altered_file(folder, name, "size", len(content), info.bytes)
    digest = hashlib.sha256(content).hexdigest()
    if digest != info.sha256:
        raise messages.altered_file(folder, name, "sha256", f"{digest[:12]}...", f"{info.sha256[:12]}...")
    return content


def read_limited(path: Path, limit: int, links: bool = True) -> bytes:
    """The bytes of a plain file of at most `limit` bytes. With `links=False` a symbolic link is refused."""
    # Not blocking, so that a named pipe without a writer is refused below instead of waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not links:
        if path.is_symlink():
            raise messages.unsafe_file(path.parent, path.name, "it is a symbolic link")
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise messages.unsafe_file(path.parent, path.name, "it is not a plain file")
            if status.st_size > limit:
                raise messages.oversize(path, status.st_size, limit)
            content = file.read(limit + 1)
    except OSError as error:
        raise messages.unreadable(path, error.strerror or str(error)) from None
    if len(content) > limit:  # it grew while it was read
        raise messages.oversize(path, len(content), limit)
    return content

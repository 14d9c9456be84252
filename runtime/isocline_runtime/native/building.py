"""A library from C source, built once and kept by the hash of all that it depends on."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from isocline_runtime import messages_native as messages
from isocline_runtime.native.compilers import Compiler, processor
from isocline_runtime.native_info import NativeInfo

VARIABLE = "ISOCLINE_CACHE"
SECONDS = 600
"""How long a compiler may take."""
OPTIONS = ("-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-shared")
TUNED = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ("-mcpu=native",), ())
"""Options for the processor that is here, the first that a compiler takes; not all know all."""
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


@dataclass(frozen=True)
class Program:
    """The C of one model as it stands in its artifact."""

    info: NativeInfo
    source: bytes
    header: bytes


@dataclass(frozen=True)
class Library:
    """A built library, and whether it was there before."""

    path: Path
    built: bool


def cache_folder() -> Path:
    """Where libraries are kept: `ISOCLINE_CACHE`, else the user's folder for caches."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "isocline" / "native"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "isocline" / "native"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isocline" / "native"


def place_of(program: Program, compiler: Compiler) -> Path:
    """Where the library of a program is or will be; another compiler, processor or text has another place."""
    digest = hashlib.sha256()
    told = repr((compiler, processor(), OPTIONS, TUNED, program.info.contracted)).encode()
    for part in (program.source, program.header, told):
        digest.update(len(part).to_bytes(8, "little") + part)
    return cache_folder() / digest.hexdigest()[:40] / f"{Path(program.info.source).stem}{SUFFIX}"


def place_of_shipped(program: Program, content: bytes) -> Path:
    """Where a library that came with an artifact is kept."""
    digest = hashlib.sha256(b"shipped" + content).hexdigest()
    return cache_folder() / digest[:40] / f"{Path(program.info.source).stem}{SUFFIX}"


def keep_shipped(program: Program, content: bytes) -> Library:
    """The library of a program as it came. Raises RunError E762 when the cache cannot be written."""
    place = place_of_shipped(program, content)
    if is_kept(place):
        return Library(place, False)
    with _new_folder(program) as folder:
        (folder / place.name).write_bytes(content)
        _move(folder, place.parent)
    return Library(place, True)


def is_built(program: Program, compiler: Compiler) -> bool:
    """Whether this user had the library built here before, and nobody else can have changed it."""
    return is_kept(place_of(program, compiler))


def is_kept(place: Path) -> bool:
    """Whether a library is there, put by this user, and nobody else can have changed it."""
    return place.is_file() and _is_private(place.parent)


def build(program: Program, compiler: Compiler) -> Library:
    """The library of a program. Raises RunError E762 when the compiler refuses it or the cache cannot be written."""
    place = place_of(program, compiler)
    if is_kept(place):
        return Library(place, False)
    with _new_folder(program) as folder:
        (folder / program.info.source).write_bytes(program.source)
        (folder / program.info.header).write_bytes(program.header)
        _compile(program, compiler, folder, place.name)
        _move(folder, place.parent)
    return Library(place, True)


@contextmanager
def _new_folder(program: Program) -> Iterator[Path]:
    """A folder beside the libraries that only this user may enter; gone afterwards. Raises RunError E762."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix=".building-", dir=cache_folder()))
    except OSError as error:
        raise messages.not_built(program.info.source, f"{cache_folder()}: {error.strerror}", VARIABLE) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def discard(library: Library) -> None:
    """Take a library out of the cache again."""
    shutil.rmtree(library.path.parent, ignore_errors=True)


def _compile(program: Program, compiler: Compiler, folder: Path, name: str) -> None:
    contracted = "-ffp-contract=fast" if program.info.contracted else "-ffp-contract=off"
    position = () if sys.platform == "win32" else ("-fPIC",)
    said = ""
    for tuned in TUNED:
        options = [*OPTIONS, *position, contracted, *tuned, "-o", name, program.info.source]
        try:
            done = subprocess.run(
                [*compiler.command, *options], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise messages.not_built(program.info.source, f"no end after {SECONDS} s", None) from None
        if done.returncode == 0:
            return
        said = said or done.stderr.strip()
    first = next((line for line in said.splitlines() if "error" in line), said[:200])
    raise messages.not_built(program.info.source, f"{compiler.version}: {first}", None)


def _move(folder: Path, target: Path) -> None:
    """In one step; where another process was sooner, its library is as good."""
    try:
        folder.rename(target)
    except OSError:
        if not _is_private(target):
            raise messages.not_built(target.name, f"{target} belongs to somebody else", VARIABLE) from None


def _is_private(folder: Path) -> bool:
    """Whether nobody but this user can write there."""
    try:
        found = folder.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

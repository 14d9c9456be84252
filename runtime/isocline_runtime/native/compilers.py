"""Which C compiler this machine has: what `ISOCLINE_CC` names, cc, gcc, clang, or that of the package ziglang."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isocline_runtime import messages_native as messages

VARIABLE = "ISOCLINE_CC"
NAMES = ("cc", "gcc", "clang")
ASKED = 30
"""Seconds that a compiler may take to say which one it is."""


@dataclass(frozen=True)
class Compiler:
    """A command that takes the options of gcc and clang, and the first line of what it says of itself."""

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """The first that answers. Raises RunError E761 where there is none."""
    for command in _candidates(os.environ.get(VARIABLE)):
        found = _asked(command)
        if found is not None:
            return found
    raise messages.no_compiler(os.environ.get(VARIABLE), NAMES)


def _candidates(named: str | None) -> Iterator[tuple[str, ...]]:
    if named:
        yield tuple(shlex.split(named))
        return
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            yield (path,)
    yield from _zig()


def _zig() -> Iterator[tuple[str, ...]]:
    if importlib.util.find_spec("ziglang") is not None:
        yield (sys.executable, "-m", "ziglang", "cc")


def zig_compiler() -> Compiler | None:
    """The compiler of the package ziglang, which compiles for other processors too; None where it is not there."""
    return next(filter(None, map(_asked, _zig())), None)


@cache
def _asked(command: tuple[str, ...]) -> Compiler | None:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=ASKED, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return Compiler(command, lines[0].strip()) if done.returncode == 0 and lines else None


@cache
def processor() -> str:
    """What a library that is built for this very processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    kinds = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features", "model name"))]
    return " ".join([platform.system(), platform.machine(), *sorted(set(kinds))]) or platform.processor()

"""Processors that an artifact may carry a library for, and which of them this one is."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A processor with the system its libraries are for: `machines` are its names, `features` the instructions, by the
    names of Linux, that they may use besides those that all of the kind have. `ending` is that of its files.
    """

    name: str
    ending: str
    machines: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def file(self, stem: str) -> str:
        """The library of `model.c` in an artifact: `model-aarch64.so`, `model.wasm`."""
        return f"{stem}{self.ending}"


TARGETS = {
    item.name: item
    for item in (
        Target("x86_64", "-x86_64.so", ("x86_64", "AMD64"), ("avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")),
        Target("aarch64", "-aarch64.so", ("aarch64", "arm64")),
        Target("wasm", ".wasm"),
    )
}
"""By name. The libraries are Linux's; of x86_64 they are for its third level (psABI: Haswell, 2013, and later)."""


@cache
def target_here() -> Target | None:
    """The target whose libraries run in this process; None where there is none."""
    if sys.platform != "linux":
        return None
    found = next((item for item in TARGETS.values() if platform.machine() in item.machines), None)
    return found if found is not None and set(found.features) <= _features() else None


def _features() -> set[str]:
    """The instructions that every processor of this machine has, as Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    every = [set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")]
    return set.intersection(*every) if every else set()

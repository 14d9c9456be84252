"""A fault to plant: one place of one file with other words in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


class Moved(Exception):
    """The text that a fault replaces is not there, or not once."""


@dataclass(frozen=True)
class Fault:
    """`old` in `file` becomes `new`; then these `builds` and, where none stops, these `tests` are run.

    `old` stands once in the file. `tests` are arguments of pytest.
    """

    file: str
    old: str
    new: str
    why: str
    builds: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Short, for the table: the file without its package, and why."""
        return f"{Path(self.file).name}: {self.why}"

    def planted(self, text: str) -> str:
        """The text of the file with the fault in it. Raises Moved."""
        count = text.count(self.old)
        if count != 1:
            raise Moved(f"its text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def area(folder: str, builds: str, tests: Iterable[str], faults: Iterable[tuple[str, ...]]) -> tuple[Fault, ...]:
    """Faults (file, old, new, why[, tests]) of one folder, with the builds and tests that look at it."""
    found = []
    for file, old, new, why, *own in faults:
        fault = Fault(f"{folder}/{file}", old, new, why, tuple(builds.split()), tuple(tests))
        found.append(replace(fault, tests=tuple(own)) if own else fault)
    return tuple(found)


__all__ = ["Fault", "Moved", "area"]

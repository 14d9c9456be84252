"""Which entries along an axis each iteration of a loop reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.tensor_type import Size


@dataclass(frozen=True, eq=False)
class Entries:
    """Iteration i reads the entries `numbers[i]`, (iterations, w); None: entry i alone, of an axis whose length is a
    name.
    """

    numbers: Array | None

    @classmethod
    def one_each(cls, iterations: Size, first: int = 0) -> Entries:
        """Iteration i reads entry `first` + i."""
        if not isinstance(iterations, int):
            return cls(None)
        return cls(np.arange(first, first + iterations)[:, None])

    @property
    def width(self) -> int:
        """w: how many entries an iteration reads."""
        return 1 if self.numbers is None else self.numbers.shape[1]

    @cached_property
    def key(self) -> bytes:
        """Equal for equal entries."""
        return b"" if self.numbers is None else repr(self.numbers.shape).encode() + self.numbers.tobytes()

    def through(self, chosen: Array) -> Entries | None:
        """The entries of x that are read where entry i of what is read is entry `chosen[i]` of x, or entries
        `chosen[i, :]`; None where the length of the axis is a name.
        """
        if self.numbers is None:
            return None
        found = chosen[self.numbers]
        return Entries(found.reshape(len(found), -1))

    def same_as(self, other: Entries) -> bool:
        """Whether every iteration reads the same."""
        return self.key == other.key


class Reading(Protocol):
    """What takes values apart for an iteration: see `streaming/rows.py`. Both raise where the whole path is needed."""

    def rows(self, node: Node, axis: int, entries: Entries) -> Node:
        """`node` with these entries on its axis."""

    def after(self, node: Node) -> Node:
        """`node` as it is when the path ends with this iteration."""


def union(parts: list[Entries]) -> Entries:
    """All entries that some of `parts` read, in an order that is the same in every iteration."""
    if any(part.numbers is None for part in parts):
        return Entries(None)
    columns = np.hstack([part.numbers for part in parts if part.numbers is not None])
    distinct = np.unique(columns, axis=1)
    return Entries(distinct[:, np.lexsort(distinct[::-1])] if distinct.shape[1] > 1 else distinct)


def places(part: Entries, whole: Entries) -> Array:
    """Where the columns of `part` stand among those of `whole`, which holds them all."""
    if part.numbers is None or whole.numbers is None:
        return np.zeros(1, dtype=np.int64)
    columns = [column.tobytes() for column in np.ascontiguousarray(whole.numbers.T)]
    return np.array([columns.index(column.tobytes()) for column in np.ascontiguousarray(part.numbers.T)])

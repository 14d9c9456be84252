"""The time in a loop: tables of which each segment takes its row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, TRANSPOSE
from isocline_compiler.solvers.grid import Grid
from isocline_compiler.solvers.schemes.step import Step, beside
from isocline_compiler.solvers.unroll.segments import Segments


@dataclass(frozen=True, eq=False)
class TimeTable:
    """The times of the grid's nodes in rows of one segment, both ends included, and the widths in rows, or one number.

    Tables are (segments, steps + 1) and (segments, steps), with a batch axis behind when times come with each sample.
    Where the field jumps at nodes, each step has an end of its own: `table` and `ends` are (segments, steps) then.
    """

    times: Node
    table: Node
    widths: Node | float
    ends: Node | None = None

    @property
    def tables(self) -> Nodes:
        further = (self.widths if isinstance(self.widths, Node) else None, self.ends)
        return (self.table, *(item for item in further if item is not None))

    def step(self, rows: Nodes, j: int, x: Nodes) -> Step:
        """Step j of a segment."""
        t = SELECT(rows[0], axis=0, index=j)
        end = SELECT(rows[0], axis=0, index=j + 1) if self.ends is None else SELECT(rows[-1], axis=0, index=j)
        if not isinstance(self.widths, Node):
            return Step.of(t, self.widths, len(x), end, even=True)
        h = SELECT(rows[1], axis=0, index=j)
        return Step(t, end, h, tuple(beside(h, state) for state in x))


def known_table(grid: Grid, segments: Segments) -> TimeTable:
    """Times that are numbers: tables of literals."""
    times, widths = np.array(grid.times), np.array(grid.widths)
    same = len(set(grid.widths)) == 1
    width = float(widths[0]) if same else constant(widths[segments.numbered()])
    if not grid.jumps:
        return TimeTable(constant(times), constant(times[segments.numbered(extra=1)]), width)
    begins, ends = (constant(np.array(item)[segments.numbered()]) for item in (grid.begins, grid.ends))
    return TimeTable(constant(times), begins, width, ends)


def table_of_input(given: Solve, substeps: int, segments: Segments) -> TimeTable:
    """Times that come with the input, (batch, n) or (n,), each interval in equal substeps."""
    assert given.times is not None
    x, axis = given.times, given.times.type.rank - 1
    count = int(x.size(-1))
    here, there = (SLICE(x, axis=axis, start=i, stop=count - 1 + i) for i in (0, 1))
    h = (there - here) * (1 / substeps)
    inner = _column(here) + _column(h) * constant(np.arange(substeps, dtype=np.float64))
    every = EXPAND(_column(h), shape=(*h.shape, substeps))
    times = CONCAT(_flat(inner), SLICE(x, axis=axis, start=count - 1, stop=count), axis=axis)
    return TimeTable(times, _rows(times, segments.numbered(extra=1)), _rows(_flat(every), segments.numbered()))


def _column(x: Node) -> Node:
    return RESHAPE(x, shape=(*x.shape, 1))


def _flat(x: Node) -> Node:
    """(..., n, substeps) -> (..., n substeps)"""
    return RESHAPE(x, shape=(*x.shape[:-2], int(x.size(-2)) * int(x.size(-1))))


def _rows(x: Node, places: Array) -> Node:
    """Entries of the last axis by segment and step: (..., n) -> (segments, steps, ...)."""
    found = GATHER(x, constant(places), axis=x.type.rank - 1)
    rank = found.type.rank
    return TRANSPOSE(found, perm=(rank - 2, rank - 1, *range(rank - 2)))

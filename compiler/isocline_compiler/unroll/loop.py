"""A solve as a loop over segments of steps: its graph does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import gcd

import numpy as np

from isocline_compiler.graph import Array, Node, Region, constant
from isocline_compiler.grid import Discretisation, Grid
from isocline_compiler.ops import OPS
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.scan_node import Nodes, Scanned, scan
from isocline_compiler.schemes.scheme import Field, Scheme, State, Stride, stride
from isocline_compiler.solve_node import Interval, SolveParts, parts
from isocline_compiler.unroll.walk import (
    Course,
    Record,
    Travel,
    as_value,
    broadcast_over,
    check_types,
    fields,
    slice_index,
    steps_of,
    walk,
)


def looped(node: Node, choice: Discretisation, record: Record | None) -> State | None:
    """The results of a solve as a scan, each pass a segment of about `choice.segment` steps; the steps that fill no
    segment come after it. None when there is no second segment.
    """
    passes = Passes.of(node, choice)
    return None if passes.count < 2 else _Loop(node, choice, Travel.of(node, choice), passes, record).results()


@dataclass(frozen=True)
class Passes:
    """`count` passes of `steps` steps each, of `travelled` in all; the states are wanted after every `period` steps (0:
    only the last).
    """

    count: int
    steps: int
    period: int
    travelled: int

    @classmethod
    def of(cls, node: Node, choice: Discretisation) -> Passes:
        """Segments of at most so many steps that meet the kept times: a multiple of the period, or a divisor of it."""
        segment, travelled = choice.segment, steps_of(node, choice)
        assert segment is not None, "a solve without a segment is laid out"
        period = _period(choice) if node.attrs["interval"].everywhere else 0
        steps = segment
        if period:
            whole = segment // period * period
            steps = whole or max(k for k in range(1, segment + 1) if period % k == 0)
        return cls(travelled // steps, steps, period, travelled)

    @property
    def covered(self) -> int:
        """Steps inside of the loop."""
        return self.count * self.steps

    def numbered(self, extra: int = 0) -> Array:
        """The number of each step, (passes, steps), and of the `extra` nodes of the grid after a pass's last."""
        return np.arange(self.count)[:, None] * self.steps + np.arange(self.steps + extra)


def _period(choice: Discretisation) -> int:
    """The kept states are among those after every so many steps."""
    return gcd(*choice.grid.keep) if isinstance(choice.grid, Grid) else choice.grid


@dataclass(frozen=True, eq=False)
class _Loop:
    node: Node
    choice: Discretisation
    travel: Travel
    passes: Passes
    record: Record | None

    @cached_property
    def given(self) -> SolveParts:
        return parts(self.node)

    @cached_property
    def initial(self) -> Nodes:
        """With `record`, nodes of their own: a use of the same value elsewhere is no use of the state."""
        start = self.given.initial
        return start if self.record is None else tuple(OPS["mul"](x, 1.0) for x in start)

    @cached_property
    def clock(self) -> _Clock:
        if isinstance(self.choice.grid, Grid):
            return _known_clock(self.choice.grid, self.passes)
        return _clock_of_input(self.given, self.choice.grid, self.passes)

    @cached_property
    def weights(self) -> Nodes:
        """The slices of each stacked weight by pass and step, (passes, steps, *weight)."""
        steps = self.travel.steps

        def index(depth: int) -> Array:
            return np.array([[slice_index(int(i), steps, depth) for i in row] for row in self.passes.numbered()])

        return tuple(OPS["gather"](w, constant(index(int(w.size(0)))), axis=0) for w in self.given.stacked)

    @cached_property
    def disturbances(self) -> Nodes:
        """Zeros that are added to each state after each step, (passes, steps, batch, *state); none without `record`."""
        if self.record is None:
            return ()
        lead = (self.passes.count, self.passes.steps)
        zeros = [broadcast_like(constant(0.0), x) for x in self.given.initial]
        singles = [OPS["reshape"](zero, shape=(1, 1, *zero.shape)) for zero in zeros]
        return tuple(OPS["expand"](single, shape=(*lead, *single.shape[2:])) for single in singles)

    def results(self) -> State:
        rows = (*self.clock.tables, *self.weights, *self.disturbances)
        done = scan(self.initial, self.given.captured, rows, self._body, length=self.passes.count)
        check_types(self.initial, done.last)
        tail = self._tail(done.last)
        if self.record is not None:
            after = zip(*tail[1:], strict=True) if len(tail) > 1 else [()] * len(self.initial)
            whole = zip(self.initial, self.disturbances, after, strict=True)
            self.record(self.node, Course(self.clock.times, tuple((x, block, *rest) for x, block, rest in whole)))
        interval: Interval = self.node.attrs["interval"]
        return self._kept(done, tail) if interval.everywhere else tail[-1]

    def _body(self, x: Nodes, held: Nodes, rows: Nodes) -> tuple[Sequence[Node], Sequence[Node]]:
        """The steps of one pass; beside the states after the last of them, those after every `period` steps."""
        region, passes = self.node.attrs["region"], self.passes
        first, second = len(self.clock.tables), len(self.clock.tables) + len(self.weights)
        kept: list[State] = []
        for j in range(passes.steps):
            own = _at(rows[first:second], j)
            here = self.clock.stride(rows[:first], j, x)
            x = _advanced(self.choice.scheme, _field_of(region, (*held, *own)), here, x)
            if self.record is not None:
                x = tuple(a + b for a, b in zip(x, _at(rows[second:], j), strict=True))
            if passes.period and ((j + 1) % passes.period == 0 or j + 1 == passes.steps < passes.period):
                kept.append(x)
        return x, [_piled(values) for values in zip(*kept, strict=True)]

    def _tail(self, x: State) -> list[State]:
        """The states from the end of the loop on."""
        covered, strides = self.passes.covered, self.travel.strides
        rest = islice(fields(self.node, self.travel.steps), covered, None)
        return list(walk(self.choice.scheme, x, strides[covered:], rest))

    def _kept(self, done: Scanned, tail: Sequence[State]) -> State:
        """The kept states, (batch, n, *state): the first, those of the loop, those after it."""
        passes, keep = self.passes, self.travel.keep
        every = max(passes.period // passes.steps, 1)
        later = [x for i, x in enumerate(tail) if i and (passes.covered + i) % passes.period == 0]
        positions = [place // passes.period for place in keep]
        found = []
        for s, (first, inside) in enumerate(zip(self.initial, done.stacked, strict=True)):
            flat = OPS["reshape"](inside, shape=(int(inside.size(0)) * int(inside.size(1)), *inside.shape[2:]))
            if every > 1:
                flat = OPS["slice"](flat, axis=0, start=every - 1, stop=None, step=every)
            path = OPS["concat"](_piled([first]), flat, *(_piled([x[s]]) for x in later), axis=0)
            if positions != list(range(int(path.size(0)))):
                path = OPS["gather"](path, constant(np.array(positions)), axis=0)
            found.append(_batch_first(path, first.type.batched))
        return tuple(found)


def _field_of(region: Region, values: Nodes) -> Field:
    return lambda t, x: region(as_value(t), *x, *values)


def _advanced(scheme: Scheme, field: Field, here: Stride, x: State) -> State:
    """One step of a scheme that remembers nothing."""
    memory = scheme.start(field, x)
    assert memory is None, f"{scheme.name} remembers earlier steps, which a loop does not carry yet"
    return scheme.advance(memory, field, here, x)[1]


def _at(rows: Nodes, j: int) -> Nodes:
    return tuple(OPS["select"](row, axis=0, index=j) for row in rows)


def _piled(values: Sequence[Node]) -> Node:
    """(...) n times -> (n, ...)"""
    return OPS["concat"](*(OPS["reshape"](value, shape=(1, *value.shape)) for value in values), axis=0)


def _batch_first(path: Node, batched: bool) -> Node:
    """(n, batch, *state) -> (batch, n, *state)"""
    return OPS["transpose"](path, perm=(1, 0, *range(2, path.type.rank))) if batched else path


# ---------------------------------------------------------------------------------------------------- time


@dataclass(frozen=True, eq=False)
class _Clock:
    """The times of the grid's nodes in rows of one pass, with both of its ends, and the widths in rows, or one number.

    Tables are (passes, steps + 1) and (passes, steps), with a batch axis behind when the times come with each sample.
    """

    times: Node
    table: Node
    widths: Node | float

    @property
    def tables(self) -> Nodes:
        return (self.table, self.widths) if isinstance(self.widths, Node) else (self.table,)

    def stride(self, rows: Nodes, j: int, x: State) -> Stride:
        """Stride j of a pass."""
        t, end = (OPS["select"](rows[0], axis=0, index=i) for i in (j, j + 1))
        if not isinstance(self.widths, Node):
            return stride(t, self.widths, len(x), end)
        h = OPS["select"](rows[1], axis=0, index=j)
        return Stride(t, end, h, tuple(broadcast_over(h, state) for state in x))


def _known_clock(grid: Grid, passes: Passes) -> _Clock:
    """Times that are numbers: tables of literals."""
    times, widths = np.array(grid.times), np.array(grid.widths)
    same = len(set(grid.widths)) == 1
    return _Clock(
        constant(times),
        constant(times[passes.numbered(extra=1)]),
        float(widths[0]) if same else constant(widths[passes.numbered()]),
    )


def _clock_of_input(given: SolveParts, substeps: int, passes: Passes) -> _Clock:
    """Times that come with the input, (batch, n) or (n,), each interval in equal substeps."""
    assert given.times is not None
    x, axis = given.times, given.times.type.rank - 1
    count = int(x.size(-1))
    here, there = (OPS["slice"](x, axis=axis, start=i, stop=count - 1 + i) for i in (0, 1))
    h = (there - here) * (1 / substeps)
    inner = _column(here) + _column(h) * constant(np.arange(substeps, dtype=np.float64))
    every = OPS["expand"](_column(h), shape=(*h.shape, substeps))
    times = OPS["concat"](_flat(inner), OPS["slice"](x, axis=axis, start=count - 1, stop=count), axis=axis)
    return _Clock(times, _rows(times, passes.numbered(extra=1)), _rows(_flat(every), passes.numbered()))


def _column(x: Node) -> Node:
    return OPS["reshape"](x, shape=(*x.shape, 1))


def _flat(x: Node) -> Node:
    """(..., n, substeps) -> (..., n substeps)"""
    return OPS["reshape"](x, shape=(*x.shape[:-2], int(x.size(-2)) * int(x.size(-1))))


def _rows(x: Node, places: Array) -> Node:
    """Entries of the last axis by pass and step: (..., n) -> (passes, steps, ...)."""
    found = OPS["gather"](x, constant(places), axis=x.type.rank - 1)
    rank = found.type.rank
    return OPS["transpose"](found, perm=(rank - 2, rank - 1, *range(rank - 2)))

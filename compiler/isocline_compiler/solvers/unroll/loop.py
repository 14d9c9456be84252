"""A solve as a loop over segments of steps: its graph does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np

from isocline_compiler.graph import Array, Node, Region, constant
from isocline_compiler.graph.scan import Nodes, Scanned, scan
from isocline_compiler.graph.solve import Interval, SolveParts, parts
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, TRANSPOSE
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.memory import replaced, same_form, values_of
from isocline_compiler.solvers.schemes.scheme import Field, Memory, State
from isocline_compiler.solvers.unroll.clock import Clock, clock_of_input, known_clock
from isocline_compiler.solvers.unroll.segments import Segments
from isocline_compiler.solvers.unroll.walk import (
    Course,
    Record,
    Travel,
    as_value,
    fields,
    remembering,
    slice_index,
)


def looped(node: Node, choice: Discretisation, record: Record | None) -> State | None:
    """The results of a solve as a scan over segments of about `choice.segment` steps; the steps that fill none come
    after it. None when there is no second segment.
    """
    segments = Segments.of(node, choice)
    if segments.count < 2:
        return None
    travel = Travel.of(node, choice)
    if record is not None:  # nodes of their own: a use of the same value elsewhere is no use of the state
        travel = replace(travel, initial=tuple(MUL(x, 1.0) for x in travel.initial))
    start = _Start.of(node, choice, travel, segments)
    segments = segments.after(len(start.path) - 1)
    return None if segments.count < 2 else _Loop(node, choice, travel, segments, start, record).results()


@dataclass(frozen=True, eq=False)
class _Start:
    """The steps that are laid out before the loop, until the scheme remembers in every step what it did in the one
    before: the states from the first to that at which the loop begins, and what is remembered there.
    """

    path: tuple[State, ...]
    memory: Memory

    @classmethod
    def of(cls, node: Node, choice: Discretisation, travel: Travel, segments: Segments) -> _Start:
        path: list[State] = []
        before: Memory = None
        ahead = remembering(choice.scheme, travel.initial, travel.strides, fields(node, travel.steps))
        for i, (memory, x) in enumerate(ahead):
            if i and (i - 1) % segments.stride == 0 and same_form(before, memory):
                break
            before = memory
            path.append(x)
        return cls(tuple(path), before)


@dataclass(frozen=True, eq=False)
class _Loop:
    node: Node
    choice: Discretisation
    travel: Travel
    segments: Segments
    start: _Start
    record: Record | None

    @cached_property
    def given(self) -> SolveParts:
        return parts(self.node)

    @cached_property
    def remembered(self) -> Nodes:
        """The values of the scheme's memory, which go round with the states."""
        return tuple(as_value(value) for value in values_of(self.start.memory))

    @cached_property
    def clock(self) -> Clock:
        if isinstance(self.choice.grid, Grid):
            return known_clock(self.choice.grid, self.segments)
        return clock_of_input(self.given, self.choice.grid, self.segments)

    @cached_property
    def weights(self) -> Nodes:
        """The slices of each stacked weight by segment and step, (segments, steps, *weight)."""
        steps = self.travel.steps

        def index(depth: int) -> Array:
            return np.array([[slice_index(int(i), steps, depth) for i in row] for row in self.segments.numbered()])

        return tuple(GATHER(w, constant(index(int(w.size(0)))), axis=0) for w in self.given.stacked)

    @cached_property
    def disturbances(self) -> Nodes:
        """Zeros added to each state after each step, (segments, steps, batch, *state); none without `record`."""
        if self.record is None:
            return ()
        lead = (self.segments.count, self.segments.steps)
        zeros = [broadcast_like(constant(0.0), x) for x in self.given.initial]
        singles = [RESHAPE(zero, shape=(1, 1, *zero.shape)) for zero in zeros]
        return tuple(EXPAND(single, shape=(*lead, *single.shape[2:])) for single in singles)

    def results(self) -> State:
        rows = (*self.clock.tables, *self.weights, *self.disturbances)
        going = (*self.start.path[-1], *self.remembered)
        states = self.node.attrs["region"].arguments[1 : 1 + len(self.given.initial)]
        names = [str(item.attrs["name"]) for item in states]
        done = scan(going, self.given.captured, rows, self._body, length=self.segments.count, names=names)
        tail = self._tail(done.last)
        if self.record is not None:
            before, after = self._by_state(self.start.path), self._by_state(tail)
            whole = zip(before, self.disturbances, after, strict=True)
            self.record(self.node, Course(self.clock.times, tuple((*xs, block, *rest) for xs, block, rest in whole)))
        interval: Interval = self.node.attrs["interval"]
        last: State = (self._states(done.last), *tail)[-1]
        return self._kept(done, tail) if interval.everywhere else last

    def _states(self, going: Nodes) -> Nodes:
        return going[: len(self.travel.initial)]

    def _memory(self, going: Nodes) -> Memory:
        return replaced(self.start.memory, iter(going[len(self.travel.initial) :]))

    def _by_state(self, path: Sequence[State]) -> list[State]:
        return [tuple(x[i] for x in path) for i in range(len(self.travel.initial))]

    def _body(self, going: Nodes, held: Nodes, rows: Nodes) -> tuple[Sequence[Node], Sequence[Node]]:
        """The steps of one segment; beside what goes on from the last of them, the states after each period."""
        region, segments = self.node.attrs["region"], self.segments
        first, second = len(self.clock.tables), len(self.clock.tables) + len(self.weights)
        x: State = self._states(going)
        memory = self._memory(going)
        kept: list[State] = []
        for j in range(segments.steps):
            field = _field_of(region, (*held, *_at(rows[first:second], j)))
            memory, x = self.choice.scheme.advance(memory, field, self.clock.stride(rows[:first], j, x), x)
            if self.record is not None:
                x = tuple(a + b for a, b in zip(x, _at(rows[second:], j), strict=True))
            if segments.period and ((j + 1) % segments.period == 0 or j + 1 == segments.steps < segments.period):
                kept.append(x)
        going_on = (*x, *map(as_value, values_of(memory)))
        return going_on, [values[0] if len(values) == 1 else _piled(values) for values in zip(*kept, strict=True)]

    def _tail(self, going: Nodes) -> list[State]:
        """The states after each step that follows the loop."""
        end, strides = self.segments.end, self.travel.strides
        rest = islice(fields(self.node, self.travel.steps), end, None)
        ahead = remembering(self.choice.scheme, self._states(going), strides[end:], rest, self._memory(going))
        return [x for _, x in ahead][1:]

    def _kept(self, done: Scanned, tail: Sequence[State]) -> State:
        """The kept states, (batch, n, *state): those before the loop, those of its segments, those after it."""
        segments, keep = self.segments, self.travel.keep
        earlier = self._by_state(self.start.path[:: segments.period])
        later = self._by_state([x for i, x in enumerate(tail, segments.end + 1) if i % segments.period == 0])
        positions = [place // segments.period for place in keep]
        found = []
        for before, inside, after in zip(earlier, done.stacked, later, strict=True):
            path = CONCAT(*map(_row, before), self._of_segments(inside), *map(_row, after), axis=0)
            if positions != list(range(int(path.size(0)))):
                path = GATHER(path, constant(np.array(positions)), axis=0)
            found.append(_batch_first(path, before[0].type.batched))
        return tuple(found)

    def _of_segments(self, inside: Node) -> Node:
        """The kept states of the loop, (kept, batch, *state): several of each segment, or of some segments the last."""
        steps, period, first = self.segments.steps, self.segments.period, self.segments.first
        if steps > period:
            return RESHAPE(inside, shape=(int(inside.size(0)) * int(inside.size(1)), *inside.shape[2:]))
        if steps == period:
            return inside
        start = (period - first % period) // steps - 1
        return SLICE(inside, axis=0, start=start, stop=None, step=period // steps)


def _field_of(region: Region, values: Nodes) -> Field:
    return lambda t, x: region(as_value(t), *x, *values)


def _at(rows: Nodes, j: int) -> Nodes:
    return tuple(SELECT(row, axis=0, index=j) for row in rows)


def _row(value: Node) -> Node:
    return RESHAPE(value, shape=(1, *value.shape))


def _piled(values: Sequence[Node]) -> Node:
    """(...) n times -> (n, ...)"""
    return CONCAT(*map(_row, values), axis=0)


def _batch_first(path: Node, batched: bool) -> Node:
    """(n, batch, *state) -> (batch, n, *state)"""
    return TRANSPOSE(path, perm=(1, 0, *range(2, path.type.rank))) if batched else path

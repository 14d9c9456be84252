"""A solve as a loop over segments of steps: its graph does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, constant
from isocline_compiler.graph.scan import Scanned, scan
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, TRANSPOSE
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.memory import replaced, same_form, values_of
from isocline_compiler.solvers.schemes.step import Memory
from isocline_compiler.solvers.trajectory import Trajectory
from isocline_compiler.solvers.unroll.segments import Segments
from isocline_compiler.solvers.unroll.time_span import TimeSpan, as_value, walk
from isocline_compiler.solvers.unroll.time_table import TimeTable, known_table, table_of_input


def looped(solve: Solve, choice: Discretisation, observed: bool) -> tuple[Nodes, Trajectory | None] | None:
    """The results of a solve as a scan over segments of about `choice.segment` steps, and its trajectory where it is
    `observed`; the steps that fill no segment come after it. None when there is no second segment.
    """
    loop = _loop(solve, choice, observed)
    return None if loop is None else loop.results()


@dataclass(frozen=True, eq=False)
class LoopParts:
    """A solve as a loop, taken apart: the states at every node of the grid before the loop, the last of them where it
    begins, and the loop itself, a scan over segments. `states` of what goes round in it are those of the solve; what
    follows is the scheme's memory.
    """

    before: tuple[Nodes, ...]
    scan: Node
    states: int


def loop_parts(solve: Solve, choice: Discretisation) -> LoopParts | None:
    """The loop of a solve for who runs it iteration by iteration. None when there is no second segment."""
    loop = _loop(solve, choice, observed=False)
    return None if loop is None else LoopParts(loop.start.path, loop.done.last[0].inputs[0], loop.states)


def _loop(solve: Solve, choice: Discretisation, observed: bool) -> _Loop | None:
    segments = Segments.of(solve, choice)
    if segments.count < 2:
        return None
    if observed:  # nodes of their own: a use of the same value elsewhere is no use of the state
        solve = solve.rebuilt(initial=tuple(MUL(x, 1.0) for x in solve.initial))
    span = TimeSpan.of(solve, choice)
    start = _Start.of(span, segments)
    segments = segments.after(len(start.path) - 1)
    return None if segments.count < 2 else _Loop(span, choice, segments, start, observed)


@dataclass(frozen=True, eq=False)
class _Start:
    """The steps that are laid out before the loop, until the scheme remembers in every step what it did in the one
    before: the states from the first to that at which the loop begins, and what is remembered there.
    """

    path: tuple[Nodes, ...]
    memory: Memory

    @classmethod
    def of(cls, span: TimeSpan, segments: Segments) -> _Start:
        path: list[Nodes] = []
        before: Memory = None
        for i, (memory, x) in enumerate(walk(span, span.solve.initial)):
            if i and (i - 1) % segments.stride == 0 and same_form(before, memory):
                break
            before = memory
            path.append(x)
        return cls(tuple(path), before)


@dataclass(frozen=True, eq=False)
class _Loop:
    span: TimeSpan
    choice: Discretisation
    segments: Segments
    start: _Start
    observed: bool

    @property
    def solve(self) -> Solve:
        return self.span.solve

    @property
    def states(self) -> int:
        return len(self.solve.initial)

    @cached_property
    def remembered(self) -> Nodes:
        """The values of the scheme's memory, which go round with the states."""
        return tuple(as_value(value) for value in values_of(self.start.memory))

    @cached_property
    def times(self) -> TimeTable:
        if isinstance(self.choice.grid, Grid):
            return known_table(self.choice.grid, self.segments)
        return table_of_input(self.solve, self.choice.grid, self.segments)

    @cached_property
    def slices(self) -> Nodes:
        """The slices of each row by segment and step, (segments, steps, ...)."""
        return tuple(GATHER(value, constant(self._index(row, value)), axis=0) for row, value in self.span.rows)

    def _index(self, row: Row, stacked: Node) -> Array:
        depth = int(stacked.size(0))
        return np.array([[row.index(int(i), self.span.count, depth) for i in j] for j in self.segments.numbered()])

    @cached_property
    def disturbances(self) -> dict[int, Node]:
        """Zeros added to each of the author's states after each step, (segments, steps, batch, *state), by its place;
        none where nobody observes.
        """
        if not self.observed:
            return {}
        lead = (self.segments.count, self.segments.steps)
        return {i: _zeros(lead, self.solve.initial[i]) for i in self.solve.spec.own}

    @cached_property
    def done(self) -> Scanned:
        """The loop over the segments."""
        rows = (*self.times.tables, *self.slices, *self.disturbances.values())
        going = (*self.start.path[-1], *self.remembered)
        names = [state.name for state in self.solve.spec.states]
        return scan(going, (), rows, self._body, length=self.segments.count, names=names)

    def results(self) -> tuple[Nodes, Trajectory | None]:
        done, tail = self.done, self._tail(self.done.last)
        last: Nodes = (done.last[: self.states], *tail)[-1]
        results = self._kept(done, tail) if self.solve.spec.interval.everywhere else last
        return results, self._trajectory(tail) if self.observed else None

    def _trajectory(self, tail: Sequence[Nodes]) -> Trajectory:
        found = {
            self.solve.spec.states[i].name: (*(x[i] for x in self.start.path), block, *(x[i] for x in tail))
            for i, block in self.disturbances.items()
        }
        return Trajectory(self.solve.spec.name, self.times.times, found)

    def _by_state(self, path: Sequence[Nodes]) -> list[Nodes]:
        return [tuple(x[i] for x in path) for i in range(self.states)]

    def _memory(self, going: Nodes) -> Memory:
        return replaced(self.start.memory, iter(going[self.states :]))

    def _body(self, going: Nodes, _: Nodes, rows: Nodes) -> tuple[Sequence[Node], Sequence[Node]]:
        """The steps of one segment; beside what goes on from the last of them, the states after each period."""
        segments = self.segments
        first, second = len(self.times.tables), len(self.times.tables) + len(self.slices)
        x: Nodes = going[: self.states]
        memory = self._memory(going)
        kept: list[Nodes] = []
        for j in range(segments.steps):
            slices = [SELECT(row, axis=0, index=j) for row in rows[first:second]]
            field, step = self.span.reading(self.times.step(rows[:first], j, x), slices)
            memory, x = self.span.scheme.advance(memory, field, step, x)
            pushed = dict(zip(self.disturbances, rows[second:], strict=True))
            x = tuple(a + SELECT(pushed[i], axis=0, index=j) if i in pushed else a for i, a in enumerate(x))
            if segments.period and ((j + 1) % segments.period == 0 or j + 1 == segments.steps < segments.period):
                kept.append(x)
        going_on = (*x, *map(as_value, values_of(memory)))
        return going_on, [values[0] if len(values) == 1 else _piled(values) for values in zip(*kept, strict=True)]

    def _tail(self, going: Nodes) -> list[Nodes]:
        """The states after each step that follows the loop."""
        ahead = walk(self.span, going[: self.states], self._memory(going), self.segments.end)
        return [x for _, x in ahead][1:]

    def _kept(self, done: Scanned, tail: Sequence[Nodes]) -> Nodes:
        """The kept states, (batch, n, *state): those before the loop, those of its segments, those after it."""
        segments, keep = self.segments, self.span.keep
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


def _zeros(lead: tuple[int, int], like: Node) -> Node:
    zero = broadcast_like(constant(0.0), like)
    single = RESHAPE(zero, shape=(1, 1, *zero.shape))
    return EXPAND(single, shape=(*lead, *single.shape[2:]))


def _row(value: Node) -> Node:
    return RESHAPE(value, shape=(1, *value.shape))


def _piled(values: Sequence[Node]) -> Node:
    """(...) n times -> (n, ...)"""
    return CONCAT(*map(_row, values), axis=0)


def _batch_first(path: Node, batched: bool) -> Node:
    """(n, batch, *state) -> (batch, n, *state)"""
    return TRANSPOSE(path, perm=(1, 0, *range(2, path.type.rank))) if batched else path

r"""Steps that remember: the states at earlier times, by Hermite's cubic between the nodes of the grid that were passed.

On the step from t_i to t_{i+1}, h wide, with s = (t - t_i)/h,

    x(t) = (1 + 2s)(1-s)^2 x_i + s (1-s)^2 h f_i + s^2 (3 - 2s) x_{i+1} - s^2 (1-s) h f_{i+1},

which misses a solution by O(h^4): schemes of order up to 4 keep theirs. The slopes are those with which steps begin.
Where a delay is a value, the slope with which a step ends is one of its own: at t_0 + tau both are one number, and have
different derivatives with respect to tau.

Laid out, a node that is known to be met is named; in a loop the last of them go round in tables, as many as the longest
delay reaches over, or all where a delay is known only when the model runs.

Bellen, Zennaro (2003), Numerical Methods for Delay Differential Equations, 5.1; Hairer, Norsett, Wanner (1993), II.17.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from math import ceil
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, Operand, constant, value_of
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import LESS_EQUAL, WHERE
from isocline_compiler.ops.indexing import CONCAT, SELECT, SLICE
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.shaping import EXPAND, RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.cost import Cost
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step

NEAR = 1e-9
"""A time is that of a node where they differ by no more, relative to the step."""
SIDE = 1e-6
"""How near to the start, in steps, a time may belong to either side of it: rounded in single precision, too."""
FEWEST = 2
"""Nodes that one piece of a path has."""

Places: TypeAlias = "tuple[int, ...]"


@dataclass(frozen=True, eq=False)
class Passed:
    """The nodes that were passed, one by one: their times, and by the place of a state its values and slopes there."""

    times: tuple[Operand, ...]
    states: Mapping[int, Nodes]
    slopes: Mapping[int, Nodes]
    arriving: Mapping[int, Nodes] = field(default_factory=dict)
    """The slopes with which the steps to these nodes ended, where they are others."""

    def after(self, t: Operand, x: Nodes, slopes: Nodes, arriving: Nodes) -> Passed:
        """With one more node."""
        states = {place: (*path, x[place]) for place, path in self.states.items()}
        rates = {place: (*path, slopes[place]) for place, path in self.slopes.items()}
        ends = {place: (*path, arriving[place]) for place, path in self.arriving.items()}
        return Passed((*self.times, t), states, rates, ends)

    def at(self, place: int, t: Operand, lag: Node, start: float) -> Node | None:
        """The state at t - lag; None up to the start."""
        if not self.times:
            return None
        times = [_number(item) for item in self.times]
        now, delay = _number(t), value_of(lag)
        if now is None or delay is None or any(item is None for item in times):
            return self.tables(place, t).at(place, t, lag, start)
        return self._known(place, now - float(delay), np.array(times, float), start)

    def _known(self, place: int, when: float, times: Array, start: float) -> Node | None:
        x, f = self.states[place], self.slopes[place]
        if when <= start + NEAR * abs(times[-1] - start):
            return None
        if len(times) == 1:
            return x[0] + (when - float(times[0])) * f[0]
        i = min(bisect_right(times.tolist(), when), len(times) - 1) - 1
        width = float(times[i + 1] - times[i])
        s = (when - float(times[i])) / width
        if abs(s - round(s)) < NEAR and round(s) in (0, 1):
            return x[i + round(s)]
        a, b, c, d = _weights(s, width)
        return (a * x[i] + c * x[i + 1]) + (b * f[i] + d * self.arriving.get(place, f)[i + 1])

    def tables(self, place: int, t: Operand) -> Kept:
        """The nodes of one state as tables."""
        times, x, f = self.times, self.states[place], self.slopes[place]
        g = self.arriving.get(place, f)
        if len(times) < FEWEST:  # a piece before the start, which nothing meets
            times, x, f, g = (times[0] - 1.0, *times), (x[0], *x), (f[0], *f), (g[0], *g)
        knots = CONCAT(*(RESHAPE(_value(item), shape=(1,)) for item in times), axis=0)
        return Kept(knots, {place: _stacked(x)}, {place: _stacked(f)}, {place: _stacked(g)})


@dataclass(frozen=True, eq=False)
class Kept:
    """The last nodes that were passed, as tables that go round in a loop: times (m,), states (batch, m, ...)."""

    knots: Node
    states: Mapping[int, Node]
    slopes: Mapping[int, Node]
    arriving: Mapping[int, Node] = field(default_factory=dict)

    @classmethod
    def before(cls, start: float, x: Nodes, places: Places, count: int, width: float, sided: bool) -> Kept:
        """Nodes before the start, where each state is what it starts with: they are met by nothing."""
        times = start - width * np.arange(count, 0, -1)
        states = {place: _repeated(x[place], count) for place in places}
        still = {place: broadcast_like(constant(0.0), table) for place, table in states.items()}
        return cls(constant(times), states, still, still if sided else {})

    def after(self, t: Operand, x: Nodes, slopes: Nodes, arriving: Nodes) -> Kept:
        """With one more node in place of the first."""
        states = {place: _moved(table, x[place]) for place, table in self.states.items()}
        rates = {place: _moved(table, slopes[place]) for place, table in self.slopes.items()}
        ends = {place: _moved(table, arriving[place]) for place, table in self.arriving.items()}
        time = RESHAPE(_value(t), shape=(1,))
        return Kept(CONCAT(_dropped(self.knots, 0), time, axis=0), states, rates, ends)

    def _of(self, place: int) -> Nodes:
        """The tables of both ends of a piece: states, then slopes."""
        x, f = self.states[place], self.slopes[place]
        return x, x, f, self.arriving.get(place, f)

    def steps_back(self, place: int, back: float, width: float) -> Node:
        """The state so many steps before the last node, where all steps are equally wide."""
        axis, last = int(self.states[place].type.batched), int(self.knots.size(0)) - 1
        whole = round(back)
        if abs(back - whole) < NEAR:
            return SELECT(self.states[place], axis=axis, index=last - whole)
        i = last - ceil(back)
        a, b, c, d = _weights(ceil(back) - back, width)
        i = min(max(i, 0), last - 1)
        x, y, f, g = (
            SELECT(item, axis=axis, index=k) for item, k in zip(self._of(place), (i, i + 1, i, i + 1), strict=True)
        )
        return (a * x + c * y) + (b * f + d * g)

    def at(self, place: int, t: Operand, lag: Node, start: float) -> Node | None:
        """The state at t - lag."""
        when = _value(t) - lag
        first, last = (_rows(self.knots, self.knots, when, k) for k in (0, 1))
        width = last - first
        s = (when - first) / width
        ends = zip(self._of(place), (0, 1, 0, 1), strict=True)
        x, y, f, g = (_rows(item, self.knots, when, k) for item, k in ends)
        a, b, c, d = (_beside(weight, x) for weight in _weights(s, width))
        return (a * x + c * y) + (b * f + d * g)


Past: TypeAlias = "Passed | Kept"


def _weights(s: Operand, width: Operand) -> tuple[Operand, Operand, Operand, Operand]:
    """What x_i, f_i, x_{i+1} and f_{i+1} are multiplied by."""
    left = 1.0 - s
    return (
        (1.0 + 2.0 * s) * (left * left),
        width * (s * (left * left)),
        (s * s) * (3.0 - 2.0 * s),
        -(width * ((s * s) * left)),
    )


@dataclass(frozen=True)
class Recall:
    """What a field is told of earlier times: the past, and from when on there is one."""

    past: Past
    start: float
    step: Counted
    """The step that is being taken."""
    behind: int = 0
    """Steps from the last node of the past to the begin of this step."""
    ending: bool = False
    """Whether the begin of this step is met as the end of the one before."""

    def __call__(self, place: int, t: Operand, lag: Node, before: Node) -> Node:
        """The state at t - lag, `before` up to the start."""
        found = self._found(place, t, lag)
        if found is None:
            return before
        if isinstance(self.past, Passed) and _number(t) is not None and value_of(lag) is not None:
            return found
        early = self._early(_value(t) - lag, 1.0 if self.ending else self.step.part(t))
        return WHERE(_beside(early, found), broadcast_like(before, found), found)

    def _early(self, when: Node, part: float | None) -> Node:
        """Whether a time is up to the start. Where the slope of the solution differs from that of what was before, the
        begin of a step at t_0 + lag belongs to the solution, and the end of a step to what was before: so the
        derivative with respect to the delay is that of the side on which the step is.
        """
        width = _number(self.step.h)
        near = 0.0 if width is None else SIDE * abs(width)
        edge = {0.0: -near, 1.0: near}.get(part, 0.0) if part is not None else 0.0
        return LESS_EQUAL(when, constant(self.start + edge))

    def _found(self, place: int, t: Operand, lag: Node) -> Node | None:
        delay, step = value_of(lag), self.step
        if isinstance(self.past, Kept) and step.even and delay is not None and not delay.shape:
            part, width = step.part(t), _number(step.h)
            if part is not None and width is not None:
                return self.past.steps_back(place, float(delay) / width - part - self.behind, width)
        return self.past.at(place, t, lag, self.start)


@dataclass(frozen=True)
class Counted(Step):
    """A step that knows which part of it a time is that it gave out."""

    parts: dict[int, tuple[Operand, float]] = field(default_factory=dict)

    @classmethod
    def like(cls, step: Step) -> Counted:
        """The same step."""
        return cls(step.t, step.end, step.h, step.widths, step.rows, step.even)

    def time(self, c: float) -> Operand:
        """t + c h, the same expression whenever it is asked for."""
        known = next((t for t, part in self.parts.values() if part == c), None)
        if known is None:
            known = super().time(c)
            self.parts[id(known)] = known, c
        return known

    def part(self, t: Operand) -> float | None:
        """c of t + c h; None for a time that this step did not give out."""
        if t is self.t or t is self.end:
            return float(t is self.end)
        return self.parts[id(t)][1] if id(t) in self.parts else None


@dataclass(frozen=True)
class Remembering(Around):
    """A scheme whose field reads states at earlier times, at these `places`; `kept` nodes go round, or all are named.

    A delay that is shorter than the step meets the last piece of the path, continued.
    """

    _: KW_ONLY
    begun: float
    places: Places
    kept: int | None
    width: float
    sided: bool

    @classmethod
    def of(cls, inner: Scheme, solve: Solve, choice: Discretisation) -> Scheme:
        """The same scheme where its field remembers nothing."""
        bound = Field.of(solve).solve
        delayed = delays_of(bound)
        if not delayed:
            return inner
        grid = choice.grid
        assert isinstance(grid, Grid), "delays are followed between known times"
        places = tuple(sorted({int(node.attrs["state"]) for node in delayed}))
        lags = [value_of(node.inputs[1]) for node in delayed]
        kept = None
        if choice.segment is not None:
            reach = max((float(lag) for lag in lags if lag is not None), default=0.0)
            kept = reached(grid, reach) if all(lag is not None for lag in lags) else grid.steps + 1
        return cls(
            inner, inner.name, inner.order, inner.reference, inner.normals,
            begun=grid.times[0], places=places, kept=kept, width=abs(grid.widths[0]),
            sided=any(lag is None for lag in lags),
        )  # fmt: skip

    def start(self, field: Field, x: Nodes) -> Memory:
        """What the scheme remembers, and the past."""
        nothing = dict.fromkeys(self.places, ())
        past: Past = Passed((), nothing, nothing, nothing if self.sided else {})
        if self.kept is not None:
            past = Kept.before(self.begun, x, self.places, self.kept, self.width, self.sided)
        unread = Counted.like(Step.of(self.begun, self.width))
        return self.inner.start(field.recalling(Recall(past, self.begun, unread)), x), past

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; the slopes at its begin are part of the past."""
        inner, past = memory
        counted = Counted.like(step)
        recall = Recall(past, self.begun, counted, behind=1)
        slopes = field.recalling(recall)(step.t, x)
        arriving = field.recalling(replace(recall, ending=True))(step.t, x) if self.sided else slopes
        past = past.after(step.t, x, slopes, arriving)
        told = field.recalling(Recall(past, self.begun, counted)).noting(step.t, x, slopes)
        inner, after = self.inner.advance(inner, told, counted, x)
        return (inner, past), after

    def fits(self, solve: Solve) -> Misfit | None:
        """What the scheme says."""
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the scheme, without its memory."""
        return self.inner.stability(z)

    def cost(self, solve: Solve) -> Cost:
        """That of the scheme."""
        return self.inner.cost(solve)


NAMED, COUNTED, LOOKED_UP = 7, 13, 65
"""Operations for an earlier state: of two nodes that are known, so many steps back in a table, by its time."""


def recalled(solve: Solve, choice: Discretisation) -> int:
    """Operations of a step that its memory adds to those of the scheme."""
    delayed = delays_of(solve)
    if not delayed or not isinstance(choice.grid, Grid):
        return 0
    known = all(value_of(node.inputs[1]) is not None for node in delayed)
    even = len(set(choice.grid.widths)) == 1
    each = LOOKED_UP if not known else NAMED if choice.segment is None else COUNTED if even else LOOKED_UP
    return each * len(delayed) * choice.scheme.cost(solve).evaluations


def reached(grid: Grid, delay: float) -> int:
    """How many nodes, from one that was just passed back, a delay reaches over, with that before them."""
    times = np.abs(np.array(grid.times) - grid.times[0])
    first = np.searchsorted(times, times - delay * (1 + NEAR), side="right") - 1
    count = int((np.arange(len(times)) - np.maximum(first, 0)).max()) + 2
    return max(min(count, grid.steps + 1), FEWEST)


def _number(value: Operand) -> float | None:
    if isinstance(value, Node):
        known = value_of(value)
        return None if known is None or known.shape else float(known)
    return float(value)


def _value(value: Operand) -> Node:
    return value if isinstance(value, Node) else constant(float(value))


def _stacked(path: Nodes) -> Node:
    """(batch, ...) n times as (batch, n, ...)."""
    axis = int(path[0].type.batched)
    return CONCAT(*(_row(x) for x in path), axis=axis)


def _row(x: Node) -> Node:
    return RESHAPE(x, shape=(*x.shape[: int(x.type.batched)], 1, *x.type.sample))


def _repeated(x: Node, count: int) -> Node:
    return EXPAND(_row(x), shape=(*x.shape[: int(x.type.batched)], count, *x.type.sample))


def _dropped(table: Node, axis: int) -> Node:
    return SLICE(table, axis=axis, start=1, stop=int(table.size(axis)))


def _moved(table: Node, x: Node) -> Node:
    axis = int(table.type.batched)
    return CONCAT(_dropped(table, axis), _row(x), axis=axis)


def _rows(table: Node, knots: Node, when: Node, offset: int) -> Node:
    rows = LOOKUP(table, knots, when, offsets=(offset,), own=table.type.batched, last=False)
    return SELECT(rows, axis=int(rows.type.batched), index=0)


def _beside(weight: Operand, x: Node) -> Operand:
    """A number for each sample beside (batch, ...)."""
    if not isinstance(weight, Node) or not weight.type.batched:
        return weight
    return RESHAPE(weight, shape=(weight.shape[0], *(1,) * (x.type.rank - 1)))


__all__ = ["Kept", "Passed", "Recall", "Remembering", "reached", "recalled"]

"""The nodes of a grid that were passed, one by one or as tables that go round, and Hermite's cubic between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import TypeAlias, TypeVar

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, Operand, constant, value_of
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import EXPAND, RESHAPE
from isocline_compiler.solvers.schemes.step import beside

NEAR = 1e-9
"""A time is that of a node where they differ by no more, relative to the step."""
FEWEST = 2
"""Nodes that one piece of a path has."""

Places: TypeAlias = "tuple[int, ...]"
Number = TypeVar("Number", "Node | float | int", "Array")


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
        times = [number_of(item) for item in self.times]
        now, delay = number_of(t), value_of(lag)
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
        a, b, c, d = hermite(s, width)
        return (a * x[i] + c * x[i + 1]) + (b * f[i] + d * self.arriving.get(place, f)[i + 1])

    def tables(self, place: int, t: Operand) -> Kept:
        """The nodes of one state as tables."""
        times, x, f = self.times, self.states[place], self.slopes[place]
        g = self.arriving.get(place, f)
        if len(times) < FEWEST:  # a piece before the start, which nothing meets
            times, x, f, g = (times[0] - 1.0, *times), (x[0], *x), (f[0], *f), (g[0], *g)
        knots = CONCAT(*(RESHAPE(node_of(item), shape=(1,)) for item in times), axis=0)
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
        time = RESHAPE(node_of(t), shape=(1,))
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
        a, b, c, d = hermite(ceil(back) - back, width)
        i = min(max(i, 0), last - 1)
        x, y, f, g = (
            SELECT(item, axis=axis, index=k) for item, k in zip(self._of(place), (i, i + 1, i, i + 1), strict=True)
        )
        return (a * x + c * y) + (b * f + d * g)

    def weighed(self, place: int, weights: Node, at: Node) -> Node:
        """a x_i + c x_{i+1} + b f_i + d f_{i+1} for weights (a, c, b, d) and the places (i, i + 1) of a step."""
        table, rates, axis = self.states[place], self.slopes[place], int(self.states[place].type.batched)
        shape = (*(1,) * axis, 2, *(1,) * len(table.type.sample[1:]))
        x, f = (
            GATHER(item, at, axis=axis) * RESHAPE(SLICE(weights, axis=0, start=i, stop=i + 2), shape=shape)
            for item, i in ((table, 0), (rates, 2))
        )
        return REDUCE_SUM(x + f, axes=(axis,), keepdims=False)

    def at(self, place: int, t: Operand, lag: Node, start: float) -> Node | None:
        """The state at t - lag."""
        when = node_of(t) - lag
        first, last = (_rows(self.knots, self.knots, when, k) for k in (0, 1))
        width = last - first
        s = (when - first) / width
        ends = zip(self._of(place), (0, 1, 0, 1), strict=True)
        x, y, f, g = (_rows(item, self.knots, when, k) for item, k in ends)
        a, b, c, d = (beside(weight, x) for weight in hermite(s, width))
        return (a * x + c * y) + (b * f + d * g)


Past: TypeAlias = "Passed | Kept"


def hermite(s: Number, width: Number) -> tuple[Number, Number, Number, Number]:
    """What x_i, f_i, x_{i+1} and f_{i+1} are multiplied by."""
    left = 1.0 - s
    return (
        (1.0 + 2.0 * s) * (left * left),
        width * (s * (left * left)),
        (s * s) * (3.0 - 2.0 * s),
        -(width * ((s * s) * left)),
    )


def number_of(value: Operand) -> float | None:
    if isinstance(value, Node):
        known = value_of(value)
        return None if known is None or known.shape else float(known)
    return float(value)


def node_of(value: Operand) -> Node:
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


__all__ = ["FEWEST", "NEAR", "Kept", "Passed", "Past", "Places", "hermite", "node_of", "number_of"]

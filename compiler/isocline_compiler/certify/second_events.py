"""A second walk of steps that are cut at events: Hermite's cubic by its basis, its crossings by bisection, in numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify.event_walk import EventField, along, stops_of
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.solvers.schemes.tableau import Tableau

Tensors = tuple[Tensor, ...]
BISECTIONS = 60


def cut_steps(
    node: Node,
    field: TorchField,
    initial: Tensors,
    captured: Tensors,
    times: Tensor | None,
    tableau: Tableau,
    count: int,
) -> Tensors:
    """The states at the stops, (stops, ...), after `count` steps of an explicit scheme, evenly many between stops."""
    of = EventField.of(node, field, initial, captured)
    x = of.rows(initial)
    stops = np.broadcast_to(stops_of(node, times), (len(x), stops_of(node, times).shape[-1]))
    each = count // (stops.shape[1] - 1)
    path = [x]
    for here, there in pairwise(stops.T):
        for i in range(each):
            begin, end = here + (there - here) * (i / each), here + (there - here) * ((i + 1) / each)
            x = _cut(of, tableau, begin, end, x)
        path.append(x)
    return along(of, np.stack(path))


def _cut(of: EventField, tableau: Tableau, begin: Array, end: Array, x: Array) -> Array:
    """One step of each sample, cut as often as there are events."""
    y = _step(of, tableau, begin, end - begin, x)
    waiting = np.zeros((len(x), len(spec_of(of.node).events)), dtype=bool)
    over = waiting
    for _ in range(waiting.shape[1]):
        crosses = ((of.switches(begin, x) >= 0) | waiting) & (of.switches(end, y) < 0) & ~over
        if not crosses.any():
            return y
        first, last = of.f(begin, x), of.f(end, y)
        places = [_crossing(of, i, begin, end, (x, y, first, last)) for i in range(waiting.shape[1])]
        parts = np.where(crosses, np.stack(places, axis=1), np.inf)
        event, fires = np.asarray(parts.argmin(axis=1)), np.asarray(crosses.any(axis=1))
        part = np.where(fires, parts.min(axis=1), 0.0)
        when = begin + part * (end - begin)
        before = _between(part, end - begin, x, y, first, last)
        after = before
        for i in range(waiting.shape[1]):
            mine = fires & (event == i)
            after = np.where(mine[:, None], of.jumped(i, when, before), after)
        unmoved = of.switches(when, after) >= of.switches(when, before)
        over = over | (fires[:, None] & (np.arange(waiting.shape[1]) == event[:, None]))
        waiting = crosses & (np.arange(waiting.shape[1]) != event[:, None]) & unmoved
        begin, x = np.where(fires, when, begin), np.where(fires[:, None], after, x)
        y = np.where(fires[:, None], _step(of, tableau, begin, end - begin, x), y)
    return y


def _step(of: EventField, tableau: Tableau, t: Array, h: Array, x: Array) -> Array:
    slopes: list[Array] = []
    for row, c in zip(tableau.matrix, tableau.nodes, strict=True):
        moved = sum((a * k for a, k in zip(row, slopes, strict=False)), np.zeros_like(x))
        slopes.append(of.f(t + c * h, x + h[:, None] * moved))
    moves: Array = np.tensordot(tableau.weights, np.stack(slopes), 1)
    return np.asarray(x + h[:, None] * moves)


def _between(part: Array, h: Array, x: Array, y: Array, first: Array, last: Array) -> Array:
    """Hermite's cubic at a part of the step of each sample."""
    s, h = part[:, None], h[:, None]
    begins, ends = (1 + 2 * s) * (1 - s) ** 2, s**2 * (3 - 2 * s)
    return np.asarray(begins * x + ends * y + h * s * (1 - s) ** 2 * first - h * s**2 * (1 - s) * last)


def _crossing(of: EventField, event: int, begin: Array, end: Array, ends: tuple[Array, Array, Array, Array]) -> Array:
    """The part of the step at which a switch is zero on the cubic, between one place above and one below."""
    low, high = np.zeros(len(begin)), np.ones(len(begin))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        x = _between(middle, end - begin, *ends)
        above = of.switches(begin + middle * (end - begin), x)[:, event] >= 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2

"""A second reference for fields that jump at a state: scipy's solvers and its events, one sample at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.certify.event_walk import MOST_EVENTS, Accumulated, EventField, along, stops_of
from isocline_compiler.graph import Array, Node, Region
from isocline_compiler.graph.solve import Solve, spec_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

Tensors = tuple[Tensor, ...]
LEAVES = 1e-9
"""The part of the horizon behind an event in which a switch at zero is not asked."""


@dataclass
class Watched:
    """A switch as scipy wants it: one that ends the walk where it falls.

    `near` the start it may have a `sign` of its own: it is zero there, and what it says is rounding.
    """

    field: EventField
    event: int
    start: float
    near: float
    sign: float
    terminal: bool = True
    direction: float = -1.0

    def __call__(self, t: float, x: Array) -> float:
        g = float(self.field.switches(np.array([t]), x[None])[0, self.event])
        return self.sign * (abs(g) + 1e-290) if self.sign and abs(t - self.start) <= self.near else g


@dataclass(frozen=True)
class EventSamples:
    """Each sample by `method` of scipy, begun anew at every event."""

    node: Node
    slopes: TorchField
    initial: Tensors
    captured: Tensors
    method: str
    tolerance: float
    longest: float

    def solved(self, times: Tensor | None) -> Tensors:
        """The states at the stops, (stops, ...). Raises IsoclineError."""
        whole = EventField.of(self.node, self.slopes, self.initial, self.captured)
        return along(whole, self.path(stops_of(self.node, times)))

    def path(self, stops: Array) -> Array:
        """(stops, samples, numbers). Raises IsoclineError."""
        whole = EventField.of(self.node, self.slopes, self.initial, self.captured)
        start = whole.rows(self.initial)
        stops = np.broadcast_to(stops, (len(start), stops.shape[-1]))
        every = [
            self._walked(row, self._alone(row, whole.batched), start[row], stops[row]) for row in range(len(start))
        ]
        return np.stack(every, axis=1)

    def _alone(self, row: int, batched: bool) -> EventField:
        """The field of one sample."""
        solve = Solve.of(self.node)
        region = Region(solve.region.arguments, solve.slopes())
        held = tuple(
            x[row : row + 1] if item.type.batched else x for x, item in zip(self.captured, solve.captured, strict=True)
        )
        slopes = FieldProgram(region, len(self.initial), len(held)).bind(self.slopes.bound.run, held)
        initial = tuple(x[row : row + 1] if batched else x for x in self.initial)
        return EventField.of(self.node, slopes, initial, held)

    def _walked(self, row: int, field: EventField, x: Array, stops: Array) -> Array:
        """(stops, numbers) of one sample."""
        t, end, horizon = stops[0], stops[-1], stops[-1] - stops[0]
        forwards = 1.0 if end >= t else -1.0
        path = np.repeat(x[None], len(stops), axis=0)
        if horizon == 0:
            return path
        over: dict[int, float] = {}
        size = np.maximum(np.abs(x), np.abs(field.f(np.array([t]), x[None])[0] * horizon) / 64) + 1e-290
        for _ in range(MOST_EVENTS + 1):
            signs = self._signs(field, t, x, LEAVES * horizon, over)
            watched = [Watched(field, i, t, LEAVES * abs(horizon), sign) for i, sign in enumerate(signs)]
            with np.errstate(all="ignore"):
                found = solve_ivp(
                    lambda s, y: field.f(np.array([s]), y[None])[0], (t, end), x, self.method, rtol=self.tolerance,
                    atol=self.tolerance * size, max_step=self.longest * abs(horizon), events=watched, dense_output=True,
                )  # fmt: skip
            if not found.success and found.status != 1:
                raise self._stopped(float(found.t[-1]), "gave up between its jumps")
            behind = (stops - t) * forwards
            inside = (behind >= 0) & (behind <= (found.t[-1] - t) * forwards)
            if inside.any():
                path[inside] = found.sol(stops[inside]).T if found.t[-1] != t else x
            size = np.maximum(size, np.abs(found.y).max(axis=1))
            if found.status == 0:
                path[stops == end] = found.y[:, -1]
                return path
            t, x = float(found.t[-1]), found.y[:, -1]
            event = next(i for i, times in enumerate(found.t_events) if len(times))
            over = {i: when for i, when in over.items() if abs(t - when) <= LEAVES * abs(horizon)} | {event: t}
            x = field.jumped(event, np.array([t]), x[None])[0]
            path[(stops - t) * forwards >= 0] = x
        raise Accumulated(self.node, row, MOST_EVENTS, t, False)

    def _signs(self, field: EventField, t: float, x: Array, near: float, over: Mapping[int, float]) -> list[float]:
        """The sign of each switch that falls from zero just behind an event: that one's own is over, of others it is
        still to come; 0 where the switch itself says it.
        """
        at = np.array([t])
        first = field.switches(at, x[None])[0]
        soon = field.switches(at + near, (x + near * field.f(at, x[None])[0])[None])[0]
        falls = (np.abs(first) <= 2 * np.abs(soon - first)) & (soon < first) & bool(over)
        return [(-1.0 if i in over else 1.0) if own else 0.0 for i, own in enumerate(falls)]

    def _stopped(self, t: float, reason: str) -> IsoclineError:
        span, name = self.node.span, spec_of(self.node).field
        fault = messages.reference_failed(span, name, f"{t:.6g}", f"{self.method} {reason}", "shorten the solve")
        return IsoclineError([fault])

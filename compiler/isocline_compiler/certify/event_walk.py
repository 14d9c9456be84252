r"""References for fields that jump at a state: each sample by steps of its own, which end where a switch falls below 0.

One is the pair of Dormand and Prince of order 8 with scipy's coefficients, all samples in lockstep but each at its own
time and with its own step; the other LSODA, sample by sample, with scipy's own search for events (`event_samples`).
A switch that falls from zero or above to below zero in a step is located by shorter steps from the same beginning, to
the last digit: no interpolant has a part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.certify import dop853
from isocline_compiler.graph import Array, Node, Region
from isocline_compiler.graph.solve import Solve, SolveSpec, spec_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

Tensors = tuple[Tensor, ...]
LONGEST = 1 / 64
"""The longest step, as a part of the horizon: a switch that falls and rises again within it is not seen."""
FIRST = 1e-3
"""The first step, as a part of the horizon, and after an event as a part of the time since the one before."""
SEARCHES, NARROW = 60, 4e-15
"""Steps of the search for an event, by the Illinois rule of false positions, and the part of a step that it ends at."""
MOST_EVENTS, NEAREST = 1000, 1e-9
"""Events of a sample, and the part of the horizon between two of them, from which on they are said to accumulate."""
MOST_STEPS = 20_000


@dataclass(frozen=True)
class Happened:
    """One event: when, which of the field's, and how fast its switch fell, in what it changes by over a horizon."""

    t: float
    event: int
    rate: float


class Accumulated(IsoclineError):
    """More events on the way of a sample than are followed, or without end at one time."""

    def __init__(self, node: Node, row: int, count: int, t: float, faster: bool) -> None:
        self.node, self.row, self.facts = node, row, (count, f"{t:.6g}", faster)
        super().__init__([self.told("")])

    def told(self, given: str) -> Diagnostic:
        """The message with the inputs of the sample."""
        return messages.events_accumulate(self.node.span, spec_of(self.node).field, *self.facts, given)


@dataclass(frozen=True)
class EventField:
    """x' of all samples, switches and jumps, in rows (samples, numbers)."""

    node: Node
    slopes: TorchField
    events: TorchField
    shapes: tuple[tuple[int, ...], ...]
    batched: bool

    @classmethod
    def of(cls, node: Node, slopes: TorchField, initial: Tensors, captured: Tensors) -> EventField:
        """The field of a solve on these captured values."""
        solve = Solve.of(node)
        spec = solve.spec
        places = [place for event in spec.events for place in (event.switch, *(place for _, place in event.jumps))]
        region = Region(solve.region.arguments, tuple(solve.region.results[place] for place in places))
        program = FieldProgram(region, len(initial), len(captured))
        batched = all(type_.batched for type_ in node.types)
        shapes = tuple(tuple(x.shape[int(batched) :]) for x in initial)
        return cls(node, slopes, program.bind(slopes.bound.run, captured), shapes, batched)

    def rows(self, states: Tensors) -> Array:
        """States side by side: (samples, numbers)."""
        found = np.empty((len(states[0]) if self.batched else 1, self._places[-1][1]))
        for x, (start, end) in zip(states, self._places, strict=True):
            found[:, start:end] = x.detach().cpu().numpy().reshape(len(found), -1)
        return found

    def states(self, x: Array) -> Tensors:
        """Rows as states."""
        whole, lead = torch.from_numpy(np.ascontiguousarray(x)), (len(x),) if self.batched else ()
        return tuple(
            whole[:, start:end].reshape((*lead, *shape))
            for (start, end), shape in zip(self._places, self.shapes, strict=True)
        )

    @cached_property
    def _places(self) -> tuple[tuple[int, int], ...]:
        """Where each state begins and ends in a row."""
        return tuple(pairwise((0, *accumulate(prod(shape) for shape in self.shapes))))

    def f(self, t: Array, x: Array) -> Array:
        """x' at (t, x), each sample at its own time."""
        return self.rows(self._filled(self.slopes(self._time(t), self.states(x)), len(x)))

    def switches(self, t: Array, x: Array) -> Array:
        """(samples, events)."""
        found = self.events(self._time(t), self.states(x))
        starts = np.cumsum([0, *(1 + len(event.jumps) for event in spec_of(self.node).events)])[:-1]
        return np.stack([self._numbers(found[i], len(x)) for i in starts], axis=1)

    def jumped(self, event: int, t: Array, x: Array) -> Array:
        """The states after an event."""
        found = self.events(self._time(t), self.states(x))
        events = spec_of(self.node).events
        first = sum(1 + len(item.jumps) for item in events[:event]) + 1
        states = list(self.states(x))
        for i, (state, _) in enumerate(events[event].jumps):
            states[state] = found[first + i]
        return self.rows(self._filled(tuple(states), len(x)))

    def _time(self, t: Array) -> Tensor:
        return torch.from_numpy(t) if self.batched else torch.tensor(float(t[0]), dtype=torch.float64)

    def _filled(self, states: Tensors, count: int) -> Tensors:
        """In the shapes of the states, where what they are is one for all samples."""
        lead = (count,) if self.batched else ()
        return tuple(x.expand((*lead, *shape)) for x, shape in zip(states, self.shapes, strict=True))

    def _numbers(self, x: Tensor, count: int) -> Array:
        return np.broadcast_to(x.detach().double().cpu().numpy().reshape(-1), (count,))


@dataclass
class EventWalk:
    """All samples from stop to stop, (samples, stops) or (stops,), with the events on the way of each in `happened`."""

    of: EventField
    stops: Array
    tolerance: float
    happened: list[list[Happened]] = field(default_factory=list)

    def path(self, x: Array) -> Array:
        """(stops, samples, numbers). Raises IsoclineError."""
        count = len(x)
        stops = np.broadcast_to(self.stops, (count, self.stops.shape[-1]))
        way = np.sign(stops[:, -1] - stops[:, 0])
        horizon = np.abs(stops[:, -1] - stops[:, 0])
        self.happened = [[] for _ in range(count)]
        t, place = stops[:, 0].copy(), np.ones(count, dtype=int)
        found = np.repeat(x[None], stops.shape[1], axis=0)
        h, last = FIRST * horizon, stops[:, 0].copy()
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(x), np.abs(self.of.f(t, x)) * horizon[:, None] * LONGEST) + 1e-290
            g = self.of.switches(t, x)
            for _ in range(MOST_STEPS):
                ahead = np.abs(stops[np.arange(count), np.minimum(place, stops.shape[1] - 1)] - t)
                active = place < stops.shape[1]
                if not active.any():
                    return found
                onto = ahead <= h
                step = np.where(active, np.minimum(h, ahead), 0.0)
                y, error = self._step(t, x, way * step, size)
                good, wanted = active & (error <= 1), h
                h = np.where(active, np.minimum(step * dop853.factors(error), LONGEST * horizon), h)
                if (active & (h <= 1e-16 * horizon) & (ahead > 1e-14 * horizon)).any():
                    row = int(np.flatnonzero(active & (h <= 1e-16 * horizon))[0])
                    raise self._stopped(t[row])
                h = np.where(onto & good, np.maximum(h, wanted), h)
                behind = self.of.switches(t + way * step, y)
                crossed = good[:, None] & (g >= 0) & (behind < 0)
                x, t, g, fired = self._arrived(t, x, g, y, behind, way * step, good, crossed, horizon, last)
                size = np.maximum(size, np.abs(x))
                h = np.where(fired, np.minimum(h, FIRST * np.abs(t - last) + 1e-12 * horizon), h)
                last = np.where(fired, t, last)
                done = good & onto & ~fired
                for row in np.flatnonzero(done).tolist():
                    t[row] = stops[row, place[row]]
                    while place[row] < stops.shape[1] and stops[row, place[row]] == t[row]:
                        found[place[row], row] = x[row]
                        place[row] += 1
        raise self._stopped(t[int(np.argmin(place))])

    def _step(self, t: Array, x: Array, h: Array, size: Array) -> tuple[Array, Array]:
        """One step of each sample, and its error in that allowed; not a number counts as too large."""
        return dop853.step(self.of.f, t, x, h, lambda y: self.tolerance * np.maximum(size, np.abs(y)))

    def _arrived(
        self, t: Array, x: Array, g: Array, y: Array, behind: Array, h: Array, good: Array, crossed: Array,
        horizon: Array, last: Array,
    ) -> tuple[Array, Array, Array, Array]:  # fmt: skip
        """States, times and switches after a step that was accepted or cut at its first event; and where it was cut."""
        fired: Array = np.asarray(crossed.any(axis=1))
        x_new, t_new = np.where(good[:, None], y, x), np.where(good, t + h, t)
        if not fired.any():
            return x_new, t_new, np.where(good[:, None], behind, g), fired
        theta = np.where(fired, 1.0, 0.0)
        event = np.zeros(len(x), dtype=int)
        for i in range(g.shape[1]):
            part = self._located(i, t, x, h, g[:, i], behind[:, i], crossed[:, i])
            earlier = crossed[:, i] & ((part < theta) | ~crossed[:, :i].any(axis=1))
            theta, event = np.where(earlier, part, theta), np.where(earlier, i, event)
        place = self._step(t, x, theta * h, np.ones_like(x))[0]
        before = self._step(t, x, theta * (1 - 1e-4) * h, np.ones_like(x))[0]
        when = t + theta * h
        falls = self.of.switches(t + theta * (1 - 1e-4) * h, before) - self.of.switches(when, place)
        for i in range(g.shape[1]):
            mine = fired & (event == i)
            if mine.any():
                after = self.of.jumped(i, when, place)
                x_new = np.where(mine[:, None], after, x_new)
        t_new = np.where(fired, when, t_new)
        for row in np.flatnonzero(fired).tolist():
            rate = falls[row, event[row]] / max(theta[row] * 1e-4 * abs(h[row]), 1e-300) * horizon[row]
            self.happened[row].append(Happened(float(when[row]), int(event[row]), float(rate)))
            self._require_apart(row, float(horizon[row]))
        found = np.where(good[:, None], self.of.switches(t_new, x_new), g)
        others = crossed & (np.arange(g.shape[1]) != event[:, None])
        waits = others & (found >= self.of.switches(when, place))  # at the same time, and rounding is below zero
        return x_new, t_new, np.where(waits, np.maximum(found, 0.0), found), fired

    def _located(self, i: int, t: Array, x: Array, h: Array, first: Array, end: Array, crossed: Array) -> Array:
        """The part of the step at which a switch is zero, where it is crossed."""
        low, high = np.zeros(len(x)), np.where(crossed, 1.0, 0.0)
        above, below, before = first.copy(), end.copy(), np.zeros(len(x))
        for _ in range(SEARCHES):
            open_ = crossed & (high - low > NARROW)
            if not open_.any():
                break
            chord = low + (high - low) * above / np.where(above > below, above - below, 1.0)
            margin = 0.25 * NARROW
            middle = np.where(open_, np.clip(chord, low + margin, high - margin), high)
            g = self.of.switches(t + middle * h, self._step(t, x, middle * h, np.ones_like(x))[0])[:, i]
            up = g >= 0
            low, high = np.where(open_ & up, middle, low), np.where(open_ & ~up, middle, high)
            side = np.where(up, 1.0, -1.0)
            again = side == before
            above = np.where(up, g, np.where(again, above / 2, above))
            below = np.where(up, np.where(again, below / 2, below), g)
            before = side
        return high

    def _require_apart(self, row: int, horizon: float) -> None:
        """Raises E636 where the events of a sample follow one another without end."""
        events = self.happened[row]
        near = len(events) > 1 and abs(events[-1].t - events[-2].t) < NEAREST * horizon
        same = near and events[-1].event == events[-2].event
        if same or len(events) > MOST_EVENTS:
            raise Accumulated(self.of.node, row, len(events), events[-1].t, same)

    def _stopped(self, t: float) -> IsoclineError:
        span, name = self.of.node.span, spec_of(self.of.node).field
        reason = "DOP853 gave up between its jumps"
        return IsoclineError([messages.reference_failed(span, name, f"{t:.6g}", reason, "shorten the solve")])


@dataclass(frozen=True)
class Events:
    """The events of one solve: the stops of each sample, (samples, stops), what happened on its way, and whether a
    condition held where it began, (samples,).
    """

    spec: SolveSpec
    stops: Array
    happened: tuple[tuple[Happened, ...], ...]
    held: Array

    def joined(self, other: Events) -> Events:
        """Those of these samples and of others."""
        stops, held = np.concatenate([self.stops, other.stops]), np.concatenate([self.held, other.held])
        return Events(self.spec, stops, (*self.happened, *other.happened), held)

    def near(self, part: float, kept: frozenset[int]) -> Array:
        """The samples in which a state that is kept jumps so near a time at which it is, in parts of the horizon."""
        jumping = [kept.intersection(state for state, _ in event.jumps) for event in self.spec.events]
        stops = self.stops[:, 1:] if self.spec.interval.everywhere else self.stops[:, -1:]
        horizons = np.abs(self.stops[:, -1] - self.stops[:, 0])
        return np.array([
            any(jumping[item.event] and np.abs(own - item.t).min() <= part * horizon for item in items)
            for items, own, horizon in zip(self.happened, stops, horizons, strict=True)
        ])  # fmt: skip

    def nearest(self, sample: int, times: Array) -> tuple[int, float, float] | None:
        """Of the events of one kind in one step between these times: how many, the first, and the second."""
        found: dict[tuple[int, int], list[float]] = {}
        way = np.sign(times[-1] - times[0])
        for item in self.happened[sample]:
            step = int(np.searchsorted(way * times, way * item.t))
            found.setdefault((step, item.event), []).append(item.t)
        several = [group for group in found.values() if len(group) > 1]
        return (len(several[0]), several[0][0], several[0][1]) if several else None


def walked(
    node: Node, slopes: TorchField, initial: Tensors, captured: Tensors, times: Tensor | None, tolerance: float
) -> tuple[Tensors, Events]:
    """The states at the stops, (stops, ...), and the events on the way. Raises IsoclineError."""
    whole = EventField.of(node, slopes, initial, captured)
    walk = EventWalk(whole, stops_of(node, times), tolerance)
    start = whole.rows(initial)
    path = walk.path(start)
    stops = np.broadcast_to(walk.stops, (len(start), walk.stops.shape[-1]))
    held = np.asarray((whole.switches(stops[:, 0].copy(), start) < 0).any(axis=1))
    return along(whole, path), Events(spec_of(node), stops, tuple(map(tuple, walk.happened)), held)


def along(of: EventField, path: Array) -> Tensors:
    """(stops, samples, numbers) as states, (stops, ...)."""
    every = [of.states(x) for x in path]
    return tuple(torch.stack(values) for values in zip(*every, strict=True))


def stops_of(node: Node, times: Tensor | None) -> Array:
    """The times of a solve, (stops,) or (samples, stops)."""
    if times is not None:
        return np.asarray(times.detach().double().cpu().numpy())
    return np.array(spec_of(node).interval.times)

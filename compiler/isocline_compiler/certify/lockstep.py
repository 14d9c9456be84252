"""The explicit reference where a field bends at a state: every sample in steps of its own, all of them in lockstep.

Samples meet a bend at different times. In steps that all share, each would cut those of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify import dop853
from isocline_compiler.certify.compiled_field import quick
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.certify.own_times import bends_at_states, own_times
from isocline_compiler.certify.reference_passes import spread
from isocline_compiler.graph import Array, Node
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.clock import Clock, Leg
from isocline_compiler.training.sizes import moving_sizes

Tensors = tuple[Tensor, ...]
FIRST = 1e-3
"""The first step, in the longest."""
PATIENCE, LEAST = 6_000, 1e-15
"""Steps of a solve, and its shortest as a part of the horizon: what needs more, or shorter ones, does not bend but jump
and is not left."""
WINDOWS, NOISE = 16, 1e-16


class Stalled(Exception):
    """A sample does not arrive."""


@dataclass
class Lockstep:
    """DOP853 along the legs of one solve, from stop to stop, (samples, numbers) at a time."""

    node: Node
    clock: Clock
    flat: FlatStates
    legs: Sequence[tuple[Leg, dop853.RowField]]
    longest: float
    """Of a step, as a part of the horizon."""
    evaluations: int = 0
    """In the last pass."""

    @classmethod
    def of(
        cls, node: Node, field: TorchField, initial: Tensors, stacked: Tensors, clock: Clock, breaks: Breaks,
        longest: float,
    ) -> Lockstep | None:  # fmt: skip
        """None where no state decides on the piece of the field, or samples cannot have times of their own."""
        flat, count = FlatStates.of(node, initial), len(initial)
        if len(clock.stops) == 1 or clock.given is not None or not all(flat.batched):
            return None
        if not bends_at_states(field.bound.region, count):
            return None
        legs = clock.legs(node, stacked, breaks)
        span = (legs[0].start, legs[0].end)
        own = own_times(field, count, span, initial, clock.slices(node, stacked, legs[0]))
        if own is None:
            return None
        compiled = quick(own, clock)
        rows = [(leg, _rows(compiled, flat, leg, clock.slices(node, stacked, leg))) for leg in legs]
        return cls(node, clock, flat, rows, longest)

    def solved(self, initial: Tensors, tolerance: float, sizes: Tensors) -> tuple[Tensors, Tensors]:
        """The states at the stops, (stops, ...), and how large each is now and then, (samples,). Raises Stalled."""
        walk = _Walk(
            self._apart(initial), self._apart(spread(sizes, initial, self.flat.batched, tolerance)), tolerance,
            np.full(self.flat.rows, FIRST * self.longest * self.clock.horizon), self.longest * self.clock.horizon,
            LEAST * self.clock.horizon,
        )  # fmt: skip
        path = [walk.x]
        with np.errstate(all="ignore"):
            for leg, f in self.legs:
                path += walk.along(leg, f)
        self.evaluations = walk.taken * dop853.EVALUATIONS
        return self.flat.apart(np.stack(path).reshape(len(path), -1)), self._sizes(walk)

    def _apart(self, states: Tensors) -> Array:
        return np.asarray(self.flat.joined(states)).reshape(self.flat.rows, -1)

    def _sizes(self, walk: _Walk) -> Tensors:
        """As `Watch.sizes` has them: of each state of each sample, the least over windows of the largest in one."""
        begin, windows = self.clock.stops[0], np.zeros((WINDOWS, *walk.x.shape))
        rows = np.arange(len(walk.x))
        for t, size in walk.seen:
            place = np.minimum((abs(t - begin) / self.clock.horizon * WINDOWS).astype(int), WINDOWS - 1)
            windows[place, rows] = np.maximum(windows[place, rows], size)
        of_states = self.flat.apart(windows.reshape(WINDOWS, -1))
        largest = [item.reshape(WINDOWS, len(rows), -1).amax(dim=2).numpy() for item in of_states]
        least = NOISE * max(float(item.max()) for item in largest) + 1e-290
        return tuple(torch.from_numpy(np.maximum(moving_sizes(item), least)) for item in largest)


@dataclass
class _Walk:
    """Where all samples are, (samples, numbers), and the step that each would take next, (samples,)."""

    x: Array
    absolute: Array
    tolerance: float
    h: Array
    longest: float
    shortest: float
    taken: int = 0
    seen: list[tuple[Array, Array]] = field(default_factory=list)
    """Times and sizes after every step."""

    def along(self, leg: Leg, f: dop853.RowField) -> list[Array]:
        """The states at the stops of a leg; all samples are at its end."""
        found, here = {leg.start: self.x}, leg.start
        for there in sorted({*leg.stops, *leg.features, leg.end}, reverse=leg.end < leg.start):
            self._to(here, there, f)
            found[there], here = self.x, there
        return [found[stop] for stop in leg.stops]

    def _to(self, here: float, there: float, f: dop853.RowField) -> None:
        """All samples from one time to another. Raises Stalled."""
        t, way = np.full(len(self.x), here), np.sign(there - here)
        while (t != there).any():
            if self.taken >= PATIENCE:
                raise Stalled
            ahead = np.abs(there - t)
            arrives = ahead <= self.h
            tried = np.where(arrives, ahead, self.h)
            y, error = dop853.step(f, t, self.x, way * tried, self._allowed)
            good = error <= 1
            if (~good & (tried < self.shortest)).any():
                raise Stalled
            next_step = np.minimum(tried * dop853.factors(error), self.longest)
            self.h = np.where(good & arrives, np.maximum(next_step, self.h), next_step)
            self.x = np.where(good[:, None], y, self.x)
            t = np.where(good, np.where(arrives, there, t + way * tried), t)
            self.taken += 1
            self.seen.append((t, np.abs(self.x)))

    def _allowed(self, y: Array) -> Array:
        return self.absolute + self.tolerance * np.maximum(np.abs(self.x), np.abs(y))


def _rows(of: TorchField, flat: FlatStates, leg: Leg, slices: Tensors) -> dop853.RowField:
    """x' in rows; no time beyond the ends of the leg, where another piece begins."""
    ends = sorted((leg.start, leg.end))

    def f(t: Array, x: Array) -> Array:
        states = flat.apart(x.reshape(-1))
        found = of(torch.from_numpy(t).clamp(*ends), states, slices)
        whole = tuple(item.expand_as(state) for item, state in zip(found, states, strict=True))
        return np.asarray(flat.joined(whole)).reshape(x.shape)

    return f


__all__ = ["Lockstep", "Stalled"]

"""The clock of a solver: the time of the file, or, when times come with the data, one interval after another.

With times that differ from sample to sample, dx/ds = w f(a + (s - i) w, x) on interval i, where a is its begin and w
its width: every sample arrives at its own times together with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import Breaks, Jump, find_breaks
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages

States = tuple[Tensor, ...]
FieldFunction = Callable[[Tensor, States], States]


@dataclass(frozen=True)
class Leg:
    """From just after one jump to just before the next; the stops on the way, and what is stepped onto besides."""

    start: float
    end: float
    stops: tuple[float, ...]
    features: tuple[float, ...]

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Clock:
    """`stops`: where the solution is kept, the start first. `given`: the times of the stops, (..., n), where the data
    have them.
    """

    stops: tuple[float, ...]
    given: Tensor | None = None

    @classmethod
    def of(cls, node: Node, times: Tensor | None, known: tuple[float, ...] | None = None) -> Clock:
        """The clock of a solve: its own times, or `known` ones in their place.

        Of times that come with the data, (batch, n) or (n,), the stops are numbered. Raises E457 when out of order.
        """
        if times is not None:
            _check_order(node, times)
            return cls(tuple(map(float, range(times.shape[-1]))), times)
        found = known or spec_of(node).interval.times
        assert found is not None
        return cls(found)

    @property
    def horizon(self) -> float:
        return abs(self.stops[-1] - self.stops[0])

    def time(self, s: Tensor) -> Tensor:
        """The time of the file: one number, or one a sample. Between given times it is interpolated."""
        if self.given is None:
            return s
        numbers = torch.arange(len(self.stops), dtype=s.dtype, device=s.device)
        return (self.given * (1 - (s - numbers).abs()).clamp(min=0)).sum(-1)

    def breaks(self, field: TorchField) -> Breaks:
        """The jumps and narrow features of the field on this clock."""
        return find_breaks(field.bound, self.stops, self.time, self.when)

    def when(self, times: Array) -> Array:
        """The solver's own times at which those of the file are met, (n,) or (batch, n): `time` undone."""
        if self.given is None:
            return times
        given = np.atleast_2d(self.given.detach().double().cpu().numpy())
        rows = np.broadcast_to(np.atleast_2d(times), (max(len(given), len(np.atleast_2d(times))), times.shape[-1]))
        found = [
            np.interp(row, *_rising(own, self.stops)) for row, own in zip(rows, _as_many(given, rows), strict=True)
        ]
        return np.array(found)

    def legs(self, node: Node, stacked: States, breaks: Breaks) -> list[Leg]:
        """The way along the stops, cut at every jump, and where a row of the field changes."""
        forwards = 1.0 if self.stops[-1] > self.stops[0] else -1.0
        first, last = sorted((self.stops[0], self.stops[-1]))
        met = (cut for cut in breaks.jumps if max(cut.before, cut.after) > first)
        inside = (cut for cut in met if min(cut.before, cut.after) < last)
        cuts = [*inside, *(Jump(s, s, True) for s in self._changes(node, stacked))]
        cuts.sort(key=lambda cut: forwards * cut.before)
        found: list[Leg] = []
        start, waiting = self.stops[0], list(self.stops[1:])
        for cut in (*cuts, Jump(self.stops[-1], self.stops[-1], True)):
            if (cut.before - start) * forwards > 0:
                here = [s for s in waiting if (cut.before - s) * forwards >= 0]
                waiting = waiting[len(here) :]
                features = (s for s in breaks.features if (s - start) * (cut.before - s) > 0)
                stops = tuple(s if (s - start) * forwards > 0 else start for s in here)
                found.append(Leg(start, cut.before, stops, tuple(features)))
            start = max(start, cut.after) if forwards > 0 else min(start, cut.after)
        if waiting and found:  # a jump at the very end
            found[-1] = replace(found[-1], stops=(*found[-1].stops, *(found[-1].end for _ in waiting)))
        return found

    def _changes(self, node: Node, stacked: States) -> set[float]:
        """Where the field reads the next of its rows, and where the next interval of given times begins."""
        begin, length = self.stops[0], self.stops[-1] - self.stops[0]
        if self.given is not None:
            return set(self.stops[1:-1])
        rows = zip(spec_of(node).rows, stacked, strict=True)
        depths = {len(value) for row, value in rows if row.read_by_field}
        return {begin + length * k / depth for depth in depths for k in range(1, depth)}

    def slices(self, node: Node, stacked: States, leg: Leg) -> States:
        """What the field reads of its rows on a leg."""
        if self.given is not None:
            return _slices(node, stacked, (int(leg.middle) + 0.5) / (len(self.stops) - 1))
        return _slices(node, stacked, (leg.middle - self.stops[0]) / (self.stops[-1] - self.stops[0]))

    def slopes(
        self, node: Node, field: TorchField, stacked: States, leg: Leg, *, clamped: bool = True
    ) -> FieldFunction:
        """x' on one leg, by this clock: never evaluated beyond its ends, where another piece of the field begins."""
        ends = sorted((leg.start, leg.end))

        def inside(s: Tensor) -> Tensor:
            return s.clamp(*_rounded_inwards(ends, s.dtype)) if clamped else s

        if self.given is None:
            slices = self.slices(node, stacked, leg)
            return lambda s, states: field(inside(s), states, slices)
        place = int(leg.middle)
        width = self.given[..., place + 1] - self.given[..., place]
        slices = self.slices(node, stacked, leg)

        def scaled(s: Tensor, states: States) -> States:
            values = field(self.time(inside(s)), states, slices)
            return tuple(_over(width, value) * value for value in values)

        return scaled


def _rising(own: Array, stops: Sequence[float]) -> tuple[Array, Array]:
    """Given times in rising order, with the solver's."""
    numbers = np.asarray(stops)
    return (own, numbers) if own[-1] >= own[0] else (own[::-1], numbers[::-1])


def _as_many(given: Array, rows: Array) -> Array:
    return np.broadcast_to(given, (len(rows), given.shape[-1]))


def _check_order(node: Node, times: Tensor) -> None:
    """Every sample travels one way and may stand still. Raises E457."""
    steps = times.detach().diff(dim=-1)
    forwards, backwards = (steps >= 0).all(dim=-1), (steps <= 0).all(dim=-1)
    if not bool((forwards | backwards).all()) or not bool(torch.isfinite(times).all()):
        raise IsoclineError([messages.times_not_in_order(node.span, spec_of(node).field)])


def _rounded_inwards(ends: Sequence[float], dtype: torch.dtype) -> tuple[float, float]:
    """The ends of a leg where single precision, too, is sure to be on this side of the jumps."""
    low, high = ends
    margin = 0.0 if dtype == torch.float64 else 4 * torch.finfo(dtype).eps * max(abs(low), abs(high))
    return low + margin, high - margin


def _over(width: Tensor, value: Tensor) -> Tensor:
    """(batch,) as (batch, 1, ..., 1), of the rank of `value`."""
    return width.reshape(*width.shape, *(1,) * (value.ndim - width.ndim))


def _slices(node: Node, stacked: Sequence[Tensor], progress: float) -> States:
    """What the field reads of its rows, with p in [0, 1] how far the solve is."""
    rows = spec_of(node).rows
    return tuple(item[row.at(progress, len(item))] for row, item in zip(rows, stacked, strict=True))


__all__ = ["Clock", "FieldFunction", "Leg", "States"]

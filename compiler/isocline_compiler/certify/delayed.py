r"""References of equations with delays, by the method of steps: what is passed is known, the rest an ordinary solve.

On a stretch from t_i no longer than the shortest delay, x(t - tau) lies before t_i, and is read off the dense output of
the solver that went there. It begins anew where the solution is not smooth: at t_0 + sum_j k_j tau_j for delays that
all samples share. Nothing is interpolated between the nodes of a grid, and no grid of a scheme is known here.

Bellen, Zennaro (2003), Numerical Methods for Delay Differential Equations, 3.2; scipy's DOP853 and LSODA.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import sqrt
from typing import Any, Literal

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.graph import ARGUMENT, Array, Node, Region, leaf, substitute
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.solve import Solve
from isocline_compiler.training.breaks import Breaks, Jump
from isocline_compiler.training.clock import Clock, States
from isocline_compiler.training.sizes import moving_sizes
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

LOOSE = 1e-4
"""The tolerance at which the sizes of the states are found."""
WINDOWS = 16
"""Parts of the solve in which they are."""
SMOOTH, MOST = 6, 64
"""Times that a jump of a slope comes again, each a derivative higher, before nobody sees it; and of all of them."""
SAME = 1e-12
"""Times that differ by no more, relative to those of the solve, are one."""
TIGHTEST = 3e-14
"""What scipy takes for a relative tolerance."""
FEWEST_PARTS = 16
"""Parts of a solve at least, where no delay cuts it."""


@dataclass
class DelayedField:
    """The field of one solve in torch, what it reads of earlier times apart."""

    node: Node
    bound: TorchField

    @cached_property
    def solve(self) -> Solve:
        return Solve.of(self.node)

    @cached_property
    def _delayed(self) -> list[Node]:
        return delays_of(self.solve)

    @cached_property
    def places(self) -> list[int]:
        """The place of the state that each of them is of."""
        return [int(item.attrs["state"]) for item in self._delayed]

    @cached_property
    def slopes(self) -> TorchField:
        """x' over the states, the rows, and what they were."""
        solve = self.solve
        fresh = {item: leaf(ARGUMENT, f"late{i}", item.type) for i, item in enumerate(self._delayed)}
        region = Region((*solve.region.arguments, *fresh.values()), substitute(solve.slopes(), fresh))
        return self._bound(region)

    @cached_property
    def _told(self) -> TorchField:
        results = (*(item.inputs[1] for item in self._delayed), *(item.inputs[2] for item in self._delayed))
        return self._bound(Region(self.solve.region.arguments, results))

    def _bound(self, region: Region) -> TorchField:
        held = self.bound.bound
        return FieldProgram(region, len(self.solve.initial), len(held.captured)).bind(held.run, held.captured)

    def told(self, t: Tensor, states: States, slices: States) -> tuple[list[Tensor], list[Tensor]]:
        """The delays, and what the states were at t less each, were that before the start."""
        found = self._told(t, states, slices)
        count = len(self._delayed)
        return list(found[:count]), list(found[count:])


@dataclass
class Path:
    """What was passed: pieces of dense output, each from one time to the next."""

    flat: FlatStates
    start: float
    initial: Array
    ends: list[float] = field(default_factory=list)
    pieces: list[Callable[[Array], Array]] = field(default_factory=list)

    def at(self, times: Array) -> Array:
        """The vector at each of these times, (n, B m)."""
        if not self.pieces:
            return np.repeat(self.initial[None], len(times), axis=0)
        found = np.empty((len(times), len(self.initial)))
        which = np.minimum(np.searchsorted(self.ends, times), len(self.pieces) - 1)
        for i in np.unique(which):
            found[which == i] = self.pieces[i](times[which == i]).T
        return found

    def state(self, place: int, when: Tensor) -> Tensor:
        """One state at a time, or of each sample at its own."""
        times = when.detach().numpy().reshape(-1)
        unique, back = np.unique(times, return_inverse=True)
        rows = self.flat.apart(self.at(np.clip(unique, self.start, None)))[place]
        if len(unique) == 1:
            return rows[0]
        return rows[torch.from_numpy(back), torch.arange(len(times))]


@dataclass(frozen=True)
class DelayedWalk:
    """Solves by the method of steps. `taken` evaluations are asked for; no more than `allowed`."""

    method: Literal["DOP853", "LSODA"]
    tolerance: float
    allowed: int

    def __call__(
        self, node: Node, bound: TorchField, initial: States, stacked: States, forcing: Breaks
    ) -> tuple[States, Breaks, int]:
        """The states at every stop, (stops, ...), where the solution breaks, and how often the field was asked."""
        work = _Work(self, DelayedField(node, bound), FlatStates.of(node, initial), initial, stacked, forcing)
        return work.solved()


@dataclass
class _Work:
    walk: DelayedWalk
    field: DelayedField
    flat: FlatStates
    initial: States
    stacked: States
    forcing: Breaks
    taken: int = 0

    @cached_property
    def clock(self) -> Clock:
        return Clock.of(self.field.node, None)

    @cached_property
    def lags(self) -> list[Tensor]:
        """The delays; they depend on nothing that moves."""
        slices = tuple(x[0] for x in self.stacked)
        lags, _ = self.field.told(torch.tensor(self.clock.stops[0], dtype=torch.float64), self.initial, slices)
        for lag in lags:
            if not bool((lag > 0).all()):
                raise self._failed(self.clock.stops[0], f"a delay is {float(lag.min()):.6g}")
        return lags

    @cached_property
    def breaks(self) -> Breaks:
        """Where jumps of slopes come again, of delays that all samples share, beside those of the field itself."""
        first, last = self.clock.stops[0], self.clock.stops[-1]
        shared = [float(lag.min()) for lag in self.lags if float(lag.min()) == float(lag.max())]
        origins = [first, *(jump.after for jump in self.forcing.jumps if first < jump.after < last)]
        found, newest = set[float](), set(origins)
        for _ in range(SMOOTH):
            newest = {t + lag for t in newest for lag in shared if t + lag < last}
            found |= newest
        near = SAME * max(abs(first), abs(last))
        known = [first, *origins, *self.clock.stops]
        apart: list[float] = []
        for t in sorted(found):  # sums in another order differ by rounding
            if all(abs(t - other) > near for other in (*known, *apart[-1:])):
                apart.append(t)
        again = [Jump(t, t, True) for t in apart[:MOST]]
        return Breaks(tuple(sorted((*self.forcing.jumps, *again), key=lambda item: item.before)), self.forcing.features)

    def solved(self) -> tuple[States, Breaks, int]:
        start, stops = self.flat.joined(self.initial), np.array(self.clock.stops)
        loose = self._path(start, LOOSE, np.full(len(start), LOOSE * max(float(np.abs(start).max()), 1e-3)))
        seen = loose.at(np.linspace(stops[0], stops[-1], 4 * WINDOWS + 1))
        size = moving_sizes(np.stack([self.flat.largest(np.abs(seen[a : a + 5]).max(0)) for a in range(0, 64, 4)]))
        tolerance = max(self.walk.tolerance / (sqrt(len(start)) if self.walk.method == "DOP853" else 1), TIGHTEST)
        path = self._path(start, tolerance, tolerance * np.maximum(size, 1e-16 * float(size.max()) + 1e-290))
        return self.flat.apart(path.at(stops)), self.breaks, self.taken

    def _path(self, start: Array, tolerance: float, absolute: Array) -> Path:
        path, x = Path(self.flat, self.clock.stops[0], start), start
        shortest = min(float(lag.min()) for lag in self.lags)
        longest = min(shortest, self.clock.horizon / FEWEST_PARTS)
        for leg in self.clock.legs(self.field.node, self.stacked, self.breaks):
            slopes = self.clock.slopes(self.field.node, self._remembering(path), self.stacked, leg)
            count = int(np.ceil((leg.end - leg.start) / longest * (1 - 1e-12)))
            for here, there in pairwise(np.linspace(leg.start, leg.end, count + 1)):
                found = self._piece(slopes, here, there, x, tolerance, absolute)
                path.ends.append(float(there))
                path.pieces.append(found.sol)
                x = found.y[:, -1]
        return path

    def _piece(self, slopes: Any, here: float, there: float, x: Array, tolerance: float, absolute: Array) -> Any:
        def function(t: float, flat: Array) -> Array:
            self.taken += 1
            if self.taken > self.walk.allowed:
                raise self._failed(t, f"{self.walk.method} used up its evaluations")
            return self.flat.joined(slopes(torch.tensor(t, dtype=torch.float64), self.flat.apart(flat)))

        with np.errstate(all="ignore"):
            found = solve_ivp(
                function, (here, there), x, self.walk.method, rtol=tolerance, atol=absolute, dense_output=True
            )
        if not found.success or not np.isfinite(found.y).all():
            raise self._failed(float(found.t[-1]), f"{self.walk.method} gave up")
        return found

    def _remembering(self, path: Path) -> Any:
        """The field as a clock asks for it, told what was passed."""

        def at(t: Tensor, states: States, slices: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
            lags, befores = self.field.told(t, states, tuple(slices))
            late = []
            for place, lag, before in zip(self.field.places, lags, befores, strict=True):
                when = t - lag
                passed = path.state(place, when)
                early = (when <= path.start).reshape(*when.shape, *(1,) * (passed.ndim - when.ndim))
                late.append(torch.where(early, before, passed))
            return self.field.slopes(t, states, (*slices, *late))

        return at

    def _failed(self, t: float, reason: str) -> IsoclineError:
        name, at = self.field.solve.spec.field, f"{t:.6g}"
        return IsoclineError([messages.reference_failed(self.field.node.span, name, at, reason, "shorten the solve")])


# ---------------------------------------------------------------------------------------------------- a second walk


@dataclass
class Recorded:
    """The field of a solve on the steps of a scheme, told its past by scipy's cubic through the nodes and slopes that
    were noted.
    """

    field: DelayedField
    initial: States
    start: float
    times: list[float] = dataclasses.field(default_factory=list)
    states: list[States] = dataclasses.field(default_factory=list)
    slopes: list[States] = dataclasses.field(default_factory=list)

    def note(self, t: Tensor, x: States, slices: Sequence[Tensor]) -> None:
        """A step begins at t from x."""
        slope = self(t, x, slices)
        self.times.append(float(t))
        self.states.append(x)
        self.slopes.append(slope)

    def __call__(self, t: Tensor, x: States, slices: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """x' at (t, x)."""
        lags, befores = self.field.told(t, x, tuple(slices))
        late = [
            self._late(place, t - lag, before)
            for place, lag, before in zip(self.field.places, lags, befores, strict=True)
        ]
        return self.field.slopes(t, x, (*slices, *late))

    def _late(self, place: int, when: Tensor, before: Tensor) -> Tensor:
        rows = [self._at(place, float(time), i) for i, time in enumerate(when.reshape(-1))]
        if not when.ndim:
            return before if rows[0] is None else self._whole(place, float(when))
        early = before.expand(self.initial[place].shape)
        return torch.stack([early[i] if row is None else row for i, row in enumerate(rows)])

    def _at(self, place: int, time: float, row: int) -> Tensor | None:
        if time <= self.start + 1e-9 * abs(self.times[-1] - self.start if self.times else 1.0):
            return None
        whole = self._whole(place, time)
        return whole[row] if whole.ndim else whole

    def _whole(self, place: int, time: float) -> Tensor:
        i = min(max(int(np.searchsorted(self.times, time, side="right")) - 1, 0), max(len(self.times) - 2, 0))
        if len(self.times) == 1:
            return self.states[0][place] + (time - self.times[0]) * self.slopes[0][place]
        ends = slice(i, i + 2)
        x, f = (np.stack([item[place].numpy() for item in known[ends]]) for known in (self.states, self.slopes))
        return torch.from_numpy(np.asarray(CubicHermiteSpline(self.times[ends], x, f)(time)))


__all__ = ["DelayedField", "DelayedWalk", "Recorded"]

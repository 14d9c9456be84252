"""The second reference: a multistep method that turns implicit where the equations are stiff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchField, solution_of
from isocline_compiler.certify.cause import Stuck, Unsolved
from isocline_compiler.certify.compiled_field import CompiledField, Differentiated, quick
from isocline_compiler.certify.delayed import DelayedWalk
from isocline_compiler.certify.event_samples import EventSamples
from isocline_compiler.certify.flat_states import FlatField, FlatStates, Stop
from isocline_compiler.certify.fractional import FractionalWalk
from isocline_compiler.certify.reference import LONGEST, LOOSE, kept, of_stretches, unfinished
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import is_fractional
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import FEW_FEATURES, Breaks, Jump
from isocline_compiler.training.clock import Clock, FieldFunction, Leg
from isocline_compiler.training.sizes import moving_sizes
from isocline_compiler.training.watched_field import Halt
from isocline_dsl.diagnostics import IsoclineError

WINDOWS, FIRST = 16, 1e-6
"""Windows in which sizes are found; the first step, as a part of a leg."""
OF_ONE_MULTISTEP = 1 / 64
"""The longest step of a horizon that loops cut into stretches, as a part of a stretch at most."""
MULTISTEP, TRIED = 400_000, 20_000
"""Evaluations of the field that it may take, and where it is only asked whether it goes on."""
PAST = 1.01
"""How much further a solver has to come to have got past the place where another one stopped."""

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Multistep:
    """LSODA (Adams of order 1 to 12, BDF where the equations are stiff), samples together in its maximum norm.

    It begins anew at the jumps it is told of, by the name of the solve, and looks for others in steps no longer than
    `longest` of the horizon, where its error test finds them. The Jacobian of samples that do not meet is banded.
    Petzold (1983), SIAM J. Sci. Stat. Comput. 4, 136-148.
    """

    tolerance: float
    longest: float = 1 / 1024
    breaks: Mapping[str, Breaks] = field(default_factory=dict)
    allowed: int = MULTISTEP
    taken: dict[str, int] = field(default_factory=dict)
    """Evaluations of the field in all passes, by the name of the solve."""
    collocated: dict[str, bool] = field(default_factory=dict)
    """The solves of fractional order, by name."""

    @property
    def words(self) -> str:
        if self.collocated:
            return f"collocation in a power of the time, settled to {0.1 * self.tolerance:.0e}"
        return f"LSODA, rtol = {self.tolerance:.0e}, steps of at most {self.longest:.1e} of the horizon"

    @property
    def integrator(self) -> Integrator:
        return self._solve

    def _cuts(self, node: Node, field: TorchField) -> Breaks:
        """Where it begins anew: at the jumps, and around narrow features where they are few."""
        known = self.breaks.get(solution_of(node, field), Breaks())
        features = known.features if len(known.features) <= FEW_FEATURES else ()
        return Breaks((*known.jumps, *(Jump(t, t, True) for t in features)))

    def _solve(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        if is_fractional(node):
            name = solution_of(node, field)
            self.collocated[name] = True
            passed, self.taken[name] = FractionalWalk("collocation", self.tolerance)(node, field, initial)
            return kept(node, passed)
        if remembers(node):
            by_steps = DelayedWalk("LSODA", self.tolerance, self.allowed)
            passed, _, taken = by_steps(node, field, initial, stacked, self._cuts(node, field))
            self.taken[solution_of(node, field)] = taken
            return kept(node, passed)
        if spec_of(node).events:
            samples = EventSamples(node, field, initial, captured, "LSODA", self.tolerance, self.longest)
            return kept(node, samples.solved(times))
        clock = Clock.of(node, times)
        flat = FlatStates.of(node, initial)
        start = flat.joined(initial)
        if len(clock.stops) == 1:
            return kept(node, flat.apart(start[None]))

        evaluations = [self.allowed]
        stop = self._stopping(node, field, initial, stacked, times, flat, evaluations)
        compiled = quick(field, clock)
        by_colours = compiled.differentiated if isinstance(compiled, CompiledField) else None
        legs, exact = [], list[FlatField]()
        for leg in clock.legs(node, stacked, self._cuts(node, field)):
            slopes = clock.slopes(node, compiled, stacked, leg, clamped=False)
            legs.append((leg, flat.function(slopes, evaluations, stop)))
            if by_colours is not None:
                entries = clock.slopes(node, by_colours, stacked, leg, clamped=False)
                exact.append(_banded_jacobian(entries, by_colours, flat))
        walk = Walk(flat, legs, clock.horizon, stop, exact)
        size = walk.guessed(start)
        windows = np.linspace(clock.stops[0], clock.stops[-1], 4 * WINDOWS + 1)
        for _ in range(2):
            size = walk.sizes(walk.through(start, windows, LOOSE, size, LONGEST))
        longest = of_stretches(self.longest, OF_ONE_MULTISTEP, field)
        path = walk.through(start, np.asarray(clock.stops[1:]), self.tolerance, size, longest)
        self.taken[solution_of(node, field)] = self.allowed - evaluations[0]
        return kept(node, flat.apart(np.stack([start, *path])))

    def _stopping(
        self, node: Node, field: TorchField, initial: Tensors, stacked: Tensors, times: Tensor | None,
        flat: FlatStates, evaluations: list[int],
    ) -> Stop:  # fmt: skip
        """What makes the error of a walk that does not arrive."""

        def stop(t: float, x: Array, before: Sequence[tuple[float, Array]], spent: bool) -> IsoclineError:
            way = tuple((s, flat.apart(y)) for s, y in before)
            halt = Halt(t, flat.apart(x), way, self.allowed - evaluations[0], spent)
            stuck = Stuck(node, field, initial, stacked, times, halt)
            return Unsolved(unfinished(stuck), stuck)

        return stop


def _banded_jacobian(entries: FieldFunction, of: Differentiated, flat: FlatStates) -> FlatField:
    """df/dx of the samples side by side, in a band."""

    def at(t: float, x: Array) -> Array:
        (found,) = entries(torch.tensor(t, dtype=torch.float64), flat.apart(x))
        return of.banded(found.numpy(), flat.band)

    return at


def goes_on(stuck: Stuck) -> bool:
    """Whether a method that turns implicit gets well past the place where another one stopped."""
    implicit = Multistep(LOOSE, longest=LONGEST, allowed=TRIED)
    try:
        implicit.integrator(stuck.node, stuck.field, stuck.initial, (), stuck.stacked, stuck.times)
    except Unsolved as other:
        return abs(other.stuck.halt.t - stuck.clock.stops[0]) > abs(stuck.halt.t - stuck.clock.stops[0]) * PAST
    return True


@dataclass(frozen=True)
class Walk:
    """The way of LSODA along legs, each with its field."""

    flat: FlatStates
    legs: Sequence[tuple[Leg, FlatField]]
    horizon: float
    stop: Stop
    jacobians: Sequence[Callable[[float, Array], Any]] = ()
    """Of each leg, in a band; where there are none LSODA takes differences, one for each of its diagonals."""

    def guessed(self, x: Array) -> Array:
        """How large each state may become: where it starts, and how far its slope would take it, at any time."""
        slopes = [np.abs(slope(t, x)) for leg, slope in self.legs for t in np.linspace(leg.start, leg.end, 5)]
        largest = np.maximum(np.abs(x), np.max(slopes, axis=0) * self.horizon)
        size = self.flat.largest(np.nan_to_num(largest, nan=1.0, posinf=1.0))
        return np.where(size > 0, size, 1.0)

    def sizes(self, path: Sequence[Array]) -> Array:
        """How large each state always is now and then: the least, over windows, of the largest in a window."""
        starts = range(0, len(path) - 1, 4)
        return moving_sizes(np.stack([self.flat.largest(np.abs(path[a : a + 5]).max(axis=0)) for a in starts]))

    def through(self, x: Array, at: Array, tolerance: float, size: Array, longest: float) -> list[Array]:
        """The states at these times, all after the start. Raises Unsolved."""
        absolute = tolerance * np.maximum(size, 1e-16 * float(size.max()) + 1e-290)
        band = {"lband": self.flat.band, "uband": self.flat.band} if self.flat.band < len(x) - 1 else {}
        found: list[Array] = []
        forwards = 1.0 if self.legs[-1][0].end > self.legs[0][0].start else -1.0
        for i, (leg, slopes) in enumerate(self.legs):
            known = {"jac": self.jacobians[i]} if band and self.jacobians else {}
            before = at[len(found) :]
            inside = before[(before - leg.end) * forwards <= 0]
            inside = np.maximum(inside, leg.start) if forwards > 0 else np.minimum(inside, leg.start)
            asked = np.unique(np.append(inside, leg.end))[:: int(forwards)]
            with np.errstate(all="ignore"):
                walked = solve_ivp(
                    slopes, (leg.start, leg.end), x, "LSODA", t_eval=asked, rtol=tolerance, atol=absolute,
                    max_step=longest * self.horizon,
                    first_step=FIRST * min(abs(leg.end - leg.start), longest * self.horizon), **band, **known,
                )  # fmt: skip
            if not walked.success or not np.isfinite(walked.y).all():
                raise self._stopped(leg, x, walked)
            found += [walked.y[:, int(np.flatnonzero(asked == time)[0])] for time in inside]
            x = walked.y[:, -1]
        return [*found, *(x for _ in at[len(found) :])]

    def _stopped(self, leg: Leg, start: Array, walked: Any) -> IsoclineError:
        """The error with the last state that is finite."""
        taken = [(float(t), y) for t, y in zip(walked.t, walked.y.T, strict=True) if np.isfinite(y).all()]
        before = [(leg.start, start), *taken]
        return self.stop(*before[-1], before, False)


__all__ = ["Multistep", "Walk", "goes_on"]

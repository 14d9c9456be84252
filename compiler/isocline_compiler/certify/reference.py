"""References: what a deployed grid is measured against, from two families that share nothing with it or each other.

One is an explicit Runge-Kutta pair whose legs end at the jumps of the field; the other a multistep method that turns
implicit where the equations are stiff, begins anew at the jumps, and looks for more of them in steps that are never
long. A number is believed when both agree. A model whose scheme is its own has no reference, and is stepped a second
time instead (`steppers`); noise is measured on refined Brownian paths (`order`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchField, solution_of, stretches_of
from isocline_compiler.certify.cause import Stuck, Unsolved, is_hopeless
from isocline_compiler.certify.compiled_field import CompiledField, Differentiated, quick
from isocline_compiler.certify.delayed import DelayedWalk
from isocline_compiler.certify.event_samples import EventSamples
from isocline_compiler.certify.event_walk import Events, walked
from isocline_compiler.certify.flat_states import FlatField, FlatStates, Stop
from isocline_compiler.certify.fractional import FractionalWalk
from isocline_compiler.certify.reference_passes import Passes, first_sizes
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import is_fractional
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import FEW_FEATURES, Breaks, Jump
from isocline_compiler.training.clock import Clock, FieldFunction, Leg
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.sizes import moving_sizes
from isocline_compiler.training.watched_field import Halt, Halted
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

TIGHTER = 1e-3
"""The reference's tolerance a step, relative to the stated error: its own error stays two orders below that."""
FLOOR, CEILING = 1e-13, 1e-7
LOOSE = 1e-4
"""The tolerance at which the sizes of the states are found."""
WINDOWS, FIRST = 16, 1e-6
"""Windows in which sizes are found; the first step, as a part of a leg."""
LONGEST = 1 / 64
"""The longest step, as a part of the horizon, of the first, and of the second where only sizes are wanted."""
OF_ONE, OF_ONE_MULTISTEP = 1 / 8, 1 / 64
"""The same of a horizon that loops cut into stretches, as a part of a stretch at most: they may be of any lengths."""
EXPLICIT, MULTISTEP, TRIED = 1_000_000, 400_000, 20_000
"""Evaluations of the field that each of the two may take, and the second where it is only asked whether it goes on."""

PAST = 1.01
"""How much further a solver has to come to have got past the place where another one stopped."""

Tensors = tuple[Tensor, ...]


class Reference(Protocol):
    """What solves the rolled graph's solves as exactly as it can, and says in words how."""

    @property
    def words(self) -> str: ...

    @property
    def integrator(self) -> Integrator: ...


def reference_tolerance(error: float) -> float:
    """The relative tolerance of the reference solution for a stated error."""
    return min(max(error * TIGHTER, FLOOR), CEILING)


@dataclass
class AdaptiveExplicit:
    """dopri8 of torchdiffeq, the error of a step bounded in every sample and state relative to its own size.

    `breaks`, by the name of the solve, are the jumps that it has stepped onto.
    """

    tolerance: float
    breaks: dict[str, Breaks] = field(default_factory=dict)
    sizes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """The least size of each state over the samples, by the name of the solve; where it is known it is not sought."""
    measured: dict[str, Tensors] = field(default_factory=dict)
    """The size of each state of each sample, as it was found: a tighter tolerance on the same samples begins there."""
    taken: dict[str, int] = field(default_factory=dict)
    """Evaluations of the field in the last pass, by the name of the solve."""
    events: dict[str, Events] = field(default_factory=dict)
    """The jumps at a state, by the name of the solve."""
    graded: dict[str, bool] = field(default_factory=dict)
    """The solves of fractional order, by name."""

    @classmethod
    def to(cls, error: float) -> AdaptiveExplicit:
        """For a stated error."""
        return cls(reference_tolerance(error))

    @property
    def words(self) -> str:
        if self.graded:
            return f"product integration on graded meshes, settled to {self.tolerance:.0e}"
        solver = "DOP853, each sample from jump to jump" if self.events else "dopri8"
        return f"{solver}, rtol = {self.tolerance:.0e} of each state and sample"

    @property
    def integrator(self) -> Integrator:
        return self._solve

    def _solve(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        if spec_of(node).events:
            path, found = walked(node, field, initial, captured, times, self.tolerance)
            self.events[solution_of(node, field)] = found
            return kept(node, path)

        def look(halt: Halt) -> None:
            stuck = Stuck(node, field, initial, stacked, times, halt)
            if is_hopeless(stuck):
                raise Unsolved(_unfinished(stuck), stuck)

        try:
            return self._solved(node, field, initial, stacked, times, look)
        except Halted as halted:
            raise Unsolved(halted.diagnostics[0], Stuck(node, field, initial, stacked, times, halted.halt)) from None

    def _solved(
        self,
        node: Node,
        field: TorchField,
        initial: Tensors,
        stacked: Tensors,
        times: Tensor | None,
        look: Callable[[Halt], None],
    ) -> Tensors:
        longest = of_stretches(LONGEST, OF_ONE, field)
        loose = AdaptiveIntegrator("dopri8", LOOSE, 0.0, EXPLICIT, longest=longest, look=look)
        clock = loose.clock(node, times)
        if is_fractional(node):
            name = solution_of(node, field)
            self.breaks[name], self.graded[name] = loose.breaks(node, field, clock), True
            passed, self.taken[name] = FractionalWalk("graded", self.tolerance)(node, field, initial, self.breaks[name])
            return kept(node, passed)
        if remembers(node):
            walk = DelayedWalk("DOP853", self.tolerance, EXPLICIT)
            return self._remembered(walk, node, field, initial, stacked, loose.breaks(node, field, clock))
        if len(clock.stops) > 1:
            self.breaks[solution_of(node, field)] = loose.breaks(node, field, clock)
        exact = AdaptiveIntegrator(
            "dopri8", self.tolerance, 0.0, EXPLICIT, longest=longest, known=loose.known, look=look
        )
        solve = Passes(node, field, initial, stacked, times)
        name = solution_of(node, field)
        sizes = self._known_sizes(name, initial) or self.measured.get(name)
        if sizes is None:
            sizes = first_sizes(node, field, initial, stacked, loose, times)
            for _ in range(2):
                sizes = solve(loose, sizes).sizes
            self.sizes[name] = tuple(float(item.min()) for item in sizes)
            self.measured[name] = sizes
        solved = solve(exact, sizes)
        self.taken[name] = solved.evaluations
        return kept(node, solved.path)

    def _remembered(
        self, walk: DelayedWalk, node: Node, field: TorchField, initial: Tensors, stacked: Tensors, forcing: Breaks
    ) -> Tensors:
        """A solve whose field reads states at earlier times."""
        name = solution_of(node, field)
        path, self.breaks[name], self.taken[name] = walk(node, field, initial, stacked, forcing)
        return kept(node, path)

    def _known_sizes(self, name: str, initial: Tensors) -> Tensors | None:
        known = self.sizes.get(name)
        return None if known is None else tuple(torch.full_like(x, s) for x, s in zip(initial, known, strict=True))


def of_stretches(longest: float, most: float, field: TorchField) -> float:
    """The longest step as a part of what is solved: where loops cut the way into n stretches, n times as large."""
    stretches = stretches_of(field)
    return longest if stretches == 1 else max(longest, min(longest * stretches, most))


def kept(node: Node, path: Tensors) -> Tensors:
    """What the solve keeps of (stops, ...): the end, or all stops on an axis after that of the batch."""
    if not spec_of(node).interval.everywhere:
        return tuple(states[-1] for states in path)
    return tuple(x.movedim(0, 1) if type_.batched else x for x, type_ in zip(path, node.types, strict=True))


# ---------------------------------------------------------------------------------------------------- the other family


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
            return Unsolved(_unfinished(stuck), stuck)

        return stop


def _banded_jacobian(entries: FieldFunction, of: Differentiated, flat: FlatStates) -> FlatField:
    """df/dx of the samples side by side, in a band."""

    def at(t: float, x: Array) -> Array:
        (found,) = entries(torch.tensor(t, dtype=torch.float64), flat.apart(x))
        return of.banded(found.numpy(), flat.band)

    return at


def _unfinished(stuck: Stuck) -> Diagnostic:
    t, spent = stuck.time(stuck.halt.t, 0), stuck.halt.spent
    reason = "LSODA used up its evaluations" if spent else "LSODA gave up"
    return messages.reference_failed(stuck.node.span, stuck.name, t, reason, "shorten the solve")


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


__all__ = [
    "AdaptiveExplicit",
    "Multistep",
    "Reference",
    "Walk",
    "goes_on",
    "reference_tolerance",
]

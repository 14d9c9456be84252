"""References: what a deployed grid is measured against, from two families that share nothing with it or each other.

One is an explicit Runge-Kutta pair whose legs end at the jumps of the field; the other a multistep method that turns
implicit where the equations are stiff, begins anew at the jumps, and looks for more of them in steps that are never
long. A number is believed when both agree. A model whose scheme is its own has no reference, and is stepped a second
time instead (`steppers`); noise is measured on refined Brownian paths (`order`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchField, solution_of, stretches_of
from isocline_compiler.certify.cause import Stuck, Unsolved, is_hopeless
from isocline_compiler.certify.compiled_field import quick
from isocline_compiler.certify.delayed import DelayedWalk
from isocline_compiler.certify.event_walk import Events, walked
from isocline_compiler.certify.fractional import FractionalWalk
from isocline_compiler.certify.lockstep import Lockstep, Stalled
from isocline_compiler.certify.reference_passes import Passes, first_sizes
from isocline_compiler.graph import Node
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import is_fractional
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.watched_field import Halt, Halted
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic

TIGHTER = 1e-3
"""The reference's tolerance a step, relative to the stated error: its own error stays two orders below that."""
FLOOR, CEILING = 1e-13, 1e-7
LOOSE = 1e-4
"""The tolerance at which the sizes of the states are found."""
LONGEST, HURRIED = 1 / 64, 1 / 16
"""The longest step, as a part of the horizon, of the first, and of the second where only sizes are wanted; and that of
a search.
"""
OF_ONE = 1 / 8
"""The same of a horizon that loops cut into stretches, as a part of a stretch at most: they may be of any lengths."""
EXPLICIT = 1_000_000
"""Evaluations of the field that a solve may take."""

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
    paced: dict[str, bool] = field(default_factory=dict)
    """Those in which each sample went in steps of its own."""
    hurried: bool = False
    """For a search, whose numbers are not believed: longer steps, fields computed by onnxruntime where that pays."""

    @classmethod
    def to(cls, error: float) -> AdaptiveExplicit:
        """For a stated error."""
        return cls(reference_tolerance(error))

    @property
    def words(self) -> str:
        if self.graded:
            return f"product integration on graded meshes, settled to {self.tolerance:.0e}"
        solver = "dopri8"
        if self.events or self.paced:
            solver = f"DOP853, each sample {'from jump to jump' if self.events else 'in steps of its own'}"
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
                raise Unsolved(unfinished(stuck), stuck)

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
        longest = of_stretches(HURRIED if self.hurried else LONGEST, OF_ONE, field)
        loose = AdaptiveIntegrator("dopri8", LOOSE, 0.0, EXPLICIT, longest=longest, look=look)
        clock = loose.clock(node, times)
        field = quick(field, clock) if self.hurried else field
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
        name = solution_of(node, field)

        def guessed() -> Tensors:
            return first_sizes(node, field, initial, stacked, loose, times)

        alone = Lockstep.of(node, field, initial, stacked, clock, loose.breaks(node, field, clock), longest)
        if alone is not None:
            try:
                sizes = self._sizes(name, initial, guessed, lambda sizes: alone.solved(initial, LOOSE, sizes)[1])
                path, _ = alone.solved(initial, self.tolerance, sizes)
            except Stalled:
                pass  # the solver in common steps says why
            else:
                self.taken[name], self.paced[name] = alone.evaluations, True
                return kept(node, path)
        solve = Passes(node, field, initial, stacked, times)
        sizes = self._sizes(name, initial, guessed, lambda sizes: solve(loose, sizes).sizes)
        solved = solve(exact, sizes)
        self.taken[name] = solved.evaluations
        return kept(node, solved.path)

    def _sizes(
        self, name: str, initial: Tensors, guessed: Callable[[], Tensors], passed: Callable[[Tensors], Tensors]
    ) -> Tensors:
        """How large each state of each sample is: known, or found in loose passes from a guess."""
        known = self._known_sizes(name, initial) or self.measured.get(name)
        if known is not None:
            return known
        sizes = passed(passed(guessed()))
        self.sizes[name] = tuple(float(item.min()) for item in sizes)
        self.measured[name] = sizes
        return sizes

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


def unfinished(stuck: Stuck) -> Diagnostic:
    t, spent = stuck.time(stuck.halt.t, 0), stuck.halt.spent
    reason = "LSODA used up its evaluations" if spent else "LSODA gave up"
    return messages.reference_failed(stuck.node.span, stuck.name, t, reason, "shorten the solve")


__all__ = ["AdaptiveExplicit", "Reference", "kept", "of_stretches", "reference_tolerance", "unfinished"]

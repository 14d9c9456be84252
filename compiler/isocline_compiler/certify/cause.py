"""Why a solver of the reference did not arrive: measured at the states that it reached, and just beyond the last.

not a number     an operation of the field has no answer there
stiff            max -Re(lambda) of df/dx times the horizon is large, and an implicit method goes on
a switch         the field jumps where the solution is pushed back onto the jump
running away     |x| / |x'| is nothing beside the horizon
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Bound, TorchField
from isocline_compiler.certify.culprit import Culprit, find_culprit, shown, values_of
from isocline_compiler.certify.spectrum import spectra
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.clock import Clock, FieldFunction, Leg, States
from isocline_compiler.training.watched_field import Halt
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

STIFF = 1e3
"""Times 1/rate that the horizon of a stiff solve has at least."""
HELD, STAGES = 1.5, 13
"""Rate times mean step from which on stability holds the steps, of dopri8 and its evaluations a step; accuracy may hold
them just as well.
"""
PATIENT = 120_000
"""Evaluations of the field that a stiff solve may be expected to take; a grid of explicit steps takes as many."""
EAGER = 30_000
"""The same where stability holds the steps: from there on an implicit method arrives sooner."""
LOOKED_AT = 8
"""States at which the Jacobian is taken."""
NEAR = tuple(10.0**-k for k in range(12, 0, -1))
"""How far beyond the last state is looked, as a part of its size and of the horizon."""
HALVINGS, BENDS = 50, 1e-6
"""How closely a switch is looked at from both sides, and the part of the slope that a mere bend changes it by there."""
ABRUPT = 1e-6
"""The part of the horizon in which a solution that runs away changes by its own size."""


@dataclass(frozen=True, eq=False)
class Stuck:
    """A solve that did not arrive, and where its solver stopped."""

    node: Node
    field: TorchField
    initial: States
    stacked: States
    times: Tensor | None
    halt: Halt
    given: Callable[[int], str] = lambda row: ""
    """The inputs of a sample, in words; nothing where the samples of the solve are others."""

    @cached_property
    def clock(self) -> Clock:
        return Clock.of(self.node, self.times)

    @property
    def name(self) -> str:
        return spec_of(self.node).field

    @property
    def batched(self) -> tuple[bool, ...]:
        kept = spec_of(self.node).states
        return tuple(type_.batched for type_ in self.node.types[: len(kept)])

    @property
    def progress(self) -> float:
        return abs(self.halt.t - self.clock.stops[0]) / self.clock.horizon

    @property
    def mean_step(self) -> float:
        """What a step went forward, by the clock."""
        return self.progress * self.clock.horizon * STAGES / max(self.halt.evaluations, STAGES)

    def slopes(self, t: float, field: TorchField | None = None) -> FieldFunction:
        """x' around a time of the clock."""
        inside = t if self.clock.given is None else min(t, len(self.clock.stops) - 1.5)
        return self.clock.slopes(
            self.node, field or self.field, self.stacked, Leg(inside, inside, (), ()), clamped=False
        )

    def at(self, t: float, states: States) -> States:
        """x' at a time of the clock."""
        with torch.no_grad():
            return self.slopes(t)(torch.tensor(t, dtype=torch.float64), states)

    def time(self, t: float, row: int) -> str:
        """A time of the file, in words."""
        found = self.clock.time(torch.tensor(t, dtype=torch.float64)).reshape(-1)
        return f"{float(found[min(row, len(found) - 1)]):.6g}"

    def state(self, states: States, row: int) -> str:
        """The states of a sample, in words."""
        kept = zip(spec_of(self.node).states, states, self.batched, strict=True)
        found = ", ".join(shown(state.name, value, row, batched) for state, value, batched in kept)
        inputs = self.given(row)
        return f"{found}, of the inputs {inputs}" if inputs else found


class Unsolved(IsoclineError):
    """A solve that did not arrive."""

    def __init__(self, fault: Diagnostic, stuck: Stuck) -> None:
        super().__init__([fault])
        self.stuck = stuck


def cause_of(
    stuck: Stuck, goes_on: Callable[[Stuck], bool], given: Callable[[int], str] = lambda row: ""
) -> Diagnostic:
    """The cause in words. `goes_on` tells whether an implicit method gets past the place, `given` the inputs of a
    sample.
    """
    stuck = replace(stuck, given=given)
    found = _not_a_number(stuck)
    if found is None and (stuck.halt.spent or goes_on(stuck)):
        found = _stiff(stuck)
    return found or _switch(stuck) or _running_away(stuck) or _unknown(stuck)


def is_hopeless(stuck: Stuck) -> bool:
    """Whether a solve on its way is stiff, or held by a switch or a pole, and will not end in time as it goes."""
    if stuck.halt.evaluations < EAGER * stuck.progress:
        return False
    if _stiff(stuck) is not None:
        return True
    return stuck.halt.evaluations >= PATIENT * stuck.progress and (_switch(stuck) or _running_away(stuck)) is not None


# ---------------------------------------------------------------------------------------------------- not a number


@dataclass
class _Traced:
    """A field that keeps every value of its last evaluation."""

    field: TorchField

    def __post_init__(self) -> None:
        self.fixed, self.parameters = self.field.fixed, self.field.parameters
        self.bound: Bound = self.field.bound
        self.values: Mapping[Node, Any] = {}

    def __call__(self, t: Tensor, states: Any, slices: Any = ()) -> States:
        self.values = values_of(self.bound.region, (t, *states, *self.bound.captured, *slices), self.bound.run)
        return tuple(self.values[result] for result in self.bound.region.results)

    @property
    def culprit(self) -> Culprit | None:
        return find_culprit(self.values, self.bound.run)


def _traced(stuck: Stuck, t: float, states: States) -> _Traced:
    traced = _Traced(stuck.field)
    with torch.no_grad():
        stuck.slopes(t, traced)(torch.tensor(t, dtype=torch.float64), states)
    return traced


def _not_a_number(stuck: Stuck) -> Diagnostic | None:
    for t, states in _around(stuck):
        found = _traced(stuck, t, states).culprit
        if found is not None:
            where = f" at t = {stuck.time(t, found.row)}, for the state {stuck.state(states, found.row)}"
            return messages.field_not_finite(found.node.span, found.operation, found.met, stuck.name, where)
    return None


def _around(stuck: Stuck) -> Iterator[tuple[float, States]]:
    """The last state that was reached, and points just beyond it along its slope and in time, the nearest first."""
    t, x = stuck.halt.t, stuck.halt.states
    yield t, x
    slopes = stuck.at(t, x)
    forwards = np.sign(stuck.clock.stops[-1] - stuck.clock.stops[0])
    sizes = [state.abs().clamp(min=1e-12) for state in x]
    for part in NEAR:
        moved = tuple(a + forwards * part * size * torch.sign(v) for a, v, size in zip(x, slopes, sizes, strict=True))
        yield t, moved
        later = t + forwards * part * stuck.clock.horizon
        if abs(later - stuck.clock.stops[0]) <= stuck.clock.horizon:
            yield later, x


# ---------------------------------------------------------------------------------------------------- other causes


def _stiff(stuck: Stuck) -> Diagnostic | None:
    """E672 where the fastest decay along the way, times the horizon, is large."""
    points = (*stuck.halt.before, (stuck.halt.t, stuck.halt.states))
    chosen = sorted(set(np.linspace(0, len(points) - 1, LOOKED_AT).round().astype(int).tolist()))
    rates = [(max(map(_decay, _spectra(stuck, *points[i]))), points[i][0]) for i in chosen]
    rate, t = sorted(rates)[len(rates) // 2]
    if rate * stuck.clock.horizon < STIFF or rate * stuck.mean_step < HELD:
        return None
    ratio = rate * stuck.clock.horizon
    facts = (stuck.time(t, 0), f"{rate:.2g}", f"{stuck.clock.horizon:.6g}", f"{ratio:.1e}")
    return messages.stiff(stuck.node.span, stuck.name, *facts)


def _spectra(stuck: Stuck, t: float, states: States) -> list[Array]:
    slopes = partial(stuck.slopes(t), torch.tensor(t, dtype=torch.float64))
    if not all(stuck.batched) and any(stuck.batched):
        return [np.zeros(1)]
    return [eigenvalues for eigenvalues, _ in spectra(slopes, states, all(stuck.batched))]


def _decay(eigenvalues: Array) -> float:
    """The largest magnitude among those that decay."""
    decaying = eigenvalues[(eigenvalues.real < 0) & (np.abs(eigenvalues.real) >= np.abs(eigenvalues.imag))]
    return float(np.abs(decaying).max()) if decaying.size else 0.0


def _switch(stuck: Stuck) -> Diagnostic | None:
    """E673 where the field jumps, as an operation made of pieces goes to another one beside the last state."""
    t, x = stuck.halt.t, stuck.halt.states
    here = _pieces(stuck, t, x)
    sizes = [max(float(state.abs().max()), 1e-6) for state in _largest(stuck)]
    for part in (1e-9, 1e-6, 1e-4, 1e-3):
        for side in (-1.0, 1.0):
            moved = tuple(a + side * part * size for a, size in zip(x, sizes, strict=True))
            for node, piece in _pieces(stuck, t, moved).items():
                for row in _differing(piece, here[node])[:LOOKED_AT]:
                    if not _jumps(stuck, t, x, moved, node, row):
                        continue
                    where = f" at t = {stuck.time(t, row)}, at {stuck.state(x, row)}"
                    return messages.switches(node.span, node.op.name, stuck.name, where)
    return None


def _differing(piece: Tensor, other: Tensor) -> list[int]:
    """The samples that are on another piece."""
    found = torch.nonzero((piece != other).reshape(len(piece) if piece.ndim else 1, -1).any(dim=1))
    return [int(row) for row in found.reshape(-1)]


def _jumps(stuck: Stuck, t: float, x: States, beyond: States, node: Node, row: int) -> bool:
    """Whether x' of a sample differs on both sides of where the node goes to another piece, and does not only bend."""
    here = _pieces(stuck, t, x)[node]
    for _ in range(HALVINGS):
        middle = tuple((a + b) / 2 for a, b in zip(x, beyond, strict=True))
        if row in _differing(_pieces(stuck, t, middle)[node], here):
            beyond = middle
        else:
            x = middle
    for a, b, batched in zip(stuck.at(t, x), stuck.at(t, beyond), stuck.batched, strict=True):
        own = (a[row], b[row]) if batched and a.ndim and b.ndim else (a, b)
        if not torch.allclose(*own, rtol=BENDS, atol=BENDS * float(a.abs().max())):
            return True
    return False


def _largest(stuck: Stuck) -> States:
    """Each state at its largest along the way."""
    every = [states for _, states in (*stuck.halt.before, (stuck.halt.t, stuck.halt.states))]
    return tuple(torch.stack([item.abs() for item in states]).amax(dim=0) for states in zip(*every, strict=True))


def _pieces(stuck: Stuck, t: float, states: States) -> dict[Node, Tensor]:
    values = _traced(stuck, t, states).values
    switching = [node for node in values if node.op.piece is not None]
    return {node: node.op.piece(values[node], *(values[item] for item in node.inputs), **node.attrs)
            for node in switching if node.op.piece is not None}  # fmt: skip


def _running_away(stuck: Stuck) -> Diagnostic | None:
    """E671 where a state changes by its own size in next to no time."""
    t, x = stuck.halt.t, stuck.halt.states
    for place, (state, slope) in enumerate(zip(x, stuck.at(t, x), strict=True)):
        speed = (slope.abs() / state.abs().clamp(min=1e-12)).reshape(len(state) if stuck.batched[place] else 1, -1)
        worst = int(speed.max(dim=1).values.argmax())
        if float(speed.max()) * stuck.clock.horizon * ABRUPT > 1:
            name, batched = spec_of(stuck.node).states[place].name, stuck.batched[place]
            moving = shown("", slope, worst, batched).removeprefix(" = ")
            inputs = stuck.given(worst)
            of = f", of the inputs {inputs}," if inputs else ""
            facts = (stuck.time(t, worst), f"{shown(name, state, worst, batched)}{of}", moving)
            return messages.runs_away(stuck.node.span, stuck.name, *facts)
    return None


def _unknown(stuck: Stuck) -> Diagnostic:
    t = stuck.time(stuck.halt.t, 0)
    if stuck.halt.spent:
        reason = f"{stuck.halt.evaluations} evaluations were used up"
        return messages.reference_failed(
            stuck.node.span, stuck.name, t, reason, "shorten the solve, or divide it into several"
        )
    hint = "smooth what changes abruptly there, or end the solve before"
    return messages.reference_failed(stuck.node.span, stuck.name, t, "the steps became too small to advance", hint)


__all__ = ["Stuck", "Unsolved", "cause_of", "is_hopeless"]

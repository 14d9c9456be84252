"""A vector field that counts its evaluations and remembers where the solver was, for the message if it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import fitting as messages

States = tuple[Tensor, ...]
FieldFunction = Callable[[Tensor, States], States]


LOOKS = 2**13
"""Evaluations after which a solve is first looked at."""
KEPT = 32
"""States of the way that are remembered at most, evenly over the steps."""


@dataclass(frozen=True)
class Halt:
    """Where a solver stopped, on its clock: the last states it took, some that it took before, how often it asked for
    the field, and whether it was not allowed to ask again.
    """

    t: float
    states: States
    before: tuple[tuple[float, States], ...]
    evaluations: int
    spent: bool


class Halted(IsoclineError):
    """A solver that did not arrive, and where it stopped."""

    def __init__(self, fault: Diagnostic, halt: Halt) -> None:
        super().__init__([fault])
        self.halt = halt


class WatchedField:
    """`field` as torchdiffeq calls it: (t, states) to slopes, with a bound on the evaluations of one solve.

    Raises E453 beyond the bound, which would otherwise be a program that hangs. `look` is called after `LOOKS`
    evaluations, and whenever they have doubled; it may raise.
    """

    def __init__(
        self,
        field: FieldFunction,
        node: Node,
        solver: str,
        allowed: int,
        report: Callable[[Tensor], Tensor] | None = None,
        see: Callable[[float, States, float], None] | None = None,
        evaluations: int = 0,
        look: Callable[[Halt], None] | None = None,
    ) -> None:
        self.field = field
        self.node = node
        self.solver = solver
        self.allowed = allowed
        self.evaluations = evaluations
        self.see = see
        self.last: tuple[Tensor, States] | None = None
        self.report = report or (lambda t: t)
        self.look = look
        self.taken: list[tuple[float, States]] = []
        self.steps, self.every = 0, 1

    def __call__(self, t: Tensor, states: States) -> States:
        self.evaluations += 1
        if self.evaluations > self.allowed:
            raise Halted(self._too_long(t), self._halt(t, states, spent=True))
        if self.look is not None and self.evaluations >= LOOKS and self.evaluations.bit_count() == 1:
            self.look(self._halt(t, states, spent=True))
        slopes = self.field(t, states)
        # Under mixed precision a field may end in half precision, while the state that it moves is kept in full.
        return tuple(slope.to(state.dtype) for slope, state in zip(slopes, states, strict=True))

    def callback_accept_step(self, t: Tensor, states: States, step: Tensor) -> None:
        """torchdiffeq calls this with the state a step began from, which it has found to be finite."""
        self.last = t.detach(), tuple(state.detach() for state in states)
        self._remember()
        if self.see is not None:
            self.see(float(t), states, float(step))

    def _remember(self) -> None:
        """Keep every 2^k-th of the states, so that there are never many."""
        assert self.last is not None
        if self.steps % self.every == 0:
            self.taken.append((float(self.last[0]), self.last[1]))
        if len(self.taken) > KEPT:
            self.taken, self.every = self.taken[::2], 2 * self.every
        self.steps += 1

    def _halt(self, t: Tensor, states: States, *, spent: bool) -> Halt:
        t, states = self.last or (t, states)
        return Halt(float(t), tuple(x.detach() for x in states), tuple(self.taken), self.evaluations, spent)

    def stalled(self, initial: States, start: Tensor) -> IsoclineError:
        """The error for a solver that cannot advance. Raises nothing itself."""
        t, states = self.last or (start, initial)
        name = spec_of(self.node).field
        facts = (name, _time(self.report(t)), describe_states(states), self.solver)
        fault = messages.solve_stalled(self.node.span, *facts)
        return Halted(fault, self._halt(start, initial, spent=False))

    def _too_long(self, t: Tensor) -> Diagnostic:
        name = spec_of(self.node).field
        return messages.solve_too_long(self.node.span, name, _time(self.report(t.detach())), self.allowed, self.solver)


def _time(t: Tensor) -> str:
    """One time, or the least and the greatest when each sample has its own."""
    low, high = float(t.min()), float(t.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def describe_states(states: Sequence[Tensor]) -> str:
    """The largest numbers of the sample that is furthest out: `[0.5, 1.2e+08], [3]`."""
    return ", ".join(_describe(state.detach()) for state in states)


def _describe(state: Tensor) -> str:
    rows = state.reshape(state.shape[0], -1) if state.ndim > 1 else state.reshape(-1, 1)
    finite = torch.nan_to_num(rows.abs(), nan=torch.inf)
    row = rows[int(finite.amax(dim=1).argmax())]
    shown = ", ".join(f"{float(value):.6g}" for value in row[:6])
    return f"[{shown}{', ...' if len(row) > 6 else ''}]"

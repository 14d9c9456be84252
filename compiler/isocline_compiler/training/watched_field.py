"""A vector field that counts its evaluations and remembers where the solver was, for the message if it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import fitting as messages

States = tuple[Tensor, ...]
FieldFunction = Callable[[Tensor, States], States]


class WatchedField:
    """`field` as torchdiffeq calls it: (t, states) to slopes, with a bound on the evaluations of one solve.

    Raises E453 beyond the bound, which would otherwise be a program that hangs.
    """

    def __init__(
        self,
        field: FieldFunction,
        node: Node,
        solver: str,
        allowed: int,
        report: Callable[[Tensor], Tensor] | None = None,
        see: Callable[[float, States], None] | None = None,
        evaluations: int = 0,
    ) -> None:
        self.field = field
        self.node = node
        self.solver = solver
        self.allowed = allowed
        self.evaluations = evaluations
        self.see = see
        self.last: tuple[Tensor, States] | None = None
        self.report = report or (lambda t: t)

    def __call__(self, t: Tensor, states: States) -> States:
        self.evaluations += 1
        if self.evaluations > self.allowed:
            raise IsoclineError([self._too_long(t)])
        slopes = self.field(t, states)
        # Under mixed precision a field may end in half precision, while the state that it moves is kept in full.
        return tuple(slope.to(state.dtype) for slope, state in zip(slopes, states, strict=True))

    def callback_accept_step(self, t: Tensor, states: States, _: Tensor) -> None:
        """torchdiffeq calls this with the state a step began from, which it has found to be finite."""
        self.last = t.detach(), tuple(state.detach() for state in states)
        if self.see is not None:
            self.see(float(t), states)

    def stalled(self, initial: States, start: Tensor) -> IsoclineError:
        """The error for a solver that cannot advance. Raises nothing itself."""
        t, states = self.last or (start, initial)
        name = spec_of(self.node).field
        facts = (name, _time(self.report(t)), describe_states(states), self.solver)
        return IsoclineError([messages.solve_stalled(self.node.span, *facts)])

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

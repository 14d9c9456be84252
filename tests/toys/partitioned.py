"""A partitioned scheme, as one would be added: symplectic Euler, whose states move in turn."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages


@dataclass(frozen=True)
class SymplecticEuler(Scheme):
    """p' = p + h g(q, p), then q' = q + h f(q, p'): the second half of the states moves first."""

    name: str = "toy_symplectic_euler"
    order: float = 1
    reference: str = "Hairer, Lubich, Wanner (2006), I.1.2"
    width: float = 1.0

    def fits(self, solve: Solve) -> Misfit | None:
        if len(solve.spec.states) % 2:
            return lambda span: messages.scheme_does_not_fit(span, self.name, "its states do not come in pairs")
        return super().fits(solve)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        half = len(x) // 2
        for places in (range(half, len(x)), range(half)):
            slopes = dict(zip(places, field.part(list(places), step.t, x), strict=True))
            x = tuple(a + self.width * step.widths[i] * slopes[i] if i in slopes else a for i, a in enumerate(x))
        return None, x


TOYS = (SymplecticEuler(),)

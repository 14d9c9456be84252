"""An implicit scheme, as one would be added: Euler's, with one iteration of Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages


@dataclass(frozen=True)
class ImplicitEuler1(Scheme):
    """x' = x + h f(t + h, x) / (1 - h df/dx): for one state that is a number."""

    name: str = "toy_implicit_euler"
    order: float = 1
    reference: str = "Hairer, Wanner (1996), IV.8"
    width: float = 1.0

    def fits(self, solve: Solve) -> Misfit | None:
        if len(solve.spec.states) != 1 or solve.spec.states[0].shape != ():
            return lambda span: messages.scheme_does_not_fit(span, self.name, "it is for one state that is a number")
        return super().fits(solve)

    def stability(self, z):
        return 1 / (1 - z)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        (slope,) = field(step.end, x)
        ((df,),) = field.jacobian(step.end, x)
        (h,) = step.widths
        return None, (x[0] + self.width * h * slope / (1.0 - h * df),)


TOYS = (ImplicitEuler1(),)

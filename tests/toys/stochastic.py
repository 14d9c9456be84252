"""A stochastic scheme, as one would be added: Euler and Maruyama's."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic


@dataclass(frozen=True, eq=False, kw_only=True)
class EulerMaruyama(Stochastic):
    """x' = x + f h + g dW."""

    noise: float = 1.0

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        slopes = field(step.t, x)
        moved = [a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True)]
        stirred = field.stir(step.t, x, {name: self.noise * dw for name, dw in step.rows.items()})
        return None, tuple(a if b is None else a + b for a, b in zip(moved, stirred, strict=True))


TOYS = (
    EulerMaruyama(
        name="toy_euler_maruyama", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0}, calculi=("ito",),
        reference="Kloeden, Platen (1992), 10.2",
    ),
)  # fmt: skip

"""A stochastic scheme, as one would be added: Euler and Maruyama's, which reads a row of standard normals."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step


@dataclass(frozen=True)
class EulerMaruyama(Scheme):
    """x' = x + f h + g sqrt(h) xi, for scalar noise. Strong order 1/2."""

    name: str = "toy_euler_maruyama"
    order: float = 0.5
    reference: str = "Kloeden, Platen (1992), 10.2"
    normals: int = 1
    noise: float = 1.0

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        slopes = field(step.t, x)
        moved = [a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True)]
        stirred = field.stir(step.t, x, {name: self.noise * dw for name, dw in step.rows.items()})
        return None, tuple(a if b is None else a + b for a, b in zip(moved, stirred, strict=True))


TOYS = (EulerMaruyama(),)

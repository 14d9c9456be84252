"""A stochastic scheme, as one would be added: Euler and Maruyama's, which reads a row of standard normals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.ops.indexing import SELECT
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
        assert isinstance(step.h, float)
        slopes = field(step.t, x)
        moved = [a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True)]
        for name, xi in step.rows.items():
            dw = self.noise * math.sqrt(step.h) * SELECT(xi, axis=1, index=0)
            spread = field.diffusion(name, step.t, x)
            moved = [a if g is None else a + g * dw for a, g in zip(moved, spread, strict=True)]
        return None, tuple(moved)


TOYS = (EulerMaruyama(),)

"""A multistep scheme, as one would be added: Adams and Bashforth's of two steps."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step


@dataclass(frozen=True)
class AdamsBashforth2(Scheme):
    """x_{n+1} = x_n + h (3/2 f_n - 1/2 f_{n-1}), started by one step of Heun. Remembers a slope."""

    name: str = "toy_ab2"
    order: float = 2
    reference: str = "Hairer, Norsett, Wanner (1993), III.1"
    here: float = 3 / 2
    before: float = -1 / 2

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        now = field(step.t, x)
        if memory is None:
            ahead = field(step.end, tuple(a + h * k for a, h, k in zip(x, step.widths, now, strict=True)))
            slopes = tuple(0.5 * (k + g) for k, g in zip(now, ahead, strict=True))
        else:
            slopes = tuple(self.here * k + self.before * g for k, g in zip(now, memory, strict=True))
        return now, tuple(a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True))


TOYS = (AdamsBashforth2(),)

"""Schemes for equations with noise."""

from __future__ import annotations

from isocline_compiler.graph import Nodes
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.milstein import MILSTEIN, MILSTEIN_FREE
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic, drifted, increments, moved
from isocline_compiler.solvers.schemes.stochastic_tableaus import STOCHASTIC_TABLEAUS
from isocline_compiler.solvers.schemes.stratonovich import (
    EULER_HEUN,
    REVERSIBLE_HEUN,
    STRATONOVICH_HEUN,
    STRATONOVICH_MIDPOINT,
)


class EulerMaruyama(Stochastic):
    """The Euler-Maruyama scheme: x' = x + f h + g dW."""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        noise = field.stir(step.t, x, increments(field, step))
        return memory, moved(drifted(step, x, field(step.t, x)), noise)


EULER_MARUYAMA = EulerMaruyama(
    name="euler_maruyama", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0}, calculi=("ito",),
    reference="Maruyama (1955), Rend. Circ. Mat. Palermo 4, 48-90", jumps=True,
)  # fmt: skip

STOCHASTIC = (
    EULER_MARUYAMA,
    MILSTEIN,
    MILSTEIN_FREE,
    *STOCHASTIC_TABLEAUS,
    EULER_HEUN,
    STRATONOVICH_HEUN,
    STRATONOVICH_MIDPOINT,
    REVERSIBLE_HEUN,
)

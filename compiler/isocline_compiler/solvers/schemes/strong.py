"""Schemes for equations with noise, in the order in which they are listed."""

from __future__ import annotations

from isocline_compiler.solvers.schemes.maruyama import EULER_MARUYAMA, IMPLICIT_EULER_MARUYAMA, TAMED_EULER
from isocline_compiler.solvers.schemes.milstein import MILSTEIN, MILSTEIN_FREE
from isocline_compiler.solvers.schemes.stochastic_tableaus import STOCHASTIC_TABLEAUS
from isocline_compiler.solvers.schemes.stratonovich import (
    EULER_HEUN,
    REVERSIBLE_HEUN,
    STRATONOVICH_HEUN,
    STRATONOVICH_MIDPOINT,
)

STOCHASTIC = (
    EULER_MARUYAMA,
    TAMED_EULER,
    IMPLICIT_EULER_MARUYAMA,
    MILSTEIN,
    MILSTEIN_FREE,
    *STOCHASTIC_TABLEAUS,
    EULER_HEUN,
    STRATONOVICH_HEUN,
    STRATONOVICH_MIDPOINT,
    REVERSIBLE_HEUN,
)

"""Stochastic Runge-Kutta schemes. One record each; it checks itself."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction as Q

from isocline_compiler.graph.noise import NoiseKind
from isocline_compiler.solvers.schemes.rossler import SRA, SRI

# fmt: off
# A tableau is read in rows: one row of coefficients on a line, as in the papers.

SRK = SRI(
    name="srk", calculi=("ito",),
    strong={"additive": 1.5, "scalar": 1.5, "diagonal": 1.5}, weak={"additive": 2.0, "scalar": 2.0, "diagonal": 2.0},
    a0=((), (1,), (Q(1, 4), Q(1, 4)), ()), a1=((), (Q(1, 4),), (1,), (0, 0, Q(1, 4))),
    b0=((), (), (1, Q(1, 2)), ()), b1=((), (Q(-1, 2),), (1,), (2, -1, Q(1, 2))),
    alpha=(Q(1, 6), Q(1, 6), Q(2, 3), 0),
    beta1=(-1, Q(4, 3), Q(2, 3), 0), beta2=(1, Q(-4, 3), Q(1, 3), 0),
    beta3=(2, Q(-4, 3), Q(-2, 3), 0), beta4=(-2, Q(5, 3), Q(-2, 3), 1),
    c0=(0, 1, Q(1, 2), 0), c1=(0, Q(1, 4), 1, Q(1, 4)),
    reference="Rossler (2010), SIAM J. Numer. Anal. 48, 922-952: SRI2, for diagonal noise SRID2",
)

_STRONG: Mapping[NoiseKind, float] = {"additive": 1.5}
_WEAK: Mapping[NoiseKind, float] = {"additive": 2.0}

SRA1 = SRA(
    name="sra1", calculi=("ito",), strong=_STRONG, weak=_WEAK,
    a0=((), (Q(3, 4),)), b0=((), (Q(3, 2),)),
    alpha=(Q(1, 3), Q(2, 3)), beta1=(1, 0), beta2=(-1, 1), c0=(0, Q(3, 4)), c1=(1, 0),
    reference="Rossler (2010), SIAM J. Numer. Anal. 48, 922-952: SRA1",
)

SRA2 = SRA(
    name="sra2", calculi=("ito",), strong=_STRONG, weak=_WEAK,
    a0=((), (Q(3, 4),)), b0=((), (Q(3, 2),)),
    alpha=(Q(1, 3), Q(2, 3)), beta1=(0, 1), beta2=(Q(3, 2), Q(-3, 2)), c0=(0, Q(3, 4)), c1=(Q(1, 3), 1),
    reference="Rossler (2010), SIAM J. Numer. Anal. 48, 922-952: SRA2",
)

SRA3 = SRA(
    name="sra3", calculi=("ito",), strong=_STRONG, weak=_WEAK,
    a0=((), (1,), (Q(1, 4), Q(1, 4))), b0=((), (), (1, Q(1, 2))),
    alpha=(Q(1, 6), Q(1, 6), Q(2, 3)), beta1=(1, 0, 0), beta2=(-1, 1, 0), c0=(0, 1, Q(1, 2)), c1=(1, 0, 0),
    reference="Rossler (2010), SIAM J. Numer. Anal. 48, 922-952: SRA3, third order without noise",
)

SHARK = SRA(
    name="shark", calculi=("ito",), strong=_STRONG, weak=_WEAK,
    a0=((), (Q(5, 6),)),
    w0=((0, Q(-1, 2)), (0, Q(1, 3))), b0=((0, 1), (0, 1)),    # H, and 5/6 dW + H: H = I_(1,0) / h - dW / 2
    alpha=(Q(2, 5), Q(3, 5)), beta1=(1, 0), beta2=(-1, 1), c0=(0, Q(5, 6)), c1=(1, 0),
    reference="Foster, dos Reis, Strange (2023), arXiv:2210.17543, (6.1): shifted additive-noise Runge-Kutta",
)
# fmt: on

STOCHASTIC_TABLEAUS = (SRK, SRA1, SRA2, SRA3, SHARK)

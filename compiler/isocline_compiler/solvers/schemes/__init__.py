"""The schemes that a fixed grid can be walked with, by name."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph.naming import by_name
from isocline_compiler.solvers.schemes.explicit import EXPLICIT
from isocline_compiler.solvers.schemes.exponential import EXPONENTIAL
from isocline_compiler.solvers.schemes.fractional import FRACTIONAL
from isocline_compiler.solvers.schemes.imex import IMEX
from isocline_compiler.solvers.schemes.implicit import IMPLICIT
from isocline_compiler.solvers.schemes.multistep import MULTISTEP
from isocline_compiler.solvers.schemes.partitioned import PARTITIONED
from isocline_compiler.solvers.schemes.rosenbrock import ROSENBROCK
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.stabilised import STABILISED
from isocline_compiler.solvers.schemes.strong import STOCHASTIC

SCHEMES: Mapping[str, Scheme] = by_name(
    *EXPLICIT,
    *STABILISED,
    *MULTISTEP,
    *PARTITIONED,
    *EXPONENTIAL,
    *IMPLICIT,
    *ROSENBROCK,
    *IMEX,
    *FRACTIONAL,
    *STOCHASTIC,
    kind="schemes",
)

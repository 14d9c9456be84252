"""The op table: everything the compiler can compute, one record each, a file for each family."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph import OPERATORS, Op
from isocline_compiler.graph.naming import by_name
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.arithmetic import ARITHMETIC
from isocline_compiler.ops.comparison import COMPARISON
from isocline_compiler.ops.convolution import CONVOLUTION
from isocline_compiler.ops.elementwise import ELEMENTWISE
from isocline_compiler.ops.indexing import INDEXING
from isocline_compiler.ops.inverse import INVERSE
from isocline_compiler.ops.linear import LINEAR_MAPS
from isocline_compiler.ops.linear_algebra import LINEAR_ALGEBRA
from isocline_compiler.ops.lookup import LOOKUPS
from isocline_compiler.ops.matrix import MATRIX
from isocline_compiler.ops.noise import NOISE
from isocline_compiler.ops.normalisation import NORMALISATION
from isocline_compiler.ops.ordering import ORDERING
from isocline_compiler.ops.points import POINTS
from isocline_compiler.ops.pooling import POOLING
from isocline_compiler.ops.reduction import REDUCTION
from isocline_compiler.ops.shaping import SHAPING

OPS: Mapping[str, Op] = by_name(
    *ARITHMETIC,
    *ELEMENTWISE,
    *ACTIVATION,
    *COMPARISON,
    *REDUCTION,
    *LINEAR_MAPS,
    *MATRIX,
    *LINEAR_ALGEBRA,
    INVERSE,
    *SHAPING,
    *INDEXING,
    *LOOKUPS,
    *ORDERING,
    *CONVOLUTION,
    *POOLING,
    *NORMALISATION,
    *NOISE,
    *POINTS,
    kind="operations",
)

OPERATORS.update((name, OPS[name]) for name in ("add", "sub", "mul", "div", "pow", "neg", "matmul"))

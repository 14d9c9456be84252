"""The exponential of a matrix, and its spectral norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op, constant
from isocline_compiler.graph.c_form import NoC
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import NUMPY, Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.ops.elementwise import SQRT, SQUARE
from isocline_compiler.ops.enclosures import LIBRARY, by_torch, middle_and_radius
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

HALVINGS, TERMS = 10, 8
"""Of a matrix that is no literal: it is halved so often, and then so many terms are summed, which is exact to double
precision where its norm is below 2^8.
"""


def _square(a: TensorType) -> TensorType:
    require("matrix_exp", ("real",), a)
    if a.batched or a.rank != 2 or a.shape[0] != a.shape[1]:
        raise misfit("matrix_exp", describe(a), "one square matrix for all samples")
    return a


def _emit(emitter: Emitter, node: Node, a: str) -> str:
    """e^B - 1 with B = A / 2^s by Horner's rule, then s times e^(2B) - 1 = 2 (e^B - 1) + (e^B - 1)^2.

    Squares of e^B itself would round the small part away, s times in a row.
    """
    one = emitter.array(np.eye(int(node.size(0))))
    scaled = emitter.node("Mul", a, emitter.real(2.0**-HALVINGS))
    found = one
    for k in range(TERMS, 1, -1):
        term = emitter.node("Mul", emitter.node("MatMul", scaled, found), emitter.real(1 / k))
        found = emitter.node("Add", one, term)
    found = emitter.node("MatMul", scaled, found)
    for _ in range(HALVINGS):
        twice = emitter.node("Add", found, found)
        found = emitter.node("Add", twice, emitter.node("MatMul", found, found))
    return emitter.node("Add", one, found)


def _expm(a: Array) -> Array:
    return by_torch(lambda torch, x: torch.matrix_exp(x), a)


def _enclose_exp(precision: Precision, a: Interval) -> Interval:
    """|e^(M + E) - e^M| <= e^(|M| + |E|) - e^|M|, entry by entry, as the series says."""
    middle, radius = middle_and_radius(a)
    most = _expm(np.abs(middle) + radius)
    terms = (HALVINGS + TERMS) * (len(middle) + 2)
    room = terms * (precision.unit + NUMPY) * (np.abs(middle) + radius + np.eye(len(middle))) @ most
    centre, spread = _expm(middle), most - _expm(np.abs(middle))
    found = precision.rounded(centre - spread, centre + spread, LIBRARY, room)
    return found.unknown_where(~(most < precision.largest / 2).all() | a.is_unknown)


def _gradient(g: Node, y: Node, a: Node) -> tuple[Node]:
    """The upper right block of exp [[A', G], [0, A']]. Higham (2008), Functions of Matrices, 3.2, 10.6."""
    size = int(a.size(0))
    turned = TRANSPOSE(a, perm=(1, 0))
    upper, lower = CONCAT(turned, g, axis=1), CONCAT(constant(np.zeros((size, size))), turned, axis=1)
    return (
        SLICE(
            SLICE(MATRIX_EXP(CONCAT(upper, lower, axis=0)), axis=0, start=0, stop=size), axis=1, start=size, stop=None
        ),
    )
    whole = MATRIX_EXP(CONCAT(upper, lower, axis=0))
    return (SLICE(SLICE(whole, axis=0, start=0, stop=size), axis=1, start=size, stop=None),)


MATRIX_EXP = Op(
    "matrix_exp", _square, "matrix_exp", _emit, _gradient,
    "e^A, the sum of A^k / k!, of one square matrix.",
    examples=(Example((real(3, 3),), within=((-0.5, 0.5),)),),
    enclose=_enclose_exp, price=lambda node: 10.0,
    c=NoC("it is computed while compiling, of matrices that do not change"),
)  # fmt: skip

SQUARES = 24
"""Of W'W, until what is left is the projection onto its first eigenvector: the power of 2^24 of a power iteration."""
TINY = 1e-30
"""What the norm of a matrix of zeros is divided by."""


def _stack_of_matrices(w: TensorType) -> TensorType:
    require("spectral_norm", ("real",), w)
    if w.batched or w.rank < 2 or any(isinstance(size, str) for size in w.shape):
        raise misfit("spectral_norm", describe(w), "matrices that are the same for all samples")
    return w.with_shape(w.shape[:-2])


def _torch_norm(torch: Any, w: Any) -> Any:
    return torch.linalg.svdvals(w).amax(-1)


def _emit_norm(emitter: Emitter, node: Node, w: str) -> str:
    """sqrt(<W'W, P>/tr P) with P the power 2^24 of W'W: a quotient of Rayleigh, whose error is of second order."""
    rank = node.inputs[0].type.rank
    ends, turned = emitter.ints((-2, -1)), (*range(rank - 2), rank - 1, rank - 2)
    gram = emitter.node("MatMul", emitter.node("Transpose", w, perm=turned), w)

    def scaled(matrix: str) -> str:
        size = emitter.node("ReduceL2", matrix, ends, keepdims=1)
        return emitter.node("Div", matrix, emitter.node("Max", size, emitter.real(TINY)))

    power = scaled(gram)
    for _ in range(SQUARES):
        power = scaled(emitter.node("MatMul", power, power))
    along = emitter.node("ReduceSum", emitter.node("Mul", gram, power), ends, keepdims=0)
    trace = emitter.node("ReduceSum", emitter.node("Mul", power, emitter.array(_eye(node))), ends, keepdims=0)
    return emitter.node("Sqrt", emitter.node("Div", along, emitter.node("Max", trace, emitter.real(TINY))))


def _eye(node: Node) -> Any:
    return np.eye(int(node.inputs[0].shape[-1]))


def _norm_gradient(g: Node, y: Node, w: Node) -> tuple[Node]:
    """u v' = W v v'/sigma, with the projection v v' as a power of W'W. Magnus (1985), Econometric Theory 1, 179-191."""
    rank = w.type.rank
    gram = MATMUL(TRANSPOSE(w, perm=(*range(rank - 2), rank - 1, rank - 2)), w)

    def scaled(matrix: Node) -> Node:
        return matrix / SQRT(REDUCE_SUM(SQUARE(matrix), axes=(rank - 2, rank - 1), keepdims=True))

    power = scaled(gram)
    for _ in range(SQUARES):
        power = scaled(MATMUL(power, power))
    each = (*y.shape, 1, 1)
    return (MATMUL(w, power) * RESHAPE(g / y, shape=each),)


def _enclose_norm(precision: Precision, w: Interval) -> Interval:
    """That of the middle, give or take the Frobenius norm of what is around it. Weyl's inequality."""
    middle, radius = middle_and_radius(w)
    found = np.asarray(by_torch(_torch_norm, middle))
    spread = np.sqrt(np.square(radius).sum((-2, -1)))
    room = (LIBRARY + sum(middle.shape[-2:])) * (precision.unit + NUMPY) * (found + spread)
    ends = precision.rounded(np.maximum(found - spread, 0.0), found + spread, LIBRARY, room)
    return ends.unknown_where(w.is_unknown.any((-2, -1)) | ~np.isfinite(spread))


SPECTRAL_NORM = Op(
    "spectral_norm", _stack_of_matrices, _torch_norm, _emit_norm, _norm_gradient,
    "The largest singular value of each matrix of a stack (..., n, m).",
    examples=(Example((real(3, 4),)), Example((real(2, 3, 3),))),
    smooth=False, enclose=_enclose_norm, price=lambda node: 100.0,
    c=NoC("it is computed while compiling, of weights"),
)  # fmt: skip

MATRIX = (MATRIX_EXP, SPECTRAL_NORM)

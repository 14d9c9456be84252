"""The exponential of a matrix."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Example, Node, Op, constant
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.shapes import misfit, real, require
from isocline_compiler.ops.shaping import TRANSPOSE

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
    """(sum_k B^k / k!)^(2^s) with B = A / 2^s, by Horner's rule and repeated squares."""
    one = emitter.node("EyeLike", a)
    scaled = emitter.node("Mul", a, emitter.real(2.0**-HALVINGS))
    found = one
    for k in range(TERMS, 0, -1):
        term = emitter.node("Mul", emitter.node("MatMul", scaled, found), emitter.real(1 / k))
        found = emitter.node("Add", one, term)
    for _ in range(HALVINGS):
        found = emitter.node("MatMul", found, found)
    return found


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


MATRIX_EXP = Op(
    "matrix_exp", _square, "matrix_exp", _emit, _gradient,
    "e^A, the sum of A^k / k!, of one square matrix.",
    examples=(Example((real(3, 3),)),),
    price=lambda node: 10.0,
)  # fmt: skip

MATRIX = (MATRIX_EXP,)

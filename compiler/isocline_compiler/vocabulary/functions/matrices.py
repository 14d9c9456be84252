"""Linear equations and determinants of small square matrices: functions of one sample's matrix."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import CONSTANT, Fault, Node, constant, topological
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.linear_algebra import DET, LARGEST, LOGDET, eliminated
from isocline_compiler.vocabulary.functions.broadcasting import as_real, offset, sample_rank
from isocline_compiler.vocabulary.functions.kinds import Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl.messages import calls, operations

WRITTEN_OUT = 3
"""Rows up to which a determinant is a polynomial of few terms, whose derivative is right at singular matrices, too."""


def solve_linear(a: Value, b: Value) -> Node:
    """The solution x of A x = b, for A of shape [n, n] and b of shape [n], or [n, m] for m right sides at once.

    By elimination with partial pivoting; n is at most 16. Where A is singular, x is not finite.

    Example: solve_linear(m @ transpose(m), m @ x)
    """
    a, b = _square("solve_linear", a), as_real(b)
    if sample_rank(b) not in (1, 2) or b.type.sample[0] != a.type.sample[0]:
        raise Fault(
            lambda span: calls.shapes_differ(
                span, "solve_linear", describe(a.type), describe(b.type),
                f"the right side is `real[{a.type.sample[0]}]`, or `real[{a.type.sample[0]}, m]`",
            )
        )  # fmt: skip
    _require_regular("solve_linear", a)
    return eliminated(a, b)


def inverse(a: Value) -> Node:
    """The inverse of a matrix of shape [n, n], n at most 16.

    A product with it is `solve_linear`, which is more exact and costs less.

    Example: inverse(m @ transpose(m))
    """
    a = _square("inverse", a)
    _require_regular("inverse", a)
    return eliminated(a, constant(np.eye(int(a.size(-1)))))


def det(a: Value) -> Node:
    """The determinant of a matrix of shape [n, n], n at most 16, with its sign.

    For n above 3 its derivative needs a matrix that is not singular.

    Example: det(m @ transpose(m))
    """
    a = _square("det", a)
    return _polynomial(a) if int(a.size(-1)) <= WRITTEN_OUT else DET(a)


def logdet(a: Value) -> Node:
    """log(|det A|) of a matrix of shape [n, n], n at most 16: the logarithm of the factor by which A changes volumes.

    The sign of the determinant, that of a reflection, is left out; of a singular matrix it is -inf. No product
    overflows. Its derivative is the inverse, transposed.

    Example: logdet(m @ transpose(m))
    """
    return LOGDET(_square("logdet", a))


def trace(a: Value) -> Node:
    """The sum of the diagonal of a matrix of shape [n, n]. Of a Jacobian `divergence` is the same, and cheaper.

    Example: trace(m @ transpose(m))
    """
    a = as_real(a)
    _require_square("trace", a)
    entries = [_entry(a, i, i) for i in range(int(a.size(-1)))]
    return sum(entries[1:], entries[0])


def _square(callee: str, a: Node) -> Node:
    """A matrix that can be eliminated. Raises `Fault` for any other."""
    a = as_real(a)
    rows = _require_square(callee, a)
    if rows > LARGEST:
        raise Fault(lambda span: operations.matrix_too_large(span, callee, rows, LARGEST))
    return a


def _require_square(callee: str, a: Node) -> int:
    shape = a.type.sample
    if len(shape) != 2 or shape[0] != shape[1] or not isinstance(shape[0], int):
        raise Fault(lambda span: operations.matrix_not_square(span, callee, describe(a.type)))
    return shape[0]


def _require_regular(callee: str, a: Node) -> None:
    """A matrix of literals has an inverse. Raises `Fault`."""
    order = topological([a])
    if any(not node.inputs and node.op is not CONSTANT for node in order):
        return
    from isocline_compiler.ops.evaluation import evaluated  # torch is loaded when something is known, not before

    (value,) = evaluated([a], {})
    if not np.linalg.cond(value) < 1 / np.finfo(np.float64).eps:
        raise Fault(lambda span: operations.singular_matrix(span, callee))


def _entry(a: Node, row: int, column: int) -> Node:
    at = offset(a)
    return SELECT(SELECT(a, axis=at, index=row), axis=at, index=column)


def _polynomial(a: Node) -> Node:
    """The expansion along the first row."""
    rows = int(a.size(-1))
    entries = [[_entry(a, i, j) for j in range(rows)] for i in range(rows)]
    return _expanded(entries)


def _expanded(entries: list[list[Node]]) -> Node:
    first, *others = entries
    if not others:
        return first[0]
    total: Node | None = None
    for j, factor in enumerate(first):
        term = factor * _expanded([row[:j] + row[j + 1 :] for row in others])
        total = term if total is None else total + term if j % 2 == 0 else total - term
    assert total is not None
    return total


MATRICES = functions("matrix", solve_linear, inverse, det, logdet, trace)

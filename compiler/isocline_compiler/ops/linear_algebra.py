"""Systems of linear equations and determinants of small matrices, by Gaussian elimination with partial pivoting.

ONNX has operators for neither, so the elimination is written out: a column at a time, for all matrices of a batch at
once, about twenty operators a column. In torch it is LAPACK's. Two equations are solved by Cramer's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op, constant
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import NUMPY, Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType, broadcast
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.c_kernels import DET_IN_C, LOGDET_IN_C, SOLVE_IN_C
from isocline_compiler.ops.enclosures import LIBRARY
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.shapes import misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

LARGEST = 16
"""Rows of a matrix: the operators of an elimination grow with them, the entries that it moves with their cube."""


def eliminated(a: Node, b: Node) -> Node:
    """The solution x of a x = b: a is (..., n, n); b is (..., n, m), or a vector (n,), or (batch, n)."""
    if len(b.type.sample) != 1:
        return SOLVE_LINEAR(a, b)
    x = SOLVE_LINEAR(a, RESHAPE(b, shape=(*b.shape, 1)))
    return RESHAPE(x, shape=x.shape[:-1])


def transposed(a: Node) -> Node:
    """The last two axes exchanged."""
    rank = a.type.rank
    return TRANSPOSE(a, perm=(*range(rank - 2), rank - 1, rank - 2))


# ---------------------------------------------------------------------------------------------------- types


def _square(operation: str, a: TensorType) -> int:
    """The rows of a square matrix, known when compiling; else a fault."""
    require(operation, ("real",), a)
    rows = a.shape[-1] if a.rank > 1 else None
    if not isinstance(rows, int) or a.shape[-2] != rows or rows > LARGEST:
        raise misfit(operation, (a,), f"square matrices of at most {LARGEST} rows")
    return rows


def _solution(a: TensorType, b: TensorType) -> TensorType:
    rows = _square("solve_linear", a)
    require("solve_linear", ("real",), a, b)
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    if b.rank < 2 or b.shape[-2] != rows or lead is None:
        raise misfit("solve_linear", (a, b), "right sides with as many rows as the matrix")
    return b.with_shape((*lead, *b.shape[-2:]))


def _determinant(a: TensorType) -> TensorType:
    _square("a determinant", a)
    return a.with_shape(a.shape[:-2])


# ---------------------------------------------------------------------------------------------------- torch


def wide(torch: Any, x: Any) -> Any:
    """LAPACK has no half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _torch_solve(torch: Any, a: Any, b: Any) -> Any:
    """What is singular has a solution that is not finite, and is no error: other samples have theirs."""
    lead = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    found = torch.linalg.solve_ex(wide(torch, a), wide(torch, b.expand(*lead, *b.shape[-2:])))
    return found.result.to(b.dtype)


def _torch_det(torch: Any, a: Any) -> Any:
    return torch.linalg.det(wide(torch, a)).to(a.dtype)


def _torch_logdet(torch: Any, a: Any) -> Any:
    return torch.linalg.slogdet(wide(torch, a)).logabsdet.to(a.dtype)


# ---------------------------------------------------------------------------------------------------- onnx


@dataclass(frozen=True)
class _Pivot:
    """What column k of an elimination leaves: `d`, the rest of its row in a and the row of b, and where it stood."""

    d: str
    rest: str
    right: str
    place: str


class _Elimination:
    """Writes the elimination of (..., n, n) matrices, with or without right sides (..., n, m).

    In column c of what is left of the matrix, the row p with the largest |c_p| is the pivot's. It is taken out, and
    c_i / c_p of it from every other row i; of itself all of it, which leaves zeros, so that no row moves.
    """

    def __init__(self, emitter: Emitter, rows: int, lead: int) -> None:
        self.emitter, self.rows, self.lead = emitter, rows, lead
        self.across = emitter.ints(list(range(rows)))
        self.down = emitter.once("Unsqueeze", self.across, emitter.ints([1]))

    def pivots(self, a: str, b: str = "") -> list[_Pivot]:
        """All columns, one after another."""
        found = []
        for left in range(self.rows, 0, -1):
            column = self.columns(a, 0, 1)
            place = self.emitter.node("ArgMax", self.emitter.node("Abs", column), axis=self.lead)
            pivot = self.pivot(place, a, b, left)
            found.append(pivot)
            if left > 1:
                factors = self.factors(place, column, pivot.d, guarded=not b)
                a = self.without(self.columns(a, 1, left), factors, pivot.rest)
                b = self.without(b, factors, pivot.right) if b else b
        return found

    def pivot(self, place: str, a: str, b: str, left: int) -> _Pivot:
        """The row at a place, taken apart, where `left` columns are left."""
        node = self.emitter.node
        chosen = node("Cast", node("Equal", place, self.across), to=self.emitter.elements("real"))
        row = node("MatMul", chosen, a)
        right = node("MatMul", chosen, b) if b else ""
        rest = self.columns(row, 1, left) if left > 1 else ""
        return _Pivot(self.columns(row, 0, 1), rest, right, place)

    def factors(self, place: str, column: str, d: str, guarded: bool) -> str:
        """How often to take the pivot's row from each row: c_i / d, and once of itself.

        `guarded`: of a column of zeros 0, so that a singular matrix has the determinant 0 and not 0/0.
        """
        node, one = self.emitter.node, self.emitter.real(1.0)
        if guarded:
            d = node("Where", node("Equal", d, self.emitter.real(0.0)), one, d)
        return node("Where", node("Equal", place, self.down), one, node("Div", column, d))

    def columns(self, a: str, start: int, stop: int) -> str:
        """Columns start to stop - 1."""
        bounds = [self.emitter.ints([item]) for item in (start, stop, self.lead + 1)]
        return self.emitter.node("Slice", a, *bounds)

    def without(self, a: str, factors: str, row: str) -> str:
        """Each row less its factor times one row."""
        return self.emitter.node("Sub", a, self.emitter.node("Mul", factors, row))


def _emit_solve(emitter: Emitter, node: Node, a: str, b: str) -> str:
    """Elimination, then the unknowns from the last to the first: x_k = (b_k - sum_j a_kj x_j) / d_k."""
    rows = int(node.inputs[0].size(-1))
    if rows == 1:
        return emitter.node("Div", b, a)
    if rows == 2:
        return _emit_by_adjugate(emitter, node.inputs[0], a, b)
    lead = node.type.rank - 2
    # with as many axes as the result, so that what is stacked has one shape
    a, b = (
        emitter.node("Unsqueeze", name, emitter.ints(list(range(node.type.rank - item.type.rank))))
        if item.type.rank < node.type.rank
        else name
        for name, item in zip((a, b), node.inputs, strict=True)
    )
    return emitted_solution(emitter, rows, lead, a, b)


def emitted_solution(emitter: Emitter, rows: int, lead: int, a: str, b: str) -> str:
    """The solution of a x = b by elimination, for a of (..., n, n) and b of as many axes, whose rows are at `lead`."""
    # rows of one size: which is the largest pivot does not depend on the units of an equation
    size = emitter.node("ReduceMax", emitter.node("Abs", a), emitter.ints([lead + 1]), keepdims=1)
    a, b = emitter.node("Div", a, size), emitter.node("Div", b, size)
    x = ""
    for pivot in reversed(_Elimination(emitter, rows, lead).pivots(a, b)):
        rest = emitter.node("Sub", pivot.right, emitter.node("MatMul", pivot.rest, x)) if x else pivot.right
        value = emitter.node("Div", rest, pivot.d)
        x = emitter.node("Concat", value, x, axis=lead) if x else value
    return x


def _emit_by_adjugate(emitter: Emitter, a: Node, name: str, b: str) -> str:
    """Of two rows x = adj(A) b / det A, as exact as elimination and a quarter of its operators.

    Higham (2002), Accuracy and Stability of Numerical Algorithms, 1.10.1: forward stable, for two rows alone.
    """
    lead = a.type.rank - 2
    signs = emitter.once("Cast", emitter.ints([1, -1, -1, 1]), to=emitter.elements("real"))
    entries = emitter.node("Reshape", name, emitter.ints([0] * lead + [4]))
    entries = emitter.node("Mul", emitter.node("Gather", entries, emitter.ints([3, 2, 1, 0]), axis=lead), signs)
    cofactors = emitter.node("Reshape", entries, emitter.ints([0] * lead + [2, 2]))
    # products and their sum one by one: a MatMul may fuse them, and of rows that are alike leave a determinant not 0
    first = (emitter.node("Slice", item, *(emitter.ints([i]) for i in (0, 1, lead))) for item in (name, cofactors))
    det = emitter.node("ReduceSum", emitter.node("Mul", *first), emitter.ints([lead + 1]), keepdims=1)
    adjugate = emitter.node("Transpose", cofactors, perm=[*range(lead), lead + 1, lead])
    return emitter.node("Div", emitter.node("MatMul", adjugate, b), det)


def _emit_logdet(emitter: Emitter, node: Node, a: str) -> str:
    """The sum of the logarithms of the pivots."""
    lead = node.type.rank
    pivots = _Elimination(emitter, int(node.inputs[0].size(-1)), lead).pivots(a)
    diagonal = emitter.node("Concat", *(pivot.d for pivot in pivots), axis=lead)
    logs = emitter.node("Log", emitter.node("Abs", diagonal))
    return emitter.node("ReduceSum", logs, emitter.ints([lead, lead + 1]), keepdims=0)


def _emit_det(emitter: Emitter, node: Node, a: str) -> str:
    """The product of the pivots, with the sign of their order: -1 where an odd number of pairs is turned around."""
    lead, axes = node.type.rank, emitter.ints([node.type.rank, node.type.rank + 1])
    pivots = _Elimination(emitter, int(node.inputs[0].size(-1)), lead).pivots(a)
    value = _product(emitter, [pivot.d for pivot in pivots])
    down, across = (emitter.node("Concat", *(pivot.place for pivot in pivots), axis=lead + i) for i in range(2))
    later = [int(i < j) for i in range(len(pivots)) for j in range(len(pivots))]
    pairs = emitter.once("Reshape", emitter.ints(later), emitter.ints([len(pivots)] * 2))
    turned = emitter.node("Mul", emitter.node("Cast", emitter.node("Greater", down, across), to=_INT64), pairs)
    odd = emitter.node("Mod", emitter.node("ReduceSum", turned, axes, keepdims=1), emitter.integer(2))
    signed = emitter.node("Where", emitter.node("Equal", odd, emitter.integer(1)), emitter.node("Neg", value), value)
    return emitter.node("Squeeze", signed, axes)


def _product(emitter: Emitter, factors: Sequence[str]) -> str:
    found = factors[0]
    for factor in factors[1:]:
        found = emitter.node("Mul", found, factor)
    return found


_INT64 = 7
"""The element type of ONNX."""

# ---------------------------------------------------------------------------------------------------- derivatives


def _grad_solve(g: Node, y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """db = A^-T g and dA = -db x^T, of A dx = db - dA x."""
    to_b = SOLVE_LINEAR(transposed(a), g)
    return (sum_to(-MATMUL(to_b, transposed(y)), a), sum_to(to_b, b))


def _grad_logdet(g: Node, y: Node, a: Node) -> tuple[Node]:
    """d log|det A| = tr(A^-1 dA)."""
    return (RESHAPE(g, shape=(*g.shape, 1, 1)) * _inverse_transposed(a),)


def _grad_det(g: Node, y: Node, a: Node) -> tuple[Node]:
    """d det A = det A tr(A^-1 dA), where A is not singular."""
    return _grad_logdet(g * y, y, a)


def _inverse_transposed(a: Node) -> Node:
    return SOLVE_LINEAR(transposed(a), constant(np.eye(int(a.size(-1)))))


# ---------------------------------------------------------------------------------------------------- enclosures


@dataclass(frozen=True, eq=False)
class _Around:
    """The matrices that an elimination in some precision may be exact for: M (I + G) with |G| <= `spread`."""

    middle: Array
    inverse: Array
    spread: Array

    @property
    def enclosed(self) -> Array:
        """Where all of them have an inverse."""
        found: Array = self.spread < 0.5
        return found


def _around(precision: Precision, a: Interval, gamma: float) -> _Around:
    """What an elimination gives is exact for a matrix A + E, |E| <= `gamma` n u |L||U|.

    |L| <= 1, and row k of U is at most 2^k times the largest entry of A; norms are the largest sums of a row.
    Higham (2002), Accuracy and Stability of Numerical Algorithms, 9.3 and 9.4.
    """
    n = a.low.shape[-1]
    middle = 0.5 * a.low + 0.5 * a.high
    inverse = _inverse(middle)
    growth = a.size.max((-2, -1)) * (2.0 ** (n + 1) - n - 2)
    rounding = 1.01 * gamma * n * (precision.unit + NUMPY) * growth + n * n * (1.0 + growth) * precision.smallest
    missed = _norm(np.eye(n) - inverse @ middle) + n * n * NUMPY * _norm(np.abs(inverse) @ np.abs(middle))
    moved = _norm(np.abs(inverse) @ (a.high - middle)) + _norm(inverse) * rounding
    spread = moved / np.where(missed < 0.5, 1.0 - missed, np.nan) * (1.0 + NUMPY)
    return _Around(middle, inverse, np.where(growth < precision.largest / 2, spread, np.nan))


def _inverse(a: Array) -> Array:
    try:
        found: Array = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)
    return found


def _norm(a: Array) -> Array:
    found: Array = np.abs(a).sum(-1).max(-1)
    return found


def enclose_solution(precision: Precision, a: Interval, b: Interval) -> Interval:
    """|x - M^-1 m| <= |M^-1| r / (1 - s) + s / (1 - s) |M^-1 m|, for b = m +- r; dividing rows takes half a `gamma`."""
    around, middle = _around(precision, a, 3.5), 0.5 * b.low + 0.5 * b.high
    spread = around.spread[..., None, None]
    centre = around.inverse @ middle
    wide = np.abs(around.inverse) @ (b.high - middle + b.size * NUMPY)
    size, extra = (part.max(-2, keepdims=True) for part in (np.abs(centre) + wide, wide))
    room = (size * (spread + 8 * NUMPY) + extra) / (1 - spread)
    found = precision.rounded(centre - room, centre + room)
    return found.unknown_where(np.broadcast_to(~around.enclosed[..., None, None], found.low.shape))


def _enclose_logdet(precision: Precision, a: Interval) -> Interval:
    """log|det A| lies within n log(1 - s) of that of the middle: every eigenvalue of I + G is within s of 1."""
    around, n = _around(precision, a, 1.0), a.low.shape[-1]
    centre = np.linalg.slogdet(around.middle).logabsdet
    room = -n * np.log1p(-around.spread) * 1.01
    # the logarithms of pivots are rounded: those above 0 add up to n log(2^n max |A|) at most, the others to the rest
    above = n * np.log(np.maximum(2.0**n * a.size.max((-2, -1)), 1.0))
    logs = (2 * above + np.abs(centre) + room) * (LIBRARY + n) * (precision.unit + NUMPY)
    found = precision.rounded(centre - room, centre + room, absolute=logs)
    return found.unknown_where(~around.enclosed)


def _enclose_det(precision: Precision, a: Interval) -> Interval:
    """det A lies between (1 - s)^n and (1 + s)^n times that of the middle."""
    around, n = _around(precision, a, 1.0), a.low.shape[-1]
    centre = np.linalg.det(around.middle)
    ends = centre * (1 - around.spread) ** n, centre * (1 + around.spread) ** n
    found = precision.rounded(np.minimum(*ends), np.maximum(*ends), 2.0 * n, n * precision.smallest)
    return found.unknown_where(~around.enclosed)


def _price(power: int) -> Callable[[Node], float]:
    """A nanosecond for each entry of a matrix and each column, spread over the entries of the result."""

    def price(node: Node) -> float:
        return float(int(node.inputs[0].size(-1)) ** power)

    return price


# ---------------------------------------------------------------------------------------------------- records

SOLVE_LINEAR: Op = Op(
    "solve_linear", _solution, _torch_solve, _emit_solve, _grad_solve,
    "The solution X of A X = B: A is (..., n, n), B is (..., n, m), and the axes before broadcast.",
    examples=(
        Example((real("batch", 1, 1), real("batch", 1, 2)), within=((0.5, 2.0), (-2.0, 2.0))),
        Example((real("batch", 2, 2), real("batch", 2, 1))),
        Example((real(3, 3), real("batch", 3, 2))),
        Example((real("batch", 3, 3), real(3, 1)), within=((-2.0, 2.0), (-0.5, 0.5))),
        Example((real("batch", 2, 2, 2), real(2, 2, 3))),
    ),
    broadcasts=True,
    enclose=enclose_solution, price=_price(2), c=SOLVE_IN_C,
)  # fmt: skip
LOGDET = Op(
    "logdet", _determinant, _torch_logdet, _emit_logdet, _grad_logdet,
    "The logarithm of |det A|, which is -inf for a singular matrix: A is (..., n, n).",
    examples=(
        Example((real("batch", 1, 1),), within=((0.5, 2.0),)),
        Example((real("batch", 3, 3),)),
        Example((real(2, 2),)),
    ),
    enclose=_enclose_logdet, price=_price(3), c=LOGDET_IN_C,
)  # fmt: skip
DET = Op(
    "det", _determinant, _torch_det, _emit_det, _grad_det, "The determinant of A, (..., n, n).",
    examples=(
        Example((real("batch", 3, 3),)),
        Example((real(4, 4),), within=((-1.0, 1.0),)),
        Example((real("batch", 1, 1),)),
    ),
    enclose=_enclose_det, price=_price(3), c=DET_IN_C,
)  # fmt: skip

LINEAR_ALGEBRA = (SOLVE_LINEAR, LOGDET, DET)

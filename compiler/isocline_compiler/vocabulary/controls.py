r"""Control paths: functions of time through given values at given times (knots), and how fast they change.

On the piece t_i <= t < t_{i+1}, of width h, with s = (t - t_i)/h, a path and its rate are sums of rows of its tables,

    u(t) = sum_k w_k(t) x_{i + k},      u'(t) = sum_k w'_k(t) x_{i + k},

whose weights depend on the time and the knots alone: where those are known the weights are literals, and a value is one
row lookup and one sum. Beyond the last knot the last piece goes on, before the first knot the first one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Fault, Node, constant, value_of
from isocline_compiler.graph.naming import by_name
from isocline_compiler.ops.comparison import LESS, WHERE
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_dsl.messages import driven

Weights: TypeAlias = "Mapping[int, Node]"
"""What the row at each offset from the piece's own is multiplied by."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Where a time lies among the knots."""

    knots: Node
    t: Node
    last: bool

    def rows(self, table: Node, offsets: Sequence[int]) -> Node:
        """Rows of a table (n, ...) or (batch, n, ...) around the piece: (k, ...) or (batch, k, ...)."""
        return LOOKUP(table, self.knots, self.t, offsets=tuple(offsets), own=table.type.batched, last=self.last)

    @cached_property
    def ends(self) -> tuple[Node, Node]:
        """t_i and t_{i+1}, one number or one for each sample."""
        rows = self.rows(self.knots, (0, 1))
        first, second = (SELECT(rows, axis=rows.type.rank - 1, index=k) for k in (0, 1))
        return first, second

    @property
    def before(self) -> Node:
        """t_{i-1}; that of the first piece is its own begin."""
        rows = self.rows(self.knots, (-1,))
        return SELECT(rows, axis=rows.type.rank - 1, index=0)

    @property
    def first(self) -> Node:
        """1 on the first piece, which has no row before it, else 0."""
        count = self.knots.type.sample[0]
        if not isinstance(count, int):
            return WHERE(LESS(self.before, self.ends[0]), constant(0.0), constant(1.0))
        rows = self.rows(constant(np.eye(count)[0]), (0,))
        return SELECT(rows, axis=rows.type.rank - 1, index=0)

    @property
    def width(self) -> Node:
        """h = t_{i+1} - t_i."""
        return self.ends[1] - self.ends[0]

    @property
    def progress(self) -> Node:
        """s = (t - t_i)/h."""
        return (self.t - self.ends[0]) / self.width

    def combined(self, table: Node, weights: Weights) -> Node:
        """sum_k w_k x_{i + k}; a single row is the value."""
        rows = self.rows(table, list(weights))
        axis = int(rows.type.batched)
        if len(weights) == 1:
            return SELECT(rows, axis=axis, index=0)
        inner = rows.type.rank - axis - 1
        columns = [RESHAPE(w, shape=(*w.shape, 1)) for w in weights.values()]
        w = CONCAT(*columns, axis=columns[0].type.rank - 1)
        return REDUCE_SUM(rows * RESHAPE(w, shape=(*w.shape, *(1,) * inner)), axes=(axis,), keepdims=False)


@dataclass(frozen=True, eq=False)
class ControlPath:
    """A control with its values: `tables` (n, ...) or (batch, n, ...), knots (n,) or (batch, n)."""

    name: str
    kind: Interpolant
    knots: Node
    tables: tuple[Node, ...]

    @property
    def leaves(self) -> tuple[Node, ...]:
        return (self.knots, *self.tables)

    def with_leaves(self, leaves: Sequence[Node]) -> ControlPath:
        return ControlPath(self.name, self.kind, leaves[0], tuple(leaves[1:]))

    def at(self, t: Node) -> Node:
        """u(t): the shape of one value."""
        return self._sum(t, self.kind.value)

    def rate(self, t: Node, written: str) -> Node:
        """u'(t), which the file has `written` so; at a knot that of the piece that begins there. Raises Fault where the
        path jumps.
        """
        if self.kind.rate is None:
            raise Fault(lambda span: driven.held_control_has_no_rate(span, self.name, written))
        return self._sum(t, self.kind.rate)

    def _sum(self, t: Node, weights: Callable[[Piece], Sequence[Weights]]) -> Node:
        piece = Piece(self.knots, t, self.kind.jumps)
        parts = [piece.combined(table, w) for table, w in zip(self.tables, weights(piece), strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


@dataclass(frozen=True)
class Interpolant:
    """One way from values at knots to a function of time.

    `value` and `rate` give the weights of the rows of each table, `tables` the tables of the given values; `least` is
    how many knots it needs, `jumps` whether it is constant between them, `order` how often it can be derived at them.
    """

    name: str
    value: Callable[[Piece], Sequence[Weights]]
    rate: Callable[[Piece], Sequence[Weights]] | None
    tables: Callable[[Node, Node], tuple[Node, ...]]
    least: int
    order: int
    doc: str
    jumps: bool = False
    example: str = ""


def _values_alone(knots: Node, values: Node) -> tuple[Node, ...]:
    return (values,)


# ---------------------------------------------------------------------------------------------------- hold


def _held(piece: Piece) -> Sequence[Weights]:
    return ({0: constant(1.0)},)


# ---------------------------------------------------------------------------------------------------- linear


def _linear(piece: Piece) -> Sequence[Weights]:
    s = piece.progress
    return ({0: 1.0 - s, 1: s},)


def _linear_rate(piece: Piece) -> Sequence[Weights]:
    slope = 1.0 / piece.width
    return ({0: -slope, 1: slope},)


# ---------------------------------------------------------------------------------------------------- hermite


def _hermite(piece: Piece) -> Sequence[Weights]:
    """Cubic Hermite with the backward difference of each knot as its slope there, the forward one at the first."""
    s = piece.progress
    return _of_slopes(piece, (2.0 * s - 3.0) * s * s + 1.0, ((s - 2.0) * s + 1.0) * s, (s - 1.0) * s * s, 1.0)


def _hermite_rate(piece: Piece) -> Sequence[Weights]:
    s, h = piece.progress, piece.width
    (found,) = _of_slopes(piece, (6.0 * s - 6.0) * s, (3.0 * s - 4.0) * s + 1.0, (3.0 * s - 2.0) * s, 0.0)
    return ({offset: w / h for offset, w in found.items()},)


def _of_slopes(piece: Piece, begin: Node, slope_here: Node, slope_there: Node, total: float) -> Sequence[Weights]:
    """Rows -1, 0, 1 from the basis functions h00, h10 and h11; h01 is what is left of the total."""
    first = piece.first
    before = piece.ends[0] - piece.before + first
    earlier = (1.0 - first) * slope_here * piece.width / before
    forward = first * slope_here
    here = begin - slope_there + earlier - forward
    return ({-1: -earlier, 0: here, 1: (total - begin) + slope_there + forward},)


# ---------------------------------------------------------------------------------------------------- cubic


def _cubic(piece: Piece) -> Sequence[Weights]:
    s, sixth = piece.progress, piece.width * piece.width * (1.0 / 6.0)
    r = 1.0 - s
    return ({0: r, 1: s}, {0: (r * r - 1.0) * r * sixth, 1: (s * s - 1.0) * s * sixth})


def _cubic_rate(piece: Piece) -> Sequence[Weights]:
    s, h = piece.progress, piece.width
    r, sixth = 1.0 - s, h * (1.0 / 6.0)
    return ({0: -1.0 / h, 1: 1.0 / h}, {0: (1.0 - 3.0 * r * r) * sixth, 1: (3.0 * s * s - 1.0) * sixth})


MOST_KNOTS = 512
"""Knots of a natural spline or a log-signature: each is a product with a matrix of so many rows."""


def _curvatures(knots: Node, values: Node) -> tuple[Node, ...]:
    """The values and the second derivatives of the natural spline at the knots, linear in the values."""
    known = value_of(knots)
    if known is None:
        raise Fault(lambda span: driven.spline_of_unknown_knots(span))
    if len(known) > MOST_KNOTS:
        raise Fault(lambda span: driven.spline_of_many_knots(span, len(known), MOST_KNOTS))
    matrix = constant(natural_spline(known))
    lead = int(values.type.batched)
    moved = TRANSPOSE(values, perm=(*range(lead), *range(lead + 1, values.type.rank), lead))
    found = MATMUL(moved, TRANSPOSE(matrix, perm=(1, 0)))
    return values, TRANSPOSE(found, perm=(*range(lead), values.type.rank - 1, *range(lead, values.type.rank - 1)))


def natural_spline(knots: Array) -> Array:
    """The matrix from values at the knots to the second derivatives there of the spline that has none at its ends.

    h_{i-1} M_{i-1} + 2 (h_{i-1} + h_i) M_i + h_i M_{i+1} = 6 ((x_{i+1} - x_i)/h_i - (x_i - x_{i-1})/h_{i-1})
    """
    n, h = len(knots), np.diff(knots)
    left, right = np.eye(n), np.zeros((n, n))
    for i in range(1, n - 1):
        left[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i, i - 1 : i + 2] = 6 / h[i - 1], -6 / h[i - 1] - 6 / h[i], 6 / h[i]
    found: Array = np.linalg.solve(left, right)
    return found


INTERPOLANTS: Mapping[str, Interpolant] = by_name(
    Interpolant(
        "hold", _held, None, _values_alone, 1, -1,
        "The last value that was given: constant from each knot to the next, with a jump at every knot.",
        jumps=True, example="hold(rates, at=[0, 6, 12])",
    ),
    Interpolant(
        "linear", _linear, _linear_rate, _values_alone, 2, 0,
        "Straight lines between the values.", example="linear(us, step=0.1)",
    ),
    Interpolant(
        "hermite", _hermite, _hermite_rate, _values_alone, 2, 1,
        "Cubic Hermite pieces with backward differences as slopes: what comes later changes nothing before the last "
        "knot. Morrill, Kidger, Yang, Lyons (2022), arXiv:2106.11028.", example="hermite(xs, at=ts)",
    ),
    Interpolant(
        "cubic", _cubic, _cubic_rate, _curvatures, 3, 2,
        "The natural cubic spline: twice differentiable, no curvature at its ends. The knots are known when compiling.",
        example="cubic(us, step=0.5)",
    ),
)  # fmt: skip
"""How a control may go through its values."""


# ---------------------------------------------------------------------------------------------------- log-signatures


def log_signature(knots: Array, values: Node, window: int) -> tuple[Array, Node]:
    r"""The path of log-signatures of depth 2 over windows of pieces: its knots, and its values there, as a linear path.

    Over a window the straight lines through the values x have the increments d_i and the areas
    A_ij = 1/2 int (x_i dx_j - x_j dx_i), i < j: the path moves by (d, A), evenly. (n, m) -> (w + 1, m + m(m - 1)/2).
    Morrill, Salvi, Kidger, Foster (2021), Neural rough differential equations, arXiv:2009.08295.
    """
    n, m = len(knots), int(values.size(-1))
    edges = [*range(0, n - 1, window), n - 1]
    lead = int(values.type.batched)
    steps = SLICE(values, axis=lead, start=1, stop=n) - SLICE(values, axis=lead, start=0, stop=n - 1)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    first, second = (constant(np.array([pair[k] for pair in pairs], dtype=np.int64)) for k in (0, 1))
    # x - x_begin at the middle of each piece: the area of a straight piece is that of its middle
    middle = MATMUL(constant(_to_middles(n - 1, edges)), steps)
    sums = constant(_window_sums(n - 1, edges))
    d = MATMUL(sums, steps)
    if pairs:

        def entry(x: Node, which: Node) -> Node:
            return GATHER(x, which, axis=x.type.rank - 1)

        areas = 0.5 * (entry(middle, first) * entry(steps, second) - entry(middle, second) * entry(steps, first))
        d = CONCAT(d, MATMUL(sums, areas), axis=d.type.rank - 1)
    walked = MATMUL(constant(np.tril(np.ones((len(edges), len(edges) - 1)), -1)), d)
    return knots[edges], walked


def _to_middles(pieces: int, edges: Sequence[int]) -> Array:
    """Steps to the displacements from the window's begin at the middles of its pieces."""
    found = np.zeros((pieces, pieces))
    for a, b in itertools.pairwise(edges):
        found[a:b, a:b] = np.tril(np.ones((b - a, b - a)), -1) + 0.5 * np.eye(b - a)
    return found


def _window_sums(pieces: int, edges: Sequence[int]) -> Array:
    found = np.zeros((len(edges) - 1, pieces))
    for row, (a, b) in enumerate(itertools.pairwise(edges)):
        found[row, a:b] = 1.0
    return found


__all__ = ["INTERPOLANTS", "ControlPath", "Interpolant", "log_signature", "natural_spline"]

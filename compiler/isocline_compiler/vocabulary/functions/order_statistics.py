"""Quantiles: numbers from the order of the entries, along axes of a sample or over an ensemble."""

from __future__ import annotations

import math

from isocline_compiler.graph import Node
from isocline_compiler.ops.indexing import CONCAT, SELECT
from isocline_compiler.ops.ordering import SORT
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_compiler.vocabulary.functions.broadcasting import as_real, insert_axis, known_size, offset
from isocline_compiler.vocabulary.functions.kinds import Axes, Flag, Levels, Value, Word
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import reduced_axes
from isocline_compiler.vocabulary.functions.scope import Scope


def quantile(
    x: Value, q: Levels, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The quantile, the number that a part q of the entries lie below; straight between two neighbours.

    (1 - f) x_(k) + f x_(k+1) of the entries x_(0) <= ... <= x_(n-1) in order, where k + f = q (n - 1) and k is whole:
    numpy's method `linear`. A list of q gives a first axis with a quantile each.

    Example: quantile(x, [0.05, 0.5, 0.95])

    Hyndman, Fan (1996), definition 7.
    """
    places = reduced_axes("quantile", x, axes, scope, axis, over)
    found = [_quantile(as_real(x), level, places, keep) for level in (q if isinstance(q, tuple) else (q,))]
    if not isinstance(q, tuple):
        return found[0]
    return CONCAT(*(insert_axis(node, 0) for node in found), axis=offset(found[0]))


def median(
    x: Value, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The number in the middle of the entries in order, or the mean of the two there: `quantile(x, 0.5)`.

    Example: median(series, axis=0)
    """
    return _quantile(as_real(x), 0.5, reduced_axes("median", x, axes, scope, axis, over), keep)


def _quantile(x: Node, level: float, axes: tuple[int, ...], keep: bool) -> Node:
    """Of a real value along axes of the graph; a single entry is its own quantile."""
    if not axes:
        return x
    ordered, at = _ordered(x, axes)
    place = level * (int(ordered.size(at)) - 1)
    below = math.floor(place)
    found, part = SELECT(ordered, axis=at, index=below), place - below
    if part > 0:
        # not a + f (b - a): two infinite neighbours are their own quantile, and intervals stay narrow
        found = (1.0 - part) * found + part * SELECT(ordered, axis=at, index=below + 1)
    return RESHAPE(found, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape))) if keep else found


def _ordered(x: Node, axes: tuple[int, ...]) -> tuple[Node, int]:
    """The entries in order, and the axis along which they are; several axes become one, the last."""
    count = math.prod(known_size("quantile", x.size(axis)) for axis in axes)
    if len(axes) > 1:
        kept = tuple(i for i in range(x.type.rank) if i not in axes)
        shape = (*(x.size(i) for i in kept), count)
        x, axes = RESHAPE(TRANSPOSE(x, perm=(*kept, *axes)), shape=shape), (len(kept),)
    return SORT(x, axis=axes[0]), axes[0]


ORDER_STATISTICS = functions("reduction", quantile, median)

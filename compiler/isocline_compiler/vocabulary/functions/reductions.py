"""From many numbers to one: along axes of a sample, or over all of it.

Without axes, a reduction goes over a whole sample and gives one number for each. In a `check` it goes over the
samples too.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops import OPS
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.ops.normalisation import LOGSUMEXP
from isocline_compiler.ops.reduction import ARGMAX, CUMSUM, REDUCE_SUM
from isocline_compiler.vocabulary.functions.broadcasting import align, as_real, elementwise, graph_axes, graph_axis
from isocline_compiler.vocabulary.functions.ensembles import ensemble_axis
from isocline_compiler.vocabulary.functions.kinds import Axes, Axis, Flag, Value, Word, WordCall
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls, noise


def reduced_axes(
    callee: str, x: Node, axes: Sequence[int] | None, scope: Scope | None, axis: Sequence[int] | None = None,
    over: WordCall | None = None,
) -> tuple[int, ...]:  # fmt: skip
    """The axes of the graph to reduce; all of a sample, and of the split where that is asked, for None.

    `axis` and `axes` are two names of the same argument; `over=samples` says the axis of an ensemble in their place.
    """
    if axes is not None and axis is not None:
        raise Fault(lambda span: calls.argument_given_twice(span, callee, "axes"))
    axes = axes if axis is None else axis
    if over is not None:
        if axes is not None:
            raise Fault(lambda span: noise.over_and_axis(span, callee))
        return (ensemble_axis(callee, x, over),)
    if axes is not None:
        return graph_axes(callee, x, axes)
    first = 0 if scope is not None and scope.whole_split else int(x.type.batched)
    return tuple(range(first, x.type.rank))


def reduce(op: str, x: Node, axes: tuple[int, ...], keep: bool = False) -> Node:
    """Apply a reduction along axes of the graph; nothing to do when there are none."""
    return OPS[op](as_real(x), axes=axes, keepdims=keep) if axes else as_real(x)


def average(x: Node, scope: Scope | None) -> Node:
    """The mean over a sample, and over the split in a check: the last step of every loss."""
    return reduce("reduce_mean", x, reduced_axes("mean", x, None, scope))


def sum_(
    x: Value, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The sum. `keep=true` leaves the axes in place, with size 1.

    Example: sum(x^2)
    """
    return reduce("reduce_sum", x, reduced_axes("sum", x, axes, scope, axis, over), keep)


def mean(
    x: Value, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The mean. `keep=true` leaves the axes in place, with size 1.

    As of `sum`, `min`, `max`, `var`, `std`, `median` and `quantile`, `over=samples` means the axis of samples of a
    stochastic solve, or the samples of the ensemble that `deploy` keeps.

    Example: image |> mean(axes=[1, 2])
    """
    return reduce("reduce_mean", x, reduced_axes("mean", x, axes, scope, axis, over), keep)


def prod(x: Value, axes: Axes | None = None, keep: Flag = False, *, axis: Axes | None = None, scope: Scope) -> Node:
    """The product. `keep=true` leaves the axes in place, with size 1.

    Example: prod(x)
    """
    return reduce("reduce_prod", x, reduced_axes("prod", x, axes, scope, axis), keep)


def max_(
    x: Value, *others: Value, axes: Axes | None = None, keep: Flag = False,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The largest: of several values, entry by entry, or of one value along axes.

    Example: max(x, 0)
    """
    if others:
        return _of_several("max", (x, *others), axes or axis, over)
    return reduce("reduce_max", x, reduced_axes("max", x, axes, scope, axis, over), keep)


def min_(
    x: Value, *others: Value, axes: Axes | None = None, keep: Flag = False,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The smallest: of several values, entry by entry, or of one value along axes.

    Example: min(image, axes=[1, 2])
    """
    if others:
        return _of_several("min", (x, *others), axes or axis, over)
    return reduce("reduce_min", x, reduced_axes("min", x, axes, scope, axis, over), keep)


def _of_several(name: str, values: tuple[Node, ...], axes: Sequence[int] | None, over: WordCall | None) -> Node:
    """Entry by entry; there is no axis to go along."""
    if axes is not None or over is not None:
        keyword = "over" if axes is None else "axis"
        raise Fault(lambda span: calls.unknown_keyword(span, f"{name} of several values", keyword, ()))
    return functools.reduce(lambda a, b: elementwise(f"{name}imum", a, b), values)


def var(
    x: Value, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The variance, mean((x - mean(x))^2).

    Example: var(series, axis=0)
    """
    return _spread(x, reduced_axes("var", x, axes, scope, axis, over), keep)


def std(
    x: Value, axes: Axes | None = None, keep: Flag = False, *,
    axis: Axes | None = None, over: Word | None = None, scope: Scope,
) -> Node:  # fmt: skip
    """The standard deviation, sqrt(var(x)). Its derivative is infinite where all entries are equal.

    Example: std(series, axis=0)
    """
    return elementwise("sqrt", _spread(x, reduced_axes("std", x, axes, scope, axis, over), keep))


def variance(x: Node, axes: tuple[int, ...], keep: bool = False) -> Node:
    """mean((x - mean(x))^2) along axes of the graph."""
    return reduce("reduce_mean", SQUARE(_centred(as_real(x), axes)), axes, keep)


def _spread(x: Node, axes: tuple[int, ...], keep: bool) -> Node:
    """The variance of x - mean(x): what the mean was rounded by is subtracted in the second centring.

    Where entries nearly agree that rounding is as large as they are apart, and would count among their squares. Chan,
    Golub, LeVeque (1983), The American Statistician 37, 242-247, take the square of the second mean off instead.
    """
    return variance(_centred(as_real(x), axes), axes, keep)


def _centred(x: Node, axes: tuple[int, ...]) -> Node:
    """x - mean(x) along axes of the graph."""
    return x - reduce("reduce_mean", x, axes, keep=True)


def norm(x: Value, axes: Axes | None = None, keep: Flag = False, *, axis: Axes | None = None, scope: Scope) -> Node:
    """The Euclidean norm, sqrt(sum(x^2)). Its derivative is infinite at 0.

    Example: norm(x - y)
    """
    axes = reduced_axes("norm", x, axes, scope, axis)
    return elementwise("sqrt", reduce("reduce_sum", elementwise("square", x), axes, keep))


def logsumexp(x: Value, axis: Axis = -1) -> Node:
    """log(sum_j e^x_j) along an axis, without overflow: a smooth maximum.

    Example: logsumexp(x)
    """
    return LOGSUMEXP(as_real(x), axis=graph_axis("logsumexp", x, axis))


def argmax(x: Value, axis: Axis = -1) -> Node:
    """The place of the largest entry along an axis, a whole number; the first one of equals.

    Example: argmax(x) == label
    """
    return ARGMAX(as_real(x), axis=graph_axis("argmax", x, axis))


def cumsum(x: Value, axis: Axis = -1) -> Node:
    """The running sum along an axis.

    Example: cumsum(series, axis=0)
    """
    return CUMSUM(as_real(x), axis=graph_axis("cumsum", x, axis))


def dot(a: Value, b: Value) -> Node:
    """The inner product along the last axis, sum_i a_i b_i.

    Example: dot(x, y)
    """
    for value in (a, b):
        graph_axis("dot", value, -1)
    if a.shape[-1] != b.shape[-1]:
        raise Fault(
            lambda span: calls.shapes_differ(
                span, "dot", describe(a.type), describe(b.type), "the last sizes must be equal"
            )
        )
    left, right = align(as_real(a), as_real(b))
    product = left * right
    return REDUCE_SUM(product, axes=(product.type.rank - 1,), keepdims=False)


REDUCTIONS = functions("reduction", sum_, mean, prod, max_, min_, var, std, norm, logsumexp, argmax, cumsum, dot)

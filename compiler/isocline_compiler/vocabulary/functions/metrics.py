"""Numbers that a `check` states about a whole split. Within `train` they are of one sample."""

from __future__ import annotations

from isocline_compiler.graph import Node
from isocline_compiler.ops.comparison import EQUAL
from isocline_compiler.ops.elementwise import ABS, SQRT, SQUARE
from isocline_compiler.ops.reduction import ARGMAX
from isocline_compiler.vocabulary.functions.broadcasting import align, as_real
from isocline_compiler.vocabulary.functions.kinds import Value
from isocline_compiler.vocabulary.functions.losses import check_label, difference
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import average, reduce, reduced_axes
from isocline_compiler.vocabulary.functions.scope import Scope


def accuracy(scores: Value, label: Value, *, scope: Scope) -> Node:
    """The fraction of labels that have the highest score.

    Example: accuracy(x, label)
    """
    check_label("accuracy", scores, label)
    best = ARGMAX(as_real(scores), axis=scores.type.rank - 1)
    return average(as_real(EQUAL(best, label)), scope)


def rmse(a: Value, b: Value, *, scope: Scope) -> Node:
    """The root of the mean squared error, sqrt(mean((a - b)^2)).

    Example: rmse(x, y)
    """
    return SQRT(average(SQUARE(difference("rmse", a, b)), scope))


def relative_rmse(a: Value, b: Value, *, scope: Scope) -> Node:
    """The root of the mean squared error by the root of the mean square of b: sqrt(mean((a - b)^2)/mean(b^2)).

    Example: relative_rmse(x, y)
    """
    error = average(SQUARE(difference("relative_rmse", a, b)), scope)
    return SQRT(error / average(SQUARE(as_real(b)), scope))


def relative_error(a: Value, b: Value, *, scope: Scope) -> Node:
    """The largest error by the largest entry of b: max(abs(a - b))/max(abs(b)).

    Example: relative_error(x, y)
    """
    error = _largest(difference("relative_error", a, b), scope)
    return error / _largest(as_real(b), scope)


def mape(a: Value, b: Value, *, scope: Scope) -> Node:
    """The mean absolute error in percent of the observation: 100*mean(abs(a - b)/abs(b)), for b without zeros.

    Example: mape(x, y)
    """
    error, observed = align(difference("mape", a, b), as_real(b))
    return 100.0 * average(ABS(error / observed), scope)


def r2(a: Value, b: Value, *, scope: Scope) -> Node:
    """The fraction of the variance of b that a explains: 1 - sum((a - b)^2)/sum((b - mean(b))^2).

    Example: r2(x, y)
    """
    error = average(SQUARE(difference("r2", a, b)), scope)
    observed = as_real(b)
    centred = observed - reduce("reduce_mean", observed, reduced_axes("r2", observed, None, scope), keep=True)
    return 1.0 - error / average(SQUARE(centred), scope)


def _largest(x: Node, scope: Scope) -> Node:
    return reduce("reduce_max", ABS(x), reduced_axes("relative_error", x, None, scope))


METRICS = functions("metric", accuracy, rmse, relative_rmse, relative_error, mape, r2)

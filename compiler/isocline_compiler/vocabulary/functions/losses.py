"""Losses: one number for each sample, the mean over all its entries. In a `check`, one number for the whole split."""

from __future__ import annotations

import math

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.comparison import CLIP
from isocline_compiler.ops.elementwise import ABS, LOG, SQUARE
from isocline_compiler.ops.indexing import ONE_HOT
from isocline_compiler.ops.normalisation import LOG_SOFTMAX
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.functions.broadcasting import align, as_real, known_size, sample_rank
from isocline_compiler.vocabulary.functions.kinds import Positive, Probability, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import average
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls


def difference(callee: str, a: Node, b: Node) -> Node:
    """a - b, where a single number may stand beside an array but no other shapes are stretched.

    A loss between real[24] and real[24, 1] would otherwise compare each entry with all of the others.
    """
    if a.type.sample != b.type.sample and min(sample_rank(a), sample_rank(b)) > 0:
        rule = "both must have the same shape"
        raise Fault(lambda span: calls.shapes_differ(span, callee, describe(a.type), describe(b.type), rule))
    left, right = align(as_real(a), as_real(b))
    return left - right


def mse(a: Value, b: Value, *, scope: Scope) -> Node:
    """The mean squared error, mean((a - b)^2).

    Example: mse(x, y)
    """
    return average(SQUARE(difference("mse", a, b)), scope)


def mae(a: Value, b: Value, *, scope: Scope) -> Node:
    """The mean absolute error, mean(abs(a - b)).

    Example: mae(x, y)
    """
    return average(ABS(difference("mae", a, b)), scope)


def huber(a: Value, b: Value, delta: Positive = 1.0, *, scope: Scope) -> Node:
    """Squared for small errors, straight for large ones.

    The mean of e^2/2 where e = abs(a - b) <= delta, and of delta*(e - delta/2) elsewhere.

    Example: huber(x, y, delta=0.5)

    Huber (1964).
    """
    error = ABS(difference("huber", a, b))
    inner = CLIP(error, low=0.0, high=delta)
    # e - delta/2 beyond delta, and inner*(inner - inner/2) = e^2/2 before it
    return average(inner * (error - 0.5 * inner), scope)


def gaussian_nll(mean: Value, observed: Value, std: Value, *, scope: Scope) -> Node:
    """The negative log-likelihood of independent normal errors.

    mean(((observed - mean)/std)^2/2 + log(std) + log(2*pi)/2). Priors and standard errors take the sum
    over the entries of a sample instead of the mean: the log density of all of it.

    Example: gaussian_nll(x, y, 0.1)
    """
    error, deviation = align(difference("gaussian_nll", observed, mean), as_real(std))
    square = SQUARE(error / deviation)
    return _mean_density(0.5 * square + LOG(deviation) + 0.5 * math.log(2.0 * math.pi), scope)


def cross_entropy(scores: Value, label: Value, smoothing: Probability = 0.0, *, scope: Scope) -> Node:
    """-log(softmax(scores)[label]): the classes of the scores, before any softmax, are on their last axis.

    With `smoothing` s the label counts 1 - s and every class s/n more. Without, it is the log probability of the
    labels, and priors take its sum over the labels of a sample.

    Example: cross_entropy(x, label)
    """
    check_label("cross_entropy", scores, label)
    classes = known_size("cross_entropy", scores.shape[-1])
    logarithms = LOG_SOFTMAX(as_real(scores), axis=scores.type.rank - 1)
    chosen, beside = align(as_real(ONE_HOT(label, depth=classes)), logarithms)
    weights = chosen if smoothing == 0 else (1.0 - smoothing) * chosen + smoothing / classes
    product = weights * beside
    entries = -REDUCE_SUM(product, axes=(product.type.rank - 1,), keepdims=False)
    return _mean_density(entries, scope) if smoothing == 0 else average(entries, scope)


def _mean_density(entries: Node, scope: Scope) -> Node:
    """The mean of -log p over the entries of a sample, which priors and standard errors take as their sum."""
    mean = average(entries, scope)
    scope.density(mean, entries.type.sample)
    return mean


def check_label(callee: str, scores: Node, label: Node) -> None:
    """A label is a class for each row of scores. Raises `Fault`."""
    if label.type.kind == "real":
        raise Fault(lambda span: calls.not_a_class(span, callee, describe(label.type)))
    if scores.type.sample[:-1] != label.type.sample or sample_rank(scores) == 0:
        rule = "the scores have one axis more, with an entry for each class"
        raise Fault(lambda span: calls.shapes_differ(span, callee, describe(scores.type), describe(label.type), rule))


LOSSES = functions("loss", mse, mae, huber, gaussian_nll, cross_entropy)

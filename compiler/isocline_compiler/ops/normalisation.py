"""Softmax and its relatives, batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op
from isocline_compiler.graph.c_form import Rewritten
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Shape, TensorType
from isocline_compiler.ops.elementwise import EXP, LOG, SQRT
from isocline_compiler.ops.enclosures import LIBRARY, difference, log_of_sum, product, quotient, total
from isocline_compiler.ops.reduction import REDUCE_MAX, REDUCE_SUM
from isocline_compiler.ops.shapes import axis_in, misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE


def _along(x: TensorType, *, axis: int) -> TensorType:
    require("softmax", ("real",), x)
    axis_in("softmax", x, axis)
    return x


def _emit_along(operator: str) -> Callable[..., str]:
    def emit(emitter: Emitter, node: Node, x: str) -> str:
        return emitter.node(operator, x, axis=node.attrs["axis"] % node.type.rank)

    return emit


def _grad_softmax(g: Node, y: Node, x: Node, axis: int) -> tuple[Node]:
    return (y * (g - REDUCE_SUM(g * y, axes=(axis,), keepdims=True)),)


def _grad_log_softmax(g: Node, y: Node, x: Node, axis: int) -> tuple[Node]:
    return (g - EXP(y) * REDUCE_SUM(g, axes=(axis,), keepdims=True),)


def _shares(precision: Precision, x: Interval, axis: int) -> tuple[Interval, Array]:
    """x less the logarithm of the sum of e^x, and by how many rounding units its exponential may miss."""
    whole = log_of_sum(precision, x, axis)
    found = Interval(x.low - whole.high, np.minimum(x.high - whole.low, 0.0))
    largest = np.where(np.isfinite(x.size), x.size, 0.0).max(axis, keepdims=True)
    return found.unknown_where(whole.is_unknown), 4.0 * largest + x.low.shape[axis] + LIBRARY


def _enclose_softmax(precision: Precision, x: Interval, axis: int) -> Interval:
    exponent, units = _shares(precision, x, axis)
    return precision.rounded(np.exp(exponent.low), np.exp(exponent.high), units)


def _enclose_log_softmax(precision: Precision, x: Interval, axis: int) -> Interval:
    found, units = _shares(precision, x, axis)
    return precision.rounded(found.low, found.high, LIBRARY, units * precision.unit)


_ALONG = (
    Example((real("batch", 5),), {"axis": 1}),
    Example((real("batch", 3, 2),), {"axis": 1}),
    Example((real(4),), {"axis": -1}),
)


def _shifted(x: Node, axis: int) -> tuple[Node, Node]:
    """x less its largest entry, and that."""
    largest = REDUCE_MAX(x, axes=(axis,), keepdims=True)
    return x - largest, largest


def _softmax(x: Node, axis: int) -> Node:
    grown = EXP(_shifted(x, axis)[0])
    return grown / REDUCE_SUM(grown, axes=(axis,), keepdims=True)


def _log_softmax(x: Node, axis: int) -> Node:
    shifted, _ = _shifted(x, axis)
    return shifted - LOG(REDUCE_SUM(EXP(shifted), axes=(axis,), keepdims=True))


def _logsumexp(x: Node, axis: int, keepdims: bool = False) -> Node:
    shifted, largest = _shifted(x, axis)
    found = LOG(REDUCE_SUM(EXP(shifted), axes=(axis,), keepdims=True)) + largest
    return (
        found
        if keepdims
        else RESHAPE(found, shape=(*x.shape[: axis % x.type.rank], *x.shape[axis % x.type.rank + 1 :]))
    )


SOFTMAX = Op(
    "softmax", _along, lambda torch, x, axis: torch.softmax(x, axis), _emit_along("Softmax"), _grad_softmax,
    "e^x, divided by its sum along an axis.", examples=_ALONG,
    enclose=_enclose_softmax, c=Rewritten(_softmax),
)  # fmt: skip
LOG_SOFTMAX = Op(
    "log_softmax", _along, lambda torch, x, axis: torch.log_softmax(x, axis), _emit_along("LogSoftmax"),
    _grad_log_softmax, "The logarithm of softmax, without overflow.", examples=_ALONG,
    enclose=_enclose_log_softmax, c=Rewritten(_log_softmax),
)  # fmt: skip


def _summed(x: TensorType, *, axis: int, keepdims: bool = False) -> TensorType:
    require("logsumexp", ("real",), x)
    at = axis_in("logsumexp", x, axis)
    return x.with_shape((*x.shape[:at], *((1,) if keepdims else ()), *x.shape[at + 1 :]))


def _torch_logsumexp(torch: Any, x: Any, axis: int, keepdims: bool = False) -> Any:
    return torch.logsumexp(x, axis, keepdim=keepdims)


def _emit_logsumexp(emitter: Emitter, node: Node, x: str) -> str:
    """m + log(sum(e^(x - m))), m the maximum: ReduceLogSumExp need not subtract it."""
    axis = emitter.ints([node.attrs["axis"] % node.inputs[0].type.rank])
    keep = int(node.attrs.get("keepdims", False))
    top = emitter.node("ReduceMax", x, axis, keepdims=1)
    total = emitter.node("ReduceSum", emitter.node("Exp", emitter.node("Sub", x, top)), axis, keepdims=1)
    result = emitter.node("Add", emitter.node("Log", total), top)
    return result if keep else emitter.node("Squeeze", result, axis)


def _grad_logsumexp(g: Node, y: Node, x: Node, axis: int, keepdims: bool = False) -> tuple[Node]:
    kept: Shape = tuple(1 if i == axis % x.type.rank else size for i, size in enumerate(x.shape))
    return (RESHAPE(g, shape=kept) * EXP(x - RESHAPE(y, shape=kept)),)


def _enclose_logsumexp(precision: Precision, x: Interval, axis: int, keepdims: bool = False) -> Interval:
    found = log_of_sum(precision, x, axis)
    return found if keepdims else Interval(found.low.squeeze(axis), found.high.squeeze(axis))


LOGSUMEXP = Op(
    "logsumexp", _summed, _torch_logsumexp, _emit_logsumexp, _grad_logsumexp,
    "log(sum(e^x)) along an axis, without overflow.",
    examples=(*_ALONG, Example((real("batch", 3),), {"axis": 1, "keepdims": True})),
    enclose=_enclose_logsumexp, c=Rewritten(_logsumexp),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- batch_norm


def _normalised(x: TensorType, *parameters: TensorType, eps: float, axis: int = 1, momentum: float = 0.1) -> TensorType:
    at = axis_in("batchnorm", x, axis)
    require("batchnorm", ("real",), x, *parameters)
    if len(parameters) != 4 or any(item.shape != (x.shape[at],) for item in parameters):
        raise misfit("batchnorm", (x, *parameters), "scale, shift, mean and variance with one entry for each channel")
    return x


def _column(x: Any, axis: int) -> tuple[int, ...]:
    return tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim))


def _torch_batch_norm(
    torch: Any,
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float,
    axis: int = 1,
    momentum: float = 0.1,
) -> Any:
    column = _column(x, axis)
    scale = gamma / torch.sqrt(var + eps)
    return x * scale.reshape(column) + (beta - mean * scale).reshape(column)


def _train_batch_norm(
    torch: Any, record: Callable[[int, Any], None], x: Any, gamma: Any, beta: Any, mean: Any, var: Any,
    eps: float, axis: int = 1, momentum: float = 0.1,
) -> Any:  # fmt: skip
    """Normalise by the statistics of this batch, and move the running ones towards them (the variance unbiased)."""
    others = [i for i in range(x.ndim) if i != axis % x.ndim]
    batch_mean, batch_var = x.mean(others), x.var(others, correction=0)
    count = x.numel() // x.shape[axis]
    unbiased = batch_var.detach() * (count / max(count - 1, 1))
    record(3, (1 - momentum) * mean + momentum * batch_mean.detach())
    record(4, (1 - momentum) * var + momentum * unbiased)
    return _torch_batch_norm(torch, x, gamma, beta, batch_mean, batch_var, eps, axis)


def affine_form(
    x: Node, gamma: Node, beta: Node, mean: Node, var: Node, eps: float, axis: int = 1, momentum: float = 0.1
) -> Node:
    """As deployed: x scale + shift, with scale = gamma / sqrt(var + eps) and shift = beta - mean scale."""
    shape: Shape = (x.size(axis), *(1,) * (x.type.rank - 1 - axis % x.type.rank))
    scale = gamma / SQRT(var + eps)
    return x * RESHAPE(scale, shape=shape) + RESHAPE(beta - mean * scale, shape=shape)


def _emit_batch_norm(emitter: Emitter, node: Node, x: str, gamma: str, beta: str, mean: str, var: str) -> str:
    after = node.type.rank - 1 - node.attrs.get("axis", 1) % node.type.rank
    deviation = emitter.node("Sqrt", emitter.node("Add", var, emitter.real(node.attrs["eps"])))
    scale = emitter.node("Div", gamma, deviation)
    shift = emitter.node("Sub", beta, emitter.node("Mul", mean, scale))
    if after:
        shape = emitter.ints([-1] + [1] * after)
        scale, shift = emitter.node("Reshape", scale, shape), emitter.node("Reshape", shift, shape)
    return emitter.node("Add", emitter.node("Mul", x, scale), shift)


def _grad_batch_norm(
    g: Node, y: Node, x: Node, gamma: Node, beta: Node, mean: Node, var: Node,
    eps: float, axis: int = 1, momentum: float = 0.1,
) -> tuple[Node, ...]:  # fmt: skip
    """Of the deployed form: the statistics are data, not functions of the batch."""
    rank, at = x.type.rank, axis % x.type.rank
    shape: Shape = (x.size(axis), *(1,) * (rank - 1 - at))
    others = tuple(i for i in range(rank) if i != at)
    inverse = 1.0 / SQRT(var + eps)
    centred = x - RESHAPE(mean, shape=shape)
    to_beta = REDUCE_SUM(g, axes=others)
    by_deviation = REDUCE_SUM(g * centred, axes=others) * inverse
    to_var = by_deviation * gamma * inverse * inverse * -0.5
    return (
        g * RESHAPE(gamma * inverse, shape=shape),
        by_deviation,
        to_beta,
        -(to_beta * gamma * inverse),
        to_var,
    )


def _enclose_batch_norm(
    precision: Precision, x: Interval, gamma: Interval, beta: Interval, mean: Interval, var: Interval,
    eps: float, axis: int = 1, momentum: float = 0.1,
) -> Interval:  # fmt: skip
    """The affine form, step by step."""
    column = _column(x.low, axis)
    root = SQRT.enclose
    assert root is not None
    room = precision.rounded(np.array(eps), np.array(eps))
    scale = quotient(precision, gamma, root(precision, total(precision, var, room)))
    shift = difference(precision, beta, product(precision, mean, scale))
    scale, shift = (Interval(item.low.reshape(column), item.high.reshape(column)) for item in (scale, shift))
    return total(precision, product(precision, x, scale), shift)


_STATISTICS = ((-2.0, 2.0), (0.5, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.5, 2.0))
BATCH_NORM = Op(
    "batch_norm", _normalised, _torch_batch_norm, _emit_batch_norm, _grad_batch_norm,
    "gamma (x - mean) / sqrt(var + eps) + beta, one statistic for each entry of `axis`; the batch's own in training.",
    _train_batch_norm,
    (
        Example((real("batch", 3), real(3), real(3), real(3), real(3)), {"eps": 1e-5}, _STATISTICS),
        Example((real("batch", 2, 3, 4), real(2), real(2), real(2), real(2)), {"eps": 1e-3, "axis": 1}, _STATISTICS),
        Example((real("batch", 4, 2), real(2), real(2), real(2), real(2)), {"eps": 1e-3, "axis": -1}, _STATISTICS),
    ),
    enclose=_enclose_batch_norm, c=Rewritten(affine_form),
)  # fmt: skip

NORMALISATION = (SOFTMAX, LOG_SOFTMAX, LOGSUMEXP, BATCH_NORM)

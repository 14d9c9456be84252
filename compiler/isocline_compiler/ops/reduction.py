"""Reductions along axes.

`axes` are counted from 0 or from -1 backwards; without `keepdims` they are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import accumulate
from typing import Any

import numpy as np

from isocline_compiler.graph import FLAT, Array, Example, Node, Op, as_node
from isocline_compiler.graph.c_form import Rewritten
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Shape, TensorType
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.c_kernels import ARGMAX_IN_C
from isocline_compiler.ops.c_loops import MAX_IN_C, MEAN_IN_C, MIN_IN_C, PROD_IN_C, SUM_IN_C
from isocline_compiler.ops.comparison import CAST, EQUAL
from isocline_compiler.ops.enclosures import each_end, extent, product, summed
from isocline_compiler.ops.indexing import CONCAT, SELECT, SLICE
from isocline_compiler.ops.shapes import NUMBER, REAL, axis_in, integer, known, real, require
from isocline_compiler.ops.shaping import RESHAPE


def _reduced(x: TensorType, axes: Sequence[int], keepdims: bool) -> Shape:
    dropped = {axis_in("a reduction", x, axis) for axis in axes}
    if keepdims:
        return tuple(1 if i in dropped else size for i, size in enumerate(x.shape))
    return tuple(size for i, size in enumerate(x.shape) if i not in dropped)


def _over_axes(x: TensorType, *, axes: Sequence[int], keepdims: bool = False) -> TensorType:
    require("a reduction", NUMBER, x)
    return x.with_shape(_reduced(x, axes, keepdims))


def _mean_type(x: TensorType, *, axes: Sequence[int], keepdims: bool = False) -> TensorType:
    require("a mean", REAL, x)
    return x.with_shape(_reduced(x, axes, keepdims))


def _emit(operator: str) -> Callable[[Emitter, Node, str], str]:
    """The operator with its axes as an input; nothing when there is no axis to reduce."""

    def emit(emitter: Emitter, node: Node, x: str) -> str:
        axes = sorted(axis % node.inputs[0].type.rank for axis in node.attrs["axes"])
        if not axes:
            return x
        keep = int(node.attrs.get("keepdims", False))
        return emitter.node(operator, x, emitter.ints(axes), keepdims=keep)

    return emit


def _torch(name: str) -> Any:
    def apply(torch: Any, x: Any, axes: Sequence[int], keepdims: bool = False) -> Any:
        return getattr(torch, name)(x, tuple(axes), keepdim=keepdims) if axes else x

    return apply


def _torch_prod(torch: Any, x: Any, axes: Sequence[int], keepdims: bool = False) -> Any:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keepdims)
    return x


def _kept(value: Node, x: Node, axes: Sequence[int]) -> Node:
    """`value`, reduced from `x`, with the reduced axes back as 1."""
    return RESHAPE(value, shape=_reduced(x.type, axes, True))


def _extent(x: Node, axes: Sequence[int]) -> Node | float:
    """How many entries are reduced into one: a number, or a value when a size is known only at run time."""
    sizes = [x.size(axis) for axis in axes]
    if any(isinstance(size, str) for size in sizes):
        return REDUCE_SUM(broadcast_like(as_node(1.0), x), axes=axes, keepdims=True)
    count = 1.0
    for size in sizes:
        count *= known("a mean", size)
    return count


def _grad_sum(g: Node, y: Node, x: Node, axes: Sequence[int], keepdims: bool = False) -> tuple[Node]:
    return (broadcast_like(_kept(g, x, axes), x),)


def _grad_mean(g: Node, y: Node, x: Node, axes: Sequence[int], keepdims: bool = False) -> tuple[Node]:
    return (broadcast_like(_kept(g, x, axes) / _extent(x, axes), x),)


def _grad_extreme(g: Node, y: Node, x: Node, axes: Sequence[int], keepdims: bool = False) -> tuple[Node]:
    """Entries that attain the extreme share the gradient equally."""
    attained = CAST(EQUAL(x, _kept(y, x, axes)), kind="real")
    return (attained * (_kept(g, x, axes) / REDUCE_SUM(attained, axes=axes, keepdims=True)),)


def _others(x: Node, axis: int) -> Node:
    """The product of all entries along `axis` but the one itself, without dividing."""
    count = known("the gradient of a product", x.size(axis))
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    slabs = [RESHAPE(SELECT(x, axis=axis, index=i), shape=shape) for i in range(count)]
    before: list[Node | None] = [None]
    after: list[Node | None] = [None]
    for i in range(count - 1):
        before.append(_times(before[-1], slabs[i]))
        after.append(_times(after[-1], slabs[count - 1 - i]))
    parts = [_times(b, a) for b, a in zip(before, reversed(after), strict=True)]
    ones = slabs[0] * 0.0 + 1.0
    return CONCAT(*(ones if part is None else part for part in parts), axis=axis)


def _times(left: Node | None, right: Node | None) -> Node | None:
    if left is None or right is None:
        return right if left is None else left
    return left * right


def _grad_prod(g: Node, y: Node, x: Node, axes: Sequence[int], keepdims: bool = False) -> tuple[Node]:
    gradient, inner = _kept(g, x, axes), x
    factors = []
    for axis in (axis % x.type.rank for axis in axes):
        factors.append(_others(inner, axis))
        inner = REDUCE_PROD(inner, axes=(axis,), keepdims=True)
    for factor in reversed(factors):
        gradient = gradient * factor
    return (broadcast_like(gradient, x),)


def _enclose_sum(precision: Precision, x: Interval, axes: Sequence[int], keepdims: bool = False) -> Interval:
    count = extent(x.low.shape, axes)
    return summed(precision, x, lambda v: v.sum(tuple(axes), keepdims=keepdims), count) if axes else x


def _enclose_mean(precision: Precision, x: Interval, axes: Sequence[int], keepdims: bool = False) -> Interval:
    """As of a sum, which may overflow where its mean does not."""
    count = extent(x.low.shape, axes)
    added = _enclose_sum(precision, x, axes, keepdims)
    return precision.rounded(added.low / count, added.high / count, 2.0) if axes else x


def _enclose_prod(precision: Precision, x: Interval, axes: Sequence[int], keepdims: bool = False) -> Interval:
    for axis in sorted((axis % x.low.ndim for axis in axes), reverse=True):
        slabs = [Interval(x.low.take(i, axis), x.high.take(i, axis)) for i in range(x.low.shape[axis])]
        x = reduce(partial(product, precision), slabs)
        if keepdims:
            x = Interval(np.expand_dims(x.low, axis), np.expand_dims(x.high, axis))
    return x


def _enclose_argmax(precision: Precision, x: Interval, axis: int) -> Interval:
    """From the first to the last entry that may be the largest: those not below the largest lower end."""
    may = ~(x.high < x.low.max(axis, keepdims=True))
    last = x.low.shape[axis] - 1 - np.flip(may, axis).argmax(axis)
    return Interval(may.argmax(axis).astype(np.float64), last.astype(np.float64))


def _enclose_cumsum(precision: Precision, x: Interval, axis: int, reverse: bool = False) -> Interval:
    def running(v: Array) -> Array:
        found: Array = np.flip(np.flip(v, axis).cumsum(axis), axis) if reverse else v.cumsum(axis)
        return found

    return summed(precision, x, running, x.low.shape[axis])


_EXAMPLES = (
    Example((real("batch", 3, 4),), {"axes": (2,), "keepdims": False}),
    Example((real("batch", 3, 4),), {"axes": (1, -1), "keepdims": True}),
    Example((real("batch", 3),), {"axes": (0,), "keepdims": False}),
    Example((real(2, 3),), {"axes": (0, 1)}),
    Example((real(2, 3),), {"axes": ()}),
)

REDUCE_SUM = Op(
    "reduce_sum", _over_axes, _torch("sum"), _emit("ReduceSum"), _grad_sum, "Sum along axes.",
    examples=(*_EXAMPLES, Example((integer("batch", 3),), {"axes": (1,)})),
    enclose=_enclose_sum, c=SUM_IN_C,
)  # fmt: skip
REDUCE_MEAN = Op(
    "reduce_mean",
    _mean_type,
    _torch("mean"),
    _emit("ReduceMean"),
    _grad_mean,
    "Mean along axes.",
    examples=_EXAMPLES,
    enclose=_enclose_mean,
    c=MEAN_IN_C,
)
REDUCE_MAX = Op(
    "reduce_max",
    _over_axes,
    _torch("amax"),
    _emit("ReduceMax"),
    _grad_extreme,
    "Maximum along axes.",
    examples=_EXAMPLES,
    smooth=False,
    enclose=each_end(_torch("amax")),
    c=MAX_IN_C,
)
REDUCE_MIN = Op(
    "reduce_min",
    _over_axes,
    _torch("amin"),
    _emit("ReduceMin"),
    _grad_extreme,
    "Minimum along axes.",
    examples=_EXAMPLES,
    smooth=False,
    enclose=each_end(_torch("amin")),
    c=MIN_IN_C,
)
REDUCE_PROD = Op(
    "reduce_prod", _over_axes, _torch_prod, _emit("ReduceProd"), _grad_prod, "Product along axes.",
    examples=tuple(item for item in _EXAMPLES if 0 not in item.attrs["axes"]),
    enclose=_enclose_prod, c=PROD_IN_C,
)  # fmt: skip


def _argmax_type(x: TensorType, *, axis: int) -> TensorType:
    require("argmax", NUMBER, x)
    return integer(*_reduced(x, (axis,), False))


def _emit_argmax(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("ArgMax", x, axis=node.attrs["axis"] % node.inputs[0].type.rank, keepdims=0)


ARGMAX = Op(
    "argmax", _argmax_type, lambda torch, x, axis: torch.argmax(x, axis), _emit_argmax, FLAT,
    "The first index of the largest entry along an axis.", examples=(Example((real("batch", 5),), {"axis": -1}),),
    smooth=False, piece=lambda y, x, axis: y,
    enclose=_enclose_argmax, c=ARGMAX_IN_C,
)  # fmt: skip


def _along(x: TensorType, *, axis: int, reverse: bool = False) -> TensorType:
    require("cumsum", NUMBER, x)
    axis_in("cumsum", x, axis)
    return x


def _torch_cumsum(torch: Any, x: Any, axis: int, reverse: bool = False) -> Any:
    return x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis)


def _emit_cumsum(emitter: Emitter, node: Node, x: str) -> str:
    axis = emitter.integer(node.attrs["axis"] % node.type.rank)
    return emitter.node("CumSum", x, axis, reverse=int(node.attrs.get("reverse", False)))


def _running(x: Node, axis: int, reverse: bool = False) -> Node:
    """One entry after another, added to what came before."""
    count = known("cumsum", x.size(axis))
    entries = [SLICE(x, axis=axis, start=i, stop=i + 1) for i in range(count)]
    sums = list(accumulate(entries[::-1] if reverse else entries, lambda a, b: a + b))
    return CONCAT(*(sums[::-1] if reverse else sums), axis=axis)


CUMSUM: Op = Op(
    "cumsum", _along, _torch_cumsum, _emit_cumsum,
    lambda g, y, x, axis, reverse=False: (CUMSUM(g, axis=axis, reverse=not reverse),),
    "Running sum along an axis, from the end when `reverse`.",
    examples=(
        Example((real("batch", 5),), {"axis": 1}),
        Example((real("batch", 2, 3),), {"axis": -1, "reverse": True}),
    ),
    enclose=_enclose_cumsum, c=Rewritten(_running),
)  # fmt: skip


REDUCTION = (REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, ARGMAX, CUMSUM)

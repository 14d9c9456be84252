"""Pooling in one and two dimensions: the mean, or the largest, of windows of each channel.

`kernel`, `stride` and `pad` are one number, or one for each axis of space; `pad` is on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op, constant
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.c_loops import pooled
from isocline_compiler.ops.comparison import CAST, EQUAL
from isocline_compiler.ops.convolution import (
    Extent,
    each,
    emit_windows,
    to_image,
    window,
    without_margins,
)
from isocline_compiler.ops.enclosures import by_torch, each_end, extent, summed
from isocline_compiler.ops.indexing import CONCAT, PAD, SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import known, misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE


def _pooled(x: TensorType, *, kernel: Extent, stride: Extent, pad: Extent = 0) -> TensorType:
    require("pooling", ("real",), x)
    if x.rank not in (3, 4):
        raise misfit("pooling", (x,), "one or two axes of space after the channels")
    rank = x.rank - 2
    settings = zip(x.shape[2:], each(kernel, rank), each(stride, rank), each(pad, rank), strict=True)
    return x.with_shape((*x.shape[:2], *(window("pooling", size, k, s, p, 1) for size, k, s, p in settings)))


def _torch_pool(name: str) -> Callable[..., Any]:
    def apply(torch: Any, x: Any, kernel: Extent, stride: Extent, pad: Extent = 0) -> Any:
        return getattr(torch.nn.functional, f"{name}_pool{x.ndim - 2}d")(x, kernel, stride, pad)

    return apply


def _grad_average(g: Node, y: Node, x: Node, kernel: Extent, stride: Extent, pad: Extent = 0) -> tuple[Node]:
    """An average is a convolution of each channel with a constant kernel."""
    sizes = each(kernel, x.type.rank - 2)
    channels = known("pooling", x.size(1))
    w = constant(np.full((channels, 1, *sizes), 1.0 / float(np.prod(sizes))))
    return (to_image(g, x, w, stride, pad, 1, channels),)


def _windows(x: Node, y: Node, kernel: Extent, stride: Extent, pad: Extent) -> Node:
    """The entries of each window of x, of the shape (batch, channels, entries, *space of y); margins are -inf."""
    rank = x.type.rank - 2
    margins = ((0, 0), (0, 0), *((size, size) for size in each(pad, rank)))
    padded = PAD(x, pads=margins, value=float("-inf"))
    steps, counts = each(stride, rank), [known("pooling", size) for size in y.shape[2:]]
    entries = []
    for offset in np.ndindex(*each(kernel, rank)):
        entry = padded
        for axis, (first, step, count) in enumerate(zip(offset, steps, counts, strict=True), start=2):
            entry = SLICE(entry, axis=axis, start=first, stop=first + (count - 1) * step + 1, step=step)
        entries.append(RESHAPE(entry, shape=(*y.shape[:2], 1, *y.shape[2:])))
    return CONCAT(*entries, axis=2)


def _grad_largest(g: Node, y: Node, x: Node, kernel: Extent, stride: Extent, pad: Extent = 0) -> tuple[Node]:
    """Entries of a window that attain its maximum share its gradient equally.

    They go back to their places by the transpose of the convolution that cuts windows out: its kernels are 1 at one
    entry of a window and 0 elsewhere.
    """
    sizes, channels = each(kernel, x.type.rank - 2), known("pooling", x.size(1))
    entries = int(np.prod(sizes))
    between = (*y.shape[:2], 1, *y.shape[2:])
    attained = CAST(EQUAL(_windows(x, y, kernel, stride, pad), RESHAPE(y, shape=between)), kind="real")
    shares = attained * (RESHAPE(g, shape=between) / REDUCE_SUM(attained, axes=(2,), keepdims=True))
    cuts = constant(np.tile(np.eye(entries).reshape(entries, 1, *sizes), (channels, *(1,) * (1 + len(sizes)))))
    flat = RESHAPE(shares, shape=(y.shape[0], channels * entries, *y.shape[2:]))
    return (to_image(flat, x, cuts, stride, pad, 1, channels),)


def _enclose_average(precision: Precision, x: Interval, kernel: Extent, stride: Extent, pad: Extent = 0) -> Interval:
    sizes = each(kernel, x.low.ndim - 2)

    def mean(v: Array) -> Array:
        return by_torch(_torch_pool("avg"), v, kernel=kernel, stride=stride, pad=pad)

    return summed(precision, x, mean, extent(sizes, range(len(sizes))), 2.0)


_POOLINGS = (
    Example((real("batch", 2, 7),), {"kernel": 3, "stride": 2}),
    Example((real("batch", 2, 6, 5),), {"kernel": (2, 3), "stride": (2, 1), "pad": (1, 1)}),
)
_POOL = ("strides", "pads", "kernel_shape")
MAX_POOL: Op = Op(
    "max_pool", _pooled, _torch_pool("max"), emit_windows("MaxPool", *_POOL), _grad_largest,
    "The largest entry of each window.", examples=_POOLINGS,
    smooth=False,
    enclose=each_end(_torch_pool("max")), c=without_margins(lambda: MAX_POOL, pooled("max"), float("-inf")),
)  # fmt: skip
AVG_POOL: Op = Op(
    "avg_pool", _pooled, _torch_pool("avg"), emit_windows("AveragePool", *_POOL, count_include_pad=1), _grad_average,
    "The mean of each window, margins counted as zeros.", examples=_POOLINGS,
    enclose=_enclose_average, c=without_margins(lambda: AVG_POOL, pooled("sum"), 0.0),
)  # fmt: skip

POOLING = (MAX_POOL, AVG_POOL)

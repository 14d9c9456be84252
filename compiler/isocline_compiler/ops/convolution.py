"""Convolutions and pooling in one and two dimensions: x is (batch, channels, *space), w is (out, in / groups, *kernel).

`stride`, `pad`, `dilation` and `kernel` are one number, or one for each axis of space; `pad` is on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op, constant
from isocline_compiler.graph.c_form import CForm, NoC, Rewritten, Sums
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Size, TensorType, describe
from isocline_compiler.ops.c_loops import convolved, pooled
from isocline_compiler.ops.comparison import CAST, EQUAL
from isocline_compiler.ops.enclosures import bilinear, by_torch, each_end, extent, summed, total
from isocline_compiler.ops.indexing import CONCAT, PAD, SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import known, misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

Extent: TypeAlias = "int | tuple[int, ...]"


def each(value: Extent, rank: int) -> tuple[int, ...]:
    """One number for each axis of space."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _window(operation: str, size: Size, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """How many windows fit: floor((n + 2 pad - dilation (kernel - 1) - 1) / stride) + 1."""
    span = known(operation, size) + 2 * pad - dilation * (kernel - 1) - 1
    if span < 0:
        raise misfit(operation, f"{size} entries with margins of {pad}", f"at least {dilation * (kernel - 1) + 1}")
    return span // stride + 1


def _check(operation: str, x: TensorType, w: TensorType, b: TensorType | None, channels: tuple[Size, Size]) -> None:
    """`channels`: those of x that w expects, and those of the result, which b has too.

    In the derivative of a kernel the batch takes the place of the channels, so they need not be known.
    """
    require(operation, ("real",), x, w, *((b,) if b else ()))
    expected, results = channels
    if x.rank != w.rank or x.rank not in (3, 4) or x.shape[1] != expected or (b and b.shape != (results,)):
        raise misfit(
            operation,
            f"{describe(x)} with the kernel {w}",
            f"{expected} channels and one or two axes of space",
        )


def _over_groups(operation: str, x: TensorType, w: TensorType, groups: int) -> Size:
    """The channels that the second axis of the kernel counts, of all groups together."""
    if w.rank < 2:
        raise misfit(operation, f"{describe(x)} with the kernel {w}", "a kernel with one or two axes of space")
    return w.shape[1] if groups == 1 else known(operation, w.shape[1]) * groups


def _conv_type(
    x: TensorType, w: TensorType, b: TensorType | None = None, *,
    stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1, groups: int = 1,
) -> TensorType:  # fmt: skip
    inside = _over_groups("conv", x, w, groups)
    _check("conv", x, w, b, (inside, w.shape[0]))
    rank = x.rank - 2
    settings = zip(x.shape[2:], w.shape[2:], each(stride, rank), each(pad, rank), each(dilation, rank), strict=True)
    space = (_window("conv", size, known("conv", k), s, p, d) for size, k, s, p, d in settings)
    return x.with_shape((x.shape[0], w.shape[0], *space))


def _transposed_type(
    x: TensorType, w: TensorType, b: TensorType | None = None, *,
    stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1, groups: int = 1, output_pad: Extent = 0,
) -> TensorType:  # fmt: skip
    out = _over_groups("conv_transpose", x, w, groups)
    _check("conv_transpose", x, w, b, (w.shape[0], out))
    rank = x.rank - 2
    settings = zip(
        x.shape[2:],
        w.shape[2:],
        each(stride, rank),
        each(pad, rank),
        each(dilation, rank),
        each(output_pad, rank),
        strict=True,
    )
    space = (
        (known("conv_transpose", size) - 1) * s - 2 * p + d * (known("conv_transpose", k) - 1) + o + 1
        for size, k, s, p, d, o in settings
    )
    return x.with_shape((x.shape[0], out, *space))


def _torch_conv(
    torch: Any,
    x: Any,
    w: Any,
    b: Any = None,
    stride: Extent = 1,
    pad: Extent = 0,
    dilation: Extent = 1,
    groups: int = 1,
) -> Any:
    apply = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
    return apply(x, w, b, stride, pad, dilation, groups)


def _torch_transposed(
    torch: Any, x: Any, w: Any, b: Any = None, stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1,
    groups: int = 1, output_pad: Extent = 0,
) -> Any:  # fmt: skip
    functional = torch.nn.functional
    apply = functional.conv_transpose1d if x.ndim == 3 else functional.conv_transpose2d
    return apply(x, w, b, stride, pad, output_pad, groups, dilation)


def _settings(node: Node, *names: str) -> dict[str, Any]:
    """The attributes of ONNX for the settings of a convolution or a pooling."""
    rank = node.type.rank - 2
    given = {name: list(each(node.attrs.get(name, default), rank)) for name, default in _DEFAULTS.items()}
    all_ = {
        "strides": given["stride"],
        "pads": given["pad"] * 2,
        "dilations": given["dilation"],
        "output_padding": given["output_pad"],
        "group": node.attrs.get("groups", 1),
        "kernel_shape": list(each(node.attrs["kernel"], rank)) if "kernel" in node.attrs else [],
    }
    return {name: all_[name] for name in names}


_DEFAULTS: dict[str, int] = {"stride": 1, "pad": 0, "dilation": 1, "output_pad": 0}


def _emit(operator: str, *names: str, **fixed: Any) -> Callable[..., str]:
    def emit(emitter: Emitter, node: Node, *xs: str) -> str:
        if emitter.wide and operator != "MaxPool":
            emitter.refuse_wide(node)
        return emitter.node(operator, *xs, **_settings(node, *names), **fixed)

    return emit


def _emit_kernel(operator: str, *names: str) -> Callable[..., str]:
    """As `_emit`, with a kernel that Conv and ConvTranspose do not share where they could be taken for one another.

    OpenVINO 2026.4 gives wrong values where both read one initializer of as many channels in as out.
    """
    emit = _emit(operator, *names)

    def apart(emitter: Emitter, node: Node, x: str, w: str, *b: str) -> str:
        outer, inner = node.inputs[1].shape[:2]
        groups = node.attrs.get("groups", 1)
        square = outer == (inner if groups == 1 else known("conv", inner) * groups)
        return emit(emitter, node, x, emitter.apart(w, operator) if square else w, *b)

    return apart


def _space(x: Node) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


def _to_bias(g: Node, b: tuple[Node, ...]) -> tuple[Node, ...]:
    return tuple(REDUCE_SUM(g, axes=(0, *_space(g))) for _ in b)


def _exchange(x: Node) -> Node:
    """Batch and channels exchanged."""
    return TRANSPOSE(x, perm=(1, 0, *_space(x)))


def _block(x: Node, axis: int, index: int, count: int) -> Node:
    """Part `index` of `count` equal parts along an axis."""
    if count == 1:
        return x
    size = known("conv", x.size(axis)) // count
    return SLICE(x, axis=axis, start=index * size, stop=(index + 1) * size)


def _to_kernel(x: Node, g: Node, w: Node, stride: Extent, pad: Extent, dilation: Extent) -> Node:
    """dL/dw of one group: x correlated with g, the batch taking the place of the channels, stride that of dilation."""
    full = CONV(_exchange(x), _exchange(g), stride=dilation, pad=pad, dilation=stride)
    for axis in _space(full):
        if full.size(axis) != w.size(axis):
            full = SLICE(full, axis=axis, start=0, stop=w.size(axis))
    return _exchange(full)


def _grad_conv(
    g: Node, y: Node, x: Node, w: Node, *b: Node,
    stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1, groups: int = 1,
) -> tuple[Node, ...]:  # fmt: skip
    parts = [
        _to_kernel(_block(x, 1, i, groups), _block(g, 1, i, groups), w, stride, pad, dilation) for i in range(groups)
    ]
    to_w = parts[0] if groups == 1 else CONCAT(*parts, axis=0)
    return (_to_image(g, x, w, stride, pad, dilation, groups), to_w, *_to_bias(g, b))


def _to_image(g: Node, x: Node, w: Node, stride: Extent, pad: Extent, dilation: Extent, groups: int) -> Node:
    """dL/dx: the transposed convolution, with the margin that windows did not reach."""
    plain = CONV_TRANSPOSE(g, w, stride=stride, pad=pad, dilation=dilation, groups=groups)
    missing = [known("conv", a) - known("conv", c) for a, c in zip(x.shape[2:], plain.shape[2:], strict=True)]
    if not any(missing):
        return plain
    return CONV_TRANSPOSE(g, w, stride=stride, pad=pad, dilation=dilation, groups=groups, output_pad=tuple(missing))


def _grad_transposed(
    g: Node, y: Node, x: Node, w: Node, *b: Node,
    stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1, groups: int = 1, output_pad: Extent = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """The convolution whose transpose this is, and its kernel's gradient with x and g exchanged."""
    to_x = CONV(g, w, stride=stride, pad=pad, dilation=dilation, groups=groups)
    parts = [
        _to_kernel(_block(g, 1, i, groups), _block(x, 1, i, groups), w, stride, pad, dilation) for i in range(groups)
    ]
    return (to_x, parts[0] if groups == 1 else CONCAT(*parts, axis=0), *_to_bias(g, b))


def _enclose_by(convolve: Callable[..., Any]) -> Callable[..., Interval]:
    """Sums of at most as many products as a kernel has entries for all channels, and the bias."""

    def enclose(precision: Precision, x: Interval, w: Interval, b: Interval | None = None, **attrs: Any) -> Interval:
        terms = w.low.size // min(w.low.shape[:2])
        found = bilinear(precision, lambda u, v: by_torch(convolve, u, v, **attrs), x, w, terms)
        if b is None:
            return found
        column = (-1, *(1,) * (found.low.ndim - 2))
        return total(precision, found, Interval(b.low.reshape(column), b.high.reshape(column)))

    return enclose


_KERNEL = ("strides", "pads", "dilations", "group")


def _price(node: Node) -> float:
    """A tenth of a nanosecond for each product that is added: a kernel's entries for one channel."""
    return 0.1 * prod(size for size in node.inputs[1].shape[1:] if isinstance(size, int))


def _without_margins(op: Callable[[], Op], loops: Any, value: float) -> Callable[[Node], CForm]:
    """The loops of an operation without margins; margins are filled before."""

    def form(node: Node) -> CForm:
        pads = each(node.attrs.get("pad", 0), node.inputs[0].type.rank - 2)
        if not any(pads):
            return Sums(loops)
        margins = ((0, 0), (0, 0), *((size, size) for size in pads))

        def formula(x: Node, *others: Node, **attrs: Any) -> Node:
            return op()(PAD(x, pads=margins, value=value), *others, **{**attrs, "pad": 0})

        return Rewritten(formula)

    return form


CONV: Op = Op(
    "conv", _conv_type, _torch_conv, _emit_kernel("Conv", *_KERNEL), _grad_conv,
    "Cross-correlation, with a bias when there is one.",
    examples=(
        Example((real("batch", 2, 7), real(3, 2, 3), real(3)), {"stride": 2, "pad": 1}),
        Example((real("batch", 2, 5, 6), real(3, 2, 3, 2)), {"stride": (2, 1), "pad": (1, 0), "dilation": (1, 2)}),
        Example((real("batch", 4, 6, 6), real(4, 2, 3, 3), real(4)), {"groups": 2, "pad": 1, "stride": 2}),
    ),
    enclose=_enclose_by(_torch_conv), price=_price, c=_without_margins(lambda: CONV, convolved, 0.0),
)  # fmt: skip
CONV_TRANSPOSE = Op(
    "conv_transpose", _transposed_type, _torch_transposed, _emit_kernel("ConvTranspose", *_KERNEL, "output_padding"),
    _grad_transposed,
    "The transpose of `conv` as a linear map: w is (in, out / groups, *kernel).",
    examples=(
        Example((real("batch", 3, 4), real(3, 2, 3), real(2)), {"stride": 2, "pad": 1, "output_pad": 1}),
        Example((real("batch", 4, 3, 3), real(4, 1, 2, 2)), {"groups": 2, "dilation": 2}),
    ),
    enclose=_enclose_by(_torch_transposed), price=_price,
    c=NoC("the transpose of a convolution is not written in C yet"),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- pooling


def _pooled(x: TensorType, *, kernel: Extent, stride: Extent, pad: Extent = 0) -> TensorType:
    require("pooling", ("real",), x)
    if x.rank not in (3, 4):
        raise misfit("pooling", (x,), "one or two axes of space after the channels")
    rank = x.rank - 2
    settings = zip(x.shape[2:], each(kernel, rank), each(stride, rank), each(pad, rank), strict=True)
    return x.with_shape((*x.shape[:2], *(_window("pooling", size, k, s, p, 1) for size, k, s, p in settings)))


def _torch_pool(name: str) -> Callable[..., Any]:
    def apply(torch: Any, x: Any, kernel: Extent, stride: Extent, pad: Extent = 0) -> Any:
        return getattr(torch.nn.functional, f"{name}_pool{x.ndim - 2}d")(x, kernel, stride, pad)

    return apply


def _grad_average(g: Node, y: Node, x: Node, kernel: Extent, stride: Extent, pad: Extent = 0) -> tuple[Node]:
    """An average is a convolution of each channel with a constant kernel."""
    sizes = each(kernel, x.type.rank - 2)
    channels = known("pooling", x.size(1))
    w = constant(np.full((channels, 1, *sizes), 1.0 / float(np.prod(sizes))))
    return (_to_image(g, x, w, stride, pad, 1, channels),)


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
    return (_to_image(flat, x, cuts, stride, pad, 1, channels),)


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
    "max_pool", _pooled, _torch_pool("max"), _emit("MaxPool", *_POOL), _grad_largest,
    "The largest entry of each window.", examples=_POOLINGS,
    smooth=False,
    enclose=each_end(_torch_pool("max")), c=_without_margins(lambda: MAX_POOL, pooled("max"), float("-inf")),
)  # fmt: skip
AVG_POOL: Op = Op(
    "avg_pool", _pooled, _torch_pool("avg"), _emit("AveragePool", *_POOL, count_include_pad=1), _grad_average,
    "The mean of each window, margins counted as zeros.", examples=_POOLINGS,
    enclose=_enclose_average, c=_without_margins(lambda: AVG_POOL, pooled("sum"), 0.0),
)  # fmt: skip

CONVOLUTION = (CONV, CONV_TRANSPOSE, MAX_POOL, AVG_POOL)

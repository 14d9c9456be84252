"""Convolutions and pooling in one and two dimensions: x is (batch, channels, *space), w is (out, in / groups, *kernel).

`stride`, `pad`, `dilation` and `kernel` are one number, or one for each axis of space; `pad` is on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.c_form import CForm, Rewritten, Sums
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Size, TensorType, describe
from isocline_compiler.ops.c_loops import convolved
from isocline_compiler.ops.enclosures import bilinear, by_torch, total
from isocline_compiler.ops.indexing import CONCAT, PAD, SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import known, misfit, real, require
from isocline_compiler.ops.shaping import FLIP, RESHAPE, TRANSPOSE

Extent: TypeAlias = "int | tuple[int, ...]"


def each(value: Extent, rank: int) -> tuple[int, ...]:
    """One number for each axis of space."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def window(operation: str, size: Size, kernel: int, stride: int, pad: int, dilation: int) -> int:
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
    space = (window("conv", size, known("conv", k), s, p, d) for size, k, s, p, d in settings)
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


def emit_windows(operator: str, *names: str, **fixed: Any) -> Callable[..., str]:
    def emit(emitter: Emitter, node: Node, *xs: str) -> str:
        if emitter.wide and operator != "MaxPool":
            emitter.refuse_wide(node)
        return emitter.node(operator, *xs, **_settings(node, *names), **fixed)

    return emit


def _emit_kernel(operator: str, *names: str) -> Callable[..., str]:
    """As `emit_windows`, with kernels of their own where Conv and ConvTranspose could be taken for one another.

    OpenVINO 2026.4 gives wrong values where both read one initializer of as many channels in as out.
    """
    emit = emit_windows(operator, *names)

    def apart(emitter: Emitter, node: Node, x: str, w: str, *b: str) -> str:
        outer, inner = node.inputs[1].shape[:2]
        groups = node.attrs.get("groups", 1)
        square = outer == (inner if groups == 1 else known("conv", inner) * groups)
        return emit(emitter, node, x, emitter.apart(w, operator) if square else w, *b)

    return apart


def spatial_axes(x: Node) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


def _to_bias(g: Node, b: tuple[Node, ...]) -> tuple[Node, ...]:
    return tuple(REDUCE_SUM(g, axes=(0, *spatial_axes(g))) for _ in b)


def _exchange(x: Node) -> Node:
    """Batch and channels exchanged."""
    return TRANSPOSE(x, perm=(1, 0, *spatial_axes(x)))


def _block(x: Node, axis: int, index: int, count: int) -> Node:
    """Part `index` of `count` equal parts along an axis."""
    if count == 1:
        return x
    size = known("conv", x.size(axis)) // count
    return SLICE(x, axis=axis, start=index * size, stop=(index + 1) * size)


def _to_kernel(x: Node, g: Node, w: Node, stride: Extent, pad: Extent, dilation: Extent) -> Node:
    """dL/dw of one group: x correlated with g, the batch taking the place of the channels, stride that of dilation."""
    full = CONV(_exchange(x), _exchange(g), stride=dilation, pad=pad, dilation=stride)
    for axis in spatial_axes(full):
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
    return (to_image(g, x, w, stride, pad, dilation, groups), to_w, *_to_bias(g, b))


def to_image(g: Node, x: Node, w: Node, stride: Extent, pad: Extent, dilation: Extent, groups: int) -> Node:
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


def without_margins(op: Callable[[], Op], loops: Any, value: float) -> Callable[[Node], CForm]:
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
    enclose=_enclose_by(_torch_conv), price=_price, c=without_margins(lambda: CONV, convolved, 0.0),
)  # fmt: skip


def _as_convolution(
    x: Node, w: Node, *b: Node,
    stride: Extent = 1, pad: Extent = 0, dilation: Extent = 1, groups: int = 1, output_pad: Extent = 0,
) -> Node:  # fmt: skip
    """The convolution with the kernel turned round, of x with its entries `stride` apart and margins around them."""
    rank = x.type.rank - 2
    steps, pads, spacing, extra = (each(item, rank) for item in (stride, pad, dilation, output_pad))
    for axis, step in zip(spatial_axes(x), steps, strict=True):
        x = _apart(x, axis, step)
    margins = []
    for axis, p, d, o in zip(spatial_axes(x), pads, spacing, extra, strict=True):
        before = d * (known("conv", w.size(axis)) - 1) - p
        ends = (before, before + o)
        size = known("conv", x.size(axis))
        x = SLICE(x, axis=axis, start=max(-ends[0], 0), stop=size - max(-ends[1], 0)) if min(ends) < 0 else x
        margins.append((max(ends[0], 0), max(ends[1], 0)))
    x = PAD(x, pads=((0, 0), (0, 0), *margins), value=0.0) if any(map(any, margins)) else x
    inner, outer, *kernel = w.shape
    for axis in spatial_axes(w):
        w = FLIP(w, axis=axis)
    blocks = RESHAPE(w, shape=(groups, known("conv", inner) // groups, outer, *kernel))
    exchanged = TRANSPOSE(blocks, perm=(0, 2, 1, *range(3, 3 + rank)))
    turned = RESHAPE(exchanged, shape=(groups * known("conv", outer), known("conv", inner) // groups, *kernel))
    return CONV(x, turned, *b, dilation=dilation, groups=groups)


def _apart(x: Node, axis: int, step: int) -> Node:
    """The entries along an axis with step - 1 zeros between them."""
    if step == 1:
        return x
    size, (before, after) = known("conv", x.size(axis)), (x.shape[:axis], x.shape[axis + 1 :])
    rows = RESHAPE(x, shape=(*before, size, 1, *after))
    pads = tuple((0, step - 1) if i == axis + 1 else (0, 0) for i in range(rows.type.rank))
    filled = RESHAPE(PAD(rows, pads=pads, value=0.0), shape=(*before, size * step, *after))
    return SLICE(filled, axis=axis, start=0, stop=(size - 1) * step + 1)


CONV_TRANSPOSE = Op(
    "conv_transpose", _transposed_type, _torch_transposed, _emit_kernel("ConvTranspose", *_KERNEL, "output_padding"),
    _grad_transposed,
    "The transpose of `conv` as a linear map: w is (in, out / groups, *kernel).",
    examples=(
        Example((real("batch", 3, 4), real(3, 2, 3), real(2)), {"stride": 2, "pad": 1, "output_pad": 1}),
        Example((real("batch", 4, 3, 3), real(4, 1, 2, 2)), {"groups": 2, "dilation": 2}),
        Example((real("batch", 4, 3, 2), real(4, 3, 2, 1)), {"groups": 2, "stride": (2, 3), "pad": (1, 1)}),
    ),
    enclose=_enclose_by(_torch_transposed), price=_price,
    c=Rewritten(_as_convolution),
)  # fmt: skip

CONVOLUTION = (CONV, CONV_TRANSPOSE)

"""Convolution over one axis of length or over height and width, and its transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.convolution import CONV, CONV_TRANSPOSE
from isocline_compiler.vocabulary.functions.broadcasting import as_real, known_size, sample_rank, with_batch
from isocline_compiler.vocabulary.functions.initializers import GLOROT, ZEROS, Fans, initializer
from isocline_compiler.vocabulary.functions.kinds import Count, Counts, Flag, Paddings, Value, Word
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_compiler.vocabulary.functions.weight_forms import FREE, formed_kernel, keeps_shape
from isocline_dsl.messages import calls


def conv(
    x: Value,
    channels: Count,
    kernel: Counts = (3,),
    stride: Counts = (1,),
    pad: Paddings = (0,),
    *,
    dilation: Counts = (1,),
    groups: Count = 1,
    bias: Flag = True,
    init: Word = GLOROT,
    bias_init: Word = ZEROS,
    weight: Word = FREE,
    scope: Scope,
) -> Node:
    """A convolution of [channels, length] or [channels, height, width] to `channels` channels.

    y[o, i] = b[o] + sum_{c, k} W[o, c, k] x[c, i*stride + k*dilation - pad], x being 0 outside.

    `kernel`, `stride`, `pad` and `dilation` are one number, or [one for the height, one for the width]. `groups`
    keeps groups of channels apart. `weight` gives W a form that training keeps.

    Example: image |> conv(16, kernel=3, stride=2, pad=1)
    """
    dims, inputs = spatial("conv", x), known_size("conv", x.type.sample[0])
    window, step, width, spacing = (per_axis("conv", dims, item) for item in (kernel, stride, pad, dilation))
    check_groups("conv", inputs, channels, groups)
    check_window("conv", x, window, width, spacing)
    shape = (channels, inputs // groups, *window)
    fans = Fans(math.prod(shape[1:]), channels * math.prod(window))
    free = scope.weight("weight", shape, initializer("conv", "init", init, fans))
    keeps = set(step) == {1} and groups == 1 and keeps_shape(inputs, channels, window, width, spacing)
    weights = [formed_kernel(free, weight, keeps)]
    if bias:
        weights.append(scope.weight("bias", (channels,), initializer("conv", "bias_init", bias_init, fans)))
    return with_batch(
        as_real(x),
        lambda v: CONV(v, *weights, stride=step, pad=width, dilation=spacing, groups=groups),
    )


def conv_transpose(
    x: Value,
    channels: Count,
    kernel: Counts = (3,),
    stride: Counts = (1,),
    pad: Paddings = (0,),
    *,
    output_pad: Paddings = (0,),
    dilation: Counts = (1,),
    groups: Count = 1,
    bias: Flag = True,
    init: Word = GLOROT,
    bias_init: Word = ZEROS,
    scope: Scope,
) -> Node:
    """The transpose of a convolution: grows the length by the stride.

    The new length is (length - 1)*stride - 2*pad + dilation*(kernel - 1) + output_pad + 1.

    Example: image |> conv_transpose(8, kernel=4, stride=2, pad=1)
    """
    dims, inputs = spatial("conv_transpose", x), known_size("conv_transpose", x.type.sample[0])
    given = (kernel, stride, pad, output_pad, dilation)
    window, step, width, extra, spacing = (per_axis("conv_transpose", dims, item) for item in given)
    check_groups("conv_transpose", inputs, channels, groups)
    shape = (inputs, channels // groups, *window)
    fans = Fans(math.prod(shape[1:]), inputs * math.prod(window))
    weights = [scope.weight("weight", shape, initializer("conv_transpose", "init", init, fans))]
    if bias:
        first = initializer("conv_transpose", "bias_init", bias_init, fans)
        weights.append(scope.weight("bias", (channels,), first))
    return with_batch(
        as_real(x),
        lambda v: CONV_TRANSPOSE(
            v, *weights, stride=step, pad=width, output_pad=extra, dilation=spacing, groups=groups
        ),
    )


def spatial(callee: str, x: Node) -> int:
    """1 for [channels, length], 2 for [channels, height, width]; anything else is a `Fault`."""
    if sample_rank(x) not in (2, 3):
        shapes = "[channels, length] or [channels, height, width]"
        raise Fault(lambda span: calls.wrong_rank(span, callee, shapes, describe(x.type)))
    return sample_rank(x) - 1


def per_axis(callee: str, dims: int, given: Sequence[int]) -> tuple[int, ...]:
    """One number for each spatial axis; a single one is for all."""
    if len(given) not in (1, dims):
        raise Fault(lambda span: calls.wrong_rank(span, callee, f"one number or {dims} of them", str(list(given))))
    return tuple(given) * dims if len(given) == 1 else tuple(given)


def check_groups(callee: str, inputs: int, channels: int, groups: int) -> None:
    """Groups divide the channels on both sides. Raises `Fault`."""
    if inputs % groups:
        raise Fault(lambda span: calls.not_divisible(span, callee, "input channels", inputs, groups))
    if channels % groups:
        raise Fault(lambda span: calls.not_divisible(span, callee, "output channels", channels, groups))


def check_window(callee: str, x: Node, window: Sequence[int], pad: Sequence[int], dilation: Sequence[int]) -> None:
    """The window fits at least once along each axis. Raises `Fault`."""
    sizes = [known_size(callee, size) for size in x.type.sample[1:]]
    rooms = [size + 2 * width for size, width in zip(sizes, pad, strict=True)]
    reaches = [spacing * (size - 1) + 1 for size, spacing in zip(window, dilation, strict=True)]
    short = [pair for pair in zip(rooms, reaches, strict=True) if pair[0] < pair[1]]
    if short:
        raise Fault(lambda span: calls.window_too_large(span, callee, *short[0]))


CONVOLUTION = functions("layer", conv, conv_transpose)

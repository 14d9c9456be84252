"""The parabolic layer: a linear map, an activation, and minus the transpose of the same map."""

from __future__ import annotations

import math

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.naming import by_name
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.convolution import CONV, CONV_TRANSPOSE
from isocline_compiler.ops.linear import LINEAR
from isocline_compiler.vocabulary.functions.activations import elu, leaky_relu, relu, selu, sigmoid, softplus
from isocline_compiler.vocabulary.functions.broadcasting import as_real, known_size, sample_rank, with_batch
from isocline_compiler.vocabulary.functions.convolution import per_axis
from isocline_compiler.vocabulary.functions.initializers import GLOROT, ZEROS, Fans, initializer
from isocline_compiler.vocabulary.functions.kinds import Count, Counts, Flag, Value, Word, WordCall
from isocline_compiler.vocabulary.functions.record import call, functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_compiler.vocabulary.functions.trigonometry import tanh
from isocline_dsl.messages import calls

NONDECREASING = by_name(*functions("elementwise", tanh, relu, sigmoid, softplus, leaky_relu, elu, selu))
"""The activations that make the layer dissipative, with options that are not negative."""
RELU = WordCall("relu")


def parabolic(
    x: Value,
    units: Count,
    kernel: Counts = (3,),
    bias: Flag = True,
    *,
    activation: Word = RELU,
    init: Word = GLOROT,
    bias_init: Word = ZEROS,
    scope: Scope,
) -> Node:
    """-K' act(K x + b), K and its transpose K' one matrix; of [channels, length] or [channels, height, width] a kernel.

    The activation does not decrease, so the Jacobian -K' D K is symmetric with no eigenvalue above 0: like diffusion,
    x' = parabolic(x) draws no two solutions apart. K maps to `units` numbers or channels; a `kernel` is odd, and the
    signal is padded to keep its length. The result has the shape of x. Ruthotto, Haber (2020).

    Example: x |> parabolic(8, activation=tanh)
    """
    rank = sample_rank(x)
    if rank not in (1, 2, 3):
        shapes = "a vector, [channels, length] or [channels, height, width]"
        raise Fault(lambda span: calls.wrong_rank(span, "parabolic", shapes, describe(x.type)))
    inputs = known_size("parabolic", x.type.sample[0])
    window = per_axis("parabolic", rank - 1, kernel) if rank > 1 else ()
    even = [size for size in window if size % 2 == 0]
    if even:
        raise Fault(lambda span: calls.wrong_argument(span, "parabolic", "kernel", "an odd number", str(even[0])))
    shape = (units, inputs, *window) if window else (inputs, units)
    fans = Fans(inputs * math.prod(window), units * math.prod(window))
    weight = scope.weight("weight", shape, initializer("parabolic", "init", init, fans))
    first = initializer("parabolic", "bias_init", bias_init, fans)
    shift = scope.weight("bias", (units,), first) if bias else constant([0.0] * units)
    if not window:
        return -LINEAR(_activated(LINEAR(as_real(x), weight, shift), activation), weight, transposed=True)
    pad = tuple(size // 2 for size in window)
    return with_batch(
        as_real(x),
        lambda v: -CONV_TRANSPOSE(_activated(CONV(v, weight, shift, pad=pad), activation), weight, pad=pad),
    )


def _activated(x: Node, word: WordCall) -> Node:
    if word.name not in NONDECREASING:
        known = tuple(NONDECREASING)
        raise Fault(lambda span: calls.unknown_word(word.span or span, "parabolic", "activation", word.name, known))
    below = [value for value in (*word.positional, *(value for _, value in word.keywords)) if value < 0]
    if below:
        expected = "an activation that does not decrease"
        raise Fault(
            lambda span: calls.wrong_argument(
                word.span or span, "parabolic", "activation", expected, f"{word.name} with {below[0]:g}"
            )
        )
    found: Node = call(NONDECREASING[word.name], (x, *word.positional), word.keywords)
    return found


PARABOLIC = functions("layer", parabolic)

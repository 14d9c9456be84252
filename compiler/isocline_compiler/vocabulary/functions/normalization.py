"""Layers that bring values to mean 0 and variance 1, then scale and shift them by trained amounts."""

from __future__ import annotations

import math

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.elementwise import SQRT
from isocline_compiler.ops.normalisation import BATCH_NORM
from isocline_compiler.vocabulary.functions.broadcasting import (
    as_real,
    graph_axes,
    known_sample,
    known_size,
    reshape_sample,
    sample_axes,
    sample_rank,
    with_batch,
)
from isocline_compiler.vocabulary.functions.initializers import filled_with
from isocline_compiler.vocabulary.functions.kinds import Axes, Count, Flag, Positive, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import reduce, variance
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls


def groupnorm(x: Value, groups: Count, affine: Flag = True, *, eps: Positive = 1e-5, scope: Scope) -> Node:
    """Normalises each group of channels, axis 0 of a sample, over its channels and places.

    (x - mean)/sqrt(var + eps), then a trained scale and shift for each channel.

    Example: image |> groupnorm(2)

    Wu, He (2018).
    """
    shape = known_sample("groupnorm", _with_channels("groupnorm", x))
    if shape[0] % groups:
        raise Fault(lambda span: calls.not_divisible(span, "groupnorm", "channels", shape[0], groups))
    grouped = reshape_sample(as_real(x), (groups, math.prod(shape) // groups))
    y = reshape_sample(_normalised(grouped, (grouped.type.rank - 1,), eps), shape)
    return _scaled(y, (shape[0], *(1,) * (len(shape) - 1)), scope) if affine else y


def layernorm(x: Value, axes: Axes = (-1,), affine: Flag = True, *, eps: Positive = 1e-5, scope: Scope) -> Node:
    """Normalises along axes of a sample, the last one unless others are named.

    (x - mean)/sqrt(var + eps), then a trained scale and shift for each entry along these axes.

    Example: series |> layernorm

    Ba, Kiros, Hinton (2016).
    """
    y = _normalised(as_real(x), graph_axes("layernorm", x, axes), eps)
    if not affine:
        return y
    along = sample_axes("layernorm", x, axes)
    shape = tuple(known_size("layernorm", s) if i in along else 1 for i, s in enumerate(x.type.sample))
    return _scaled(y, shape, scope)


def batchnorm(x: Value, *, eps: Positive = 1e-5, scope: Scope) -> Node:
    """Normalises each channel, axis 0 of a sample, over the samples of a batch and over places.

    In training by the batch's own mean and variance; in evaluation and when deployed by their running averages. Not
    for a field: its solution would depend on the company it is computed in.

    Example: image |> batchnorm

    Ioffe, Szegedy (2015).
    """
    channels = known_size("batchnorm", _with_channels("batchnorm", x).type.sample[0])
    scale = scope.weight("scale", (channels,), filled_with(1.0))
    shift = scope.weight("bias", (channels,), filled_with(0.0))
    mean = scope.weight("mean", (channels,), filled_with(0.0), "running")
    var = scope.weight("variance", (channels,), filled_with(1.0), "running")
    return with_batch(as_real(x), lambda v: BATCH_NORM(v, scale, shift, mean, var, eps=eps, axis=1))


def _with_channels(callee: str, x: Node) -> Node:
    if sample_rank(x) == 0:
        raise Fault(lambda span: calls.wrong_rank(span, callee, "[channels, ...]", describe(x.type)))
    return x


def _normalised(x: Node, axes: tuple[int, ...], eps: float) -> Node:
    centred = x - reduce("reduce_mean", x, axes, keep=True)
    return centred / SQRT(variance(x, axes, keep=True) + eps)


def _scaled(y: Node, shape: tuple[int, ...], scope: Scope) -> Node:
    """y*scale + bias with weights that are stored without axes of size 1 and broadcast as `shape`."""
    sizes = tuple(size for size in shape if size != 1) or (1,)
    scale = scope.weight("scale", sizes, filled_with(1.0))
    shift = scope.weight("bias", sizes, filled_with(0.0))
    return y * reshape_sample(scale, shape) + reshape_sample(shift, shape)


NORMALIZATION = functions("layer", groupnorm, layernorm, batchnorm)

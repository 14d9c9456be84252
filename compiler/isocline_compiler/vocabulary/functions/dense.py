"""Layers of one matrix: dense, and the lookup of a class."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.indexing import GATHER
from isocline_compiler.ops.linear import LINEAR
from isocline_compiler.vocabulary.functions.broadcasting import as_real, known_size, sample_rank
from isocline_compiler.vocabulary.functions.initializers import GLOROT, ZEROS, Fans, initializer, normal_with
from isocline_compiler.vocabulary.functions.kinds import Count, Flag, Value, Word
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_compiler.vocabulary.functions.weight_forms import FREE, formed
from isocline_dsl.messages import calls


def dense(
    x: Value,
    units: Count,
    bias: Flag = True,
    *,
    init: Word = GLOROT,
    bias_init: Word = ZEROS,
    weight: Word = FREE,
    scope: Scope,
) -> Node:
    """A linear map of the last axis to `units` numbers, plus a bias: x W + b.

    W is (inputs, units) and begins as `init`: glorot, he, lecun, orthogonal(gain), normal(std), uniform(bound),
    constant(value), zeros or ones. `weight` gives W a form that training keeps, such as
    antisymmetric(damping), orthogonal or spectral(bound).

    Example: x |> dense(16) |> tanh |> dense(2, init=zeros)
    """
    if sample_rank(x) == 0:
        raise Fault(
            lambda span: calls.wrong_rank(span, "dense", "a vector", f"one number, {describe(x.type)}: write [x]")
        )
    inputs = known_size("dense", x.shape[-1])
    fans = Fans(inputs, units)
    matrix = scope.weight("weight", (inputs, units), initializer("dense", "init", init, fans))
    first = initializer("dense", "bias_init", bias_init, fans)
    shift = scope.weight("bias", (units,), first) if bias else constant(np.zeros(units))
    return LINEAR(as_real(x), formed(matrix, weight), shift)


def embedding(x: Value, count: Count, size: Count, *, scope: Scope) -> Node:
    """A trained vector of `size` numbers for each of `count` classes.

    Example: embedding(label, 4, 8)
    """
    if x.type.kind == "real":
        raise Fault(lambda span: calls.not_a_class(span, "embedding", describe(x.type)))
    vectors = scope.weight("weight", (count, size), normal_with(1.0))
    return GATHER(vectors, x, axis=0)


DENSE = functions("layer", dense, embedding)

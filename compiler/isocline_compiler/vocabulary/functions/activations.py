"""Nonlinearities between layers, and the functions that make probabilities."""

from __future__ import annotations

from isocline_compiler.graph import Node
from isocline_compiler.ops.activation import ELU, LEAKY_RELU
from isocline_compiler.ops.comparison import CLIP
from isocline_compiler.ops.normalisation import LOG_SOFTMAX, SOFTMAX
from isocline_compiler.vocabulary.functions.broadcasting import as_real, elementwise, graph_axis
from isocline_compiler.vocabulary.functions.kinds import Axis, Real, Value
from isocline_compiler.vocabulary.functions.record import functions


def sigmoid(x: Value) -> Node:
    """1/(1 + e^-x), from 0 to 1.

    Example: sigmoid(x)
    """
    return elementwise("sigmoid", x)


def softplus(x: Value) -> Node:
    """log(1 + e^x): a smooth relu, always positive.

    Example: softplus(x)
    """
    return elementwise("softplus", x)


def relu(x: Value) -> Node:
    """x where it is positive, 0 elsewhere.

    Example: x |> dense(8) |> relu
    """
    return elementwise("relu", x)


def leaky_relu(x: Value, slope: Real = 0.01) -> Node:
    """x where it is positive, slope*x elsewhere.

    Example: leaky_relu(x, slope=0.2)
    """
    return LEAKY_RELU(as_real(x), alpha=slope)


def elu(x: Value, alpha: Real = 1.0) -> Node:
    """x where it is positive, alpha*(e^x - 1) elsewhere.

    Example: elu(x)

    Clevert, Unterthiner, Hochreiter (2016).
    """
    return ELU(as_real(x), alpha=alpha)


def selu(x: Value) -> Node:
    """1.0507*elu(x, alpha=1.6733): keeps mean 0 and variance 1 from layer to layer.

    Example: selu(x)

    Klambauer, Unterthiner, Mayr, Hochreiter (2017).
    """
    return elementwise("selu", x)


def gelu(x: Value) -> Node:
    """x*Phi(x), with the distribution function of the normal distribution, (1 + erf(x/sqrt(2)))/2.

    Example: gelu(x)

    Hendrycks, Gimpel (2016).
    """
    return elementwise("gelu", x)


def silu(x: Value) -> Node:
    """x*sigmoid(x).

    Example: silu(x)

    Elfwing, Uchibe, Doya (2018).
    """
    return elementwise("silu", x)


def swish(x: Value) -> Node:
    """x*sigmoid(x), another name of `silu`.

    Example: swish(x)

    Ramachandran, Zoph, Le (2017).
    """
    return elementwise("silu", x)


def mish(x: Value) -> Node:
    """x*tanh(softplus(x)).

    Example: mish(x)

    Misra (2020).
    """
    return elementwise("mish", x)


def hard_tanh(x: Value) -> Node:
    """x between -1 and 1, the nearer of the two outside.

    Example: hard_tanh(x)
    """
    return CLIP(as_real(x), low=-1.0, high=1.0)


def softmax(x: Value, axis: Axis = -1) -> Node:
    """e^x_i / sum_j e^x_j along an axis: positive, and of sum 1.

    Example: x |> dense(3) |> softmax
    """
    return SOFTMAX(as_real(x), axis=graph_axis("softmax", x, axis))


def log_softmax(x: Value, axis: Axis = -1) -> Node:
    """x_i - log(sum_j e^x_j) along an axis: the logarithm of `softmax`, without overflow.

    Example: log_softmax(x)
    """
    return LOG_SOFTMAX(as_real(x), axis=graph_axis("log_softmax", x, axis))


ACTIVATIONS = functions(
    "elementwise", sigmoid, softplus, relu, leaky_relu, elu, selu, gelu, silu, swish, mish, hard_tanh, softmax,
    log_softmax,
)  # fmt: skip

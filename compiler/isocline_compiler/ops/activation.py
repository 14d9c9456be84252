"""Activations: the nonlinearities of neural networks, entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import wide
from isocline_compiler.ops.elementwise import ERF, EXP, TANH, positive_part, where_positive
from isocline_compiler.ops.enclosures import LIBRARY, RATIONAL, dipped, exact_steps, increasing, of_torch
from isocline_compiler.ops.shapes import real, require, same

_EXAMPLES = (
    Example((real("batch", 7),), within=((-3.0, 3.0),)),
    Example((real(2, 3),), within=((-3.0, 3.0),)),
)
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805
_expit, _ndtr = of_torch("expit"), of_torch("ndtr")
_ROOT_HALF = 0.7071067811865476
_INV_ROOT_TWO_PI = 0.3989422804014327


def _side(y: Any, x: Any, **_: Any) -> Any:
    """Which side of the corner at 0."""
    return x > 0


def _sloped(x: TensorType, *, alpha: float) -> TensorType:
    require("this activation", ("real",), x)
    return x


def _emit_softplus(emitter: Emitter, node: Node, x: str) -> str:
    return _softplus(emitter, x)


def _softplus(emitter: Emitter, x: str) -> str:
    return wide.softplus(emitter, x) if emitter.wide else emitter.node("Softplus", x)


def _emit_leaky(emitter: Emitter, node: Node, x: str) -> str:
    alpha = node.attrs["alpha"]
    if not emitter.wide:
        return emitter.node("LeakyRelu", x, alpha=float(alpha))
    slope = emitter.node("Mul", x, emitter.real(alpha))
    return emitter.node("Where", emitter.node("Less", x, emitter.real(0.0)), slope, x)


def _exponential_branch(emitter: Emitter, x: str, alpha: float) -> str:
    """max(x, 0) + alpha (e^min(x, 0) - 1)."""
    below = wide.expm1_below_zero(emitter, emitter.node("Min", x, emitter.real(0.0)))
    return emitter.node("Add", emitter.node("Relu", x), emitter.node("Mul", below, emitter.real(alpha)))


def _emit_elu(emitter: Emitter, node: Node, x: str) -> str:
    alpha = float(node.attrs["alpha"])
    return _exponential_branch(emitter, x, alpha) if emitter.wide else emitter.node("Elu", x, alpha=alpha)


def _emit_selu(emitter: Emitter, node: Node, x: str) -> str:
    if not emitter.wide:
        return emitter.node("Selu", x, alpha=_SELU_ALPHA, gamma=_SELU_SCALE)
    branch = _exponential_branch(emitter, x, _SELU_ALPHA)
    return emitter.node("Mul", branch, emitter.real(_SELU_SCALE))


def _emit_gelu(emitter: Emitter, node: Node, x: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2: the operator itself exists from opset 20 only."""
    if emitter.wide:
        emitter.refuse_wide(node)
    error = emitter.node("Erf", emitter.node("Mul", x, emitter.real(_ROOT_HALF)))
    weight = emitter.node("Mul", emitter.node("Add", error, emitter.real(1.0)), emitter.real(0.5))
    return emitter.node("Mul", x, weight)


def _emit_silu(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Mul", x, emitter.node("Sigmoid", x))


def _emit_mish(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Mul", x, emitter.node("Tanh", _softplus(emitter, x)))


def _enclose_leaky(precision: Precision, x: Interval, alpha: float) -> Interval:
    """The ends, and 0 where the slope below it may turn."""
    ends = [np.where(end > 0, end, alpha * end) for end in (x.low, x.high)]
    low = np.where(x.has(0.0), np.minimum(np.minimum(*ends), 0.0), np.minimum(*ends))
    return precision.rounded(low, np.maximum(*ends), 2.0)


def _enclose_elu(precision: Precision, x: Interval, alpha: float, scale: float = 1.0) -> Interval:
    """The ends, and 0 where the slope below it may turn; e^x - 1 as a difference may miss by a unit of 1."""
    ends = [scale * np.where(end > 0, end, alpha * np.expm1(end)) for end in (x.low, x.high)]
    low = np.where(x.has(0.0), np.minimum(np.minimum(*ends), 0.0), np.minimum(*ends))
    room = scale * abs(alpha) * RATIONAL * precision.unit
    return precision.rounded(low, np.maximum(*ends), LIBRARY, room)


def _enclose_selu(precision: Precision, x: Interval) -> Interval:
    return _enclose_elu(precision, x, _SELU_ALPHA, _SELU_SCALE)


def _grad_gelu(g: Node, y: Node, x: Node) -> tuple[Node]:
    """Phi(x) + x phi(x)."""
    below = (ERF(x * _ROOT_HALF) + 1.0) * 0.5
    return (g * (below + x * EXP(x * x * -0.5) * _INV_ROOT_TWO_PI),)


def _grad_silu(g: Node, y: Node, x: Node) -> tuple[Node]:
    s = SIGMOID(x)
    return (g * (s + y * (1.0 - s)),)


def _grad_mish(g: Node, y: Node, x: Node) -> tuple[Node]:
    t = TANH(SOFTPLUS(x))
    return (g * (t + x * (1.0 - t * t) * SIGMOID(x)),)


def _grad_selu(g: Node, y: Node, x: Node) -> tuple[Node]:
    """scale above 0, y + scale alpha below."""
    return (g * where_positive(x, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),)


SIGMOID = Op(
    "sigmoid",
    same,
    "sigmoid",
    "Sigmoid",
    lambda g, y, x: (g * (y * (1.0 - y)),),
    "1 / (1 + e^-x)",
    examples=_EXAMPLES,
    slopes=lambda: (0.0, 0.25),
    enclose=increasing(_expit, absolute=RATIONAL),
    c="@sigmoid({0})",
)
SOFTPLUS = Op(
    "softplus", same, lambda torch, x: torch.nn.functional.softplus(x, threshold=40.0), _emit_softplus,
    lambda g, y, x: (g * SIGMOID(x),), "log(1 + e^x), without overflow.", examples=_EXAMPLES,
    slopes=lambda: (0.0, 1.0), enclose=increasing(lambda x: np.logaddexp(0.0, x), absolute=RATIONAL), price=11,
    c="@softplus({0})",
)  # fmt: skip
RELU = Op(
    "relu",
    same,
    "relu",
    "Relu",
    lambda g, y, x: (g * positive_part(x),),
    "max(x, 0)",
    examples=_EXAMPLES,
    smooth=False,
    piece=_side,
    slopes=lambda: (0.0, 1.0),
    enclose=exact_steps(lambda x: np.maximum(x, 0.0)),
    c="{0} < 0 ? 0 : {0}",
)
LEAKY_RELU = Op(
    "leaky_relu", _sloped, lambda torch, x, alpha: torch.nn.functional.leaky_relu(x, alpha), _emit_leaky,
    lambda g, y, x, alpha: (g * where_positive(x, 1.0, float(alpha)),), "x above 0, alpha x below.",
    examples=(Example((real("batch", 7),), {"alpha": 0.1}),),
    smooth=False, piece=_side,
    slopes=lambda alpha: (min(1.0, alpha), max(1.0, alpha)), enclose=_enclose_leaky,
    c="{0} < 0 ? {alpha} * {0} : {0}",
)  # fmt: skip
ELU = Op(
    "elu", _sloped, lambda torch, x, alpha: torch.nn.functional.elu(x, alpha), _emit_elu,
    lambda g, y, x, alpha: (g * where_positive(x, 1.0, y + float(alpha)),), "x above 0, alpha (e^x - 1) below.",
    examples=(Example((real("batch", 7),), {"alpha": 0.7}), Example((real("batch", 7),), {"alpha": 1.0})),
    smooth=False, piece=_side,
    slopes=lambda alpha: (min(0.0, alpha), max(1.0, alpha)), enclose=_enclose_elu,
    c="{0} > 0 ? {0} : {alpha} * @expm1({0})",
)  # fmt: skip
SELU = Op(
    "selu",
    same,
    "selu",
    _emit_selu,
    _grad_selu,
    "The self-normalising elu.",
    examples=_EXAMPLES,
    smooth=False,
    piece=_side,
    slopes=lambda: (0.0, _SELU_SCALE * _SELU_ALPHA),
    enclose=_enclose_selu,
    price=2,
    c=f"@literal({_SELU_SCALE}) * ({{0}} > 0 ? {{0}} : @literal({_SELU_ALPHA}) * @expm1({{0}}))",
)
GELU = Op(
    "gelu", same, lambda torch, x: torch.nn.functional.gelu(x), _emit_gelu, _grad_gelu,
    "x Phi(x), Phi the normal distribution function; exact, not the tanh approximation.", examples=_EXAMPLES,
    slopes=lambda: (-0.12891, 1.12891), enclose=dipped(lambda x: x * _ndtr(x), -0.7517915246935645), price=1,
    c=f"@literal(0.5) * {{0}} * (@literal(1.0) + @erf({{0}} * @literal({_ROOT_HALF})))",
)  # fmt: skip
SILU = Op(
    "silu",
    same,
    lambda torch, x: torch.nn.functional.silu(x),
    _emit_silu,
    _grad_silu,
    "x sigmoid(x)",
    examples=_EXAMPLES,
    slopes=lambda: (-0.09985, 1.09985),
    enclose=dipped(lambda x: x * _expit(x), -1.2784645427610738),
    c="{0} * @sigmoid({0})",
)
MISH = Op(
    "mish", same, lambda torch, x: torch.nn.functional.mish(x), _emit_mish, _grad_mish, "x tanh(softplus(x))",
    examples=_EXAMPLES,
    slopes=lambda: (-0.11284, 1.08851),
    enclose=dipped(lambda x: x * np.tanh(np.logaddexp(0.0, x)), -1.1924312145154), price=11,
    c="{0} * @tanh(@softplus({0}))",
)  # fmt: skip

ACTIVATION = (SIGMOID, SOFTPLUS, RELU, LEAKY_RELU, ELU, SELU, GELU, SILU, MISH)

"""Arithmetic with broadcasting. Gradients come back in the shape of the argument through `sum_to`."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocline_compiler.graph import Example, Node, Op, value_of
from isocline_compiler.graph.c_form import CForm
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.comparison import CAST, EQUAL, GREATER, LESS, WHERE
from isocline_compiler.ops.elementwise import LOG
from isocline_compiler.ops.enclosures import difference, negative, power, product, quotient, total
from isocline_compiler.ops.shapes import elementwise, elementwise_real, integer, real, same, same_number

_PAIRS = (
    Example((real("batch", 3), real("batch", 3))),
    Example((real("batch", 2, 3), real(3))),
    Example((real(), real("batch", 2))),
    Example((real(2, 1), real("batch", 1, 4))),
)
_INTEGERS = Example((integer("batch", 3), integer(3)))
_AWAY_FROM_ZERO = tuple(Example(item.types, within=((-2.0, 2.0), (0.5, 2.0))) for item in _PAIRS)
_POWERS = tuple(Example(item.types, within=((0.2, 2.0), (-2.0, 2.0))) for item in _PAIRS)


def _grad_pow(g: Node, y: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
    """d a^b = b a^(b-1) da + a^b log(a) db; an exponent that is a literal has no gradient, and 0 gives none to a."""
    exponent = value_of(b)
    if exponent is not None and not exponent.any():
        return (None, None)
    left = sum_to(g * b * POW(a, b - 1.0), a)
    if exponent is not None:
        return (left, None)
    positive = GREATER(a, 0.0)
    log = LOG(WHERE(positive, a, 1.0))
    return (left, sum_to(g * y * log, b))


def _share(chosen: Op, g: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """The gradient goes to the chosen argument, half to each where they are equal."""
    half = CAST(EQUAL(a, b), kind="real") * 0.5
    left = CAST(chosen(a, b), kind="real") + half
    return (sum_to(g * left, a), sum_to(g * (1.0 - left), b))


def _torch_rounded_off(torch: Any, a: Any, b: Any) -> Any:
    return ((a + b - a) - b).detach()


def _onnx_rounded_off(emitter: Emitter, node: Node, a: str, b: str) -> str:
    return emitter.node("Sub", emitter.node("Sub", emitter.node("Add", a, b), a), b)


def _enclose_rounded_off(precision: Precision, a: Interval, b: Interval) -> Interval:
    """Of two differences, each rounds by half a unit of its result, which |a| and |b| bound: 0 up to a few units."""
    size = 4 * precision.unit * (a.size + b.size) + precision.smallest
    return Interval(-size, size).unknown_where(~np.isfinite(total(precision, a, b).size))


def _rest(numbers: tuple[float, ...], single: bool) -> float:
    """What rounding to the precision takes from some numbers, all together."""
    return sum(number - float(np.float32(number)) for number in numbers) if single else 0.0


def _torch_rest(torch: Any, x: Any, *, of: tuple[float, ...]) -> Any:
    return _rest(of, x.dtype == torch.float32) * x


def _onnx_rest(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Mul", x, emitter.real(_rest(node.attrs["of"], not emitter.wide)))


def _grad_rest(g: Node, y: Node, x: Node, *, of: tuple[float, ...]) -> tuple[Node]:
    return (REST(g, of=of),)


def _type_of_rest(x: TensorType, *, of: tuple[float, ...]) -> TensorType:
    return same(x)


def _enclose_rest(precision: Precision, x: Interval, *, of: tuple[float, ...]) -> Interval:
    size = sum(map(abs, of)) * precision.unit * x.size + precision.smallest
    return Interval(-size, size)


def _torch_pow(torch: Any, a: Any, b: Any) -> Any:
    return torch.pow(a, b)


def _rest_in_c(node: Node) -> str:
    return f"{{0}} * @rest({', '.join(map(repr, node.attrs['of']))})"


def _pow_in_c(node: Node) -> CForm:
    """A product where the exponent is a small whole number, a root where it is a half."""
    exponent = value_of(node.inputs[1])
    if exponent is None or exponent.size != 1:
        return "@pow({0}, {1})"
    number = float(exponent.reshape(-1)[0])
    if number == 0.5:
        return "@sqrt({0})"
    if number.is_integer() and 1 <= abs(number) <= 8:
        product = " * ".join(["{0}"] * int(abs(number)))
        return product if number > 0 else f"1 / ({product})"
    return "@pow({0}, {1})"


ADD = Op(
    "add",
    elementwise,
    "add",
    "Add",
    lambda g, y, a, b: (sum_to(g, a), sum_to(g, b)),
    "a + b",
    examples=(*_PAIRS, _INTEGERS),
    commutative=True,
    broadcasts=True,
    enclose=total,
    c="{0} + {1}",
)
SUB = Op(
    "sub",
    elementwise,
    "sub",
    "Sub",
    lambda g, y, a, b: (sum_to(g, a), sum_to(-g, b)),
    "a - b",
    examples=(*_PAIRS, _INTEGERS),
    broadcasts=True,
    enclose=difference,
    c="{0} - {1}",
)
MUL = Op(
    "mul", elementwise, "mul", "Mul", lambda g, y, a, b: (sum_to(g * b, a), sum_to(g * a, b)), "a b",
    examples=(*_PAIRS, _INTEGERS),
    commutative=True, broadcasts=True,
    enclose=product, c="{0} * {1}",
)  # fmt: skip
DIV = Op(
    "div", elementwise_real, "div", "Div", lambda g, y, a, b: (sum_to(g / b, a), sum_to(-g * y / b, b)), "a / b",
    examples=_AWAY_FROM_ZERO,
    broadcasts=True,
    enclose=quotient, c="{0} / {1}",
)  # fmt: skip
ROUNDED_OFF = Op(
    "rounded_off", elementwise_real, _torch_rounded_off, _onnx_rounded_off,
    lambda g, y, a, b: (None, None),
    "((a + b) - a) - b: what is too much in a rounded sum, exactly where |a| > |b|. Its derivative is 0.",
    examples=_PAIRS,
    broadcasts=True,
    enclose=_enclose_rounded_off, c="(({0} + {1}) - {0}) - {1}",
)  # fmt: skip
REST: Op = Op(
    "rest", _type_of_rest, _torch_rest, _onnx_rest, _grad_rest,
    "r x, where r is what the precision of the graph takes from the numbers `of`: 0 in exact arithmetic.",
    examples=(Example((real("batch", 3),), {"of": (0.1, 0.7)}), Example((real(2),), {"of": (1 / 3,)})),
    enclose=_enclose_rest, c=_rest_in_c,
)  # fmt: skip
NEG = Op(
    "neg", same_number, "neg", "Neg", lambda g, y, x: (-g,), "-x",
    examples=(Example((real("batch", 3),)), Example((integer("batch", 3),))),
    enclose=lambda precision, x: negative(x), c="-{0}",
)  # fmt: skip
POW = Op(
    "pow",
    elementwise_real,
    _torch_pow,
    "Pow",
    _grad_pow,
    "a^b",
    examples=_POWERS,
    broadcasts=True,
    smooth=False,
    enclose=power,
    price=4,
    c=_pow_in_c,
)
MINIMUM = Op(
    "minimum", elementwise, "minimum", "Min", lambda g, y, a, b: _share(LESS, g, a, b), "The smaller of a and b.",
    examples=(*_PAIRS, _INTEGERS),
    commutative=True, broadcasts=True, smooth=False, piece=lambda y, a, b: a < b,
    enclose=lambda precision, a, b: Interval(np.minimum(a.low, b.low), np.minimum(a.high, b.high)),
    c="({1} < {0} || {1} != {1}) ? {1} : {0}",
)  # fmt: skip
MAXIMUM = Op(
    "maximum", elementwise, "maximum", "Max", lambda g, y, a, b: _share(GREATER, g, a, b), "The larger of a and b.",
    examples=(*_PAIRS, _INTEGERS),
    commutative=True, broadcasts=True, smooth=False, piece=lambda y, a, b: a < b,
    enclose=lambda precision, a, b: Interval(np.maximum(a.low, b.low), np.maximum(a.high, b.high)),
    c="({1} > {0} || {1} != {1}) ? {1} : {0}",
)  # fmt: skip

ARITHMETIC = (ADD, SUB, ROUNDED_OFF, REST, MUL, DIV, NEG, POW, MINIMUM, MAXIMUM)

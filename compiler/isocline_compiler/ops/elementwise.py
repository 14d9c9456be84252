"""Functions of one real, entry by entry.

onnxruntime has no float64 kernel for many of these; the formulas used then are in `wide`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isocline_compiler.graph import FLAT, Example, Node, Op
from isocline_compiler.graph.c_form import Moves
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.ops import wide
from isocline_compiler.ops.comparison import CAST, GREATER, WHERE
from isocline_compiler.ops.enclosures import (
    LIBRARY,
    RATIONAL,
    decreasing,
    exact_steps,
    increasing,
    of_torch,
    square,
    tangent,
    waved,
)
from isocline_compiler.ops.shapes import real, same, same_number

_TWO_OVER_ROOT_PI = 1.1283791670955126


def _on(low: float = -2.0, high: float = 2.0) -> tuple[Example, ...]:
    return (
        Example((real("batch", 7),), within=((low, high),)),
        Example((real(2, 3),), within=((low, high),)),
    )


def _in_terms(operator: str, formula: Callable[[Emitter, str], str]) -> Callable[..., str]:
    """The operator in float32; in float64, where it has no kernel, `formula(emitter, x)`."""

    def emit(emitter: Emitter, node: Node, x: str) -> str:
        return formula(emitter, x) if emitter.wide else emitter.node(operator, x)

    return emit


def _float32_only(operator: str) -> Callable[..., str]:
    """The operator in float32; refused in float64, where it has no kernel and no formula of full accuracy."""

    def emit(emitter: Emitter, node: Node, x: str) -> str:
        if emitter.wide:
            emitter.refuse_wide(node)
        return emitter.node(operator, x)

    return emit


def _square(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Mul", x, x)


def _enclose_abs(precision: Precision, x: Interval) -> Interval:
    return Interval(np.where(x.has(0.0), 0.0, np.minimum(np.abs(x.low), np.abs(x.high))), x.size)


def _enclose_cosh(precision: Precision, x: Interval) -> Interval:
    size = _enclose_abs(precision, x)
    return precision.rounded(np.cosh(size.low), np.cosh(size.high), LIBRARY)


EXP = Op(
    "exp",
    same,
    "exp",
    "Exp",
    lambda g, y, x: (g * y,),
    "e^x",
    examples=_on(),
    enclose=increasing(np.exp),
    c="@exp({0})",
)
LOG = Op(
    "log",
    same,
    "log",
    "Log",
    lambda g, y, x: (g / x,),
    "The natural logarithm.",
    examples=_on(0.1, 5),
    enclose=increasing(np.log, low=0.0),
    price=2,
    c="@log({0})",
)
SQRT = Op(
    "sqrt",
    same,
    "sqrt",
    "Sqrt",
    lambda g, y, x: (g * 0.5 / y,),
    "The square root.",
    examples=_on(0.1, 5),
    smooth=False,
    enclose=increasing(np.sqrt, low=0.0),
    c="@sqrt({0})",
)
SQUARE = Op(
    "square",
    same,
    "square",
    _square,
    lambda g, y, x: (g * x * 2.0,),
    "x^2",
    examples=_on(),
    enclose=square,
    c="{0} * {0}",
)
ABS = Op(
    "abs",
    same_number,
    "abs",
    "Abs",
    lambda g, y, x: (g * SIGN(x),),
    "|x|",
    examples=_on(),
    smooth=False,
    piece=lambda y, x: x > 0,
    slopes=lambda: (-1.0, 1.0),
    enclose=_enclose_abs,
    c="{0} < 0 ? -{0} : {0}",
)
SIGN: Op = Op(
    "sign",
    same_number,
    "sign",
    "Sign",
    FLAT,
    "-1, 0 or 1.",
    examples=_on(),
    smooth=False,
    piece=lambda y, x: y,
    enclose=exact_steps(np.sign),
    price=1,
    c="({0} > 0) - ({0} < 0)",
)
FLOOR = Op(
    "floor",
    same,
    "floor",
    "Floor",
    FLAT,
    "The integer below.",
    examples=_on(),
    smooth=False,
    piece=lambda y, x: y,
    enclose=exact_steps(np.floor),
    c="@floor({0})",
)
CEIL = Op(
    "ceil",
    same,
    "ceil",
    "Ceil",
    FLAT,
    "The integer above.",
    examples=_on(),
    smooth=False,
    piece=lambda y, x: y,
    enclose=exact_steps(np.ceil),
    c="@ceil({0})",
)
ROUND = Op(
    "round",
    same,
    "round",
    "Round",
    FLAT,
    "The nearest integer, the even one in the middle.",
    examples=_on(),
    smooth=False,
    piece=lambda y, x: y,
    enclose=exact_steps(np.rint),
    c="@round({0})",
)

SIN = Op(
    "sin",
    same,
    "sin",
    "Sin",
    lambda g, y, x: (g * COS(x),),
    "Sine.",
    examples=_on(),
    slopes=lambda: (-1.0, 1.0),
    enclose=waved(np.sin, np.pi / 2),
    price=2,
    c="@sin({0})",
)
COS: Op = Op(
    "cos",
    same,
    "cos",
    "Cos",
    lambda g, y, x: (-g * SIN(x),),
    "Cosine.",
    examples=_on(),
    slopes=lambda: (-1.0, 1.0),
    enclose=waved(np.cos, 0.0),
    price=2,
    c="@cos({0})",
)
TAN = Op(
    "tan",
    same,
    "tan",
    _in_terms("Tan", wide.tan),
    lambda g, y, x: (g * (1.0 + y * y),),
    "Tangent.",
    examples=_on(-1.2, 1.2),
    enclose=tangent,
    price=11,
    c="@tan({0})",
)
ASIN = Op(
    "asin", same, "asin", _float32_only("Asin"), lambda g, y, x: (g / SQRT(1.0 - x * x),), "Inverse sine.",
    examples=_on(-0.9, 0.9),
    enclose=increasing(np.arcsin, low=-1.0, high=1.0), price=1, c="@asin({0})",
)  # fmt: skip
ACOS = Op(
    "acos", same, "acos", _float32_only("Acos"), lambda g, y, x: (-g / SQRT(1.0 - x * x),), "Inverse cosine.",
    examples=_on(-0.9, 0.9),
    enclose=decreasing(np.arccos, low=-1.0, high=1.0), c="@acos({0})",
)  # fmt: skip
ATAN = Op(
    "atan",
    same,
    "atan",
    _float32_only("Atan"),
    lambda g, y, x: (g / (1.0 + x * x),),
    "Inverse tangent.",
    examples=_on(),
    slopes=lambda: (0.0, 1.0),
    enclose=increasing(np.arctan),
    price=1,
    c="@atan({0})",
)
SINH = Op(
    "sinh",
    same,
    "sinh",
    _in_terms("Sinh", wide.sinh),
    lambda g, y, x: (g * COSH(x),),
    "Hyperbolic sine.",
    examples=_on(),
    enclose=increasing(np.sinh),
    price=12,
    c="@sinh({0})",
)
COSH: Op = Op(
    "cosh",
    same,
    "cosh",
    _in_terms("Cosh", wide.cosh),
    lambda g, y, x: (g * SINH(x),),
    "Hyperbolic cosine.",
    examples=_on(),
    enclose=_enclose_cosh,
    price=5,
    c="@cosh({0})",
)
TANH = Op(
    "tanh",
    same,
    "tanh",
    "Tanh",
    lambda g, y, x: (g * (1.0 - y * y),),
    "Hyperbolic tangent.",
    examples=_on(),
    slopes=lambda: (0.0, 1.0),
    enclose=increasing(np.tanh, absolute=RATIONAL),
    c="@tanh({0})",
)
ASINH = Op(
    "asinh", same, "asinh", _in_terms("Asinh", wide.asinh), lambda g, y, x: (g / SQRT(x * x + 1.0),),
    "Inverse hyperbolic sine.", examples=_on(),
    slopes=lambda: (0.0, 1.0), enclose=increasing(np.arcsinh), price=14, c="@asinh({0})",
)  # fmt: skip
ACOSH = Op(
    "acosh", same, "acosh", _in_terms("Acosh", wide.acosh), lambda g, y, x: (g / (SQRT(x - 1.0) * SQRT(x + 1.0)),),
    "Inverse hyperbolic cosine.", examples=_on(1.2, 3),
    enclose=increasing(np.arccosh, low=1.0), price=2, c="@acosh({0})",
)  # fmt: skip
ATANH = Op(
    "atanh", same, "atanh", _in_terms("Atanh", wide.atanh), lambda g, y, x: (g / (1.0 - x * x),),
    "Inverse hyperbolic tangent.", examples=_on(-0.9, 0.9),
    enclose=increasing(np.arctanh, low=-1.0, high=1.0), price=10, c="@atanh({0})",
)  # fmt: skip
ERF = Op(
    "erf", same, lambda torch, x: torch.special.erf(x), _float32_only("Erf"),
    lambda g, y, x: (g * (_TWO_OVER_ROOT_PI * EXP(-(x * x))),), "The error function.", examples=_on(),
    slopes=lambda: (0.0, 1.1283791670955128), enclose=increasing(of_torch("erf"), absolute=RATIONAL), price=0.5,
    c="@erf({0})",
)  # fmt: skip


def _stop_gradient(emitter: Emitter, node: Node, x: str) -> str:
    return x


STOP_GRADIENT = Op(
    "stop_gradient", lambda x: x, lambda torch, x: x.detach(), _stop_gradient, lambda g, y, x: (None,),
    "x, taken as a constant by every derivative.", examples=_on(),
    enclose=lambda precision, x: x, c=Moves(),
)  # fmt: skip


def positive_part(x: Node) -> Node:
    """1 where x > 0, else 0."""
    return CAST(GREATER(x, 0.0), kind="real")


def where_positive(x: Node, a: Node | float, b: Node | float) -> Node:
    """a where x > 0, else b."""
    return WHERE(GREATER(x, 0.0), a, b)


ELEMENTWISE = (
    EXP, LOG, SQRT, SQUARE, ABS, SIGN, FLOOR, CEIL, ROUND, SIN, COS, TAN, ASIN, ACOS, ATAN,
    SINH, COSH, TANH, ASINH, ACOSH, ATANH, ERF, STOP_GRADIENT,
)  # fmt: skip

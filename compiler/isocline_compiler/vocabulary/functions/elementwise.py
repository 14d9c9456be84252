"""Functions of each entry: powers, exponentials, rounding, comparison."""

from __future__ import annotations

import math

from isocline_compiler.graph import Fault, Node
from isocline_compiler.ops.comparison import CLIP, LESS, WHERE
from isocline_compiler.vocabulary.functions.broadcasting import align, as_real, elementwise
from isocline_compiler.vocabulary.functions.kinds import Bound, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl.messages import calls


def exp(x: Value) -> Node:
    """e to the power x.

    Example: exp(-t)
    """
    return elementwise("exp", x)


def expm1(x: Value) -> Node:
    """e^x - 1, precise for x near 0.

    Computed as 2 sinh(x/2) e^(x/2), which cancels nothing.

    Example: expm1(x)
    """
    half = 0.5 * as_real(x)
    return 2.0 * elementwise("sinh", half) * elementwise("exp", half)


def exprel(x: Value) -> Node:
    """(e^x - 1)/x, and 1 at x = 0. Its reciprocal is x/(e^x - 1), the rate of many gates.

    Precise near 0, its derivative too: e^(x/2) times the series of sinh(x/2)/(x/2).

    Example: 0.1/exprel(-x)
    """
    x = as_real(x)
    square, series = 0.25 * x * x, 1.0 + 0.0 * x
    for divisor in (156, 110, 72, 42, 20, 6):
        series = 1.0 + square / float(divisor) * series
    near = LESS(elementwise("abs", x), 1.0)
    apart = WHERE(near, 1.0 + 0.0 * x, x)
    return WHERE(near, elementwise("exp", 0.5 * x) * series, (elementwise("exp", apart) - 1.0) / apart)


def log(x: Value) -> Node:
    """The natural logarithm, for x > 0.

    Example: log(x^2 + 1)
    """
    return elementwise("log", x)


def log1p(x: Value) -> Node:
    """log(1 + x), precise for x near 0, for x > -1.

    Computed as 2 artanh(x / (2 + x)), which cancels nothing.

    Example: log1p(x^2)
    """
    x = as_real(x)
    return 2.0 * elementwise("atanh", x / (2.0 + x))


def log2(x: Value) -> Node:
    """The logarithm to base 2, for x > 0.

    Example: log2(x^2 + 1)
    """
    return elementwise("log", x) / math.log(2.0)


def log10(x: Value) -> Node:
    """The logarithm to base 10, for x > 0.

    Example: log10(x^2 + 1)
    """
    return elementwise("log", x) / math.log(10.0)


def sqrt(x: Value) -> Node:
    """The square root, for x >= 0. Its derivative is infinite at 0.

    Example: sqrt(x^2 + 1)
    """
    return elementwise("sqrt", x)


def square(x: Value) -> Node:
    """x^2.

    Example: square(x)
    """
    return elementwise("square", x)


def abs_(x: Value) -> Node:
    """The absolute value; the derivative at 0 is taken as 0.

    Example: abs(x - y)
    """
    return elementwise("abs", x)


def sign(x: Value) -> Node:
    """-1, 0 or 1. Its derivative is 0.

    Example: sign(x)
    """
    return elementwise("sign", x)


def floor(x: Value) -> Node:
    """The largest whole number that is not above x. Its derivative is 0.

    Example: floor(t)
    """
    return elementwise("floor", x)


def ceil(x: Value) -> Node:
    """The smallest whole number that is not below x. Its derivative is 0.

    Example: ceil(t)
    """
    return elementwise("ceil", x)


def round_(x: Value) -> Node:
    """The nearest whole number, halves to the even one. Its derivative is 0.

    Example: round(x)
    """
    return elementwise("round", x)


def erf(x: Value) -> Node:
    """The error function, 2/sqrt(pi) times the integral of e^(-s^2) from 0 to x.

    Example: erf(x)
    """
    return elementwise("erf", x)


def clip(x: Value, low: Bound = -math.inf, high: Bound = math.inf) -> Node:
    """x, but no less than `low` and no more than `high`. The derivative outside is 0.

    To keep a parameter within bounds declare them: `param k: real in (0, 1)`.

    Example: clip(x, 0, 1)
    """
    if low >= high:
        raise Fault(lambda span: calls.wrong_argument(span, "clip", "high", f"more than {low:g}", f"{high:g}"))
    return CLIP(as_real(x), low=low, high=high)


def where(condition: Value, a: Value, b: Value) -> Node:
    """`a` where the condition is true, `b` elsewhere. Both are computed.

    Example: where(x > 0, x, 0.1*x)
    """
    condition, a, b = align(condition, as_real(a), as_real(b))
    return WHERE(condition, a, b)


ELEMENTWISE = functions(
    "elementwise", exp, expm1, exprel, log, log1p, log2, log10, sqrt, square, abs_, sign, floor, ceil, round_, erf,
    clip, where,
)  # fmt: skip

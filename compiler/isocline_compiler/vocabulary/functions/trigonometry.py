"""Circular and hyperbolic functions and their inverses; angles are in radians."""

from __future__ import annotations

from isocline_compiler.graph import Node
from isocline_compiler.vocabulary.functions.broadcasting import elementwise
from isocline_compiler.vocabulary.functions.kinds import Value
from isocline_compiler.vocabulary.functions.record import functions


def sin(x: Value) -> Node:
    """The sine.

    Example: sin(2*pi*t)
    """
    return elementwise("sin", x)


def cos(x: Value) -> Node:
    """The cosine.

    Example: cos(2*pi*t)
    """
    return elementwise("cos", x)


def tan(x: Value) -> Node:
    """The tangent.

    Example: tan(t)
    """
    return elementwise("tan", x)


def asin(x: Value) -> Node:
    """The inverse of the sine, from -pi/2 to pi/2, for -1 <= x <= 1.

    Example: asin(x)
    """
    return elementwise("asin", x)


def acos(x: Value) -> Node:
    """The inverse of the cosine, from 0 to pi, for -1 <= x <= 1.

    Example: acos(x)
    """
    return elementwise("acos", x)


def atan(x: Value) -> Node:
    """The inverse of the tangent, from -pi/2 to pi/2.

    Example: atan(x)
    """
    return elementwise("atan", x)


def sinh(x: Value) -> Node:
    """The hyperbolic sine, (e^x - e^-x)/2.

    Example: sinh(x)
    """
    return elementwise("sinh", x)


def cosh(x: Value) -> Node:
    """The hyperbolic cosine, (e^x + e^-x)/2.

    Example: cosh(x)
    """
    return elementwise("cosh", x)


def tanh(x: Value) -> Node:
    """The hyperbolic tangent, from -1 to 1.

    Example: x |> dense(8) |> tanh
    """
    return elementwise("tanh", x)


def asinh(x: Value) -> Node:
    """The inverse of the hyperbolic sine.

    Example: asinh(x)
    """
    return elementwise("asinh", x)


def acosh(x: Value) -> Node:
    """The inverse of the hyperbolic cosine, for x >= 1.

    Example: acosh(x^2 + 1)
    """
    return elementwise("acosh", x)


def atanh(x: Value) -> Node:
    """The inverse of the hyperbolic tangent, for -1 < x < 1.

    Example: atanh(x)
    """
    return elementwise("atanh", x)


TRIGONOMETRY = functions("elementwise", sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh)

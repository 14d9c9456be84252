"""Functions that onnxruntime computes in float32 only, in terms of operators that it has in float64 too.

Each takes the emitter and the name of x and returns the name of the result. Kahan's forms of log(1 + x) and e^x - 1
keep the relative accuracy near 0 (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 1.14.1).
"""

from __future__ import annotations

from isocline_compiler.graph.emission import Emitter


def log1p(emitter: Emitter, x: str) -> str:
    """log(1 + x) = x log(u) / (u - 1) with u = fl(1 + x), and x where u = 1."""
    one = emitter.real(1.0)
    u = emitter.node("Add", x, one)
    flat = emitter.node("Equal", u, one)
    gap = emitter.node("Where", flat, one, emitter.node("Sub", u, one))
    ratio = emitter.node("Div", emitter.node("Mul", x, emitter.node("Log", u)), gap)
    return emitter.node("Where", flat, x, ratio)


def expm1_below_zero(emitter: Emitter, x: str) -> str:
    """e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2), for x <= 0, where nothing cancels."""
    t = emitter.node("Tanh", emitter.node("Mul", x, emitter.real(0.5)))
    return emitter.node("Div", emitter.node("Add", t, t), emitter.node("Sub", emitter.real(1.0), t))


def softplus(emitter: Emitter, x: str) -> str:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): the exponential never overflows."""
    small = emitter.node("Exp", emitter.node("Neg", emitter.node("Abs", x)))
    return emitter.node("Add", emitter.node("Relu", x), log1p(emitter, small))


def tan(emitter: Emitter, x: str) -> str:
    """sin / cos."""
    return emitter.node("Div", emitter.node("Sin", x), emitter.node("Cos", x))


def cosh(emitter: Emitter, x: str) -> str:
    """(e^x + e^-x) / 2."""
    both = emitter.node("Add", emitter.node("Exp", x), emitter.node("Exp", emitter.node("Neg", x)))
    return emitter.node("Mul", both, emitter.real(0.5))


def sinh(emitter: Emitter, x: str) -> str:
    """tanh(x) cosh(x): unlike (e^x - e^-x) / 2, nothing cancels near 0."""
    return emitter.node("Mul", emitter.node("Tanh", x), cosh(emitter, x))


def asinh(emitter: Emitter, x: str) -> str:
    """sign(x) log1p(|x| + x^2 / (1 + sqrt(x^2 + 1)))."""
    one = emitter.real(1.0)
    square = emitter.node("Mul", x, x)
    root = emitter.node("Sqrt", emitter.node("Add", square, one))
    rest = emitter.node("Div", square, emitter.node("Add", root, one))
    size = log1p(emitter, emitter.node("Add", emitter.node("Abs", x), rest))
    return emitter.node("Mul", emitter.node("Sign", x), size)


def acosh(emitter: Emitter, x: str) -> str:
    """log1p(t + sqrt(t (t + 2))) with t = x - 1."""
    t = emitter.node("Sub", x, emitter.real(1.0))
    product = emitter.node("Mul", t, emitter.node("Add", t, emitter.real(2.0)))
    return log1p(emitter, emitter.node("Add", t, emitter.node("Sqrt", product)))


def atanh(emitter: Emitter, x: str) -> str:
    """sign(x) log1p(2 |x| / (1 - |x|)) / 2: of x itself, log1p would cancel near -1."""
    size = emitter.node("Abs", x)
    ratio = emitter.node("Div", emitter.node("Add", size, size), emitter.node("Sub", emitter.real(1.0), size))
    half = emitter.node("Mul", log1p(emitter, ratio), emitter.real(0.5))
    return emitter.node("Mul", emitter.node("Sign", x), half)

"""Distributions on all real numbers, and the uniform one."""

from __future__ import annotations

import math

from isocline_compiler.graph import Fault, Node
from isocline_compiler.ops.elementwise import ABS, LOG, SQUARE
from isocline_compiler.vocabulary.distributions.record import Density, Distribution, log_of, standardized
from isocline_compiler.vocabulary.functions.kinds import Positive, Real
from isocline_dsl.messages import calls

LOG_TWO_PI = math.log(2.0 * math.pi)


def normal(mean: Real = 0.0, std: Positive = 1.0) -> Density:
    """The normal distribution: log p = -((x - mean)/std)^2/2 - log(std) - log(2*pi)/2.

    Example: param k: real ~ normal(0, 1)
    """
    return lambda x: -0.5 * SQUARE(standardized(x, mean, std)) - (log_of(std) + 0.5 * LOG_TWO_PI)


def laplace(location: Real = 0.0, scale: Positive = 1.0) -> Density:
    """The two-sided exponential distribution: log p = -abs(x - location)/scale - log(2*scale).

    Example: param k: real ~ laplace(0, 0.1)
    """
    return lambda x: -ABS(standardized(x, location, scale)) - math.log(2.0 * scale)


def cauchy(location: Real = 0.0, scale: Positive = 1.0) -> Density:
    """The Cauchy distribution: log p = -log(1 + ((x - location)/scale)^2) - log(pi*scale).

    Example: param k: real ~ cauchy(0, 2.5)
    """
    return lambda x: -LOG(1.0 + SQUARE(standardized(x, location, scale))) - log_of(math.pi * scale)


def student_t(freedom: Positive, location: Real = 0.0, scale: Positive = 1.0) -> Density:
    """Student's distribution with v = freedom, whose tails are heavier than those of the normal one.

    log p = -(v + 1)/2*log(1 + ((x - location)/scale)^2/v) + lgamma((v + 1)/2) - lgamma(v/2) - log(v*pi)/2 - log(scale)

    Example: param k: real ~ student_t(3, 0, 1)
    """
    top = math.lgamma((freedom + 1.0) / 2.0) - math.lgamma(freedom / 2.0)
    log_scale = top - 0.5 * math.log(freedom * math.pi) - log_of(scale)

    def density(x: Node) -> Node:
        square = SQUARE(standardized(x, location, scale))
        found: Node = -0.5 * (freedom + 1.0) * LOG(1.0 + square / freedom) + log_scale
        return found

    return density


def uniform(low: Real, high: Real) -> Density:
    """All values from low to high alike: log p = -log(high - low). Give the parameter the same bounds.

    Example: param k: real in (0, 1) ~ uniform(0, 1)
    """
    if not -math.inf < low < high < math.inf:
        raise Fault(lambda span: calls.wrong_argument(span, "uniform", "high", f"a number above {low:g}", f"{high:g}"))
    return lambda x: 0.0 * x - math.log(high - low)


REAL_LINE = (
    Distribution(normal, lambda given: (-math.inf, math.inf), lambda given: given["mean"]),
    Distribution(laplace, lambda given: (-math.inf, math.inf)),
    Distribution(cauchy, lambda given: (-math.inf, math.inf), lambda given: given["location"]),
    Distribution(student_t, lambda given: (-math.inf, math.inf), lambda given: given["location"]),
    Distribution(uniform, lambda given: (given["low"], given["high"])),
)

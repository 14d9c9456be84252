"""Distributions on the positive numbers, and the beta distribution on (0, 1)."""

from __future__ import annotations

import math
from typing import Any

from isocline_compiler.graph import Node
from isocline_compiler.ops.elementwise import EXP, LOG, SQUARE
from isocline_compiler.vocabulary.distributions.real_line import LOG_TWO_PI
from isocline_compiler.vocabulary.distributions.record import Density, Distribution, log_of, standardized
from isocline_compiler.vocabulary.functions.kinds import Positive, Real


def lognormal(mean: Real = 0.0, std: Positive = 1.0) -> Density:
    """log(x) is normal with this mean and deviation.

    log p = -((log(x) - mean)/std)^2/2 - log(x*std) - log(2*pi)/2

    Example: param k: positive ~ lognormal(0, 1)
    """

    def density(x: Node) -> Node:
        logarithm = LOG(x)
        square = SQUARE(standardized(logarithm, mean, std))
        found: Node = -0.5 * square - logarithm - (log_of(std) + 0.5 * LOG_TWO_PI)
        return found

    return density


def exponential(rate: Positive = 1.0) -> Density:
    """The exponential distribution with mean 1/rate: log p = log(rate) - rate*x.

    Example: param k: positive ~ exponential(2)
    """
    return lambda x: math.log(rate) - rate * x


def gamma(shape: Positive, rate: Positive = 1.0) -> Density:
    """The gamma distribution with mean shape/rate.

    log p = (shape - 1)*log(x) - rate*x + shape*log(rate) - lgamma(shape)

    Example: param k: positive ~ gamma(2, 0.5)
    """
    constant = shape * math.log(rate) - math.lgamma(shape)
    return lambda x: (shape - 1.0) * LOG(x) - rate * x + constant


def half_normal(std: Positive = 1.0) -> Density:
    """The absolute value of a normal variable with mean 0.

    log p = -(x/std)^2/2 - log(std) + log(2/pi)/2

    Example: param k: positive ~ half_normal(1)
    """
    constant = 0.5 * math.log(2.0 / math.pi) - math.log(std)
    return lambda x: -0.5 * SQUARE(x / std) + constant


def half_cauchy(scale: Positive = 1.0) -> Density:
    """The absolute value of a Cauchy variable about 0.

    log p = -log(1 + (x/scale)^2) + log(2/(pi*scale))

    Example: param k: positive ~ half_cauchy(2.5)
    """
    constant = math.log(2.0 / (math.pi * scale))
    return lambda x: constant - LOG(1.0 + SQUARE(x / scale))


def beta(a: Positive, b: Positive) -> Density:
    """The beta distribution on (0, 1), with mean a/(a + b).

    log p = (a - 1)*log(x) + (b - 1)*log(1 - x) - log(B(a, b))

    Example: param k: real in (0, 1) ~ beta(2, 2)
    """
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return lambda x: (a - 1.0) * LOG(x) + (b - 1.0) * LOG(1.0 - x) + constant


def _exponential_of(value: Any) -> Any:
    return EXP(value) if isinstance(value, Node) else math.exp(value)


HALF_LINE = (
    Distribution(lognormal, lambda given: (0.0, math.inf), lambda given: _exponential_of(given["mean"])),
    Distribution(exponential, lambda given: (0.0, math.inf)),
    Distribution(gamma, lambda given: (0.0, math.inf)),
    Distribution(half_normal, lambda given: (0.0, math.inf)),
    Distribution(half_cauchy, lambda given: (0.0, math.inf)),
    Distribution(beta, lambda given: (0.0, 1.0)),
)

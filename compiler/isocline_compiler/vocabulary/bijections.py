"""Bounds by construction: smooth increasing bijections from all real numbers to an open interval.

A parameter with bounds is a free weight behind a bijection; no step of an optimizer can leave the interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array, Node
from isocline_compiler.ops.activation import SIGMOID, SOFTPLUS
from isocline_compiler.ops.elementwise import EXP


@dataclass(frozen=True)
class Bijection:
    """`forward` builds the value from the free weight; `inverse` gives the weight of a value inside (low, high).

    `log_slope` is log |d value/d weight|, entry by entry: what the density of the value becomes for the weight.
    """

    low: float
    high: float
    forward: Callable[[Node], Node]
    inverse: Callable[[Array], Array]
    log_slope: Callable[[Node], Node]


def bijection(low: float, high: float) -> Bijection:
    """Onto (low, high), either of which may be infinite.

    (-inf, inf): w;  (low, inf): low + e^w;  (-inf, high): high - e^-w;  (low, high): low + (high - low) sigmoid(w).
    """
    if not low < high:
        raise ValueError(f"the interval ({low:g}, {high:g}) is empty")
    if math.isinf(low) and math.isinf(high):
        return Bijection(low, high, lambda w: w, lambda value: np.array(value, dtype=np.float64), lambda w: 0.0 * w)
    if math.isinf(high):
        return _above(low)
    return _below(high) if math.isinf(low) else _between(low, high)


def _above(low: float) -> Bijection:
    def forward(w: Node) -> Node:
        return EXP(w) + low if low else EXP(w)

    return Bijection(low, math.inf, forward, lambda value: np.log(_inside(value, low, math.inf) - low), lambda w: w)


def _below(high: float) -> Bijection:
    def inverse(value: Array) -> Array:
        return np.asarray(-np.log(high - _inside(value, -math.inf, high)))

    return Bijection(-math.inf, high, lambda w: high - EXP(-w), inverse, lambda w: -w)


def _between(low: float, high: float) -> Bijection:
    def inverse(value: Array) -> Array:
        inside = _inside(value, low, high)
        return np.asarray(np.log(inside - low) - np.log(high - inside))

    def forward(w: Node) -> Node:
        scaled = SIGMOID(w) * (high - low)
        return scaled + low if low else scaled

    def log_slope(w: Node) -> Node:
        """log((high - low) s (1 - s)), s = sigmoid(w)."""
        return math.log(high - low) - SOFTPLUS(w) - SOFTPLUS(-w)

    return Bijection(low, high, forward, inverse, log_slope)


def _inside(value: Array, low: float, high: float) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if not ((low < array) & (array < high)).all():
        raise ValueError(f"no weight gives {array}: it lies outside ({low:g}, {high:g})")
    return array

r"""Weights of the past for Caputo derivatives: numbers where the order is one, expressions where it is learned.

The fractional integral is I^a f(t) = 1/Gamma(a) int_0^t (t - s)^(a-1) f(s) ds. On the pieces [t_k, t_k+1] of a grid

    rectangle   f_k [(t - t_k)^a - (t - t_k+1)^a] / Gamma(1+a)
    ramp        slope_k ((t - t_k)^(1+a) - (t - t_k+1)^(1+a)) / Gamma(2+a) - (t - t_k+1)^a h_k / Gamma(1+a)
    L1          (x_k+1 - x_k)/h_k [(t - t_k)^(1-a) - (t - t_k+1)^(1-a)] / Gamma(2-a)

and the kernel itself is a sum of exponentials: t^(a-1)/Gamma(a) = sin(pi a)/pi int e^((1-a)u - t e^u) du, by the
trapezoidal rule in u. Its nodes are those of the grid alone, its weights those of the order.

Diethelm (2010), The Analysis of Fractional Differential Equations, C.1; Lubich (1986), SIAM J. Math. Anal. 17, 704-719;
Jiang, Zhang, Zhang, Zhang (2017), Commun. Comput. Phys. 21, 650-678; McLean (2018), Exponential sums for t^(-b).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gamma, log, pi
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node, constant
from isocline_compiler.ops.elementwise import EXP, LOG, SIN
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.shaping import RESHAPE

Order: TypeAlias = "float | Node"
Weights: TypeAlias = "Array | Node"
"""Numbers, or expressions of an order that is learned."""

LANCZOS = (
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
"""Lanczos's coefficients, g = 7: Gamma(z + 1) = sqrt(2 pi) (z + 7.5)^(z + 0.5) e^-(z + 7.5) (c_0 + sum c_i/(z + i))."""
EXACT = 1e-8
"""The relative error of the sum of exponentials between a step and the length of the grid."""
LAST = 25.0
"""The largest rate, in one over the least step: e^-25 is nothing."""
PEAK = 30.0
"""What the error of the trapezoidal rule is multiplied by at most, over all orders."""
STRIP = pi**2
"""The trapezoidal rule of step d errs by e^(-STRIP/d): 2 pi times the half width pi/2 of the strip of analyticity."""


def reciprocal_gamma(z: Order, plus: float) -> Order:
    """1 / Gamma(z + plus), for arguments above 1/2."""
    if not isinstance(z, Node):
        return 1.0 / gamma(z + plus)
    w = z + (plus - 1.0)
    series: Node = constant(LANCZOS[0]) + LANCZOS[1] / (w + 1.0)
    for i, c in enumerate(LANCZOS[2:], 2):
        series = series + c / (w + float(i))
    found: Node = EXP((w + 7.5) - (w + 0.5) * LOG(w + 7.5)) / (series * (2 * pi) ** 0.5)
    return found


def power(base: Array, exponent: Order) -> Weights:
    """base^exponent for numbers that are not negative, 0^anything = 0."""
    positive = base > 0
    logs = np.log(np.where(positive, base, 1.0))
    if isinstance(exponent, Node):
        return EXP(constant(logs) * exponent) * constant(positive.astype(np.float64))
    return np.where(positive, np.exp(logs * exponent), 0.0)


def scaled(weights: Weights, factor: Order) -> Weights:
    """Weights times a number."""
    if isinstance(weights, Node) or isinstance(factor, Node):
        return as_value(weights) * factor
    return np.asarray(weights * factor)


def less(a: Weights, b: Weights) -> Weights:
    """a - b."""
    if isinstance(a, Node) or isinstance(b, Node):
        return as_value(a) - as_value(b)
    return np.asarray(a - b)


def as_value(weights: Weights) -> Node:
    return weights if isinstance(weights, Node) else constant(weights)


@dataclass(frozen=True)
class Lags:
    """How long before the end of a step each piece of the past began, ended, and how wide it is; the latest last.

    One row, (pieces,), where all steps are as wide, else one for each step, (steps, pieces). Pieces before the start
    have no width, and no weight.
    """

    begin: Array
    end: Array
    width: Array

    @classmethod
    def of(cls, times: tuple[float, ...], even: bool) -> Lags:
        """Of the steps of a grid: what lies behind the step that is being taken."""
        t = np.array(times)
        steps = len(t) - 1
        pieces = max(steps - 1, 1)
        if even:
            h = (t[-1] - t[0]) / steps
            back = np.arange(pieces, 0, -1.0)
            return cls((back + 1) * h, back * h, np.full(pieces, h))
        begin, end, width = (np.zeros((steps, pieces)) for _ in range(3))
        for n in range(1, steps):
            begin[n, -n:], end[n, -n:], width[n, -n:] = t[n + 1] - t[:n], t[n + 1] - t[1 : n + 1], np.diff(t[: n + 1])
        return cls(begin, end, width)

    @property
    def inverse(self) -> Array:
        """1 / width, 0 where there is none."""
        return np.divide(1.0, self.width, out=np.zeros_like(self.width), where=self.width > 0)

    def rectangle(self, order: Order) -> Weights:
        """What multiplies the slope with which a piece begins."""
        return scaled(less(power(self.begin, order), power(self.end, order)), reciprocal_gamma(order, 1.0))

    def ramp(self, order: Order) -> Weights:
        """What multiplies the change of the slope within a piece."""
        rising = less(power(self.begin, order + 1.0), power(self.end, order + 1.0))
        whole = scaled(_times(rising, self.inverse), reciprocal_gamma(order, 2.0))
        return less(whole, scaled(power(self.end, order), reciprocal_gamma(order, 1.0)))

    def l1(self, order: Order) -> Weights:
        """What multiplies the change of the state within a piece."""
        rest = 1.0 - order
        fallen = less(power(self.begin, rest), power(self.end, rest))
        return scaled(_times(fallen, self.inverse), reciprocal_gamma(rest, 1.0))


def _times(weights: Weights, factors: Array) -> Weights:
    return weights * constant(factors) if isinstance(weights, Node) else np.asarray(weights * factors)


def letnikov(order: Order, count: int) -> Weights:
    """w_count, ..., w_1 of (1 - z)^a = sum w_k z^k: w_k = w_k-1 (1 - (1 + a)/k), the latest last."""
    if not isinstance(order, Node):
        factors = 1.0 - (1.0 + order) / np.arange(1, count + 1)
        return np.asarray(np.cumprod(factors)[::-1].copy())
    found: list[Node] = [-1.0 * order]
    for k in range(2, count + 1):
        found.append(found[-1] * (1.0 - (order + 1.0) * (1.0 / k)))
    return CONCAT(*(RESHAPE(item, shape=(1,)) for item in reversed(found)), axis=0)


@dataclass(frozen=True)
class Exponentials:
    """t^(a-1)/Gamma(a) = sum_j w_j e^(-s_j t), to EXACT of itself from the least step to the length of the grid."""

    least: float
    length: float

    @classmethod
    def of(cls, times: tuple[float, ...]) -> Exponentials:
        t = np.array(times)
        return cls(float(np.diff(t).min()), float(t[-1] - t[0]))

    @property
    def spacing(self) -> float:
        """Of the nodes, in the logarithm of the rate."""
        return STRIP / log(PEAK / EXACT)

    @cached_property
    def rates(self) -> Array:
        """s_j, (count,); the first is 0 and stands for all rates that are nothing over the length."""
        low, high = log(EXACT / self.length), log(LAST / self.least)
        count = int(np.ceil((high - low) / self.spacing)) + 1
        return np.concatenate([[0.0], np.exp(low + self.spacing * np.arange(count))])

    def weights(self, order: Order) -> Weights:
        """w_j of an order, (count,); of order 1 the kernel is 1."""
        count = len(self.rates)
        if not isinstance(order, Node) and order == 1:
            return np.asarray(np.eye(1, count)[0])
        logs = np.log(self.rates[1:])
        rest = 1.0 - order
        if isinstance(rest, Node):
            inner = EXP(constant(logs) * rest)
            tail = EXP(rest * float(logs[0] - self.spacing)) / (1.0 - EXP(rest * -self.spacing))
            both: Weights = CONCAT(RESHAPE(tail, shape=(1,)), inner, axis=0)
            return scaled(both, SIN(rest * pi) * (self.spacing / pi))
        known = np.exp(rest * (logs[0] - self.spacing)) / -np.expm1(-rest * self.spacing)
        return np.asarray(np.concatenate([[known], np.exp(logs * rest)]) * (np.sin(pi * rest) * self.spacing / pi))


def decays(rates: Array, widths: Array) -> tuple[Array, Array, Array]:
    """e^-z, h phi_1(-z) and h phi_2(-z) for z = s h: what a step makes of the memory, of a slope, of its change."""
    z = np.multiply.outer(widths, rates)
    small = z < 1e-2
    safe = np.where(small, 1.0, z)
    first = np.where(small, 1 - z / 2 + z**2 / 6 - z**3 / 24 + z**4 / 120, -np.expm1(-safe) / safe)
    second = np.where(small, 0.5 - z / 6 + z**2 / 24 - z**3 / 120 + z**4 / 720, (safe + np.expm1(-safe)) / safe**2)
    h = np.asarray(widths)[..., None]
    return np.exp(-z), h * first, h * second

"""Schemes of fractional order written from the papers in numpy: every weight of every step, for one number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.integrate import quad

from isocline_compiler.graph import Array
from isocline_compiler.solvers.schemes.fractional_weights import Exponentials

Slope: TypeAlias = "Callable[[float, float], float]"


def by_sums(
    scheme: str, order: float, t: Array, f: Slope, x0: float, jacobian: Slope | None = None, iterations: int = 12
) -> Array:
    """The states at every time, by as many simplified Newton steps where the scheme is implicit."""
    x, begin, end = [x0], [], []
    weights = {"fractional_abm": _lines, "soe": _exponentials}.get(scheme)
    for n in range(1, len(t)):
        h = np.diff(t)[:n]
        if weights is not None:
            begin.append(f(t[n - 1], x[-1]))
            pairs = [weights(order, t, n, k) for k in range(n - 1)]
            past = x0 + sum(a * p + b * q for (a, b), p, q in zip(pairs, begin, end, strict=False))
            ahead = past + h[-1] ** order / math.gamma(1 + order) * begin[-1]
            x.append(ahead + h[-1] ** order / math.gamma(2 + order) * (f(t[n], ahead) - begin[-1]))
            end.append(f(t[n], x[-1]))
            continue
        assert jacobian is not None, "an implicit scheme has a slope of its equation"
        if scheme == "gl":
            w = np.cumprod([1.0, *(1 - (1 + order) / np.arange(1, n + 1))])
            known, own = x0 - sum(w[k] * (x[n - k] - x0) for k in range(1, n + 1)), h[-1] ** order
        else:
            b = ((t[n] - t[:n]) ** (1 - order) - (t[n] - t[1 : n + 1]) ** (1 - order)) / h
            known = x[-1] - sum(b[k] * (x[k + 1] - x[k]) for k in range(n - 1)) / b[-1]
            own = math.gamma(2 - order) / b[-1]
        y, slope = x[-1], jacobian(t[n - 1], x[-1])
        for _ in range(iterations):
            y -= (y - known - own * f(t[n], y)) / (1 - own * slope)
        x.append(y)
    return np.array(x)


def _lines(order: float, t: Array, n: int, k: int) -> tuple[float, float]:
    """What the slopes at both ends of piece k are multiplied by, in the integral of the line between them."""
    low, high, h = t[n] - t[k + 1], t[n] - t[k], t[k + 1] - t[k]
    whole = (high**order - low**order) / math.gamma(1 + order)
    rise = (high ** (1 + order) - low ** (1 + order)) / (h * math.gamma(2 + order))
    rise -= low**order / math.gamma(1 + order)
    return whole - rise, rise


def _exponentials(order: float, t: Array, n: int, k: int) -> tuple[float, float]:
    """The same with the sum of exponentials as kernel, by quadrature in each of them."""
    kernel = Exponentials.of(tuple(t))
    h, low = t[k + 1] - t[k], t[n] - t[k + 1]
    found = np.zeros(2)
    for s, w in zip(kernel.rates, np.asarray(kernel.weights(order)), strict=True):
        if s * low > 50:
            continue
        for side in range(2):
            part = quad(
                lambda u, s=s, side=side: (u / h if side else 1 - u / h) * math.exp(-s * (low + h - u)), 0, h,
                epsabs=1e-15, epsrel=1e-13,
            )  # fmt: skip
            found[side] += w * part[0]
    return float(found[0]), float(found[1])

"""The models of `stiff/` written a second time from their papers, for scipy: nothing here comes from the compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

Array = np.ndarray[Any, np.dtype[np.float64]]
Slopes = Callable[[float, Array, float], list[float] | Array]


def robertson(t: float, y: Array, k1: float) -> list[float]:
    """Hairer, Wanner (1996), IV.1, (1.4)."""
    first, second, third = k1 * y[0], 3e7 * y[1] ** 2, 1e4 * y[1] * y[2]
    return [third - first, first - third - second, second]


def hires(t: float, y: Array, light: float) -> list[float]:
    """Hairer, Wanner (1996), IV.10."""
    fast = 280 * y[5] * y[7]
    return [
        -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
        1.71 * y[0] - 8.75 * y[1],
        -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
        8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
        -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
        -fast + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
        fast - 1.81 * y[6],
        -fast + 1.81 * y[6],
    ]


def van_der_pol(t: float, y: Array, mu: float) -> list[float]:
    """Hairer, Wanner (1996), IV.1, before time is measured in units of mu."""
    return [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]]


def oregonator(t: float, y: Array, start: float) -> list[float]:
    """Hairer, Wanner (1996), IV.10: the limit cycle of 302.9 seconds."""
    return [
        77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])),
        (y[2] - (1 + y[0]) * y[1]) / 77.27,
        0.161 * (y[0] - y[2]),
    ]


def luo_rudy(t: float, y: Array, stimulus: float) -> list[float]:
    """Luo, Rudy (1991), Circ. Res. 68, 1501-1526, table 1, in the form that Livshitz and Rudy published in 2006.

    Its step at -40 mV is a steep logistic function.
    """
    v, m, h, j, d, f, x, calcium = y
    rtf = 8.314 * 310 / 96.5
    high = 1 / (1 + exp(-(v + 40) / 0.24))
    low = 1 - high
    alpha_m, beta_m = 0.32 * (v + 47.13) / (1 - exp(-0.1 * (v + 47.13))), 0.08 * exp(-v / 11)
    alpha_h = low * 0.135 * exp(-(80 + v) / 6.8)
    beta_h = low * (3.56 * exp(0.079 * v) + 3.1e5 * exp(0.35 * v)) + high / (0.13 * (1 + exp(-(v + 10.66) / 11.1)))
    alpha_j = -low * (1.2714e5 * exp(0.2444 * v) + 3.474e-5 * exp(-0.04391 * v)) * (v + 37.78)
    alpha_j /= 1 + exp(0.311 * (v + 79.23))
    beta_j = low * 0.1212 * exp(-0.01052 * v) / (1 + exp(-0.1378 * (v + 40.14)))
    beta_j += high * 0.3 * exp(-2.535e-7 * v) / (1 + exp(-0.1 * (v + 32)))
    alpha_d = 0.095 * exp(-0.01 * (v - 5)) / (1 + exp(-0.072 * (v - 5)))
    beta_d = 0.07 * exp(-0.017 * (v + 44)) / (1 + exp(0.05 * (v + 44)))
    alpha_f = 0.012 * exp(-0.008 * (v + 28)) / (1 + exp(0.15 * (v + 28)))
    beta_f = 0.0065 * exp(-0.02 * (v + 30)) / (1 + exp(-0.2 * (v + 30)))
    alpha_x = 0.0005 * exp(0.083 * (v + 50)) / (1 + exp(0.057 * (v + 50)))
    beta_x = 0.0013 * exp(-0.06 * (v + 20)) / (1 + exp(-0.04 * (v + 20)))
    e_k1 = rtf * log(5.4 / 145)
    alpha_k1 = 1.02 / (1 + exp(0.2385 * (v - e_k1 - 59.215)))
    beta_k1 = 0.49124 * exp(0.08032 * (v - e_k1 + 5.476)) + exp(0.06175 * (v - e_k1 - 594.31))
    beta_k1 /= 1 + exp(-0.5143 * (v - e_k1 + 4.753))
    sodium = 16 * m**3 * h * j * (v - rtf * log(140 / 10))
    slow_inward = 0.09 * d * f * (v - 7.7 + 13.0287 * log(calcium / 1.8))
    rectified = 2.837 * (exp(0.04 * (v + 77)) - 1) / ((v + 77) * exp(0.04 * (v + 35)))
    potassium = 0.282 * x * rectified * (v - rtf * log((5.4 + 0.01833 * 140) / (145 + 0.01833 * 10)))
    independent = 0.6047 * alpha_k1 / (alpha_k1 + beta_k1) * (v - e_k1)
    plateau = 0.0183 * (v + 87.8789) / (1 + exp((7.488 - v) / 5.98))
    background = 0.03921 * (v + 59.87)
    pushed = stimulus if 1 < t < 1.5 else 0.0
    return [
        pushed - (sodium + slow_inward + potassium + independent + plateau + background),
        alpha_m * (1 - m) - beta_m * m,
        alpha_h * (1 - h) - beta_h * h,
        alpha_j * (1 - j) - beta_j * j,
        alpha_d * (1 - d) - beta_d * d,
        alpha_f * (1 - f) - beta_f * f,
        alpha_x * (1 - x) - beta_x * x,
        -1e-4 * slow_inward + 0.07 * (1e-4 - calcium),
    ]


CHANNEL = {name: place for place, name in enumerate(("C3", "C2", "C1", "O", "IC3", "IC2", "IF", "IM1", "IM2"))}


def sodium_channel(t: float, y: Array, v: float) -> list[float]:
    """Clancy, Rudy (2002), Circulation 105, 1208-1213: the wild type, as a list of transitions there and back."""
    alpha2, alpha3, beta3 = 9.178 * exp(v / 29.68), 3.7933e-7 * exp(-v / 7.7), 8.4e-3 + 2e-5 * v
    alpha1 = [
        3.802 / (0.1027 * exp(-v / width) + slow * exp(-v / 150)) for width, slow in ((17, 0.2), (15, 0.23), (12, 0.25))
    ]
    beta1 = [rate * exp(-(v - shift) / 20.3) for rate, shift in ((0.1917, 0), (0.2, 5), (0.22, 10))]
    beta2 = alpha1[2] * alpha2 * alpha3 / (beta1[2] * beta3)
    transitions = [
        ("C3", "C2", alpha1[0], beta1[0]), ("C2", "C1", alpha1[1], beta1[1]), ("C1", "O", alpha1[2], beta1[2]),
        ("IC3", "IC2", alpha1[0], beta1[0]), ("IC2", "IF", alpha1[1], beta1[1]),
        ("IC3", "C3", alpha3, beta3), ("IC2", "C2", alpha3, beta3), ("IF", "C1", alpha3, beta3),
        ("O", "IF", alpha2, beta2), ("IF", "IM1", alpha2 / 100, alpha3), ("IM1", "IM2", alpha2 / 9.5e4, alpha3 / 50),
    ]  # fmt: skip
    slopes = [0.0] * len(CHANNEL)
    for here, there, forwards, backwards in transitions:
        moved = forwards * y[CHANNEL[here]] - backwards * y[CHANNEL[there]]
        slopes[CHANNEL[here]] -= moved
        slopes[CHANNEL[there]] += moved
    return slopes


CHANNEL_1999 = {name: place for place, name in enumerate(("C3", "C2", "C1", "O", "IF", "IS"))}


def sodium_channel_1999(t: float, y: Array, v: float) -> list[float]:
    """Clancy, Rudy (1999), Nature 400, 566-569, box 1 as the authors corrected it, as a matrix of rates."""
    up = [
        3.802 / (0.1027 * exp(-v / width) + slow * exp(-v / 150)) for width, slow in ((17, 0.2), (15, 0.23), (12, 0.25))
    ]
    down = [rate * exp((shift - v) / 20.3) for rate, shift in ((0.1917, 0), (0.2, 5), (0.22, 10))]
    shut, free, caught = 9.178 * exp(v / 29.68), 3.7933e-10 * exp(-v / 5.2), 8.4e-3 + 2e-5 * v
    rates = {
        ("C3", "C2"): up[0], ("C2", "C3"): down[0], ("C2", "C1"): up[1], ("C1", "C2"): down[1],
        ("C1", "O"): up[2], ("O", "C1"): down[2], ("O", "IF"): shut, ("C1", "IF"): caught, ("IF", "C1"): free,
        ("IF", "O"): free * shut * up[2] / (caught * down[2]), ("IF", "IS"): shut / 100, ("IS", "IF"): free,
    }  # fmt: skip
    matrix = np.zeros((6, 6))
    for (here, there), rate in rates.items():
        matrix[CHANNEL_1999[there], CHANNEL_1999[here]] += rate
    matrix -= np.diag(matrix.sum(axis=0))
    return list(matrix @ y)


def brusselator(t: float, y: Array, feed: float) -> Array:
    """Hairer, Wanner (1996), IV.10, (10.14): 64 cells."""
    u, v = y[:64], y[64:]
    diffused = [np.diff(np.concatenate([[end], x, [end]]), 2) * 65**2 / 50 for x, end in ((u, 1), (v, 3))]
    return np.concatenate([feed + u * u * v - 4 * u + diffused[0], 3 * u - u * u * v + diffused[1]])


@dataclass(frozen=True)
class Problem:
    """y' = slopes(t, y, s) from start(s) at `times`, for s in the open interval (low, high); `places` are the states of
    the outputs. The slopes jump at `jumps`.
    """

    slopes: Slopes
    start: Callable[[float], list[float]]
    times: tuple[float, ...]
    given: str
    low: float
    high: float
    places: Mapping[str, int | slice]
    jumps: tuple[float, ...] = ()

    def solved(self, s: float) -> Array:
        """(times, states), by scipy's Radau at 1e-10."""
        ends = sorted({self.times[0], *self.jumps, *self.times})
        x, found = np.asarray(self.start(s), dtype=float), {}
        found[self.times[0]] = x
        size = np.maximum(np.abs(x), 1e-6)
        for begin, end in pairwise(ends):
            middle = (begin + end) / 2

            def slopes(t: float, y: Array, middle: float = middle) -> list[float] | Array:
                return self.slopes(middle if self.jumps else t, y, s)

            path = solve_ivp(slopes, (begin, end), x, "Radau", rtol=1e-10, atol=1e-12 * size)
            assert path.success, path.message
            found[end] = x = path.y[:, -1]
        return np.stack([found[t] for t in self.times])


ACTION_POTENTIAL = [-84.5286, 0.0017, 0.9832, 0.995484, 0.000003, 1.0, 0.0057, 0.0002]
WAVE = [*(1 + np.sin(2 * np.pi * np.arange(1, 65) / 65)), *(64 * [3.0])]
CLAMPED = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)

PROBLEMS = {
    "robertson": Problem(robertson, lambda k1: [1, 0, 0], (0, 40), "k1", 0.03, 0.05, {"a": 0, "b": 1, "c": 2}),
    "hires": Problem(
        hires, lambda light: [light, 0, 0, 0, 0, 0, 0, 0.0057], (0, 321.8122), "light", 0.9, 1.1,
        {"y1": 0, "y2": 1, "y7": 6, "y8": 7},
    ),
    "van_der_pol": Problem(
        van_der_pol, lambda s: [2, 0], tuple(200.0 * i for i in range(11)), "", 0, 0, {"x": 0}
    ),
    "oregonator": Problem(
        oregonator, lambda s: [1, 2, 3], tuple(30.0 * i for i in range(13)), "", 0, 0, {"x": 0, "y": 1, "z": 2}
    ),
    "luo_rudy": Problem(
        luo_rudy, lambda s: ACTION_POTENTIAL, tuple(20.0 * i for i in range(21)), "stimulus", 60, 100,
        {"V": 0, "Cai": 7}, (1.0, 1.5),
    ),
    "sodium_channel": Problem(
        sodium_channel, lambda V: [1, 0, 0, 0, 0, 0, 0, 0, 0], CLAMPED, "V", -40, 0,
        {"open": CHANNEL["O"], "slow": CHANNEL["IM2"]},
    ),
    "sodium_channel_1999": Problem(
        sodium_channel_1999, lambda V: [0.99, 0.01, 0, 0, 0, 0], (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0), "V", -40, 0,
        {"open": CHANNEL_1999["O"], "slow": CHANNEL_1999["IS"]},
    ),
    "brusselator": Problem(
        brusselator, lambda feed: WAVE, (0, 10), "feed", 0.9, 1.1, {"u": slice(64), "v": slice(64, 128)}
    ),
}  # fmt: skip

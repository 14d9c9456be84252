"""Counts of a Poisson process, each from one uniform number by the inverse of its distribution: everywhere the same.

N is the smallest k with u < F(k). The table of F is made of + * / alone, in a stated order, so it has the same bits
everywhere, and so have the counts. From the mode M = floor(rate), whose weight is 1, upwards and downwards:

    w(k) = w(k - 1) (rate / k),   k > M;       w(k - 1) = w(k) (k / rate),   k <= M

for k from max(0, M - r) to M + r, r = ceil(9 sqrt(rate)) + 40, beyond which less than 2^-53 lies. F(k) is the sum of
the weights up to k, from the lowest on, divided by the last sum. The inverse is monotone, so mirror images and lattices
serve counts too.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from isocline_runtime.randomness.draws import Draws
from isocline_runtime.randomness.uniform import Array, uniforms

MOST_RATE = 2.0**23
"""Counts stay whole numbers in float32."""


def poisson(draws: Draws, rows: ArrayLike, rate: ArrayLike, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Counts, (rows, samples, steps, channels), of a rate or of rates that broadcast to that shape; 0 <= rate <= 2^23.

    Every entry of `rate` is a table of some 18 sqrt(rate) numbers.
    """
    u = uniforms(draws, rows)
    given = np.asarray(rate, np.float64)
    rates = given.reshape((1,) * (4 - given.ndim) + given.shape)
    if not np.all((rates >= 0) & (rates <= MOST_RATE)):
        raise ValueError(f"a rate lies between 0 and {MOST_RATE:.0f}")
    np.broadcast_shapes(u.shape, rates.shape)
    counts = np.empty(u.shape, dtype)
    for index in np.ndindex(rates.shape):
        place = tuple(slice(None) if size == 1 else at for at, size in zip(index, rates.shape, strict=True))
        lowest, table = cumulative(float(rates[index]))
        counts[place] = lowest + np.searchsorted(table, u[place], side="right")
    return counts


@lru_cache(maxsize=1024)
def cumulative(rate: float) -> tuple[int, Array]:
    """The lowest count k of the table, and F(k), F(k + 1), ... 1."""
    mode, reach = math.floor(rate), math.ceil(9 * math.sqrt(rate)) + 40
    lowest = max(0, mode - reach)
    up = np.cumprod(rate / np.arange(mode + 1, mode + reach + 1))
    down = np.cumprod(np.arange(mode, lowest, -1) / rate) if rate else np.empty(0)
    sums = np.cumsum(np.concatenate([down[::-1], [1.0], up]))
    return lowest, sums / sums[-1]

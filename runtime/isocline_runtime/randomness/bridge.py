"""Independent standard normals to standard increments of a Brownian path, the coarse ones first.

The first number is the increment over all n steps. An interval of steps [a, b) with the increment S is cut at c =
floor((a + b) / 2):

    S_left = S (c - a) / (b - a) + sqrt((c - a) (b - c) / (b - a)) z,      S_right = S - S_left

and the intervals are cut in the order in which they arise, each with the next number. The map from numbers to
increments is orthogonal, so increments of independent numbers are independent; of a lattice, whose first dimensions are
the best, most of the variance of a path lies in the first few.

Caflisch, Moskowitz (1995), Modified Monte Carlo methods using quasi-random sequences, Lecture Notes in Statistics 106,
1-16. Steps count as equally long: for others the increments are as independent, and the order a little less good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from isocline_runtime.randomness.uniform import Array


def bridge(numbers: Array, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Along the steps of (rows, samples, steps, channels), computed in float64 and rounded once."""
    rows, samples, steps, channels = numbers.shape
    result = np.empty(numbers.shape, dtype)
    if steps == 0:
        return result
    given = np.moveaxis(numbers, 2, 0).reshape(steps, -1)  # a step is one piece of memory
    sums = np.empty_like(given)
    np.multiply(given[0], math.sqrt(steps), out=sums[0])
    for number, (begin, middle, end) in enumerate(cuts(steps), start=1):
        left, right = middle - begin, end - middle
        part = sums[begin] * (left / (end - begin))
        part += given[number] * math.sqrt(left * right / (end - begin))
        np.subtract(sums[begin], part, out=sums[middle])
        sums[begin] = part
    result[:] = np.moveaxis(sums.reshape(steps, rows, samples, channels), 0, 2)
    return result


def cuts(steps: int) -> Iterator[tuple[int, int, int]]:
    """Begin, middle and end of every interval that is cut, in order."""
    waiting = [(0, steps)]
    for begin, end in waiting:
        if end - begin > 1:
            middle = (begin + end) // 2
            waiting += [(begin, middle), (middle, end)]
            yield begin, middle, end

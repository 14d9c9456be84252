"""Philox and the normal quantile compiled by numba, where it is installed: the same bits as numpy's, sooner.

Nothing is imported before a process has drawn so many numbers that loading numba is paid back. Additions,
multiplications and divisions are in the order of `philox`, `uniform` and `normal`, and none are contracted; the
logarithm and the root of the tails stay numpy's, since those of other libraries round otherwise.

`pip install isocline[fast]`. Compiled code is kept in numba's cache; the first process of all takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.randomness.coefficients import CENTRAL, CENTRE, DISTANT, FAR, NEAR, NEAR_SHIFT

Array: TypeAlias = NDArray[np.float64]
WORTH = 2**24
"""Numbers after which a process takes the compiled functions: those of half a second without them."""
CALL = 2**12
"""Numbers that take as long as it takes to draw any at all."""
FIRST, SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_FIRST, WEYL_SECOND = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
MASK, WORD, HIGH, LOW = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(20), np.uint64(12)
UNIT = 2.0**-52


def _uniforms(rows: Any, positions: Any, phases: Any, first: Any, second: Any, out: Any) -> None:
    """Two uniform numbers of every row and position into `out`, (2, rows * positions)."""
    count = len(positions)
    for i in range(len(rows)):
        low, high = rows[i] & MASK, rows[i] >> WORD
        for j in range(count):
            x0, x1, x2, x3 = low, high, positions[j] & MASK, positions[j] >> WORD
            k0, k1 = first, second
            for _ in range(10):
                p, q = x0 * FIRST, x2 * SECOND
                x0, x1, x2, x3 = (q >> WORD) ^ x1 ^ k0, q & MASK, (p >> WORD) ^ x3 ^ k1, p & MASK
                k0, k1 = (k0 + WEYL_FIRST) & MASK, (k1 + WEYL_SECOND) & MASK
            x0, x2 = (x0 + phases[0, j]) & MASK, (x2 + phases[1, j]) & MASK
            out[0, i * count + j] = (np.int64((x0 << HIGH) | (x1 >> LOW)) + 0.5) * UNIT
            out[1, i * count + j] = (np.int64((x2 << HIGH) | (x3 >> LOW)) + 0.5) * UNIT


def _central(q: Any, out: Any) -> None:
    """The quantile of q + 1/2, which holds for |q| <= 0.425."""
    for i in range(len(q)):
        x = CENTRE - q[i] * q[i]
        above, below = x * CENTRAL[0][0], x * CENTRAL[1][0]
        for k in range(1, 7):
            above, below = (above + CENTRAL[0][k]) * x, (below + CENTRAL[1][k]) * x
        out[i] = (above + CENTRAL[0][7]) / (below + CENTRAL[1][7]) * q[i]


def _outside(q: Any, places: Any, tails: Any) -> int:
    """Where |q| > 0.425, and how much probability lies beyond; how many there are."""
    found = 0
    for i in range(len(q)):
        if CENTRE - q[i] * q[i] < 0:
            places[found], tails[found] = i, 0.5 - abs(q[i])
            found += 1
    return found


def _ends(q: Any, places: Any, r: Any, out: Any) -> None:
    """The quantile in the tails, of r = sqrt(-log(tail))."""
    for j in range(len(r)):
        far = r[j] > FAR
        x = r[j] - FAR if far else r[j] - NEAR_SHIFT
        polynomials = DISTANT if far else NEAR
        above, below = x * polynomials[0][0], x * polynomials[1][0]
        for k in range(1, 7):
            above, below = (above + polynomials[0][k]) * x, (below + polynomials[1][k]) * x
        size = (above + polynomials[0][7]) / (below + polynomials[1][7])
        out[places[j]] = -size if q[places[j]] < 0 else size


@dataclass(frozen=True)
class Compiled:
    """The functions of this file, compiled."""

    uniforms: Callable[..., None]
    central: Callable[..., None]
    outside: Callable[..., int]
    ends: Callable[..., None]

    def quantile(self, q: Array, scratch: Array) -> Array:
        """The quantile of q + 1/2, of a flat q; the result lies in the scratch."""
        result, tails, others = scratch
        places: NDArray[np.int64] = others.view(np.int64)
        self.central(q, result)
        found = self.outside(q, places, tails)
        self.ends(q, places, np.sqrt(-np.log(tails[:found])), result)
        return result  # type: ignore[no-any-return]


class Choice:
    """Numpy's functions or the compiled ones: nothing of what is drawn depends on it."""

    def __init__(self) -> None:
        self.found: Compiled | None = None
        self.drawn = 0

    def take(self, functions: Compiled | None) -> None:
        """From now on these, however much is drawn."""
        self.found, self.drawn = functions, WORTH

    def count(self, numbers: int) -> Compiled | None:
        """The compiled functions, where there are some and enough has been drawn."""
        if self.drawn < WORTH:
            self.drawn += numbers + CALL
            if self.drawn >= WORTH:
                self.take(load())
        return self.found


def load() -> Compiled | None:
    """None where numba is not installed, or of a version that does not go with this numpy."""
    try:
        from numba import njit
    except ImportError:
        return None

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            made: Callable[..., Any] = njit(cache=True, nogil=True, error_model="numpy")(function)
        except RuntimeError:  # there is no folder that a cache could be written to
            made = njit(nogil=True, error_model="numpy")(function)
        return made

    return Compiled(compiled(_uniforms), compiled(_central), compiled(_outside), compiled(_ends))


CHOICE = Choice()

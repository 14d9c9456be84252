"""Standard normal numbers, each from one uniform number by the inverse of the normal distribution.

Why the inverse, and not the pairs of Box and Muller: it is monotone, so a lattice of uniform numbers stays one and 1 -
u gives -z; one number in is one number out, whatever the shape; and six of seven numbers need nothing but + - * /,
which every platform rounds alike (a logarithm and a square root make the others). Its tails are exact: they end at 8.2,
where a sample in 10^15 lies.

Wichura (1988), Algorithm AS 241: the percentage points of the normal distribution, Applied Statistics 37, 477-484:
routine PPND16, relative error below 1e-16 before rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from isocline_runtime.randomness.bridge import bridge
from isocline_runtime.randomness.coefficients import CENTRAL, CENTRE, DISTANT, FAR, NEAR, NEAR_SHIFT
from isocline_runtime.randomness.compiled import CHOICE
from isocline_runtime.randomness.draws import Draws
from isocline_runtime.randomness.uniform import Array, mirrored, of_pairs


def normals(draws: Draws, rows: ArrayLike, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Standard normal numbers, (rows, samples, steps, channels), computed in float64 and rounded once.

    With `lattice` the numbers of a path are ordered by a Brownian bridge (isocline_runtime.randomness.bridge), and all
    steps have to be asked for at once.
    """
    if draws.antithetic:
        return mirrored(draws, lambda half: normals(half, rows, dtype), np.negative)
    if not draws.lattice:
        return of_pairs(draws, rows, _from_blocks, dtype)
    if draws.first_step:
        raise ValueError("a lattice of normals begins at step 0: its steps are halves of longer ones")
    numbers: Array = of_pairs(draws, rows, _from_blocks, np.float64).astype(np.float64, copy=False)
    return bridge(numbers, dtype)


def normal_quantile(u: ArrayLike) -> Array:
    """The number below which a standard normal lies with probability u, for u in (0, 1)."""
    given = np.asarray(u, np.float64)
    return _quantile(given.reshape(-1) - 0.5, np.empty((3, given.size))).reshape(given.shape)


def _from_blocks(u: Array, scratch: Array) -> Array:
    q = np.subtract(u, 0.5, out=u).reshape(-1)
    return CHOICE.found.quantile(q, scratch) if CHOICE.found is not None else _quantile(q, scratch)


def _quantile(q: Array, scratch: Array) -> Array:
    """The quantile of q + 1/2, of a flat q; the result lies in the scratch."""
    r, above, below = scratch
    np.multiply(q, q, out=r)
    np.subtract(CENTRE, r, out=r)
    outside = np.flatnonzero(r < 0)
    result = _ratio(CENTRAL, r, above, below)
    result *= q
    result[outside] = _tail(q[outside])
    return result


def _tail(q: Array) -> Array:
    """The quantile of q + 1/2 for |q| > 0.425, by the root of the logarithm of the tail."""
    r = np.sqrt(-np.log(0.5 - np.abs(q)))
    size = _ratio(NEAR, r - NEAR_SHIFT, np.empty_like(q), np.empty_like(q))
    distant = np.flatnonzero(r > FAR)
    if distant.size:
        size[distant] = _ratio(DISTANT, r[distant] - FAR, np.empty(distant.size), np.empty(distant.size))
    return np.copysign(size, q)


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Array, above: Array, below: Array) -> Array:
    """The quotient of two polynomials by Horner's rule, into `above`."""
    for (highest, *others), out in zip(polynomials, (above, below), strict=True):
        np.multiply(x, highest, out=out)
        for coefficient in others[:-1]:
            np.add(out, coefficient, out=out)
            np.multiply(out, x, out=out)
        np.add(out, others[-1], out=out)
    np.divide(above, below, out=above)
    return above

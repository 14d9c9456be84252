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
from isocline_runtime.randomness.draws import Draws
from isocline_runtime.randomness.uniform import Array, mirrored, of_pairs

SPLIT, CENTRE, FAR, NEAR_SHIFT = 0.425, 0.180625, 5.0, 1.6
# Numerator and denominator, from the highest power down.
CENTRAL = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
NEAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
DISTANT = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


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
    return bridge(numbers).astype(dtype, copy=False)


def normal_quantile(u: ArrayLike) -> Array:
    """The number below which a standard normal lies with probability u, for u in (0, 1)."""
    given = np.asarray(u, np.float64)
    return _quantile(given.reshape(-1) - 0.5, np.empty((3, given.size))).reshape(given.shape)


def _from_blocks(u: Array, scratch: Array) -> Array:
    return _quantile(np.subtract(u, 0.5, out=u).reshape(-1), scratch)


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

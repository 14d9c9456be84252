"""One step of Dormand and Prince's method of order 8 with its error of order 5, for samples at times of their own.

The coefficients are scipy's; Hairer, Norsett, Wanner (1993), Solving Ordinary Differential Equations I, section II.10.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate._ivp import dop853_coefficients as dop

from isocline_compiler.graph import Array

RowField = Callable[[Array, Array], Array]
"""x' of samples, (samples, numbers), at a time of each, (samples,)."""
EVALUATIONS = dop.N_STAGES + 1
SAFETY, SHRINKS, GROWS = 0.9, 0.2, 5.0


def step(f: RowField, t: Array, x: Array, h: Array, allowed: Callable[[Array], Array]) -> tuple[Array, Array]:
    """x(t + h), (samples, numbers), and the error of each sample in that allowed; infinite where it is not a number.

    It is that of the number that errs most: a mean would hide one among many. The pair's own estimate weighs it with
    one of order 3, and is ten times too small where a field bends within the step. `allowed` gives the error allowed in
    every number from the states after the step. A step of length zero is none.
    """
    k = np.zeros((dop.N_STAGES + 1, *x.shape))
    k[0] = f(t, x)
    for i in range(1, dop.N_STAGES):
        k[i] = f(t + dop.C[i] * h, x + h[:, None] * np.tensordot(dop.A[i, :i], k[:i], 1))
    y = x + h[:, None] * np.tensordot(dop.B, k[: dop.N_STAGES], 1)
    k[-1] = f(t + h, y)
    scale = allowed(y)
    error = np.abs(h) * np.max(np.abs(np.tensordot(dop.E5, k, 1)) / scale, axis=1)
    error = np.where(np.isfinite(error) & np.isfinite(y).all(axis=1), error, np.inf)
    return np.where(h[:, None] == 0, x, y), np.where(h == 0, 0.0, error)


def factors(error: Array) -> Array:
    """The next step of each sample in the one that was tried."""
    wanted = np.clip(SAFETY * np.maximum(error, 1e-30) ** -0.125, SHRINKS, GROWS)
    return np.where(np.isfinite(error), wanted, SHRINKS)


__all__ = ["EVALUATIONS", "RowField", "factors", "step"]

"""Symmetric stable numbers, whose characteristic function is exp(-|t|^alpha): the increments of a Levy flight.

alpha = 2 is a normal of variance 2, alpha = 1 a Cauchy. From the two uniform numbers of a block, with V = pi (u - 1/2)
and W = -log(u'),

    x = sin(alpha V) / cos(V)^(1/alpha) * (cos((1 - alpha) V) / W)^((1 - alpha)/alpha)

Chambers, Mallows, Stuck (1976), A method for simulating stable random variables, J. Amer. Stat. Assoc. 71, 340-344.
Over a step h an increment is h^(1/alpha) x. Entries of a vector are independent of each other: such noise is not
isotropic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from isocline_runtime.randomness.draws import Draws
from isocline_runtime.randomness.uniform import Array, mirrored, of_steps


def stable(draws: Draws, rows: ArrayLike, alpha: float, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Stable numbers, (rows, samples, steps, channels), 0.1 <= alpha <= 2. What dtype cannot hold is its largest."""
    if not 0.1 <= alpha <= 2:
        raise ValueError(f"alpha is {alpha}; it lies between 0.1 and 2")
    if draws.lattice:
        raise ValueError("a stable number reads two uniform numbers, which a lattice does not give")
    if draws.antithetic:
        return mirrored(draws, lambda half: stable(half, rows, alpha, dtype), np.negative)
    most = float(np.finfo(dtype).max)
    return of_steps(draws, rows, lambda u, _: np.clip(from_uniforms(u[0], u[1], alpha), -most, most), dtype)


def from_uniforms(first: Array, second: Array, alpha: float) -> Array:
    """The formula. cos(V) is sin(pi min(u, 1 - u)), which keeps its digits in the tails."""
    angle = math.pi * (first - 0.5)
    cosine = np.sin(math.pi * np.minimum(first, 1 - first))
    size: Array = np.sin(alpha * angle) / cosine ** (1 / alpha)
    size *= (np.cos((1 - alpha) * angle) / -np.log(second)) ** ((1 - alpha) / alpha)
    return size

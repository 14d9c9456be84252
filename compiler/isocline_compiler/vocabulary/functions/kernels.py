"""The kernel of a convolution as a linear map: its transpose, and a bound on its norm."""

from __future__ import annotations

import math
from functools import reduce
from itertools import product

import numpy as np

from isocline_compiler.graph import Array, Node, constant
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.matrix import SPECTRAL_NORM
from isocline_compiler.ops.reduction import REDUCE_MAX
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

FINENESS = 16
"""Frequencies for each degree of the kernel: between two of them it rises by 1/cos(pi/16) at most, 2 % an axis."""


def turned(w: Node) -> Node:
    """The kernel of the transpose, of stride 1 around the middle of the window: channels swapped, the window turned."""
    swapped = TRANSPOSE(w, perm=(1, 0, *range(2, w.type.rank)))
    return reduce(lambda k, axis: SLICE(k, axis=axis, start=-1, stop=None, step=-1), range(2, w.type.rank), swapped)


def kernel_norm(w: Node) -> Node:
    """A bound on the norm of the convolution with a kernel (units, inputs, *window), whatever the size of the signal,
    its padding with zeros, stride and dilation.

    On a signal without ends it is sup_omega of the norm of K(omega) = sum_k W[:, :, k] e^{-i omega k}, and on any other
    a part of that map. u' K v is a trigonometric polynomial of degree d = ceil((k - 1)/2) an axis, so that between N
    even frequencies it exceeds its values there by 1/cos(pi d/N) at most. Riesz (1914); Ehlich, Zeller (1964).
    """
    units, inputs, *window = (int(size) for size in w.shape)
    waves, rise = frequencies(window)
    flat = TRANSPOSE(RESHAPE(w, shape=(units * inputs, math.prod(window))), perm=(1, 0))
    real, imaginary = (
        RESHAPE(constant(part) @ flat, shape=(len(waves), units, inputs)) for part in (np.cos(waves), -np.sin(waves))
    )
    upper, lower = CONCAT(real, -imaginary, axis=2), CONCAT(imaginary, real, axis=2)
    return REDUCE_MAX(SPECTRAL_NORM(CONCAT(upper, lower, axis=1)), axes=(0,)) * rise


def frequencies(window: list[int]) -> tuple[Array, float]:
    """omega k for each frequency of the grid (a row) and each place of the window, and by which factor more may lie
    between; of omega and -omega, where the norms of a real kernel agree, one.
    """
    degrees = [-(-(size - 1) // 2) for size in window]
    counts = [max(1, FINENESS * degree) for degree in degrees]
    grid = np.array(list(product(*(2 * np.pi * np.arange(count) / count for count in counts))))
    half = grid[grid[:, 0] <= np.pi + 1e-9]
    places = np.array(list(product(*(np.arange(size) for size in window))))
    rise = math.prod(1 / math.cos(math.pi * d / n) for d, n in zip(degrees, counts, strict=True))
    return half @ places.T, rise

r"""Paths of noise on nested grids: drawn on the finest, and the same path on every coarser one.

Standard numbers, (rows, samples, steps, channels), as a deployed model takes them: W over a step is sqrt(h) xi, and
H = (1/h) int_0^h W_s ds - W_h / 2 = sqrt(h/12) zeta. They come from numpy's generator, not from the runtime's, so that
a fault of that one is no part of a proof.
"""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Noise


def drawn_path(
    noise: Noise, shape: tuple[int, int, int], widths: Array, areas: bool, generator: np.random.Generator
) -> Array:
    """Standard numbers of the finest grid for so many (rows, samples, steps), whose steps are `widths` wide."""
    if noise.process == "poisson":
        rates = np.broadcast_to(noise.parameter * np.abs(widths), shape[2:])
        return generator.poisson(rates[:, None], (*shape, noise.size)).astype(np.float64)
    if noise.process == "stable":
        return _stable(noise.parameter, (*shape, noise.size), generator)
    return generator.standard_normal((*shape, noise.size * (2 if areas else 1)))


def _stable(alpha: float, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Chambers, Mallows, Stuck (1976): characteristic function exp(-|t|^alpha)."""
    v, w = np.pi * (generator.random(shape) - 0.5), generator.exponential(size=shape)
    tail = (np.cos((1 - alpha) * v) / w) ** ((1 - alpha) / alpha)
    found: Array = np.sin(alpha * v) / np.cos(v) ** (1 / alpha) * tail
    return found


def coarsened(fine: Array, noise: Noise, factor: int) -> Array:
    """The same path on a grid whose steps are `factor` equal steps of the finer one.

    With the finer steps 1/k wide, W_i = W(i/k) and dW_i, H_i the increment and the area of step i,
    int_0^1 W_s ds = (1/k) sum_i (W_i + dW_i/2 + H_i).
    """
    rows, samples, steps, channels = fine.shape
    parts = fine.reshape(rows, samples, steps // factor, factor, channels)
    own: Array = parts[..., : noise.size]
    if noise.process == "poisson":
        return np.asarray(own.sum(axis=3))
    if noise.process == "stable":
        return np.asarray(own.sum(axis=3) / factor ** (1 / noise.parameter))
    moves = own / np.sqrt(factor)
    total: Array = moves.sum(axis=3)
    if channels == noise.size:
        return total
    before = np.cumsum(moves, axis=3) - moves
    areas = parts[..., noise.size :] / np.sqrt(12 * factor)
    integral = (before + moves / 2 + areas).mean(axis=3)
    return np.concatenate([total, np.sqrt(12) * (integral - total / 2)], axis=-1)

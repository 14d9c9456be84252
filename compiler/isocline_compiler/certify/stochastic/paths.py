r"""Paths of noise on nested grids: drawn on the finest, and the same path on every coarser one.

Standard numbers, (rows, samples, steps, channels), as a deployed model takes them: W over a step is sqrt(h) xi, and
H = (1/h) int_0^h W_s ds - W_h / 2 = sqrt(h/12) zeta. They come from numpy's generator, not from the runtime's, so that
a fault of that one is no part of a proof.
"""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.noise import Noise


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


def coarsened(fine: Array, noise: Noise, factor: int, widths: Array | None = None) -> Array:
    """The same path on a grid whose steps are `factor` steps of the finer one each, equal ones without `widths`.

    Of finer steps h_i wide with increments dW_i and areas H_i, beginning at W_i, over a step h = sum_i h_i:
    int_0^h W_s ds = h (dW/2 + H) = sum_i h_i (W_i + dW_i/2 + H_i). Foster, Lyons, Oberhauser (2020), SIAM J. Numer.
    Anal. 58, 1466-1492.
    """
    rows, samples, steps, channels = fine.shape
    parts = fine.reshape(rows, samples, steps // factor, factor, channels)
    own: Array = parts[..., : noise.size]
    if noise.process == "poisson":
        return np.asarray(own.sum(axis=3))
    h = np.ones(steps) if widths is None else np.abs(widths)
    share = (h.reshape(-1, factor) / h.reshape(-1, factor).sum(axis=1, keepdims=True))[..., None]
    if noise.process == "stable":
        return np.asarray((own * share ** (1 / noise.parameter)).sum(axis=3))
    moves = own * np.sqrt(share)
    total: Array = moves.sum(axis=3)
    if channels == noise.size:
        return total
    before = np.cumsum(moves, axis=3) - moves
    areas = parts[..., noise.size :] * np.sqrt(share / 12)
    integral = (share * (before + moves / 2 + areas)).sum(axis=3)
    return np.concatenate([total, np.sqrt(12) * (integral - total / 2)], axis=-1)


def nodes(fine: Array, noise: Noise, widths: Array) -> Array:
    """W at every node of the grid, from zero: (rows, samples, steps + 1, m)."""
    moves = fine[..., : noise.size] * np.sqrt(np.abs(widths))[:, None]
    return np.concatenate([np.zeros_like(moves[..., :1, :]), np.cumsum(moves, axis=2)], axis=2)

r"""Brownian paths on finer and coarser grids: the standard normals of a grid from those of a finer one.

A step of width h reads its increment W = sqrt(h) xi and, where its scheme wants two normals a channel, the space-time
Levy area H = (1/h) int_0^h (W_s - (s/h) W) ds = sqrt(h/12) eta. Of neighbouring steps with widths h_i, increments W_i
and areas H_i, one step of the width h = sum_i h_i on the same path has

    W = sum_i W_i,    h (W / 2 + H) = sum_i h_i (W_1 + ... + W_{i-1} + W_i / 2 + H_i),

both sides of the second being int_0^h W_s ds. Foster, Lyons, Oberhauser (2020), SIAM J. Numer. Anal. 58, 1466-1492.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocline_compiler.graph import Array


def coarsened(numbers: Array, factor: int, normals: int = 1, widths: Sequence[float] | Array | None = None) -> Array:
    """The same paths with `factor` steps as one: (..., steps, channels) -> (..., steps / factor, channels).

    With `normals` = 2 the second half of the channels are areas. `widths` are those of the finer steps; without, they
    are equal. Raises ValueError where the steps are no multiple of the factor.
    """
    *lead, steps, channels = numbers.shape
    if steps % factor or channels % normals or normals not in (1, 2):
        raise ValueError(f"{steps} steps of {channels} channels in groups of {factor}, {normals} normals each")
    h = np.abs(np.ones(steps) if widths is None else np.asarray(widths, dtype=np.float64))
    h = h.reshape(steps // factor, factor, 1)
    wide = h.sum(axis=1)
    grouped = numbers.reshape(*lead, steps // factor, factor, normals, channels // normals)
    increments = np.sqrt(h) * grouped[..., 0, :]
    whole = increments.sum(axis=-2)
    found = [whole / np.sqrt(wide)]
    if normals == 2:
        areas = np.sqrt(h / 12) * grouped[..., 1, :]
        before = np.cumsum(increments, axis=-2) - increments
        integral = (h * (before + increments / 2 + areas)).sum(axis=-2)
        found.append((integral / wide - whole / 2) / np.sqrt(wide / 12))
    return np.concatenate(found, axis=-1)


def path(numbers: Array, widths: Sequence[float] | Array, normals: int = 1) -> Array:
    """W at every node of the grid: (..., steps, channels) -> (..., steps + 1, channels / normals)."""
    increments = numbers[..., : numbers.shape[-1] // normals] * np.sqrt(np.abs(np.asarray(widths)))[:, None]
    start = np.zeros_like(increments[..., :1, :])
    return np.concatenate([start, np.cumsum(increments, axis=-2)], axis=-2)

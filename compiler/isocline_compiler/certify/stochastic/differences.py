"""How far one grid's paths are from another's, row by row: strong and weak errors with what chance leaves of them.

Everything is relative to the size of an output for the same inputs, the root mean square over paths and entries: errors
of opposite sign at different inputs do not cancel, and large outputs do not hide small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt

import numpy as np
from scipy.special import stdtrit

from isocline_compiler.graph import Array

CONFIDENCE = 0.975
"""Each end of a 95 % interval."""
MANY = 30
"""Paths of one input from which on their own variance is known well enough; with fewer it is that of all inputs."""


@dataclass(frozen=True, eq=False)
class Difference:
    """An output on one grid, and on a finer one, on the same paths: (inputs, paths, entries) each."""

    found: Array
    fine: Array

    @cached_property
    def moved(self) -> Array:
        """The difference, relative to the size of the output for these inputs."""
        size = np.sqrt(np.mean(self.fine**2, axis=(1, 2), keepdims=True))
        return np.asarray((self.found - self.fine) / np.where(size > 0, size, 1.0))

    @cached_property
    def squares(self) -> Array:
        """The mean square of the difference by path."""
        with np.errstate(over="ignore"):  # a grid that is too coarse may run away: its error is infinite
            return np.asarray(np.mean(self.moved**2, axis=2).reshape(-1))

    @property
    def strong(self) -> tuple[float, float]:
        """The strong error, the root of the mean square over inputs and paths, and its standard error."""
        value, error = float(self.squares.mean()), float(self.squares.std(ddof=1) / sqrt(self.squares.size))
        return sqrt(value), error / (2 * sqrt(value)) if value > 0 else 0.0

    @property
    def weak(self) -> tuple[float, float]:
        """The largest difference of means over inputs and entries, and the half width of its 95 % interval."""
        inputs, paths, _ = self.moved.shape
        means, variances = self.moved.mean(axis=1), self.moved.var(axis=1, ddof=1)
        free = paths - 1
        if paths < MANY:
            variances, free = np.broadcast_to(variances.mean(axis=0), variances.shape), inputs * free
        half = float(stdtrit(free, CONFIDENCE)) * np.sqrt(variances / paths)
        worst = np.unravel_index(int(np.argmax(np.abs(means) + half)), means.shape)
        return float(abs(means[worst])), float(half[worst])

    def order(self, finer: Difference) -> tuple[float, float]:
        """log2 of the factor by which the strong error falls on a grid of half the steps, and its standard error: both
        are of the same paths, so that much of what chance does to one it does to the other.
        """
        mine, theirs = self.squares, finer.squares
        value = log(float(mine.mean()) / float(theirs.mean())) / (2 * log(2))
        apart = mine / mine.mean() - theirs / theirs.mean()
        return value, float(apart.std(ddof=1) / sqrt(apart.size)) / (2 * log(2))


def by_inputs(array: Array, inputs: int, samples: int | None) -> Array:
    """(inputs, paths, entries) of rows whose inputs take turns, (rows, [samples], ...): `samples` where an output still
    has its paths apart.
    """
    rows = array.astype(np.float64).reshape(len(array), samples or 1, -1)
    turns = rows.reshape(len(array) // inputs, inputs, *rows.shape[1:])
    return np.asarray(np.moveaxis(turns, 1, 0).reshape(inputs, -1, rows.shape[2]))

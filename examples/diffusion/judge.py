"""Whether two sets of points have one distribution: the maximum mean discrepancy, and how large it is by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 500


@dataclass(frozen=True)
class Discrepancy:
    """Squared, without bias; the 95 % quantile of what chance makes of it; the share of that above it."""

    squared: float
    chance: float
    p: float

    def __str__(self) -> str:
        return f"{1e3 * self.squared:.2f} | {1e3 * self.chance:.2f} | {self.p:.3f}"


def discrepancy(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Discrepancy:
    """The permutation test of Gretton, Borgwardt, Rasch, Schoelkopf, Smola (2012), for x (n, d) and y (n, d).

    The kernel is normal, its bandwidth the median distance of all points. Permutations come from `seed`.
    """
    points, generator = np.concatenate([x, y]), np.random.default_rng(seed)
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    kernel = np.exp(-distances / (2 * np.median(distances)))
    np.fill_diagonal(kernel, 0)
    side = np.repeat([1.0, -1.0], [len(x), len(y)])
    sides = np.stack([side, *(generator.permutation(side) for _ in range(PERMUTATIONS))])
    values = estimates(kernel, sides)
    rank = np.sum(values[1:] >= values[0])
    return Discrepancy(float(values[0]), float(np.quantile(values[1:], 0.95)), float((rank + 1) / (PERMUTATIONS + 1)))


def estimates(kernel: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The unbiased estimate for each row of signs, of a kernel whose diagonal is 0 and sets of one size n.

    sum_(i != j) k(x_i, x_j)/(n (n - 1)) + the same of y - 2 sum_ij k(x_i, y_j)/n^2
    """
    n = sides.shape[1] // 2
    alike = np.einsum("pi,pi->p", sides @ kernel, sides)  # within minus between
    whole = kernel.sum()
    return np.asarray((whole + alike) / (2 * n * (n - 1)) - (whole - alike) / (2 * n * n))

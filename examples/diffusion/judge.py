"""Whether samples have the distribution of data: a two-sample test, and what the nearest neighbours of images are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 500


@dataclass(frozen=True)
class Discrepancy:
    """The squared MMD without bias, the 95 % quantile of what chance makes of it, and the share of that above it."""

    squared: float
    chance: float
    p: float


def discrepancy(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Discrepancy:
    """The permutation test of Gretton, Borgwardt, Rasch, Schoelkopf, Smola (2012), for x (m, d) and y (n, d).

    The kernel is normal, its bandwidth the median distance of all points. Permutations come from `seed`.
    """
    distances, generator = squares(*2 * (np.concatenate([x, y]),)), np.random.default_rng(seed)
    kernel = np.exp(-distances / np.median(distances) / 2)
    np.fill_diagonal(kernel, 0)
    first = np.repeat([1.0, 0.0], [len(x), len(y)])
    values = estimates(kernel, np.stack([first, *(generator.permutation(first) for _ in range(PERMUTATIONS))]))
    rank = np.sum(values[1:] >= values[0])
    return Discrepancy(float(values[0]), float(np.quantile(values[1:], 0.95)), float((rank + 1) / (PERMUTATIONS + 1)))


def estimates(kernel: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The unbiased estimate for each row of `first`, which marks the m points x of all m + n with 1; of y the others.

    sum_(i != j) k(x_i, x_j)/(m (m - 1)) + sum_(i != j) k(y_i, y_j)/(n (n - 1)) - 2 sum_ij k(x_i, y_j)/(m n)

    `kernel` has a diagonal of zeros.
    """
    m, n = first[0].sum(), (1 - first[0]).sum()
    drawn, whole = first @ kernel, kernel.sum()
    within = np.einsum("pi,pi->p", drawn, first)
    between = drawn.sum(axis=1) - within
    return np.asarray(within / (m * (m - 1)) + (whole - within - 2 * between) / (n * (n - 1)) - 2 * between / (m * n))


def squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs."""
    found = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
    return np.asarray(np.maximum(found, 0))


@dataclass(frozen=True)
class Images:
    """Images (n, pixels) and the digit that each shows, or should."""

    pixels: np.ndarray
    digits: np.ndarray

    def nearest(self, seen: Images) -> tuple[float, float]:
        """The share whose nearest neighbour shows the same digit, and the median distance to it, for one pixel."""
        distances = squares(self.pixels, seen.pixels)
        same = self.digits == seen.digits[distances.argmin(axis=1)]
        return float(same.mean()), float(np.median(np.sqrt(distances.min(axis=1) / self.pixels.shape[1])))

    def in_order(self, each: int) -> np.ndarray:
        """So many images of each digit, 0 to 9 and from the beginning again."""
        return np.stack([self.pixels[self.digits == digit][turn] for turn in range(each) for digit in range(10)])

"""Write mixture.npz: points of a mixture of normal densities in the plane, drawn from a stated seed.

    p(x) = sum_k w_k N(x; m_k, C_k)

A mixture is made up by definition; what it is for is that the score of its points in noise is known.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from examples.fetching import write_whole

POINTS = 10_000
SEED = 1905  # Einstein on Brownian motion

WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])
MEANS = np.array([[-1.5, 0.0], [0.0, 1.2], [0.0, -1.2], [1.5, 0.3]])
ROOTS = np.array(
    [[[0.1, 0.0], [0.0, 0.3]], [[0.4, 0.0], [0.1, 0.1]], [[0.4, 0.0], [-0.1, 0.1]], [[0.15, 0.0], [0.0, 0.15]]]
)
"""Matrices R_k with C_k = R_k R_k'."""


def drawn(count: int, seed: int) -> np.ndarray:
    """Independent points of the mixture, (count, 2)."""
    generator = np.random.default_rng(seed)
    which = generator.choice(len(WEIGHTS), count, p=WEIGHTS)
    return np.asarray(MEANS[which] + np.einsum("nij,nj->ni", ROOTS[which], generator.standard_normal((count, 2))))


def noise_in(x: np.ndarray, level: float) -> np.ndarray:
    """The mean of z given x = alpha*point + sigma*z, (n, 2), at log(alpha/sigma) = `level`: -sigma times the score.

    x has the density sum_k w_k N(alpha m_k, S_k) with S_k = alpha^2 C_k + sigma^2, whose score is
    sum_k r_k(x) S_k^-1 (alpha m_k - x), r_k the share of component k in it.
    """
    alpha, sigma = np.sqrt(1 / (1 + np.exp(-2.0 * level))), np.sqrt(1 / (1 + np.exp(2.0 * level)))
    spreads = alpha**2 * ROOTS @ ROOTS.transpose(0, 2, 1) + sigma**2 * np.eye(2)
    apart = alpha * MEANS - x[:, None]
    pulls = np.einsum("kij,nkj->nki", np.linalg.inv(spreads), apart)
    logs = np.log(WEIGHTS) - np.log(np.linalg.det(spreads)) / 2 - np.sum(apart * pulls, axis=2) / 2
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(-sigma * np.einsum("nk,nki->ni", shares, pulls))


def strays(points: np.ndarray) -> float:
    """The share of points more than four deviations from every component; of the mixture, at most exp(-8) = 0.03 %."""
    apart = points[:, None] - MEANS
    inverse = np.linalg.inv(ROOTS @ ROOTS.transpose(0, 2, 1))
    distances = np.einsum("nki,kij,nkj->nk", apart, inverse, apart)
    return float(np.mean(distances.min(axis=1) > 4**2))


def main() -> None:
    path = Path(__file__).with_name("mixture.npz")
    sink = io.BytesIO()
    np.savez_compressed(sink, points=drawn(POINTS, SEED))
    write_whole(path, sink.getvalue())
    print(f"{path}: {POINTS} points")


if __name__ == "__main__":
    main()

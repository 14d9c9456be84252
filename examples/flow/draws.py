"""Write moons.npz: points of two moons, made by scikit-learn's generator from a stated seed.

Half the points lie on the upper half of a circle, half on the lower half of another, each with normal noise. The set is
made up; what it is for is that its density can be computed:

    p(x) = 1/2 sum_i (1/pi) int_0^pi N(x; m_i(a), s^2) da,   m_1 = (cos a, sin a),   m_2 = (1 - cos a, 1/2 - sin a)
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from sklearn.datasets import make_moons

from examples.fetching import write_whole

POINTS = 10_000
SEED = 1687  # Newton on the moon
NOISE = 0.1


def log_density(x: np.ndarray, angles: int = 4000) -> np.ndarray:
    """The logarithm of the density that the points (n, 2) are drawn from, the integral by the midpoint rule."""
    a = (np.arange(angles) + 0.5) * np.pi / angles
    centres = np.concatenate(
        [np.stack([np.cos(a), np.sin(a)], 1), np.stack([1 - np.cos(a), 0.5 - np.sin(a)], 1)],
    )
    squares = (x**2).sum(1)[:, None] - 2 * x @ centres.T + (centres**2).sum(1)
    logs = -squares / (2 * NOISE**2)
    highest = logs.max(axis=1)
    sums = np.log(np.exp(logs - highest[:, None]).mean(axis=1))
    return np.asarray(highest + sums - np.log(2 * np.pi * NOISE**2))


def main() -> None:
    points, _ = make_moons(POINTS, noise=NOISE, random_state=SEED)
    path = Path(__file__).with_name("moons.npz")
    sink = io.BytesIO()
    normals = np.random.default_rng(SEED).standard_normal((POINTS, 2))
    np.savez_compressed(sink, points=points, normals=normals)
    write_whole(path, sink.getvalue())
    print(f"{path}: {POINTS} points, and as many normal ones")


if __name__ == "__main__":
    main()

"""Write stiff.npz: noisy measurements of Robertson's reactions, simulated with scipy from a fixed seed.

    A -> B  (k1),   2 B -> B + C  (k2),   B + C -> A + C  (k3)

96 batches begin with different amounts of A and C. Both are measured at five times from 1 s to 10,000 s, with
normal errors of 0.01. B, which is never more than a few parts in a hundred thousand, is not.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

from examples.fetching import write_whole

BATCHES = 96
TIMES = np.array([0, 0.001, 0.01, 0.1, 1, 10, 100, 1000, 10000.0])
K1, K2, K3 = 0.04, 3e7, 1e4
NOISE = 0.01
SEED = 1966  # Robertson's paper


def slopes(_: float, y: np.ndarray) -> list[float]:
    """Mass action, for amounts (a, b, c)."""
    a, b, c = y
    first, second, third = K1 * a, K2 * b * b, K3 * b * c
    return [third - first, first - second - third, second]


def amounts(start: np.ndarray, times: np.ndarray = TIMES, method: str = "Radau", rtol: float = 1e-10) -> np.ndarray:
    """The states (times, 3) from `start` = (a, c)."""
    begin = [start[0], 0.0, start[1]]
    solution = solve_ivp(slopes, (times[0], times[-1]), begin, method, times, rtol=rtol, atol=rtol * 1e-6)
    assert solution.success, solution.message
    return np.asarray(solution.y.T)


def starts(generator: np.random.Generator, count: int) -> np.ndarray:
    """First amounts (count, 2): of A between 0.6 and 1, of C up to 0.3."""
    return generator.uniform((0.6, 0.0), (1.0, 0.3), (count, 2))


def measurements() -> dict[str, np.ndarray]:
    """`start`, known exactly, float64 (batches, 2), and `seen`, with errors, float64 (batches, 5, 2)."""
    generator = np.random.default_rng(SEED)
    start = starts(generator, BATCHES)
    exact = np.stack([amounts(one)[-5:, [0, 2]] for one in start])
    return {"start": start, "seen": exact + generator.normal(0.0, NOISE, exact.shape)}


def write(path: Path) -> None:
    """Write the archive whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **measurements())
    write_whole(path, buffer.getvalue())


if __name__ == "__main__":
    target = Path(__file__).with_name("stiff.npz")
    write(target)
    print(target)

"""Write pendulum.npz: noisy measurements of a frictionless pendulum, simulated with scipy from a fixed seed.

    q' = p,   p' = -sin(q)          angle q (rad) and momentum p, in units in which mass, length and gravity are 1

Energy p^2/2 + 1 - cos(q) is conserved. Every swing is measured at 9 times from 0 to 2, with normal errors of 0.05.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

from examples.fetching import write_whole

SWINGS = 400
TIMES = np.linspace(0.0, 2.0, 9)
NOISE = 0.05
SEED = 1602  # Galileo writes to Guidobaldo del Monte about pendulums


def motion(_: float, state: np.ndarray) -> list[float]:
    """The right-hand side, for a state (q, p)."""
    return [state[1], -np.sin(state[0])]


def swing(start: np.ndarray, times: np.ndarray = TIMES) -> np.ndarray:
    """The exact states (times, 2), to a relative error of 1e-10."""
    solution = solve_ivp(motion, (times[0], times[-1]), start, "DOP853", times, rtol=1e-10, atol=1e-12)
    assert solution.success, solution.message
    return np.asarray(solution.y.T)


def starts(generator: np.random.Generator, count: int) -> np.ndarray:
    """First states (count, 2): an angle up to 1.8 to each side and a momentum up to 0.6."""
    return generator.uniform((-1.8, -0.6), (1.8, 0.6), (count, 2))


def measurements() -> dict[str, np.ndarray]:
    """`start`, float32 (swings, 2), and `seen`, float32 (swings, 9, 2): all measured, all with errors."""
    generator = np.random.default_rng(SEED)
    exact = np.stack([swing(start) for start in starts(generator, SWINGS)])
    seen = (exact + generator.normal(0.0, NOISE, exact.shape)).astype(np.float32)
    return {"start": seen[:, 0], "seen": seen}


def write(path: Path) -> None:
    """Write the archive whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **measurements())
    write_whole(path, buffer.getvalue())


if __name__ == "__main__":
    target = Path(__file__).with_name("pendulum.npz")
    write(target)
    print(target)

"""Stiff equations from their papers, deployed on fixed grids, against scipy's Radau."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from isocline_compiler import driver
from isocline_runtime import load

MODELS = Path(__file__).parent / "stiff"
Slopes = Callable[[float, np.ndarray], list[float]]


def robertson(k1: float) -> tuple[Slopes, list[float], list[float]]:
    """Hairer, Wanner (1996), IV.1, (1.4)."""
    return (
        lambda t, y: [
            -k1 * y[0] + 1e4 * y[1] * y[2],
            k1 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
            3e7 * y[1] ** 2,
        ],
        [1.0, 0.0, 0.0],
        [0.0, 40.0],
    )


def hires(light: float) -> tuple[Slopes, list[float], list[float]]:
    """Hairer, Wanner (1996), IV.10."""

    def slopes(t: float, y: np.ndarray) -> list[float]:
        fast = 280 * y[5] * y[7]
        return [
            -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
            1.71 * y[0] - 8.75 * y[1],
            -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
            8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
            -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
            -fast + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
            fast - 1.81 * y[6],
            -fast + 1.81 * y[6],
        ]

    return slopes, [light, 0, 0, 0, 0, 0, 0, 0.0057], [0.0, 321.8122]


def oregonator(start: float) -> tuple[Slopes, list[float], list[float]]:
    """Hairer, Wanner (1996), IV.10: the limit cycle of 302.9 seconds."""
    return (
        lambda t, y: [
            77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])),
            (y[2] - (1 + y[0]) * y[1]) / 77.27,
            0.161 * (y[0] - y[2]),
        ],
        [start, 2 * start, 3 * start],
        [30.0 * i for i in range(13)],
    )


PROBLEMS: dict[str, tuple[Callable[[float], tuple[Slopes, list[float], list[float]]], str, list[str], float, float]] = {
    "robertson": (robertson, "k1", ["a", "b", "c"], 0.03, 0.05),
    "hires": (hires, "light", ["y1", "y2", "y7", "y8"], 0.9, 1.1),
    "oregonator": (oregonator, "start", ["x", "y", "z"], 0.95, 1.05),
}
PLACES = {"robertson": [0, 1, 2], "hires": [0, 1, 6, 7], "oregonator": [0, 1, 2]}
QUICK = ("robertson",)
"""Built in every run; all of them by `python -m tests.acceptance.test_stiff`."""


def true_states(name: str, value: float) -> np.ndarray:
    """By scipy's Radau at 1e-10, (times, states)."""
    slopes, start, times = PROBLEMS[name][0](value)
    found = solve_ivp(slopes, (times[0], times[-1]), start, "Radau", t_eval=times, rtol=1e-10, atol=1e-16)
    assert found.success
    return found.y.T


def measured(name: str, folder: Path) -> tuple[str, float]:
    """The scheme with its steps, and the largest error of an output at five inputs within the bounds."""
    _, given, outputs, low, high = PROBLEMS[name]
    compiled = driver.compile(MODELS / f"{name}.dyn", out=folder / name)
    session = load(folder / name)
    values = np.linspace(low, high, 7)[1:-1].astype(np.float32).astype(np.float64)
    found = session.run({given: values})
    several = len(PROBLEMS[name][0](low)[2]) > 2
    worst = 0.0
    for row, value in enumerate(values):
        exact = true_states(name, float(value))
        for output, place in zip(outputs, PLACES[name], strict=True):
            expected = exact[:, place] if several else exact[-1, place]
            worst = max(worst, float(np.abs(found[output][row] - expected).max() / np.abs(expected).max()))
    (solve,) = compiled.certificate["solves"]
    return f"{solve['scheme']}, {solve['steps']} steps", worst


@pytest.mark.parametrize("name", QUICK)
def test_a_stiff_problem_is_deployed_within_its_stated_error(name: str, tmp_path: Path) -> None:
    _, worst = measured(name, tmp_path)
    assert worst <= 1e-4


def test_the_true_solution_of_hires_is_the_published_one() -> None:
    """The reference solution of the test set of Bari, at t = 321.8122."""
    published = [
        0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
        0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2,
    ]  # fmt: skip
    np.testing.assert_allclose(true_states("hires", 1.0)[-1], published, rtol=2e-6)


def main() -> None:
    """A line for each problem: `python -m tests.acceptance.test_stiff`."""
    for name in PROBLEMS:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            scheme, worst = measured(name, Path(folder))
            print(f"{name}: {scheme}, {worst:.1e} (stated 1e-4), {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()

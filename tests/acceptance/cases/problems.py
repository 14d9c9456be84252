"""The equations of the files that take minutes to compile, written a second time for scipy."""

from __future__ import annotations

import math

import numpy as np

from tests.acceptance.measured import Array, Problem

LN2 = math.log(2)


def repressilator(t: float, y: Array) -> Array:
    messengers, proteins = y[:3], y[3:]
    repressed = 30 * (1e-3 + (1 - 1e-3) / (1 + (proteins[[2, 0, 1]] / 40) ** 2))
    return np.concatenate([repressed - LN2 / 2 * messengers, 10 * LN2 * messengers - LN2 / 10 * proteins])


FREQUENCIES = np.array([0.61, 1.32, 0.87, 1.09, 0.55, 1.41, 0.98, 0.73, 1.18, 0.8])
ANGLES = [-2.7, 1.9, 0.4, -1.1, 2.8, -0.3, 1.2, -2.2, 0.9, 2.1]


def ring(t: float, y: Array) -> Array:
    """The scale of the frequencies is the eleventh state."""
    angles, scale = y[:10], y[10]
    pulls = np.sin(np.roll(angles, 1) - angles) + np.sin(np.roll(angles, -1) - angles)
    return np.append(scale * FREQUENCIES + 2 * pulls, 0.0)


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "repressilator", repressilator, lambda s: [0, s, 0, 0, 0, 0], np.arange(0, 1001.0, 10), 5, 40,
            {"y": slice(3, 6)},
        ),
        Problem(
            "ring", ring, lambda s: [*ANGLES, s], np.arange(0, 10.25, 0.5), 0.5, 1.5, {"y": slice(10)},
        ),
    )
}  # fmt: skip
STATED = {"repressilator": 1e-3, "ring": 1e-4}

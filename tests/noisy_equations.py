"""Two coupled, nonlinear equations with noise of every kind: for our nodes, torch, jax and numpy alike."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import constant
from isocline_compiler.ops.elementwise import COS, SIN, SQRT
from isocline_compiler.solvers.schemes.problems import OrderProblem


def factor(t, x, root):
    return 0.4 * (1.0 + 0.2 * t) * root(1.0 + x * x)


def drift(t, x, y, sin, cos):
    return sin(y) - x + 0.3 * t, cos(x) * y - y * y * y


FACTORS = {
    "diagonal": lambda t, x, y, sin, root: [[factor(t, x, root), None], [None, 0.5 * sin(y)]],
    "scalar": lambda t, x, y, sin, root: [[factor(t, y, root), 0.5 * x * sin(y)]],
    "potential": lambda t, x, y, sin, root: [[0.6 * x * y, 0.3 * x * x]],
    "additive": lambda t, x, y, sin, root: [[0.4 + 0.2 * t, 0.1 + 0.0 * t], [0.3 + 0.0 * t, 0.7 * t + 0.1]],
    "general": lambda t, x, y, sin, root: [[factor(t, y, root), 0.2 * x], [0.5 * y, 0.5 * sin(x)]],
    "steady": lambda t, x, y, sin, root: [[0.4, 0.1], [0.3, 0.7]],
    "steady general": lambda t, x, y, sin, root: [[0.4 * root(1.0 + y * y), 0.2 * x], [0.5 * y, 0.5 * sin(x)]],
}


def coupled(kind: str, calculus: str) -> OrderProblem:
    """x and y, coupled and nonlinear, from 1/2 and -1/2; there is no solution to compare with."""
    return OrderProblem(
        kind, ("x", "y"), lambda t, x: drift(t, *x, SIN, COS), lambda t, w: [np.full(1, 0.5), np.full(1, -0.5)], 1.0,
        diffusion=lambda t, x: [
            [constant(item) if isinstance(item, float) else item for item in column]
            for column in FACTORS[kind](t, *x, SIN, SQRT)
        ],
        channels=1 if kind in ("scalar", "potential") else 2,
        calculus=calculus,
    )  # fmt: skip

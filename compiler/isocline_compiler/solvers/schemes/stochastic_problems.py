"""Equations with noise whose solutions are known on every Brownian path: what strong orders are measured on.

There is one for each kind of noise, and for each calculus where they differ. Where noise is general, the solution needs
more of the path than its values (a Levy area), so none of these is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes
from isocline_compiler.ops.elementwise import SQRT
from isocline_compiler.solvers.schemes.problems import OrderProblem


def _w(w: Array | None, channel: int = 0) -> Array | float:
    return 0.0 if w is None else w[channel]


GEOMETRIC = OrderProblem(
    "geometric", ("x",), lambda t, x: [0.5 * x[0]],
    lambda t, w: [np.exp((0.5 - 0.3**2 / 2) * t + 0.3 * _w(w))], 1.0,
    diffusion=lambda t, x: [[0.3 * x[0]]],
)  # fmt: skip
"""dx = x/2 dt + 3/10 x dW (Ito), x(0) = 1: solved by exp((1/2 - 9/200) t + 3/10 W). Kloeden, Platen (1992), 4.2."""

GEOMETRIC_STRATONOVICH = replace(
    GEOMETRIC, name="geometric_stratonovich", exact=lambda t, w: [np.exp(0.5 * t + 0.3 * _w(w))],
    calculus="stratonovich",
)  # fmt: skip
"""The same in Stratonovich's sense: solved by exp(t/2 + 3/10 W)."""


def _root(x: Nodes) -> Node:
    return SQRT(x[0] * x[0] + 1.0)


def _hyperbolic_solution(t: Array, w: Array | None) -> list[Array]:
    return [np.sinh(t + _w(w) + np.arcsinh(0.5))]


HYPERBOLIC = OrderProblem(
    "hyperbolic", ("x",), lambda t, x: [0.5 * x[0] + _root(x)], _hyperbolic_solution, 0.5,
    diffusion=lambda t, x: [[_root(x)]],
)  # fmt: skip
"""dx = (x/2 + sqrt(x^2 + 1)) dt + sqrt(x^2 + 1) dW (Ito), x(0) = 1/2: solved by sinh(t + W + arsinh x(0)).
Kloeden, Platen (1992), 4.4.
"""

HYPERBOLIC_STRATONOVICH = replace(
    HYPERBOLIC, name="hyperbolic_stratonovich", equation=lambda t, x: [_root(x)], calculus="stratonovich",
)  # fmt: skip
"""The same in Stratonovich's sense, whose drift is sqrt(x^2 + 1)."""

KUBO = OrderProblem(
    "kubo", ("x", "y"), lambda t, x: [-x[1] - 0.125 * x[0], x[0] - 0.125 * x[1]],
    lambda t, w: [np.cos(t + 0.5 * _w(w)), np.sin(t + 0.5 * _w(w))], 1.0,
    diffusion=lambda t, x: [[-0.5 * x[1], 0.5 * x[0]]],
)  # fmt: skip
"""Kubo's oscillator, a rotation by t + W/2 (Ito): one noise drives two states, each by the other."""

KUBO_STRATONOVICH = replace(
    KUBO, name="kubo_stratonovich", equation=lambda t, x: [-x[1], x[0]], calculus="stratonovich",
)  # fmt: skip

SHRINKING = OrderProblem(
    "shrinking", ("x",), lambda t, x: [2 / SQRT(1.0 + t) - x[0] / (2.0 * (1.0 + t))],
    lambda t, w: [(1 + 2 * (t + 0.2 * _w(w))) / np.sqrt(1 + t)], 1.0,
    diffusion=lambda t, x: [[0.4 / SQRT(1.0 + t)]],
)  # fmt: skip
"""dx = (2 / sqrt(1 + t) - x / (2 (1 + t))) dt + 2/5 / sqrt(1 + t) dW, x(0) = 1, additive: solved by
(1 + 2 (t + W / 5)) / sqrt(1 + t). Rossler (2010), 7.
"""

SEPARATE = OrderProblem(
    "separate", ("x", "y"), lambda t, x: [0.5 * x[0], -0.5 * x[1]],
    lambda t, w: [
        np.exp((0.5 - 0.4**2 / 2) * t + 0.4 * _w(w, 0)), np.exp((-0.5 - 0.6**2 / 2) * t + 0.6 * _w(w, 1)),
    ], 1.0,
    diffusion=lambda t, x: [[0.4 * x[0], None], [None, 0.6 * x[1]]], channels=2,
)  # fmt: skip
"""Two geometric Brownian motions with a noise each: diagonal."""

SEPARATE_STRATONOVICH = replace(
    SEPARATE, name="separate_stratonovich", calculus="stratonovich",
    exact=lambda t, w: [np.exp(0.5 * t + 0.4 * _w(w, 0)), np.exp(-0.5 * t + 0.6 * _w(w, 1))],
)  # fmt: skip

COMMUTING = OrderProblem(
    "commuting", ("x",), lambda t, x: [0.5 * x[0]],
    lambda t, w: [np.exp((0.5 - (0.2**2 + 0.4**2) / 2) * t + 0.2 * _w(w, 0) + 0.4 * _w(w, 1))], 1.0,
    diffusion=lambda t, x: [[0.2 * x[0]], [0.4 * x[0]]], channels=2, kinds=frozenset({"commutative", "general"}),
)  # fmt: skip
"""dx = x/2 dt + x dW_1 / 5 + 2/5 x dW_2 (Ito), commutative: solved by the exponential of both."""

COMMUTING_STRATONOVICH = replace(
    COMMUTING, name="commuting_stratonovich", calculus="stratonovich",
    exact=lambda t, w: [np.exp(0.5 * t + 0.2 * _w(w, 0) + 0.4 * _w(w, 1))],
)  # fmt: skip

WITH_NOISE = (
    GEOMETRIC, GEOMETRIC_STRATONOVICH, HYPERBOLIC, HYPERBOLIC_STRATONOVICH, KUBO, KUBO_STRATONOVICH, SHRINKING,
    SEPARATE, SEPARATE_STRATONOVICH, COMMUTING, COMMUTING_STRATONOVICH,
)  # fmt: skip

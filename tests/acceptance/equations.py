"""The models of `models/` written a second time, for scipy: nothing here comes from the compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

Array = np.ndarray[Any, np.dtype[np.float64]]
Inputs = Mapping[str, Any]
Outputs = dict[str, Array]


def integrated(slopes: Callable[[float, Array], Any], start: Any, times: Any) -> Array:
    """x at `times`, shape (states, times), the first of which is where it starts. Dormand, Prince: DOP853."""
    path = solve_ivp(
        slopes, (times[0], times[-1]), np.asarray(start, dtype=float), "DOP853", times, rtol=1e-12, atol=1e-13
    )
    assert path.success, path.message
    return np.asarray(path.y)


def van_der_pol(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        return [s[1], 1.5 * (1 - s[0] ** 2) * s[1] - s[0]]

    x, y = integrated(slopes, given["start"], np.arange(5.0))
    return {"position": x, "velocity": y}


def lorenz(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 * s[2] / 3]

    return {"state": integrated(slopes, given["start"], [0, 1])[:, -1]}


def _reactions() -> tuple[Array, Array, Any]:
    """Stoichiometry (12, 18), rate constants (18), two reactants each: S0..3 are 0..3, E 4, F 5, ES 6..8, FS 9..11.

    Reactant 12 is none.
    """
    on, off, make = (1.2, 0.9, 0.6), (0.3, 0.2, 0.4), (0.8, 1.0, 0.7)
    bind, drop, undo = (0.7, 1.1, 0.9), (0.2, 0.3, 0.1), (0.6, 0.5, 0.9)
    found = []
    for i in range(3):
        found += [(on[i], (i, 4), (6 + i,)), (off[i], (6 + i,), (i, 4)), (make[i], (6 + i,), (i + 1, 4))]
        found += [(bind[i], (i + 1, 5), (9 + i,)), (drop[i], (9 + i,), (i + 1, 5)), (undo[i], (9 + i,), (i, 5))]
    matrix = np.zeros((12, len(found)))
    for column, (_, before, after) in enumerate(found):
        for species in before:
            matrix[species, column] -= 1
        for species in after:
            matrix[species, column] += 1
    reactants = np.array([[*before, 12][:2] for _, before, _ in found])
    return matrix, np.array([rate for rate, _, _ in found]), reactants.T


def phosphorylation(given: Inputs) -> Outputs:
    matrix, rates, reactants = _reactions()

    def slopes(t: float, x: Array) -> Array:
        there = np.append(x, 1.0)
        return matrix @ (rates * there[reactants[0]] * there[reactants[1]])

    start = [given["substrate"], 0, 0, 0, given["kinase"], given["phosphatase"], *6 * [0]]
    x = integrated(slopes, start, [0, 4])
    return {"free": x[:4].T, "enzymes": x[4:6].T, "bound": x[6:].T}


def brusselator(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        made = s[0] * s[0] * s[1]
        return [1 - 4 * s[0] + made, 3 * s[0] - made]

    x, y = integrated(slopes, [1.5, 3], [0, 0.5, 2, 3.5, 6])
    return {"x": x, "y": y}


def pendulum(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        return [s[1], -9.81 / 1.4 * np.sin(s[0]) - 0.25 * s[1]]

    angles, speeds = integrated(slopes, [given["angle"], given["speed"]], np.arange(5.0))
    return {"angles": angles, "speeds": speeds}


def duffing(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        return [s[1], 0.5 * np.cos(1.2 * t) - 0.3 * s[1] - s[0] * (1 + s[0] ** 2)]

    return {"s": integrated(slopes, given["start"], [1, 6])[:, -1]}


def fitzhugh_nagumo(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        return [s[0] * (1 - s[0] ** 2 / 3) - s[1] + given["current"], (s[0] + 0.7 - 0.8 * s[1]) / 12.5]

    return {"before": integrated(slopes, given["now"], [4, 3.2])[:, -1]}


def logistic(given: Inputs) -> Outputs:
    def slopes(t: float, n: Array) -> Array:
        return given["rate"] * (1 + 0.3 * np.sin(3 * t)) * n * (3 - n) / 3

    return {"sizes": integrated(slopes, [given["size"]], given["times"])[0]}


def double_pendulum(given: Inputs) -> Outputs:
    """The equations of motion as textbooks solve them for the two accelerations; no matrix, no derivative."""

    def slopes(t: float, s: Array) -> list[float]:
        a, b, u, v = s
        turn, c, g = np.sin(a - b), np.cos(a - b), 9.81
        down = 1 + turn**2
        first = -g * (2 * np.sin(a) - np.sin(b) * c) - turn * (v**2 + u**2 * c)
        second = 2 * turn * (u**2 + g * np.cos(a)) + turn * v**2 * c
        return [u, v, first / down, second / down]

    path = integrated(slopes, [*given["start"], 0, 0], np.linspace(0, 1, 5)).T
    return {"angles": path[:, :2], "speeds": path[:, 2:]}


def hodgkin_huxley(given: Inputs) -> Outputs:
    def slopes(t: float, s: Array) -> list[float]:
        v, m, h, n = s
        alpha_m = 0.1 * (v + 40) / (1 - np.exp(-0.1 * (v + 40)))
        alpha_n = 0.01 * (v + 55) / (1 - np.exp(-0.1 * (v + 55)))
        alpha_h, beta_h = 0.07 * np.exp(-0.05 * (v + 65)), 1 / (1 + np.exp(-0.1 * (v + 35)))
        beta_m, beta_n = 4 * np.exp(-(v + 65) / 18), 0.125 * np.exp(-0.0125 * (v + 65))
        through = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        gates = ((m, alpha_m, beta_m), (h, alpha_h, beta_h), (n, alpha_n, beta_n))
        return [given["current"] - through, *(up - (up + down) * gate for gate, up, down in gates)]

    path = integrated(slopes, [-65, 0.053, 0.596, 0.318], np.arange(9.0))
    return {"V": path[0], "gates": path[1:].T}


def fisher(given: Inputs) -> Outputs:
    """By lines: the second difference is a matrix here."""
    count, width = 80, 0.4
    second = np.diag(np.ones(count - 1), 1) + np.diag(np.ones(count - 1), -1) - 2 * np.eye(count)
    second[0, 0] = second[-1, -1] = -1
    x = -8 + width * np.arange(count)

    def slopes(t: float, u: Array) -> Array:
        return second @ u / width**2 + given["rate"] * (u - u * u)

    return {"u": integrated(slopes, 1 / (1 + np.exp(x / np.sqrt(6))) ** 2, np.arange(5.0)).T}


@dataclass(frozen=True)
class Problem:
    """A model, the intervals its inputs are drawn from (with their shapes), and its equations for one sample."""

    name: str
    solve: Callable[[Inputs], Outputs]
    draws: Mapping[str, tuple[float, float, tuple[int, ...]]]

    def sample(self, generator: np.random.Generator, count: int, dtype: str) -> dict[str, Array]:
        """Inputs that a caller could give, in the precision of the model."""
        drawn = {name: generator.uniform(low, high, (count, *shape)) for name, (low, high, shape) in self.draws.items()}
        if "times" in drawn:
            drawn["times"].sort(axis=-1)
        return {name: array.astype(dtype) for name, array in drawn.items()}

    def solved(self, inputs: Mapping[str, Array]) -> Outputs:
        """The true outputs for a batch of inputs, a sample at a time; no batch axis where there are no inputs."""
        if not inputs:
            return self.solve({})
        rows = zip(*(np.asarray(array, dtype=float) for array in inputs.values()), strict=True)
        answers = [self.solve(dict(zip(inputs, row, strict=True))) for row in rows]
        return {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("van_der_pol", van_der_pol, {"start": (-2, 2, (2,))}),
        Problem("lorenz", lorenz, {"start": (-10, 10, (3,))}),
        Problem(
            "phosphorylation",
            phosphorylation,
            {"substrate": (0.5, 2, ()), "kinase": (0.2, 1, ()), "phosphatase": (0.2, 1, ())},
        ),
        Problem("brusselator", brusselator, {}),
        Problem("pendulum", pendulum, {"angle": (-2.5, 2.5, ()), "speed": (-1, 1, ())}),
        Problem("duffing", duffing, {"start": (-1.5, 1.5, (2,))}),
        Problem("fitzhugh_nagumo", fitzhugh_nagumo, {"now": (-1, 1, (2,)), "current": (0, 0.6, ())}),
        Problem("logistic", logistic, {"size": (0.1, 4, ()), "rate": (0.5, 1.5, ()), "times": (0, 4, (5,))}),
        Problem("double_pendulum", double_pendulum, {"start": (-0.8, 0.8, (2,))}),
        Problem("hodgkin_huxley", hodgkin_huxley, {"current": (8, 15, ())}),
        Problem("fisher", fisher, {"rate": (0.5, 1.5, ())}),
    )
}

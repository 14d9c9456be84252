"""Strong and weak orders of the schemes for noise, measured: slopes over several steps with confidence intervals.

`python -m tests.stochastic_orders [-o FILE] [SCHEME...]` writes the whole table; the tests take a sample of it.

Paths are drawn on a grid finer than every grid that is judged, and merged onto each of those, areas too. A strong error
is the root mean square of the difference at the end, a weak one that of the means of x^2 (the difference is taken path
by path, so that chance nearly cancels). A slope is fitted to the logarithms on each of several independent batches of
paths; their mean and Student's interval are the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.stochastic.paths import coarsened
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.ops.elementwise import SIN
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes import stochastic_problems as known
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic
from isocline_compiler.solvers.unroll import unroll
from tests import steppers

Array = np.ndarray
FINER = 8
"""Steps of the grid that paths are drawn on, for each of the finest that is judged, where a solution is walked."""


@dataclass(frozen=True)
class Case:
    """An equation, and its states at the end on paths of standard normals, (paths, steps, 2 channels), areas behind.

    `finer`: how many of the steps of these paths there have to be in one of the finest grid that is judged.
    """

    problem: OrderProblem
    exact: Callable[[Array], Array]
    finer: int = 1

    @property
    def kinds(self) -> frozenset[str]:
        return self.problem.solve().spec.kinds


def closed(problem: OrderProblem) -> Case:
    """With the solution in closed form on the path's last value."""

    def exact(normals: Array) -> Array:
        w = np.sqrt(problem.end / normals.shape[1]) * normals[..., : problem.channels].sum(axis=1).T[..., None]
        found = problem.exact(np.array([problem.end]), w)
        return np.array([np.broadcast_to(x, (len(normals), 1))[:, 0] for x in found])

    return Case(problem, exact)


def walked_finely(problem: OrderProblem, equation: steppers.Noisy, step: steppers.StepOf) -> Case:
    """With the solution on the finest grid, by a stepper in numpy."""

    def exact(normals: Array) -> Array:
        start = np.array([item[0] for item in problem.start(1).values()])[:, None] * np.ones(len(normals))
        times = np.linspace(0, problem.end, normals.shape[1] + 1)
        m = problem.channels
        return steppers.with_noise(step, equation, start, times, normals[..., :m], normals[..., m:])[-1]

    return Case(problem, exact, FINER)


CURVED = OrderProblem(
    "curved", ("x",), lambda t, x: [2.0 * SIN(x[0])], lambda t, w: [np.ones(1)], 0.5,
    diffusion=lambda t, x: [[0.8 + 0.0 * t]],
)  # fmt: skip
"""dx = 2 sin x dt + 4/5 dW, x(0) = 1: additive noise and a drift that is not linear."""

TWISTED = OrderProblem(
    "twisted", ("x", "y"), lambda t, x: [0.0 * x[0], 0.0 * x[1]], lambda t, w: [np.zeros(1), np.zeros(1)], 1.0,
    diffusion=lambda t, x: [[1.0 + 0.0 * t, None], [None, x[0]]], channels=2,
)  # fmt: skip
"""dx = dW_1, dy = x dW_2: y is the iterated integral of general noise, the same in both senses. Without its Levy area
the best of a step is x dW_2 + dW_1 dW_2 / 2, whose mean square error is h^2 / 4; Euler and Maruyama's is h^2 / 2.
"""

TWISTED_STRATONOVICH = replace(TWISTED, name="twisted_stratonovich", calculus="stratonovich")

_curved = steppers.Noisy(
    lambda t, x: 2 * np.sin(x), lambda t, x: np.full((1, 1, 1), 0.8), lambda t, x: np.zeros((1, 1, 1, 1))
)
_twisted = steppers.Noisy(
    lambda t, x: 0 * x,
    lambda t, x: np.stack([np.stack([np.ones_like(x[0]), 0 * x[0]]), np.stack([0 * x[0], x[0]])]),
    lambda t, x: np.zeros((2, 2, 2, 1)),
)
CASES = (
    *map(closed, known.WITH_NOISE),
    walked_finely(CURVED, _curved, steppers.rossler_sra(3)),
    walked_finely(TWISTED, _twisted, steppers.euler_maruyama),
    walked_finely(TWISTED_STRATONOVICH, _twisted, steppers.euler_maruyama),
)


@cache
def _program(scheme: Stochastic, problem: OrderProblem, steps: int) -> TorchProgram:
    """The walk over a uniform grid as the compiler emits it."""
    times = (*(problem.end * i / steps for i in range(steps)), problem.end)
    solve = problem.solve()
    node = solve.rebuilt(spec=replace(solve.spec, interval=Interval((0.0, problem.end), False))).node()
    graph = Graph(solve.initial, {name: pick(node, i) for i, name in enumerate(problem.states)})
    choice = Discretisation(scheme, Grid(times, (steps,)), 1 if steps > 1 else None)
    return TorchProgram(optimise(unroll(graph, {solve.spec.name: choice}).graph))


def ends(scheme: Stochastic, problem: OrderProblem, steps: int, normals: Array) -> Array:
    """The states at the end of a uniform grid, (states, paths)."""
    bound = {**problem.start(len(normals)), "W": normals[:, None]}
    with torch.no_grad():
        found = _program(scheme, problem, steps)({name: torch.tensor(item) for name, item in bound.items()})
    return np.array([found[name].numpy() for name in problem.states])


@dataclass(frozen=True)
class Slope:
    """A measured order, with the half width of its interval."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.half:.2f}"


@dataclass(frozen=True)
class Orders:
    """The orders of a scheme on a case; the errors by steps, strong and weak, over all paths."""

    strong: Slope
    weak: Slope
    strong_errors: tuple[float, ...]
    weak_errors: tuple[float, ...]


def orders(
    scheme: Stochastic, case: Case, steps: Sequence[int], paths: int, batches: int, seed: int = 0, finer: int = 1
) -> Orders:
    """Slopes of log error over log h, a batch of paths at a time; on paths that are `finer` than the case needs."""
    problem, finest = case.problem, max(steps) * max(case.finer, finer)
    (noise,) = problem.solve().spec.noises
    strong, weak = np.zeros((batches, len(steps))), np.zeros((batches, len(steps)))
    for batch in range(batches):
        rng = np.random.default_rng([seed, batch])
        fine = rng.standard_normal((paths, 1, finest, 2 * problem.channels))
        exact = case.exact(fine[:, 0])
        for k, n in enumerate(steps):
            coarse = coarsened(fine, noise, finest // n)[:, 0, :, : problem.channels * scheme.normals]
            found = ends(scheme, problem, n, coarse)
            strong[batch, k] = np.mean((found - exact) ** 2)
            weak[batch, k] = np.mean(found**2 - exact**2)
    return Orders(
        _slope(steps, np.sqrt(strong)), _slope(steps, np.abs(weak)),
        tuple(np.sqrt(strong.mean(axis=0))), tuple(np.abs(weak.mean(axis=0))),
    )  # fmt: skip


def _slope(steps: Sequence[int], errors: Array) -> Slope:
    slopes = [-np.polyfit(np.log(steps), np.log(np.maximum(row, 1e-300)), 1)[0] for row in errors]
    half = stats.t.ppf(0.975, len(slopes) - 1) * np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    return Slope(float(np.mean(slopes)), float(half))


STOCHASTIC = {name: scheme for name, scheme in SCHEMES.items() if isinstance(scheme, Stochastic)}


def suited(scheme: Stochastic) -> list[Case]:
    return [case for case in CASES if scheme.fits(case.problem.solve()) is None]


def table(names: Sequence[str], paths: int, batches: int) -> str:
    """Markdown: what each scheme says and shows on each equation that it takes."""
    lines = ["| scheme | equation | strong order: said | shown | weak order: said | shown |", "|" + " --- |" * 6]
    for name in names:
        scheme = STOCHASTIC[name]
        for case in suited(scheme):
            strong = orders(scheme, case, (16, 32, 64, 128), paths // 8, batches).strong
            weak = orders(scheme, case, (4, 8, 16, 32), paths, batches, seed=1).weak
            said = f"{scheme.strong_order(case.kinds):g}", f"{scheme.weak_order(case.kinds):g}"
            lines.append(f"| {name} | {case.problem.name} | {said[0]} | {strong} | {said[1]} | {weak} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCHEME")
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("--paths", type=int, default=16_000)
    parser.add_argument("--batches", type=int, default=8)
    given = parser.parse_args()
    text = table(given.names or list(STOCHASTIC), given.paths, given.batches)
    if given.output is not None:
        given.output.write_text(text)


if __name__ == "__main__":
    main()

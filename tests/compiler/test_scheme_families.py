"""Every scheme of the table, and a toy of each coming family, against plain numpy steppers and known solutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.order import _merged, observed_orders, trajectory_error
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.problems import COUPLED, DRIVEN, GEOMETRIC, SEPARABLE, OrderProblem
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError
from tests import steppers
from tests.toys import implicit, partitioned, stochastic, two_step

TOYS = (*two_step.TOYS, *partitioned.TOYS, *implicit.TOYS, *stochastic.TOYS)
every_scheme = pytest.mark.parametrize("scheme", [*SCHEMES.values(), *TOYS], ids=lambda scheme: scheme.name)


def coupled(t, x):
    u, v = x
    return np.array([u * v, -np.sin(t) * (u * np.exp(-np.sin(t))) ** 3])


def driven(t, x):
    return -(x**2) * np.cos(t)


def separable(t, x):
    return np.array([x[1], -x[0]])


BY_HAND = {"coupled": coupled, "driven": driven, "separable": separable}


def walked(scheme: Scheme, problem: OrderProblem, steps: int, segment: int | None, **inputs: np.ndarray) -> np.ndarray:
    """The states at every time of a uniform grid as the compiler emits the steps, (steps + 1, states[, paths])."""
    times = (*(problem.end * i / steps for i in range(steps)), problem.end)
    solve = problem.solve()
    node = solve.rebuilt(spec=replace(solve.spec, interval=Interval(times, everywhere=True))).node()
    graph = Graph(solve.initial, {name: pick(node, i) for i, name in enumerate(problem.states)})
    choice = Discretisation(scheme, Grid(times, tuple(range(steps + 1))), segment)
    found = unroll(graph, {solve.spec.name: choice})
    paths = next((len(item) for item in inputs.values()), 1)
    bound = {**problem.start(paths), **inputs}
    with torch.no_grad():
        outputs = TorchProgram(found.graph)({name: torch.tensor(item) for name, item in bound.items()})
    return np.array([outputs[name].numpy() for name in problem.states]).transpose(2, 0, 1)


def by_numpy(scheme: Scheme, problem: OrderProblem, times: np.ndarray, normals: np.ndarray | None) -> np.ndarray:
    f, start = BY_HAND.get(problem.name), np.array([item[0] for item in problem.start(1).values()])
    if normals is not None:
        return steppers.euler_maruyama(
            lambda t, x: 0.5 * x, lambda t, x: 0.3 * x, np.ones(len(normals)), times, normals
        )[:, None]
    match scheme.name:
        case "toy_ab2":
            return steppers.adams_bashforth_2(f, start, times)[..., None]
        case "toy_symplectic_euler":
            return steppers.symplectic_euler(f, start, times)[..., None]
        case "toy_implicit_euler":
            return steppers.implicit_euler_one_newton(f, start, times, lambda t, x: -2 * x * np.cos(t))[..., None]
    return steppers.runge_kutta(scheme.matrix, scheme.weights, scheme.nodes, f, start, times)[..., None]


@every_scheme
@pytest.mark.parametrize("segment", [None, 1, 3])
def test_emitted_steps_are_those_of_the_paper(scheme: Scheme, segment: int | None) -> None:
    for problem in scheme.problems:
        normals = np.random.default_rng(1).standard_normal((5, 13, 1)) if problem.diffusion else None
        found = walked(scheme, problem, 13, segment, **({} if normals is None else {"W": normals}))
        times = np.linspace(0, problem.end, 14)
        expected = by_numpy(scheme, problem, times, None if normals is None else normals[:, :, 0])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@every_scheme
def test_the_observed_order_is_the_declared_one(scheme: Scheme) -> None:
    """On every problem it is reached, and on one of them at least it is not exceeded."""
    found = [item.observed for item in observed_orders(scheme) if item.observed is not None]
    assert found
    assert not any(item.differs for item in observed_orders(scheme))
    assert min(found) == pytest.approx(scheme.order, abs=0.35)


@every_scheme
def test_a_scheme_says_everything_about_itself(scheme: Scheme) -> None:
    assert scheme.reference
    assert scheme.options["steps"] is None
    can_be_compensated = Compensated.of(scheme).fits(scheme.problems[0].solve().spec) is None
    assert ("compensated" in scheme.options) == can_be_compensated
    assert scheme.cost(scheme.problems[0].solve()).evaluations == scheme.evaluations >= 1
    assert scheme.cost(scheme.problems[0].solve()).nodes > 1
    growth = scheme.stability(np.array([-0.1, 0.1j]))
    assert growth is None or np.abs(growth - np.exp([-0.1, 0.1j])).max() < 0.1


def test_a_coarser_grid_is_walked_on_the_same_brownian_path() -> None:
    """W at the nodes that both grids have: sums of sqrt(h) times standard normals, on either."""
    fine = np.random.default_rng(3).standard_normal((7, 24, 1))
    for steps in (24, 8, 3, 1):
        coarse = _merged(fine, steps)
        assert coarse is not None
        there = np.cumsum(fine[:, :, 0] * np.sqrt(2 / 24), axis=1)[:, 24 // steps - 1 :: 24 // steps]
        np.testing.assert_allclose(np.cumsum(coarse[:, :, 0] * np.sqrt(2 / steps), axis=1), there, rtol=1e-12)


WRONG = {
    "two steps": replace(two_step.TOYS[0], before=-0.4),
    "partitioned": replace(partitioned.TOYS[0], width=0.9),
    "implicit": replace(implicit.TOYS[0], width=0.9),
    "noise": replace(stochastic.TOYS[0], noise=0.8),
}


@pytest.mark.parametrize("scheme", WRONG.values(), ids=WRONG)
def test_a_wrong_coefficient_shows_in_the_order(scheme: Scheme) -> None:
    assert any(item.differs for item in observed_orders(scheme))


def test_a_linear_multistep_scheme_costs_one_evaluation_once_started() -> None:
    """However many its start takes, and whatever it says: a step is emitted and counted."""
    ab2, euler = two_step.TOYS[0], SCHEMES["euler"]
    assert ab2.evaluations == 1
    assert ab2.cost(COUPLED.solve()).nodes > euler.cost(COUPLED.solve()).nodes


@pytest.mark.parametrize(
    ("scheme", "problem", "reason"),
    [
        (implicit.TOYS[0], COUPLED, "one state that is a number"),
        (partitioned.TOYS[0], DRIVEN, "do not come in pairs"),
        (SCHEMES["rk4"], GEOMETRIC, "the field has noise"),
        (stochastic.TOYS[0], SEPARABLE, "for a field with noise"),
    ],
)
def test_a_scheme_that_does_not_fit_says_why(scheme: Scheme, problem: OrderProblem, reason: str) -> None:
    with pytest.raises(IsoclineError, match=reason):
        trajectory_error(scheme, problem, 4)


def test_noise_is_an_input_of_the_unrolled_graph() -> None:
    solve = GEOMETRIC.solve()
    graph = Graph(solve.initial, {"x": pick(solve.node(), 0)})
    grid = Grid((0.0, 0.5, 1.0), (2,))
    found = unroll(graph, {"geometric": Discretisation(stochastic.TOYS[0], grid)})
    (noise,) = found.inputs
    assert (noise.attrs["name"], noise.shape) == ("W", ("batch", 1, 2, 1))
    assert found.graph.inputs == (*graph.inputs, noise)

"""Every scheme of the table, and a toy of each coming family, against plain numpy steppers and known solutions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.order import observed_orders, trajectory_error
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.noise_kinds import noise_kinds
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.bespoke import Bespoke
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.exponential import Exponential
from isocline_compiler.solvers.schemes.fractional_tables import SMOOTH, Remembers
from isocline_compiler.solvers.schemes.imex import Imex
from isocline_compiler.solvers.schemes.implicit import ImplicitRungeKutta
from isocline_compiler.solvers.schemes.multistep import Adams, LinearTwoStep, TwoStepMidpoint
from isocline_compiler.solvers.schemes.partitioned import Momentum, MomentumAdjoint, Splitting
from isocline_compiler.solvers.schemes.problems import COUPLED, DRIVEN, SEPARABLE, OrderProblem
from isocline_compiler.solvers.schemes.rosenbrock import Rosenbrock
from isocline_compiler.solvers.schemes.rossler import SRA
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.stabilised import RungeKuttaChebyshev
from isocline_compiler.solvers.schemes.stochastic_problems import GEOMETRIC, WITH_NOISE
from isocline_compiler.solvers.schemes.stratonovich import ReversibleHeun
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError
from tests import steppers
from tests import structured_steppers as structured
from tests.fractional_steppers import by_sums
from tests.learned import LEARNED, walk
from tests.toys import implicit, partitioned, stochastic, two_step

TOYS = (*two_step.TOYS, *partitioned.TOYS, *implicit.TOYS, *stochastic.TOYS)
every_scheme = pytest.mark.parametrize("scheme", [*SCHEMES.values(), *TOYS, *LEARNED], ids=lambda scheme: scheme.title)


def coupled(t, x):
    u, v = x
    return np.array([u * v, -np.sin(t) * (u * np.exp(-np.sin(t))) ** 3])


def driven(t, x):
    return -(x**2) * np.cos(t)


def separable(t, x):
    return np.array([x[1], -x[0]])


def swung(t, x):
    q, p = x
    return np.array(
        [p**3 + np.cos(t) - np.cos(2 * t) ** 3, -(q**3) - 2 * np.sin(2 * t) + np.sin(t) ** 3],
    )


def damped(t, x):
    q, p = x
    return np.array([p + np.cos(t) - np.cos(2 * t), np.cos(2 * t) * np.sin(t) - 2 * np.sin(2 * t) - p * q])


def forced_decay(t, x):
    return np.cos(t) + 2 * np.sin(t) + np.sin(t) ** 2 - x**2 - 2 * x


def fractional(t, x):
    return 2 / math.gamma(2.5) * t**1.5 + np.sin(t**2) - np.sin(x)


def rotated(t, x):
    u, v = x
    first = np.cos(t) - np.cos(2 * t) / 2 + np.sin(t) ** 2 - u**2 + v / 2
    return np.array([first, np.sin(t) - 2 * np.sin(2 * t) + u * v - np.sin(t) * np.cos(2 * t) - u])


def gated(t, x):
    v, m = x
    return np.array([2 * np.cos(t) - m, (1 + v**2) * (np.cos(t) - m) - np.sin(t)])


BY_HAND = {
    "coupled": coupled, "driven": driven, "separable": separable, "swung": swung, "damped": damped,
    "forced_decay": forced_decay, "fractional": fractional, "rotated": rotated, "gated": gated,
}  # fmt: skip
RATES = {
    "forced_decay": lambda t, x: np.array([[-2.0]]),
    "rotated": lambda t, x: np.array([[0.0, 0.5], [-1.0, 0.0]]),
    "gated": lambda t, x: np.diag([0.0, -(1 + x[0] ** 2)]),
}
MARKED = {
    "forced_decay": lambda t, x: -2 * x,
    "rotated": lambda t, x: np.array([x[1] / 2, -x[0]]),
    "gated": lambda t, x: np.array([0 * x[0], -(1 + x[0] ** 2) * x[1]]),
}


def _hyperbolic(ito: bool) -> steppers.Noisy:
    return steppers.Noisy(
        lambda t, x: np.sqrt(x**2 + 1) + (0.5 * x if ito else 0),
        lambda t, x: np.sqrt(x**2 + 1)[:, None],
        lambda t, x: (x / np.sqrt(x**2 + 1))[:, None, None],
        ito,
    )


def _linear(f: list[float], b: list[list[float]], ito: bool, diagonal: bool = False) -> steppers.Noisy:
    """dx_s = f_s x_s dt + sum_j b_sj x_s dW_j."""
    drift, factors = np.array(f)[:, None], np.array(b)
    slopes = np.einsum("sc,sr->scr", factors, np.eye(len(f)))[..., None]
    return steppers.Noisy(
        lambda t, x: drift * x, lambda t, x: factors[..., None] * x[:, None], lambda t, x: slopes, ito, diagonal
    )  # fmt: skip


def _kubo(ito: bool) -> steppers.Noisy:
    turned = np.array([[0.0, -0.5], [0.5, 0.0]])
    return steppers.Noisy(
        lambda t, x: np.array([-x[1], x[0]]) - (x / 8 if ito else 0),
        lambda t, x: (turned @ x)[:, None],
        lambda t, x: turned[:, None, :, None],
        ito,
    )


NOISY = {
    "shrinking": steppers.Noisy(
        lambda t, x: 2 / np.sqrt(1 + t) - x / 2 / (1 + t),
        lambda t, x: np.full((1, 1, 1), 0.4 / np.sqrt(1 + t)),
        lambda t, x: np.zeros((1, 1, 1, 1)),
    ),
    **{f"kubo{name}": _kubo(ito) for name, ito in (("", True), ("_stratonovich", False))},
    **{f"hyperbolic{name}": _hyperbolic(ito) for name, ito in (("", True), ("_stratonovich", False))},
}
for name, ito in (("", True), ("_stratonovich", False)):
    NOISY[f"geometric{name}"] = _linear([0.5], [[0.3]], ito)
    NOISY[f"separate{name}"] = _linear([0.5, -0.5], [[0.4, 0], [0, 0.6]], ito, diagonal=True)
    NOISY[f"commuting{name}"] = _linear([0.5], [[0.2, 0.4]], ito)


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
    start = np.array([item[0] for item in problem.start(1).values()])
    if normals is not None:
        equation, many = NOISY[problem.name], start[:, None] * np.ones(len(normals))
        xi, eta = normals[..., : problem.channels], normals[..., -problem.channels :]
        if scheme.name == "reversible_heun":
            return steppers.reversible_heun(equation, many, times, xi)
        return steppers.with_noise(steppers.STEPS[scheme.name], equation, many, times, xi, eta)
    return _deterministic(scheme, problem.name, start, times)[..., None]


def _deterministic(scheme: Scheme, problem: str, start: np.ndarray, times: np.ndarray) -> np.ndarray:
    f = BY_HAND[problem]
    match scheme:
        case Remembers():
            (order,) = SMOOTH.orders
            path = by_sums(
                scheme.name, order, times, lambda t, x: float(f(t, np.array([x]))[0]), float(start[0]),
                lambda t, x: -math.cos(x), getattr(scheme, "iterations", 0),
            )  # fmt: skip
            return path[:, None]
        case two_step.AdamsBashforth2():
            return steppers.adams_bashforth_2(f, start, times)
        case partitioned.SymplecticEuler():
            return steppers.symplectic_euler(f, start, times)
        case implicit.ImplicitEuler1():
            return steppers.implicit_euler_one_newton(f, start, times, lambda t, x: -2 * x * np.cos(t))
        case Splitting() | Momentum():
            return structured.splitting(structured.MOVES[scheme.name], f, start, times)
        case MomentumAdjoint():
            return structured.momentum_back(f, start, times)
        case Adams():
            return structured.adams(scheme.name, f, start, times)
        case TwoStepMidpoint():
            return structured.two_step_midpoint(f, start, times)
        case LinearTwoStep():
            return structured.lm_resnet(scheme.k, f, start, times)
        case Exponential():
            return structured.exponential(scheme.name, f, RATES[problem], start, times)
        case ImplicitRungeKutta(tableau=of):
            return structured.implicit_runge_kutta(of.matrix, of.weights, of.nodes, scheme.iterations, f, start, times)
        case Rosenbrock():
            return structured.rosenbrock(*scheme._matrices, scheme._weights, f, start, times)
        case Imex():
            marked = MARKED[problem]
            return structured.implicit_explicit(
                scheme.name, scheme.iterations, lambda t, x: f(t, x) - marked(t, x), marked, start, times
            )
        case RungeKuttaChebyshev():
            return structured.chebyshev(scheme.stages, f, start, times)
        case Bespoke():
            return walk(scheme.onto(times), f, start, times)
        case Tableau():
            return steppers.runge_kutta(scheme.matrix, scheme.weights, scheme.nodes, f, start, times)
    raise AssertionError(f"{scheme.name} has no second implementation")


@every_scheme
@pytest.mark.parametrize("segment", [None, 1, 3])
def test_emitted_steps_are_those_of_the_paper(scheme: Scheme, segment: int | None) -> None:
    for problem in scheme.problems:
        size = (5, 13, problem.channels * scheme.normals)
        normals = np.random.default_rng(1).standard_normal(size) if problem.diffusion else None
        found = walked(scheme, problem, 13, segment, **({} if normals is None else {"W": normals[:, None]}))
        times = np.linspace(0, problem.end, 14)
        expected = by_numpy(scheme, problem, times, normals)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@every_scheme
def test_the_observed_order_is_the_declared_one(scheme: Scheme) -> None:
    """On every problem it is reached, and on one of them at least it is not exceeded."""
    found = [item.observed - item.declared for item in observed_orders(scheme) if item.observed is not None]
    assert not any(item.differs for item in observed_orders(scheme))
    # on equations that are linear, or whose noise commutes, some gain half an order: test_stochastic_schemes has others
    gained = 0.5 if isinstance(scheme, SRA | ReversibleHeun) else 0.0
    assert min(found) == pytest.approx(gained, abs=0.35)


@every_scheme
def test_a_scheme_says_everything_about_itself(scheme: Scheme) -> None:
    assert scheme.reference
    assert scheme.options["steps"] is None
    can_be_compensated = Compensated.of(scheme).fits(scheme.problems[0].solve()) is None
    assert ("compensated" in scheme.options) == can_be_compensated
    assert scheme.cost(scheme.problems[0].solve()).evaluations == scheme.evaluations >= 1
    assert scheme.cost(scheme.problems[0].solve()).nodes > 1
    growth = scheme.stability(np.array([-0.1, 0.1j]))
    if isinstance(scheme, TwoStepMidpoint):  # weakly unstable: its second root, near -1, is the larger
        np.testing.assert_allclose(np.abs(growth[0]), np.sqrt(1.01) + 0.1)
        return
    assert growth is None or np.abs(growth - np.exp([-0.1, 0.1j])).max() < 0.1


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


@pytest.mark.parametrize("problem", WITH_NOISE, ids=lambda problem: problem.name)
def test_the_kinds_that_a_problem_states_are_those_of_its_noise(problem: OrderProblem) -> None:
    solve = problem.solve()
    assert solve.spec.kinds == noise_kinds(solve)


def test_noise_is_an_input_of_the_unrolled_graph() -> None:
    solve = GEOMETRIC.solve()
    graph = Graph(solve.initial, {"x": pick(solve.node(), 0)})
    grid = Grid((0.0, 0.5, 1.0), (2,))
    found = unroll(graph, {"geometric": Discretisation(stochastic.TOYS[0], grid)})
    (noise,) = found.inputs
    assert (noise.attrs["name"], noise.shape) == ("W", ("batch", 1, 2, 1))
    assert found.graph.inputs == (*graph.inputs, noise)

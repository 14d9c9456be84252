"""Sums over steps against the coefficients of scipy's RK45 and RK23, and against steps written out here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import RK23, RK45

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph.solve import choice_of
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.solvers.grid import discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.solvers import solves_of, training_solver
from tests.dense_path import BOUND, evaluated, field, model

Vector = np.ndarray[Any, Any]
SPANS = {"over 0..2": (0.0, 2.0), "at [1.5, 0.5, -0.25]": (1.5, 0.5, -0.25)}
PAIRS = {"dopri5": RK45, "bosh3": RK23}
STEPS = 6


def slope(t: float, z: Vector, row: int) -> Vector:
    return np.asarray(field(t, torch.as_tensor(z), row))


def steps(pair: Any, times: Sequence[float], row: int) -> Iterator[tuple[float, list[Vector], list[Vector], Vector]]:
    """h, the states and the slopes of all stages, and the state after: as many steps between any two times."""
    z = np.array([*BOUND["start"][row].tolist(), 0.5])
    for first, last in pairwise(times):
        count = STEPS // (len(times) - 1)
        for i in range(count):
            h = (last - first) / count
            t, states, slopes = first + i * h, [], []
            for a, c in zip(pair.A, pair.C, strict=True):
                states.append(z + h * sum((x * k for x, k in zip(a, slopes, strict=False)), np.zeros(3)))
                slopes.append(slope(t + c * h, states[-1], row))
            before, z = z, z + h * sum(b * k for b, k in zip(pair.B, slopes, strict=True))
            yield h, [*states, z], [*slopes, slope(t + h, z, row)], before


def error(pair: Any, times: Sequence[float], row: int) -> float:
    parts = [abs(h) * np.linalg.norm(h * pair.E @ np.array(k)) for h, _, k, _ in steps(pair, times, row)]
    return float(sum(parts))


def stiff(pair: Any, times: Sequence[float], row: int) -> float:
    """By the sixth stage and the new state, which are both at the end of the step."""
    return float(
        sum(np.linalg.norm(k[6] - k[5]) / np.linalg.norm(g[6] - g[5]) for _, g, k, _ in steps(pair, times, row))
    )


def variation(pair: Any, times: Sequence[float], row: int) -> float:
    return float(sum(np.abs(g[-1] - z).sum() for _, g, _, z in steps(pair, times, row)))


CASES: dict[tuple[str, str], Callable[[Any, Sequence[float], int], float]] = {
    ("step_error", "dopri5"): error,
    ("step_error", "bosh3"): error,
    ("stiffness", "dopri5"): stiff,
    ("total_variation", "dopri5"): variation,
    ("total_variation", "bosh3"): variation,
}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_the_sum_over_steps_is_that_of_the_coefficients_of_scipy(name: str, scheme: str, span: str) -> None:
    term = f"{name}(path)"
    found = evaluated(model(term, span, f"{scheme}(steps={STEPS})"))[term].numpy()
    expected = [CASES[name, scheme](PAIRS[scheme], SPANS[span], row) for row in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)  # states are of size one, and round


def test_the_scheme_of_the_model_is_measured() -> None:
    term = "step_error(path)"
    made = model(term, f"over 0..2 with dopri5(steps={STEPS})", "dopri5")
    expected = [error(RK45, (0.0, 2.0), row) for row in range(2)]
    np.testing.assert_allclose(evaluated(made)[term].numpy(), expected, rtol=1e-12)


def test_a_scheme_with_compensated_sums_is_measured_as_it_is() -> None:
    plan = model("step_error(path)", solver=f"dopri5(steps={STEPS})").training
    assert plan is not None
    interval = next(node.attrs["spec"].interval for node in solves_of(plan.losses))
    choice = discretise(interval, "dopri5", STEPS, options={"compensated": True})
    graph = optimise(unroll(plan.losses, {"path": choice}).graph, CLEANING)
    expected = [error(RK45, (0.0, 2.0), row) for row in range(2)]
    np.testing.assert_allclose(TorchProgram(graph)(BOUND)["step_error(path)"].numpy(), expected, rtol=1e-12)


def test_the_estimate_of_stiffness_is_the_eigenvalue_of_a_linear_field() -> None:
    """v' = -rate v x_1 with x held: rk4 compares its second and its third stage."""
    still = {**BOUND, "turn": torch.zeros(()).double(), "push": torch.zeros(2).double()}
    term = "stiffness(path)"
    still["start"] = torch.tensor([[0.0, 9.0], [0.0, 9.0]]).double()
    found = evaluated(model(term, "over 0..1e-6", "rk4(steps=1)"), still)
    stepped = found[term].numpy()
    assert stepped.shape == (2,)
    matrix = np.array([[0.0, 0, 0], [-0.7, 0, 1], [0, -0.7 * 0.5, -0.7 * 9]])
    first = matrix[1:, 1:] @ np.array([0.5, -0.7 * 9 * 0.5])  # how the slope turns along itself: k_2 - k_1
    expected = np.linalg.norm(matrix[1:, 1:] @ first) / np.linalg.norm(first)
    np.testing.assert_allclose(stepped, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["step_error", "stiffness", "total_variation"])
def test_the_gradient_in_training_is_the_difference_quotient(name: str) -> None:
    term = f"{name}(path)"
    made = model(term, solver="tsit5(steps=3)")
    weights = {key: BOUND[key].clone().requires_grad_() for key in ("rate", "turn")}
    gradient = torch.autograd.grad(evaluated(made, {**BOUND, **weights})[term].sum(), list(weights.values()))
    for (key, value), found in zip(weights.items(), gradient, strict=True):
        high, low = (
            float(evaluated(made, {**BOUND, key: value.detach() + step})[term].sum()) for step in (1e-5, -1e-5)
        )
        assert float(found) == pytest.approx((high - low) / 2e-5, rel=1e-5), key


@pytest.mark.parametrize(
    "term", ["step_error(path)", "stiffness(path)", "total_variation(path)", "jacobian_norm(path)"]
)
def test_in_a_loop_it_is_what_it_is_laid_out(term: str) -> None:
    made = model(term, solver="dopri5(steps=12)")
    plan = made.training
    assert plan is not None
    solver = training_solver(plan)
    choices = {choice_of(node): solver.choose(node) for node in solves_of(plan.losses)}
    looped = {name: replace(choice, segment=4) for name, choice in choices.items() if choice is not None}
    graph = optimise(unroll(plan.losses, looped).graph, CLEANING)
    assert any(node.op.name == "scan" for node in graph.nodes())
    np.testing.assert_allclose(TorchProgram(graph)(BOUND)[term], evaluated(made)[term], rtol=1e-12)


def test_slopes_are_evaluated_once_for_the_steps_and_their_measures() -> None:
    """Two terms and the steps: tanh once a stage. The last stage serves the estimates, and the next step again."""
    plan = model("step_error(path) + stiffness(path)", solver="dopri5(steps=2)").training
    assert plan is not None
    stepped, _ = training_solver(plan).unrolled(plan.losses)
    graph = optimise(stepped, CLEANING)
    assert sum(node.op.name == "tanh" for node in graph.nodes()) == 2 * 6 + 1

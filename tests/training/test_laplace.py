"""Standard errors against closed forms: linear regression in disguise, conjugate priors, and what cannot be known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from isocline_compiler.data import Dataset, Split
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Node, Region, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import LOG_PRIOR, Likelihood, LogDensity, Model, Parameter
from isocline_compiler.ops import OPS
from isocline_compiler.training import objective as objective_module
from isocline_compiler.training.fit import train
from isocline_compiler.training.laplace import JOINT_LIMIT, laplace, standard_errors
from isocline_compiler.training.least_squares import NotSquares, sum_of_squares
from tests.solves import solve_node
from tests.training.models import DESIGN, RESPONSE, line_data, model, number, plan, residual, weight

BEST = np.linalg.lstsq(DESIGN, RESPONSE, rcond=None)[0]
SSE = float(((RESPONSE - DESIGN @ BEST) ** 2).sum())
DENSITY = Likelihood((LogDensity(1.0, ()),))
COVARIANCE = np.linalg.inv(DESIGN.T @ DESIGN) * SSE / (64 - 3)


def raw() -> Node:
    return leaf(WEIGHT, "w", TensorType("real", (3,)))


def parameter(value: Node, **more: Any) -> Parameter:
    return Parameter("w", (3,), (-np.inf, np.inf), value, **more)


def regression(loss: Node, **settings: Any) -> Model:
    return model([weight("w", (3,))], plan(loss, **settings), parameters=[parameter(raw())])


LOSSES = {
    "a square": lambda r: r**2.0,
    "half of it": lambda r: 0.5 * (r * r),
    "a mean of squares": lambda r: OPS["reduce_mean"](
        OPS["reshape"](r, shape=(BATCH, 1)) ** 2.0, axes=(1,), keepdims=False
    ),
    "a sum of squares, over 3": lambda r: OPS["reduce_sum"](
        OPS["square"](OPS["reshape"](r, shape=(BATCH, 1))), axes=(1,), keepdims=False
    ) / 3.0,
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_linear_regression(name: str) -> None:
    found = laplace(regression(LOSSES[name](residual())), line_data().train, {"w": BEST})
    np.testing.assert_allclose(found.estimates[0].error, np.sqrt(np.diag(COVARIANCE)), rtol=1e-9)
    np.testing.assert_allclose(found.covariance, COVARIANCE, rtol=1e-9)


def test_samples_may_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of unequal sizes: each weighs as much as it holds."""
    monkeypatch.setattr(objective_module, "CHUNK", 7)
    found = laplace(regression(residual() ** 2.0), line_data().train, {"w": BEST})
    np.testing.assert_allclose(found.covariance, COVARIANCE, rtol=1e-9)


def test_the_error_of_a_bounded_parameter_is_that_of_its_weight_times_the_slope() -> None:
    tiny = regression(residual() ** 2.0)
    bounded = dataclasses.replace(tiny, parameters=(parameter(OPS["exp"](raw())),))
    found = laplace(bounded, line_data().train, {"w": BEST}).estimates[0]
    np.testing.assert_allclose(found.value, np.exp(BEST), rtol=1e-12)
    np.testing.assert_allclose(found.error, np.exp(BEST) * np.sqrt(np.diag(COVARIANCE)), rtol=1e-9)


def test_a_negative_log_density_needs_no_variance() -> None:
    """Gaussian noise of deviation 0.1, known: C = (X^T X)^{-1} 0.01."""
    found = laplace(regression(residual() ** 2.0 / 0.02, likelihood=DENSITY), line_data().train, {"w": BEST})
    expected = np.sqrt(np.diag(np.linalg.inv(DESIGN.T @ DESIGN)) * 0.01)
    np.testing.assert_allclose(found.estimates[0].error, expected, rtol=1e-9)


def normal_prior(deviation: float) -> Node:
    return OPS["reduce_sum"](raw() ** 2.0, axes=(0,), keepdims=False) * (-0.5 / deviation**2)


def test_a_conjugate_prior_moves_the_optimum_and_narrows_the_error(tmp_path: Path) -> None:
    """N(0, s^2) before, deviation 0.1 of the noise: precision X^T X / 0.01 + 1/s^2, mean as in ridge regression."""
    tiny = regression(residual() ** 2.0 / 0.02, likelihood=DENSITY)
    assert tiny.training is not None
    losses = tiny.training.losses
    losses = losses.with_outputs({**losses.outputs, LOG_PRIOR: normal_prior(0.05)})
    changes: dict[str, Any] = {"losses": losses, "optimizer": Called("lbfgs"), "epochs": 10}
    tiny = dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, **changes))
    precision = DESIGN.T @ DESIGN / 0.01 + np.eye(3) / 0.05**2
    expected = np.linalg.solve(precision, DESIGN.T @ RESPONSE / 0.01)

    best = train(tiny, line_data(), tmp_path, device="cpu").weights["w"]
    np.testing.assert_allclose(best, expected, rtol=1e-6)
    error = laplace(tiny, line_data().train, {"w": best}).estimates[0].error
    np.testing.assert_allclose(error, np.sqrt(np.diag(np.linalg.inv(precision))), rtol=1e-6)


def test_a_prior_beside_squares_weighs_as_the_fitted_noise_says(tmp_path: Path) -> None:
    """The stationary point of N/2 log SSE - log p(w), found by scipy."""

    def objective(w: np.ndarray) -> float:
        return 32 * np.log(((RESPONSE - DESIGN @ w) ** 2).sum()) + 0.5 * (w**2).sum() / 0.05**2

    expected = minimize(objective, BEST, tol=1e-12).x
    tiny = regression(residual() ** 2.0, optimizer=Called("adam", {"lr": 0.05}), schedule=Called("cosine"), epochs=400)
    assert tiny.training is not None
    outputs = {**tiny.training.losses.outputs, LOG_PRIOR: normal_prior(0.05)}
    losses = tiny.training.losses.with_outputs(outputs)
    tiny = dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, losses=losses))
    found = train(tiny, line_data(), tmp_path, device="cpu").weights["w"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


# -------------------------------------------------------------------------------------------- through a solve


def test_through_an_adaptive_solve_and_a_fixed_one() -> None:
    """x(1) = x0 exp(-k): the error of k from the closed form, s / sqrt(sum (x0 e^-k)^2)."""
    x0, y, k = number("x", INPUT), number("y", INPUT), number("k")
    t, x = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", TensorType("real", (BATCH,)))
    solve = solve_node(Region((t, x), (-(k * x),)), (x0,), Interval((0.0, 1.0), False), field="decay")
    starts = np.linspace(0.5, 2, 20)
    seen = starts * np.exp(-0.7) + 0.01 * np.random.default_rng(0).normal(size=20)
    best = -np.log((starts * seen).sum() / (starts**2).sum())
    rest = seen - starts * np.exp(-best)
    expected = np.sqrt((rest**2).sum() / 19 / ((starts * np.exp(-best)) ** 2).sum())
    data = Split({"x": starts, "y": seen})
    for solver in (Called("dopri5", {"rtol": 1e-8, "atol": 1e-9}), Called("rk4", {"steps": 20})):
        own = Parameter("k", (), (-np.inf, np.inf), k)
        tiny = model([weight("k")], plan((pick(solve, 0) - y) ** 2.0, solver=solver), parameters=[own])
        found = laplace(tiny, data, {"k": np.array(best)})
        assert found.estimates[0].error == pytest.approx(expected, rel=1e-4), solver.name


# ----------------------------------------------------------------------------------------- what is not known


def test_two_weights_of_which_only_the_sum_is_seen() -> None:
    loss = (number("a") + number("b") - number("y", INPUT)) ** 2.0
    own = [Parameter(name, (), (-np.inf, np.inf), number(name)) for name in "ab"]
    tiny = model([weight("a"), weight("b")], plan(loss), parameters=own)
    data = Split({"y": np.array([1.0, 2.0, 3.0, 4.0])})
    found = laplace(tiny, data, {"a": np.array(1.0), "b": np.array(1.5)})
    assert found.reason is not None
    assert "not curved upwards" in found.reason
    assert all(np.isnan(item.error) for item in found.estimates)
    assert standard_errors(tiny, Dataset(data), {"a": np.array(1.0), "b": np.array(1.5)})["a"][0] is None
    given = laplace(
        dataclasses.replace(tiny, parameters=tuple(own[:1])), data, {"a": np.array(1.0), "b": np.array(1.5)}
    )
    assert given.estimates[0].error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert any("conditional" in text for text in given.assumptions)


def test_many_weights_are_held_fixed() -> None:
    extra = leaf(WEIGHT, "n", TensorType("real", (JOINT_LIMIT,)))
    loss = (residual() + 0.0 * OPS["reduce_sum"](extra, axes=(0,), keepdims=False)) ** 2.0
    tiny = model([weight("w", (3,)), weight("n", (JOINT_LIMIT,))], plan(loss), parameters=[parameter(raw())])
    found = laplace(tiny, line_data().train, {"w": BEST, "n": np.zeros(JOINT_LIMIT)})
    np.testing.assert_allclose(found.estimates[0].error, np.sqrt(np.diag(COVARIANCE)), rtol=1e-9)
    np.testing.assert_allclose(found.covariance, COVARIANCE, rtol=1e-9)
    assert any("conditional" in text for text in found.assumptions)


def test_fewer_residuals_than_weights() -> None:
    few = Split({"x": DESIGN[:3], "y": RESPONSE[:3]})
    found = laplace(regression(residual() ** 2.0), few, {"w": BEST})
    assert found.reason is not None
    assert "too few" in found.reason


def test_a_point_that_is_no_optimum_is_said_to_be_none() -> None:
    found = laplace(regression(residual() ** 2.0), line_data().train, {"w": BEST + 0.5})
    assert any("not converged" in text for text in found.assumptions)


@pytest.mark.parametrize(
    "loss",
    [
        lambda r: OPS["abs"](r),
        lambda r: OPS["sqrt"](r**2.0),
        lambda r: r**4.0,
        lambda r: r**2.0 + 2.0 * (r - 1.0) ** 2.0,
        lambda r: number("x2", INPUT) * r**2.0,
        lambda r: -(r**2.0) * -1.0,
    ],
)
def test_other_losses_say_nothing_about_the_spread(loss: Callable[[Node], Node]) -> None:
    tiny = regression(loss(residual()))
    assert tiny.training is not None
    with pytest.raises(NotSquares):
        sum_of_squares(tiny.training.losses, frozenset({"y"}))

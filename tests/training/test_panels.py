"""Parameters of each subject: the likelihood of their population against closed forms and scipy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime, minimize
from scipy.stats import multivariate_normal, norm

from isocline_compiler.data import Dataset
from isocline_compiler.driver import dataset_of
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.fit import TrainingResult, train
from isocline_compiler.training.laplace import laplace
from isocline_compiler.training.marginal import Marginal, objective_of
from isocline_dsl import IsoclineError

FIT = "train {\n  loss {loss}\n  optimizer lbfgs\n  epochs {epochs}\n  precision float64\n}\n"
INTERCEPTS = """input subject: group[{count}]
target y: real
param m: real
param s, noise: positive
param b[subject]: real ~ normal(m, s)
output mean = b
"""
SLOPES = """input subject: group[{count}]
input t: real
target y: real
param m, rate: real
param s, spread, noise: positive
param b[subject]: real ~ normal(m, s)
param r[subject]: real ~ normal(rate, spread)
output mean = b + r*t
"""
DECAY = """input subject: group[{count}]
input t: real
target y: real
param k: positive
param s, noise: positive
param own[subject]: positive ~ lognormal(log(k), s)
output mean = exp(-own*t)
"""
SOLVED = """field decay(t, x: real) { x' = -own*x }
path = solve decay from x = 1 at [0, t]
output mean = path[1]
"""


def lowered(text: str, columns: dict[str, Any], epochs: int = 8, data: str = "") -> tuple[Model, Dataset]:
    """A model, and its data from memory."""
    bindings = "\n".join(f"{'subject' if name == 'id' else name} = column({name})" for name in columns)
    count = len(dict.fromkeys(columns["id"]))
    body = text.replace("{count}", str(count)) + FIT.replace("{epochs}", str(epochs))
    body = body.replace("{loss}", "gaussian_nll(mean, y, noise)")
    made = model(f"dyn 1\nmodel panel\ndata {{\n{bindings}\n{data}\n}}\n{body}")
    dataset = dataset_of(made, Path(), columns)
    assert dataset is not None
    return made, dataset


def fitted(text: str, columns: dict[str, Any], folder: Path, epochs: int = 8) -> tuple[Model, Dataset, TrainingResult]:
    made, dataset = lowered(text, columns, epochs)
    return made, dataset, train(made, dataset, folder)


def balanced(subjects: int = 12, each: int = 5, seed: int = 3) -> tuple[np.ndarray, dict[str, Any]]:
    """y (subjects, each) of a linear mixed model, and the same as columns, with names for subjects."""
    draw = np.random.default_rng(seed)
    y = 2 + 1.5 * draw.normal(size=(subjects, 1)) + 0.7 * draw.normal(size=(subjects, each))
    return y, {"id": [f"s{i}" for i in range(subjects) for _ in range(each)], "y": y.ravel()}


def test_group_means_shrink_as_in_the_closed_form_of_a_balanced_mixed_model(tmp_path: Path) -> None:
    """ML: m the mean of means, noise^2 = SSW/(n(K - 1)), s^2 = SSB/n - noise^2/K, b_i = m + s^2/(s^2 + noise^2/K)
    (mean_i - m). Searle, Casella, McCulloch (1992), Variance components, 3.7.
    """
    y, columns = balanced()
    n, k = y.shape
    made, dataset, result = fitted(INTERCEPTS, columns, tmp_path / "run")
    means = y.mean(1)
    m, within = means.mean(), ((y - means[:, None]) ** 2).sum() / (n * (k - 1))
    between = ((means - m) ** 2).mean() - within / k
    shrink = between / (between + within / k)
    found = result.weights
    np.testing.assert_allclose(found["m"], m, rtol=1e-6)
    np.testing.assert_allclose(found["s"], np.sqrt(between), rtol=1e-6)
    np.testing.assert_allclose(found["noise"], np.sqrt(within), rtol=1e-6)
    np.testing.assert_allclose(found["b"], m + shrink * (means - m), rtol=1e-6)
    errors = {item.parameter.name: item.error for item in laplace(made, dataset.train, result.free_weights).estimates}
    np.testing.assert_allclose(errors["m"], np.sqrt((between + within / k) / n), rtol=1e-5)
    np.testing.assert_allclose(errors["noise"], np.sqrt(within / (2 * n * (k - 1))), rtol=1e-3)
    given = between * (1 - shrink)  # of b_i, if m, s and noise were known; their errors add to it
    assert (errors["b"] ** 2 > given).all()
    assert (errors["b"] ** 2 < 1.5 * given).all()


def unbalanced() -> dict[str, Any]:
    """Intercepts and slopes of subjects that were seen two to seven times."""
    draw = np.random.default_rng(5)
    columns: dict[str, Any] = {"id": [], "t": [], "y": []}
    for subject in range(14):
        intercept, slope = 1 + 0.8 * draw.normal(), -0.5 + 0.4 * draw.normal()
        t = np.sort(draw.uniform(0, 4, 2 + subject % 6))
        columns["id"] += [100 + 7 * subject] * len(t)
        columns["t"] += t.tolist()
        columns["y"] += (intercept + slope * t + 0.3 * draw.normal(size=len(t))).tolist()
    return {name: np.array(values) for name, values in columns.items()}


def mixed_likelihood(theta: np.ndarray, columns: dict[str, Any]) -> float:
    """-log p(y) with covariance s^2 11' + spread^2 tt' + noise^2 I of each subject; deviations by their logarithms."""
    m, rate = theta[:2]
    s, spread, noise = np.exp(theta[2:])
    total = 0.0
    for subject in np.unique(columns["id"]):
        rows = columns["id"] == subject
        t, y = columns["t"][rows], columns["y"][rows]
        covariance = s**2 * np.ones((len(t), len(t))) + spread**2 * np.outer(t, t) + noise**2 * np.eye(len(t))
        total -= multivariate_normal.logpdf(y, m + rate * t, covariance)
    return float(total)


def test_two_parameters_of_subjects_seen_unequally_often_are_the_exact_maximum_likelihood(tmp_path: Path) -> None:
    columns = unbalanced()
    made, dataset, result = fitted(SLOPES, columns, tmp_path / "run")
    best = minimize(mixed_likelihood, np.array([1, -0.5, 0, -1, -1.0]), (columns,), method="BFGS", tol=1e-7)
    names = ("m", "rate", "s", "spread", "noise")
    found = np.array([result.free_weights[name] for name in names])
    np.testing.assert_allclose(found, best.x, atol=2e-4)
    assert mixed_likelihood(found, columns) <= best.fun + 1e-6
    rows = [approx_fprime(found + step, mixed_likelihood, 1e-5, columns) for step in 1e-3 * np.eye(5)]
    back = [approx_fprime(found - step, mixed_likelihood, 1e-5, columns) for step in 1e-3 * np.eye(5)]
    covariance = np.linalg.inv((np.array(rows) - np.array(back)) / 2e-3)
    errors = {item.parameter.name: item.error for item in laplace(made, dataset.train, result.free_weights).estimates}
    scale = np.concatenate([[1, 1], np.exp(found[2:])])
    np.testing.assert_allclose(
        [float(errors[name]) for name in names], scale * np.sqrt(covariance.diagonal()), rtol=0.01
    )


def decays() -> dict[str, Any]:
    draw = np.random.default_rng(11)
    own = np.exp(np.log(0.6) + 0.4 * draw.normal(size=10))
    t = np.tile(np.array([0.5, 1.5, 3.0]), (10, 1))
    y = np.exp(-own[:, None] * t) + 0.05 * draw.normal(size=t.shape)
    return {"id": np.repeat(np.arange(10), 3), "t": t.ravel(), "y": y.ravel()}


def laplace_by_scipy(theta: np.ndarray, columns: dict[str, Any]) -> tuple[float, np.ndarray]:
    """Laplace's approximation in eta = log(own/k)/s, subject by subject, with scipy's minimiser and differences."""
    k, s, noise = np.exp(theta)
    total, modes = 0.0, []
    for subject in np.unique(columns["id"]):
        rows = columns["id"] == subject
        t, y = columns["t"][rows], columns["y"][rows]

        def joint(eta: np.ndarray, t: np.ndarray = t, y: np.ndarray = y) -> float:
            fit = np.exp(-k * np.exp(s * eta[0]) * t)
            return float(-norm.logpdf(y, fit, noise).sum() - norm.logpdf(eta[0]))

        best = minimize(joint, np.zeros(1), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13})
        h = 1e-4
        curvature = (joint(best.x + h) - 2 * best.fun + joint(best.x - h)) / h**2
        total += best.fun + 0.5 * np.log(curvature) - 0.5 * np.log(2 * np.pi)
        modes.append(k * np.exp(s * best.x[0]))
    return total, np.array(modes)


def at(made: Model, dataset: Dataset, **values: Any) -> tuple[Marginal, dict[str, torch.Tensor], Batch]:
    """The objective, weights with these free values, and all samples."""
    assert made.training is not None
    objective = objective_of(made, made.training, dataset.train)
    assert isinstance(objective, Marginal)
    weights = {item.name: torch.zeros(item.shape, dtype=torch.float64) for item in made.weights}
    weights |= {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    batch = Batches.of(dataset.train, torch.float64, torch.device("cpu")).take(slice(None))
    return objective, weights, batch


def test_the_likelihood_of_a_nonlinear_model_is_laplaces_by_scipy_and_its_gradient_that_of_differences() -> None:
    columns = decays()
    made, dataset = lowered(DECAY, columns)
    theta = np.array([np.log(0.5), np.log(0.5), np.log(0.06)])
    objective, weights, batch = at(made, dataset, k=theta[0], s=theta[1], noise=theta[2])
    free = {name: weights[name].requires_grad_() for name in ("k", "s", "noise")}
    weights |= free
    objective.settle(weights, batch)
    expected, modes = laplace_by_scipy(theta, columns)
    value = objective.marginal(weights, batch)
    assert value.item() == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(np.exp(weights["own"].numpy()), modes, rtol=1e-6)
    slopes = torch.autograd.grad(value, list(free.values()))
    for place, slope in enumerate(slopes):
        step = 1e-3 * np.eye(3)[place]
        ahead, behind = (laplace_by_scipy(theta + sign * step, columns)[0] for sign in (1, -1))
        assert float(slope) == pytest.approx((ahead - behind) / 2e-3, rel=1e-3, abs=1e-3)


def test_a_solve_between_parameters_and_data_changes_nothing() -> None:
    """The decay as an equation: the same likelihood and gradient as of its solution."""
    columns = decays()
    solved = DECAY.replace("output mean = exp(-own*t)", SOLVED)
    found = []
    for text in (DECAY, solved):
        objective, weights, batch = at(*lowered(text, columns), k=-0.7, s=-0.5, noise=-2.5)
        free = {name: weights[name].requires_grad_() for name in ("k", "s", "noise")}
        objective.settle({**weights, **free}, batch)
        value = objective.marginal({**weights, **free}, batch)
        found.append([value.item(), *map(float, torch.autograd.grad(value, list(free.values())))])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


def test_what_is_not_finite_is_told_with_its_place(tmp_path: Path) -> None:
    columns = decays()
    made, dataset = lowered(DECAY.replace("exp(-own*t)", "log(-own*t)"), columns, 1)
    with pytest.raises(IsoclineError, match="E451"):
        train(made, dataset, tmp_path / "run")


def test_two_numbers_of_each_member_are_a_vector_or_two_parameters() -> None:
    columns = unbalanced()
    head = SLOPES.partition("param m, rate")[0] + "param s, noise: positive\n"
    apart = "param b, r[subject]: real ~ student_t(4, 0, s)\n"
    whole = "param b[subject]: real[2] ~ student_t(4, 0, s)\n"
    found = []
    for text in (f"{head}{apart}output mean = b + r*t\n", f"{head}{whole}output mean = b[0] + b[1]*t\n"):
        objective, weights, batch = at(*lowered(text, columns), s=-0.2, noise=-1.0)
        objective.settle(weights, batch)
        found.append((objective.marginal(weights, batch).item(), weights["b"]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-8)
    np.testing.assert_allclose(found[1][1][:, 0].numpy(), found[0][1].numpy(), atol=1e-6)


def test_bounds_do_not_change_what_is_integrated() -> None:
    """A lognormal parameter is the exponential of a normal one: the same likelihood of the same data."""
    columns = decays()
    other = DECAY.replace("own[subject]: positive ~ lognormal(log(k), s)", "eta[subject]: real ~ normal(log(k), s)")
    found = []
    for text in (DECAY, other.replace("-own*t", "-exp(eta)*t")):
        objective, weights, batch = at(*lowered(text, columns), k=-0.7, s=-0.5, noise=-2.5)
        objective.settle(weights, batch)
        found.append(objective.marginal(weights, batch).item())
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_a_simulated_population_is_recovered(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    own = np.exp(np.log(0.6) + 0.3 * draw.normal(size=60))
    t = np.tile(np.array([0.4, 1.2, 2.5, 4.0]), (60, 1))
    y = np.exp(-own[:, None] * t) + 0.03 * draw.normal(size=t.shape)
    columns = {"id": np.repeat(np.arange(60), 4), "t": t.ravel(), "y": y.ravel()}
    made, dataset, result = fitted(DECAY, columns, tmp_path / "run")
    errors = {item.parameter.name: item.error for item in laplace(made, dataset.train, result.free_weights).estimates}
    for name, truth in (("k", 0.6), ("s", 0.3), ("noise", 0.03)):
        assert abs(result.weights[name] - truth) < 3 * errors[name], name
    away = (result.weights["own"] - own) / errors["own"]
    assert np.sqrt(np.mean(away**2)) == pytest.approx(1, abs=0.3)
    assert np.corrcoef(result.weights["own"], own)[0, 1] > 0.97


def test_after_any_update_each_member_has_its_most_probable_value(tmp_path: Path) -> None:
    """However far training is: given what is shared, b_i = m + shrink (mean_i - m)."""
    y, columns = balanced()
    made, dataset = lowered(INTERCEPTS, columns, 1)
    assert made.training is not None
    plan = dataclasses.replace(made.training, optimizer=Called("adam", {"lr": 0.5}))
    found = train(dataclasses.replace(made, training=plan), dataset, tmp_path / "run").weights
    between, within = found["s"] ** 2, found["noise"] ** 2 / y.shape[1]
    shrunk = found["m"] + between / (between + within) * (y.mean(1) - found["m"])
    np.testing.assert_allclose(found["b"], shrunk, rtol=1e-9)


def test_a_subject_that_is_held_out_is_in_the_middle_of_the_population(tmp_path: Path) -> None:
    _, columns = balanced()
    made, dataset = lowered(INTERCEPTS, columns, 4, "split tail(test=2)")
    found = train(made, dataset, tmp_path / "run").weights
    np.testing.assert_allclose(found["b"][-2:], found["m"], rtol=1e-9)
    assert (np.abs(found["b"][:-2] - found["m"]) > 1e-3).all()


def test_the_joint_density_alone_would_run_to_no_deviation() -> None:
    """Why it is not maximised: it grows without bound as the members come together."""
    _, columns = balanced()
    objective, weights, batch = at(*lowered(INTERCEPTS, columns), m=1.4, noise=-0.3)
    narrow = {name: weights[name] for name in weights} | {"b": torch.full((12,), 1.4, dtype=torch.float64)}
    joint = [objective.joint({**narrow, "s": torch.tensor(float(s))}, batch).item() for s in (-2, -8, -14)]
    assert joint[0] > joint[1] > joint[2]

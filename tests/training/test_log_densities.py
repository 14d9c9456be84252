"""Estimates and standard errors of losses that are log densities, with every prior, against scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit, minimize

from isocline_compiler.driver import dataset_of
from isocline_compiler.lower.check import check
from isocline_compiler.training.fit import TrainingResult, train
from isocline_compiler.training.fitted import Fitted, fitted_parameters
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.functions.losses import LOSSES

Numbers = NDArray[np.float64]
CASES = Path(__file__).parent / "cases"
FITTING = "optimizer lbfgs(lr=1); epochs 8; precision float64"


def fitted(folder: Path, text: str, **columns: Numbers) -> tuple[Fitted, TrainingResult]:
    """Train a file on columns, or on the data that are there, and estimate its parameters."""
    if columns:
        rows = "\n".join(",".join(f"{value:.17g}" for value in row) for row in zip(*columns.values(), strict=True))
        (folder / "data.csv").write_text(f"{','.join(columns)}\n{rows}\n")
    file = folder / "model.dyn"
    file.write_text(text)
    model = check(file)
    dataset = dataset_of(model, folder)
    assert dataset is not None
    result = train(model, dataset, folder / "run", device="cpu")
    return fitted_parameters(model, result.dataset, result.free_weights), result


def values(found: Fitted) -> list[float]:
    return [item.value for item in found.parameters]


def errors(found: Fitted) -> list[float]:
    return [item.standard_error for item in found.parameters]


def observed_errors(minus_log_posterior: Callable[[Numbers], float], best: Numbers) -> Numbers:
    """The roots of the diagonal of the inverse Hessian, by central differences of fourth order."""
    size, step = len(best), 1e-3 * np.abs(best)

    def slope(at: Numbers) -> Numbers:
        rows = []
        for axis in range(size):
            e = np.eye(size)[axis] * step
            near, far = (minus_log_posterior(at + k * e) - minus_log_posterior(at - k * e) for k in (1, 2))
            rows.append((8 * near - far) / (12 * step[axis]))
        return np.array(rows)

    hessian = [(slope(best + e) - slope(best - e)) / (2 * e.sum()) for e in np.eye(size) * step]
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(np.array(hessian)))))


# --------------------------------------------------------------------------------------------------- an epidemic

DAYS, SUSCEPTIBLE, INFECTED, SEEN = np.loadtxt(CASES / "sir.csv", delimiter=",", skiprows=1).T


def infected(days: Numbers, beta: float, gamma: float) -> Numbers:
    def field(t: float, y: Numbers) -> list[float]:
        return [-beta * y[0] * y[1], beta * y[0] * y[1] - gamma * y[1]]

    path = solve_ivp(field, (0, 60), [SUSCEPTIBLE[0], INFECTED[0]], "DOP853", t_eval=days, rtol=1e-10, atol=1e-12)
    return np.asarray(path.y[1])


def epidemic(folder: Path, loss: str, prior: str = "") -> Fitted:
    text = f"""dyn 1
        model sir
        data {{ source "{CASES / "sir.csv"}"; start = row(0, S0, I0); seen = rows(I) }}
        input start: real[2] in (0, 1)
        target seen: real[61]
        param beta: real in (0, 2) {prior}
        param gamma: real in (0, 1)
        field sir(t, S, I: real) {{ new = beta*S*I; S' = -new; I' = new - gamma*I }}
        p = solve sir from S = start[0], I = start[1] at 0..60 step 1
        output I = p.I
        train {{ loss {loss}; {FITTING}; solver rk4(steps=120) }}
        """
    return fitted(folder, text)[0]


@pytest.mark.parametrize("loss", ["gaussian_nll(I, seen, 0.01)", "61*gaussian_nll(I, seen, 0.01)"])
def test_an_epidemic_as_by_curve_fit(loss: str, tmp_path: Path) -> None:
    sigma = np.full(61, 0.01)
    best, covariance = curve_fit(infected, DAYS, SEEN, (0.5, 0.2), sigma, absolute_sigma=True)
    found = epidemic(tmp_path, loss)
    np.testing.assert_allclose(values(found), best, rtol=1e-4)
    np.testing.assert_allclose(errors(found), np.sqrt(np.diag(covariance)), rtol=1e-2)
    np.testing.assert_allclose(values(found), [0.4002, 0.1005], atol=5e-5)
    np.testing.assert_allclose(errors(found), [0.0017, 0.0007], atol=5e-5)


def test_an_epidemic_with_a_prior(tmp_path: Path) -> None:
    def minus_log_posterior(at: Numbers) -> float:
        likelihood = scipy.stats.norm.logpdf(SEEN, infected(DAYS, *at), 0.01).sum()
        return -float(likelihood + scipy.stats.norm.logpdf(at[0], 0.5, 0.01))

    best = minimize(minus_log_posterior, (0.4, 0.1), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}).x
    found = epidemic(tmp_path, "gaussian_nll(I, seen, 0.01)", "~ normal(0.5, 0.01)")
    np.testing.assert_allclose(values(found), best, rtol=1e-4)
    assert values(found)[0] == pytest.approx(0.40295, abs=1e-5)
    np.testing.assert_allclose(errors(found), observed_errors(minus_log_posterior, best), rtol=2e-2)


# ---------------------------------------------------------------------------------------- every prior, every density

DRAWS = np.random.default_rng(3)
HEIGHT = DRAWS.normal(0.62, 0.2, (12, 5))
PRIORS = {
    "normal": ("normal(0.3, 0.05)", scipy.stats.norm(0.3, 0.05)),
    "laplace": ("laplace(0.3, 0.02)", scipy.stats.laplace(0.3, 0.02)),
    "cauchy": ("cauchy(0.3, 0.05)", scipy.stats.cauchy(0.3, 0.05)),
    "student_t": ("student_t(3, 0.3, 0.05)", scipy.stats.t(3, 0.3, 0.05)),
    "uniform": ("uniform(0.1, 0.9)", scipy.stats.uniform(0.1, 0.8)),
    "lognormal": ("lognormal(-1, 0.1)", scipy.stats.lognorm(s=0.1, scale=math.exp(-1))),
    "exponential": ("exponential(40)", scipy.stats.expon(scale=1 / 40)),
    "gamma": ("gamma(30, 90)", scipy.stats.gamma(30, scale=1 / 90)),
    "half_normal": ("half_normal(0.1)", scipy.stats.halfnorm(scale=0.1)),
    "half_cauchy": ("half_cauchy(0.05)", scipy.stats.halfcauchy(scale=0.05)),
    "beta": ("beta(20, 60)", scipy.stats.beta(20, 60)),
}


def test_every_prior_is_tried() -> None:
    assert set(PRIORS) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", PRIORS)
def test_each_prior_beside_a_normal_density(name: str, tmp_path: Path) -> None:
    """12 samples of 5 entries about one height: the most probable height, and its error."""
    prior, density = PRIORS[name]

    def minus_log_posterior(at: Numbers) -> float:
        return -float(scipy.stats.norm.logpdf(HEIGHT, at[0], 0.2).sum() + density.logpdf(at[0]))

    text = f"""dyn 1
        model heights
        data {{ source "data.csv"; x = column(x); seen = columns("y*") }}
        input x: real
        target seen: real[5]
        param height: real in (0, 1) = 0.4 ~ {prior}
        output y = height + 0*x
        train {{ loss gaussian_nll(y, seen, 0.2); {FITTING} }}
        """
    columns = {f"y{i}": HEIGHT[:, i] for i in range(5)}
    found, _ = fitted(tmp_path, text, x=np.zeros(12), **columns)
    best = minimize(minus_log_posterior, [0.55], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).x
    np.testing.assert_allclose(values(found), best, rtol=1e-5)
    np.testing.assert_allclose(errors(found), observed_errors(minus_log_posterior, best), rtol=1e-3)


LABELS = DRAWS.integers(0, 3, (40, 2))
SLOPES = DRAWS.normal(size=40)


def by_scores(at: Numbers) -> float:
    """Two labels a sample, of scores 0, a + b x and b - a x: the log of the multinomial's probability."""
    a, b = at
    scores = np.stack([np.zeros(40), a + b * SLOPES, b - a * SLOPES], axis=1)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    one_hot = np.eye(3)[LABELS]
    likelihood = sum(scipy.stats.multinomial.logpmf(one_hot[:, i], 1, chances).sum() for i in range(2))
    return -float(likelihood + scipy.stats.norm.logpdf(a, 0.5, 0.2))


def by_spread(at: Numbers) -> float:
    """Height and deviation of the noise both unknown."""
    return -float(
        scipy.stats.norm.logpdf(HEIGHT, at[0], at[1]).sum() + scipy.stats.gamma(9, scale=1 / 90).logpdf(at[1])
    )


DENSITIES = {
    "cross_entropy": (
        """data { source "data.csv"; x = column(x); label = columns("y*") }
        input x: real
        target label: class[2, 3]
        param a: real ~ normal(0.5, 0.2)
        param b: real
        score = stack(0*x, a + b*x, b - a*x, axis=-1)
        output scores = stack(score, score, axis=0)
        train { loss cross_entropy(scores, label); FITTING }""",
        {"x": SLOPES, "y0": LABELS[:, 0], "y1": LABELS[:, 1]},
        by_scores,
        (0.1, 0.1),
    ),
    "gaussian_nll": (
        """data { source "data.csv"; x = column(x); seen = columns("y*") }
        input x: real
        target seen: real[5]
        param height: real
        param spread: positive ~ gamma(9, 90)
        output y = height + 0*x
        train { loss gaussian_nll(y, seen, spread); FITTING }""",
        {"x": np.zeros(12)} | {f"y{i}": HEIGHT[:, i] for i in range(5)},
        by_spread,
        (0.5, 0.2),
    ),
}  # fmt: skip
NO_DENSITY = {"mse", "mae", "huber"}
"""Losses of residuals: the deviation of the noise is not in them."""


def test_every_loss_is_tried() -> None:
    assert {loss.name for loss in LOSSES} == DENSITIES.keys() | NO_DENSITY


@pytest.mark.parametrize("name", DENSITIES)
def test_each_density_is_that_of_the_whole_sample(name: str, tmp_path: Path) -> None:
    text, columns, minus_log_posterior, start = DENSITIES[name]
    found, _ = fitted(tmp_path, f"dyn 1\nmodel m\n{text.replace('FITTING', FITTING)}\n", **columns)
    options = {"xatol": 1e-10, "fatol": 1e-12}
    best = minimize(minus_log_posterior, start, method="Nelder-Mead", options=options).x
    np.testing.assert_allclose(values(found), best, rtol=1e-5)
    np.testing.assert_allclose(errors(found), observed_errors(minus_log_posterior, best), rtol=1e-3)


# ------------------------------------------------------------------------------------------- several terms, sizes

FEW, MANY = HEIGHT[:, :1], HEIGHT[:, 1:] + 0.3
TWO = """dyn 1
    model m
    data { source "data.csv"; x = column(x); few = columns(y0); many = columns(y1, y2, y3, y4) }
    input x: real
    target few: real[1], many: real[4]
    param height: real ~ normal(0, 0.02)
    row = unsqueeze(height + 0*x)
    output a = row
    output b = 0.3 + concat(row, row, row, row)
    train { LOSS; FITTING }
    """.replace("FITTING", FITTING)


def two(folder: Path, loss: str) -> Fitted:
    text = TWO.replace("LOSS", loss)
    columns = {f"y{i}": MANY[:, i - 1] if i else FEW[:, 0] for i in range(5)}
    return fitted(folder, text, x=np.zeros(12), **columns)[0]


def by_two(at: Numbers) -> float:
    few = scipy.stats.norm.logpdf(FEW, at[0], 0.2).sum()
    many = scipy.stats.norm.logpdf(MANY, at[0] + 0.3, 0.3).sum()
    return -float(few + many + scipy.stats.norm.logpdf(at[0], 0, 0.02))


@pytest.mark.parametrize("half", [1.0, 0.5])
def test_two_terms_with_the_factors_of_their_entries(half: float, tmp_path: Path) -> None:
    found = two(tmp_path, f"loss {half}*gaussian_nll(a, few, 0.2) + {4 * half}*gaussian_nll(b, many, 0.3)")
    best = minimize(by_two, [0.1], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).x
    np.testing.assert_allclose(values(found), best, rtol=1e-5)
    np.testing.assert_allclose(errors(found), observed_errors(by_two, best), rtol=1e-3)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("loss gaussian_nll(a, few, 0.2) + gaussian_nll(b, many, 0.3)", "factors 1 and 4"),
        ("loss gaussian_nll(a, few, 0.2) + mse(b, many)", "to what is none"),
        ("loss gaussian_nll(a, few, 0.2) - 0.1*gaussian_nll(b, many, 0.3)", "to what is none"),
        ("loss mae(a, few) + mae(b, many)", "not a sum of squares"),
    ],
)
def test_a_sum_that_is_no_density_has_no_errors_and_says_why(loss: str, said: str, tmp_path: Path) -> None:
    (height,) = two(tmp_path, loss).parameters
    assert height.standard_error is None
    assert said in (height.reason or "")


def test_a_smoothed_cross_entropy_is_no_density(tmp_path: Path) -> None:
    text, columns, _, _ = DENSITIES["cross_entropy"]
    smoothed = text.replace("label);", "label, smoothing=0.1);").replace("FITTING", FITTING)
    found, _ = fitted(tmp_path, f"dyn 1\nmodel m\n{smoothed}\n", **columns)
    assert errors(found) == [None, None]


@pytest.mark.parametrize("loss", ["gaussian_nll(y, seen, 0.1)", "mse(y, seen)"])
def test_a_named_size_counts_as_the_data_say(loss: str, tmp_path: Path) -> None:
    """A slope beside a normal prior: precision sum x^2 / s^2 + 1 / p^2, s known or estimated from the residuals."""
    x, prior = np.linspace(1, 2, 30), 0.05
    seen = 0.7 * x + 0.1 * np.random.default_rng(5).normal(size=30)

    def minus_log_posterior(at: Numbers) -> float:
        squares = ((seen - at[0] * x) ** 2).sum()
        known = squares / 0.02 if loss.startswith("gaussian") else 15 * np.log(squares)
        return float(known - scipy.stats.norm.logpdf(at[0], 0.5, prior))

    text = f"""dyn 1
        model slope
        data {{ source "data.csv"; x = rows(x); seen = rows(seen) }}
        input x: real[T]
        target seen: real[T]
        param slope: real ~ normal(0.5, {prior})
        output y = slope*x
        train {{ loss {loss}; {FITTING} }}
        """
    slow = "optimizer adam(lr=0.05); schedule cosine; epochs 400"  # the weight of a prior beside squares moves
    found, _ = fitted(tmp_path, text.replace("optimizer lbfgs(lr=1); epochs 8", slow), x=x, seen=seen)
    best = minimize(minus_log_posterior, [0.6], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).x
    np.testing.assert_allclose(values(found), best, rtol=1e-5)
    spread = 0.1 if loss.startswith("gaussian") else math.sqrt(((seen - best * x) ** 2).sum() / 29)
    assert errors(found) == [pytest.approx(1 / math.sqrt((x**2).sum() / spread**2 + 1 / prior**2), rel=1e-4)]

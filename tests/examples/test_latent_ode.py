"""The latent equation of `examples/latent_ode` against loops by hand in torch, and what it is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from examples.latent_ode.compare import held, rows_of, solved
from examples.latent_ode.fetch import with_gaps
from examples.latent_ode.peer import Weights, decoded, encoded
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.check import check
from isocline_compiler.training.initial import initial_weights
from tests.solves import unrolled

FILE = Path(__file__).parents[2] / "examples/latent_ode/latent_ode.dyn"
STEPS = 71
DRAW = np.random.default_rng(4)


def windows(count: int = 6) -> dict[str, np.ndarray]:
    """Made-up ones, with gaps of the source and hours dropped."""
    whole = {
        "past": DRAW.lognormal(4, 1, (count, 48)),
        "known": (DRAW.random((count, 48)) < 0.9).astype(float),
        "weather": np.array([0, 10, 1016]) + 10 * DRAW.normal(size=(count, 48, 3)),
        "wind": DRAW.exponential(10, (count, 48, 4)),
        "clock": np.stack([DRAW.integers(0, 24, count), DRAW.integers(0, 365, count)], axis=1).astype(float),
        "ahead": DRAW.lognormal(4, 1, (count, 24)),
        "seen": (DRAW.random((count, 24)) < 0.9).astype(float),
    }
    return with_gaps(whole, np.full(count, 50), seed=0)


def weights_of(model: object) -> dict[str, Tensor]:
    """First values, the last layers of the fields larger than they begin."""
    assert hasattr(model, "weights")
    found = {name: torch.tensor(x, dtype=torch.float64) for name, x in initial_weights(model.weights, 0).items()}
    return {name: 4 * x if name.endswith("dense_2.weight") else x for name, x in found.items()}


def level_of(data: dict[str, np.ndarray]) -> Tensor:
    return torch.tensor(data["known"] * (np.log(data["past"] + 10) - 4.5))


def test_the_deployed_outputs_are_those_of_a_loop_by_hand() -> None:
    model, data = check(FILE), windows()
    weights = weights_of(model)
    graph = unrolled(
        model.graph,
        lambda solve: scheme_steps(solve, solve.spec.scheme or Called("midpoint", {"steps": STEPS})),
    )
    names = ("past", "known", "heard", "weather", "wind", "clock")
    given = {name: torch.tensor(data[name]) for name in names}
    found = TorchProgram(graph)({**weights, **given})
    mean, _ = by_hand(weights, data)
    torch.testing.assert_close(found["begin"], mean, rtol=1e-11, atol=1e-12)
    curve = decoded(weights, mean, given["clock"], STEPS)
    torch.testing.assert_close(found["whole"], (torch.exp(curve + 4.5) - 10).clamp(min=0), rtol=1e-10, atol=1e-9)
    for row in range(len(curve)):
        last = int(np.flatnonzero(data["known"][row])[-1])
        missed = level_of(data)[row, last] - curve[row, last]
        age = torch.arange(48 - last, 72 - last)
        expected = torch.exp(curve[row, 48:] + missed * torch.exp(-age / weights["tau"].exp()) + 4.5) - 10
        torch.testing.assert_close(found["dust"][row], expected.clamp(min=0), rtol=1e-9, atol=1e-9)


def by_hand(weights: Weights, data: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    given = {name: torch.tensor(value) for name, value in data.items()}
    return encoded(weights, level_of(data), given)


def test_the_divergence_is_that_of_torch() -> None:
    """sum(mean^2 + spread^2 - 1 - 2 log(spread))/2, as the file has it."""
    mean, spread = by_hand(weights_of(check(FILE)), windows())
    expected = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).sum(1)
    found = (mean**2 + spread**2 - 1 - 2 * torch.log(spread)).sum(1) / 2
    torch.testing.assert_close(found, expected)
    text = FILE.read_text(encoding="utf-8")
    assert "sum(mean^2 + spread^2 - 1 - 2*log(spread))/2" in text


def test_of_a_dropped_hour_nothing_is_left() -> None:
    whole = {
        name: np.ones((2000, 48, *k)) for name, k in (("past", ()), ("known", ()), ("weather", (3,)), ("wind", (4,)))
    }
    found = with_gaps(whole, np.full(2000, 70), seed=3)
    assert abs(found["heard"].mean() - 0.3) < 0.005
    for name in ("past", "known", "weather", "wind"):
        beside = found["heard"].reshape(2000, 48, *(1,) * (found[name].ndim - 2))
        assert (found[name] == beside).all()


def test_values_are_held_until_the_next_and_never_looked_ahead_for() -> None:
    values, there = np.array([[[5.0], [1.0], [2.0], [9.0], [3.0]]]), np.array([[0, 1, 0, 0, 1]])
    assert held(values, there)[0, :, 0].tolist() == [1, 1, 1, 1, 3]
    data = windows()
    rows, last = rows_of(data), np.array([np.flatnonzero(known)[-1] for known in data["known"]])
    np.testing.assert_allclose(rows[:, -1, 0], np.log(data["past"][np.arange(len(last)), last] + 10) - 4.5)
    np.testing.assert_allclose(rows[:, -1, -1] * 24, 47 - last)


@pytest.mark.parametrize("penalty", [1e-9, 3.0])
def test_ridge_regression_is_least_squares_with_rows_for_the_penalty(penalty: float) -> None:
    x, y, seen = DRAW.normal(size=(60, 5)), DRAW.normal(size=(60, 2)), (DRAW.random((60, 2)) < 0.7).astype(float)
    x[:, 0] = 1
    found = solved(x, y, seen, penalty)
    for column in range(2):
        own = seen[:, column] > 0
        shrink = np.sqrt(penalty) * np.eye(5)[1:]
        expected, *_ = np.linalg.lstsq(np.vstack([x[own], shrink]), np.r_[y[own, column], np.zeros(4)], rcond=None)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-8)

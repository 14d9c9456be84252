"""`draw` in `train`: what is drawn, when it changes, and what is found with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.data import Dataset, Split
from isocline_compiler.lower.check import model
from isocline_compiler.training.batches import ROWS, Batches
from isocline_compiler.training.draws import Drawing
from isocline_compiler.training.fit import train
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.laplace import standard_errors
from isocline_compiler.training.objective import Objective
from isocline_compiler.training.solvers import TrainingSolver
from isocline_runtime.randomness import Draws, normals, uniforms

EVERY = """dyn 1
model m
input x: real
target y: real
param a: real = 1
output z = a*x
train {
  draw z: normal[2, 3]
  draw s: uniform(0.5, 2)
  draw n: rademacher[5]
  draw k: categorical(3)
  loss mean(z) + s + sum(n) + sum(one_hot(k, 3)*[10, 20, 30]) + 0*a*(x + y)
  seed 4
  precision float64
}
"""


def values(count: int = 4, step: int = 0, training: bool = True, rows: Any = None) -> dict[str, np.ndarray]:
    plan = model(EVERY).training
    assert plan is not None
    drawing = Drawing(plan.draws, plan.seed, step)
    found = drawing.take(torch.arange(count) if rows is None else torch.tensor(rows), torch.float64, training)
    return {name.removeprefix("draw "): value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("entropy", [(4, 1, 7), (4, 0)], ids=["training", "validation"])
def test_the_numbers_are_those_of_the_runtime(entropy: tuple[int, ...]) -> None:
    """By its own generator in numpy: a stream a draw, in the order they are met, two numbers a block."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    rows, found = [3, 0, 12], values(step=7, training=len(entropy) == 3, rows=[3, 0, 12])

    def numbers(stream: int, count: int, of: Any) -> np.ndarray:
        draws = Draws(seed, stream, samples=1, steps=2, channels=(count + 1) // 2)
        return of(draws, rows).reshape(3, -1)[:, :count]

    np.testing.assert_allclose(found["z"], numbers(0, 6, normals).reshape(3, 2, 3), rtol=1e-12)
    np.testing.assert_array_equal(found["s"], 0.5 + 1.5 * numbers(1, 1, uniforms)[:, 0])
    np.testing.assert_array_equal(found["n"], np.where(numbers(2, 5, uniforms) < 0.5, -1.0, 1.0))
    np.testing.assert_array_equal(found["k"], np.floor(3 * numbers(3, 1, uniforms)[:, 0]).astype(int))


def test_values_depend_on_seed_step_and_row_alone() -> None:
    whole, alone = values(200), values(rows=[150, 7])
    for name, value in whole.items():
        np.testing.assert_array_equal(value[[150, 7]], alone[name])
        assert (values(200, step=1)[name] != value).any()
        assert (values(200, training=False)[name] != value).any()
        np.testing.assert_array_equal(values(200, 1, training=False)[name], values(200, 2, training=False)[name])


def test_they_are_distributed_as_they_say() -> None:
    found = values(20_000)
    assert scipy.stats.kstest(found["z"].ravel(), "norm").pvalue > 1e-3
    assert scipy.stats.kstest(found["s"], scipy.stats.uniform(0.5, 1.5).cdf).pvalue > 1e-3
    assert abs(np.mean(found["n"])) < 0.02
    assert set(np.unique(found["n"])) == {-1.0, 1.0}
    assert scipy.stats.chisquare(np.bincount(found["k"], minlength=3)).pvalue > 1e-3
    assert abs(np.corrcoef(found["z"].reshape(-1, 6).T, found["s"])[-1, :-1]).max() < 0.04


def test_parameters_have_defaults_and_names() -> None:
    text = EVERY.replace("normal[2, 3]", "normal(std=0.1, mean=7)[2, 3]").replace("uniform(0.5, 2)", "uniform")
    plan = model(text).training
    assert plan is not None
    found = Drawing(plan.draws, 0).take(torch.arange(3000), torch.float32, True)
    assert float(found["draw z"].mean()) == pytest.approx(7, abs=0.01)
    assert float(found["draw z"].std()) == pytest.approx(0.1, abs=0.01)
    assert float(found["draw s"].min()) < 0.01
    assert found["draw z"].dtype == torch.float32
    assert found["draw k"].dtype == torch.int64


def test_the_loss_is_of_what_is_drawn() -> None:
    made = model(EVERY)
    assert made.training is not None
    split = Split({"x": np.zeros(9), "y": np.zeros(9)})
    objective = Objective.of(made, made.training, split)
    objective.begin(4, 2)
    batches = Batches.of(split, torch.float64, torch.device("cpu"))
    weights = {"a": torch.tensor(1.0, dtype=torch.float64)}
    for rows in ([5, 1, 8], [0]):
        given = values(step=2, rows=rows)
        each = given["z"].mean((1, 2)) + given["s"] + given["n"].sum(1) + 10.0 * (1 + given["k"])
        found = objective(weights, batches.take(torch.tensor(rows)), training=True).total
        assert float(found) == pytest.approx(each.mean(), rel=1e-12)


def test_a_batch_says_which_rows_it_has() -> None:
    batches = Batches.of(Split({"x": np.arange(10.0)}), torch.float64, torch.device("cpu"))
    several = [batch for batch, _ in batches.shuffled(4, (0,))] + [batch for batch, _ in batches.chunks(3)]
    for batch in [*several, batches.take(slice(None))]:
        np.testing.assert_array_equal(batch["x"], batch[ROWS].double())


SCORE = """dyn 1
model score
input x: real
param slope: real = -0.5
param shift: real = 0
net score(v: real) -> real = slope*(v - shift)
output s = score(x)
train {
  draw z: normal
  noisy = x + 0.5*z
  loss mean((0.5*score(noisy) + z)^2)
  optimizer adam(lr=0.02)
  schedule cosine
  batch 100
  epochs 40
  precision float64
}
"""


def data(count: int = 2000) -> Dataset:
    return Dataset(Split({"x": np.random.default_rng(0).normal(1.5, 1.2, count)}))


def fitted(text: str, folder: Path, samples: Dataset) -> Any:
    return train(model(text), samples, folder, device="cpu")


@pytest.mark.slow
def test_denoising_finds_the_score_of_the_noisy_data(tmp_path: Path) -> None:
    """Of N(m, s^2) and noise r z the score is -(v - m)/(s^2 + r^2) (Vincent 2011)."""
    samples = data()
    x = samples.train.arrays["x"]
    weights = fitted(SCORE, tmp_path, samples).weights
    assert weights["slope"] == pytest.approx(-1 / (x.var() + 0.25), rel=0.05)
    assert weights["shift"] == pytest.approx(x.mean(), abs=0.08)


SHORT = SCORE.replace("epochs 40", "epochs 4").replace("schedule cosine", "schedule constant")


def test_a_run_that_was_resumed_has_drawn_the_same(tmp_path: Path) -> None:
    whole = train(model(SHORT), data(300), tmp_path / "whole", device="cpu")
    train(model(SHORT), data(300), tmp_path / "parts", device="cpu", epochs=2)
    parts = train(model(SHORT), data(300), tmp_path / "parts", device="cpu", resume=True)
    assert parts.weights == whole.weights
    other = train(model(SHORT.replace("precision", "seed 1\n  precision")), data(300), tmp_path / "other", device="cpu")
    assert other.weights != whole.weights


def test_validation_is_on_values_that_stay(tmp_path: Path) -> None:
    """Without updates the validation loss is the same number each epoch, the training loss is not."""
    still = SHORT.replace("adam(lr=0.02)", "sgd(lr=1e-300)")
    samples = Dataset(data(300).train, data(100).train)
    history = train(model(still), samples, tmp_path, device="cpu").history
    assert len({row["validation_loss"] for row in history}) == 1
    assert len({row["loss"] for row in history}) == len(history)


def test_a_loss_that_draws_has_no_standard_errors_and_says_why() -> None:
    made = model(SCORE)
    weights = {"slope": np.array(-0.6), "shift": np.array(1.5)}
    for _, reason in standard_errors(made, data(50), weights).values():
        assert reason == "the loss draws random values, so it is the log density of nothing"


def test_a_solve_within_the_block_starts_from_a_draw(tmp_path: Path) -> None:
    """x' = a x takes z to exp(a) z: the loss in closed form at a = 1/2, and its smallest, exp(a) = 2, by training."""
    found = model("""dyn 1
model m
input x: real
param a: real = 0.5
field grow(t, u: real) { u' = a*u }
path = solve grow from u = x over 0..1 with rk4(steps=32)
output y = path
train {
  draw z: normal
  end = solve grow from u = z over 0..1 with rk4(steps=32)
  loss (end - 2*z)^2
  optimizer adam(lr=0.02); epochs 150
  precision float64
}
""")
    plan = found.training
    assert plan is not None
    z = np.random.default_rng(0).standard_normal(5)
    stepped = TrainingSolver(None, AdaptiveIntegrator("dopri5", 1e-6, 1e-6)).unrolled(plan.losses)[0]
    loss = TorchProgram(stepped)({"draw z": torch.tensor(z), "x": torch.tensor(z), "a": torch.tensor(0.5).double()})
    np.testing.assert_allclose(loss["loss"], (np.exp(0.5) - 2) ** 2 * z**2, rtol=1e-6)
    weights = train(found, Dataset(Split({"x": np.ones(16)})), tmp_path / "run").weights
    np.testing.assert_allclose(weights["a"], np.log(2), atol=1e-3)

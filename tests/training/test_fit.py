"""Training finds what closed forms and other libraries find, and says what stopped it."""

from __future__ import annotations

import dataclasses
import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from isocline_compiler.data import Dataset, Split
from isocline_compiler.graph import INPUT, WEIGHT, at, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import Statistic
from isocline_compiler.ops import OPS
from isocline_compiler.training.early_stop import EarlyStop
from isocline_compiler.training.fit import train
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.optimizers import OPTIMIZERS as BUILDERS
from isocline_compiler.training.progress import Bar, Lines, Patient, duration
from isocline_compiler.training.schedules import Schedule
from isocline_compiler.vocabulary.options import OPTIMIZERS, SCHEDULES
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span
from tests.training.models import (
    DESIGN,
    RESPONSE,
    decay,
    decay_data,
    line,
    line_data,
    model,
    number,
    plan,
    weight,
    with_deploy,
)

BEST = np.linalg.lstsq(DESIGN, RESPONSE, rcond=None)[0]
ENOUGH: dict[str, dict[str, Any]] = {
    "adam": {"lr": 0.1}, "adamw": {"lr": 0.1, "weight_decay": 0.0}, "sgd": {"lr": 0.1, "momentum": 0.5},
    "rmsprop": {"lr": 0.02}, "lbfgs": {},
}  # fmt: skip


def test_every_optimizer_of_the_language_is_there() -> None:
    assert set(BUILDERS) == set(OPTIMIZERS) == set(ENOUGH)


@pytest.mark.parametrize("name", ENOUGH)
def test_each_optimizer_finds_the_least_squares(name: str, tmp_path: Path) -> None:
    settings = {"optimizer": Called(name, ENOUGH[name]), "epochs": 10 if name == "lbfgs" else 300}
    tiny = line(schedule=Called("cosine"), **settings)
    result = train(tiny, line_data(), tmp_path, device="cpu")
    np.testing.assert_allclose(result.weights["w"], BEST, atol=2e-4)
    np.testing.assert_array_equal(load_file(tmp_path / "weights.safetensors")["w"], result.weights["w"])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_whole_number_is_a_rate_of_averaging(name: str, tmp_path: Path) -> None:
    """Adam without momentum: 0 and 0.0 are one number."""
    result = train(line(optimizer=Called(name, {"beta1": 0}), epochs=3), line_data(), tmp_path, device="cpu")
    fresh = train(line(optimizer=Called(name, {"beta1": 0.0}), epochs=3), line_data(), tmp_path / "b", device="cpu")
    np.testing.assert_array_equal(result.weights["w"], fresh.weights["w"])


@pytest.mark.parametrize("solver", [Called("dopri5"), Called("rk4", {"steps": 8})])
@pytest.mark.parametrize("gradient", ["backprop", "adjoint"])
def test_a_rate_is_found_through_a_solve(solver: Called, gradient: str, tmp_path: Path) -> None:
    tiny = decay(solver=solver, gradient=gradient, epochs=60, batch=16, schedule=Called("cosine"))
    result = train(tiny, decay_data(), tmp_path, device="cpu")
    # what is dropped is predicted as 0 and the rest is larger by 1/0.9, so that exp(-k)/0.9 = exp(-0.7) is the best
    assert math.exp(result.weights["k"]) == pytest.approx(0.7 - math.log(0.9), abs=0.03)


def test_minibatches_against_a_loop_written_by_hand(tmp_path: Path) -> None:
    """The same updates by torch alone, in the same order, with a clipped gradient."""
    tiny = line(epochs=3, batch=20, clip=0.5, optimizer=Called("sgd", {"lr": 0.1, "momentum": 0.9}))
    result = train(tiny, line_data(), tmp_path, device="cpu")
    w = torch.tensor(initial_weights(tiny.weights, 0)["w"], requires_grad=True)
    optimizer = torch.optim.SGD([w], 0.1, 0.9)
    x, y = torch.tensor(DESIGN), torch.tensor(RESPONSE)
    for epoch in range(3):
        order = torch.from_numpy(np.random.default_rng((0, 1, epoch)).permutation(64))
        for rows in order.split(20):
            optimizer.zero_grad()
            ((y[rows] - x[rows] @ w) ** 2).mean().backward()
            torch.nn.utils.clip_grad_norm_([w], 0.5)
            optimizer.step()
    np.testing.assert_allclose(result.weights["w"], w.detach(), rtol=1e-12)


def test_the_history_is_what_happened(tmp_path: Path) -> None:
    result = train(line(epochs=4, batch=16), line_data(validation=True), tmp_path, device="cpu")
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert [row["step"] for row in result.history] == [3, 6, 9, 12]
    last = result.history[-1]
    assert last["squares"] == last["loss"]
    rest = RESPONSE[48:] - DESIGN[48:] @ result.weights["w"]
    assert float(last["validation_loss"]) == pytest.approx((rest**2).mean(), rel=1e-9)
    assert list(tmp_path.glob("tensorboard/events*"))


def test_the_best_weights_are_kept_and_training_stops_early(tmp_path: Path) -> None:
    """A learning rate that grows: the loss falls, then rises."""
    tiny = line(
        epochs=200, optimizer=Called("sgd", {"lr": 0.02}), schedule=Called("exponential", {"factor": 1.05}),
        early_stop=Called("patience", {"epochs": 5}),
    )  # fmt: skip
    result = train(tiny, line_data(validation=True), tmp_path, device="cpu")
    losses = [float(row["validation_loss"]) for row in result.history]
    assert len(losses) < 200
    assert result.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 5
    rest = RESPONSE[48:] - DESIGN[48:] @ result.weights["w"]
    assert (rest**2).mean() == pytest.approx(min(losses), rel=1e-9)


def test_early_stopping_needs_something_to_watch(tmp_path: Path) -> None:
    with pytest.raises(IsoclineError, match="E462"):
        train(line(early_stop=Called("patience")), line_data(), tmp_path)
    result = train(line(early_stop=Called("patience"), validation=0.25, epochs=2), line_data(), tmp_path)
    assert result.dataset.validation is not None
    assert result.dataset.validation.count == 16


def test_half_precision_trains_too(tmp_path: Path) -> None:
    result = train(line(precision="bf16", epochs=200, optimizer=Called("adam", {"lr": 0.1})), line_data(), tmp_path)
    np.testing.assert_allclose(result.weights["w"], BEST, atol=0.1)
    if not torch.cuda.is_available():
        with pytest.raises(IsoclineError, match="E463"):
            train(line(precision="fp16"), line_data(), tmp_path)


def test_first_values_depend_on_the_name_and_the_seed_alone() -> None:
    both = initial_weights([weight("a", (2,)), weight("b", (2,))], 1)
    turned = initial_weights([weight("b", (2,)), weight("c"), weight("a", (2,))], 1)
    np.testing.assert_array_equal(both["a"], turned["a"])
    np.testing.assert_array_equal(both["b"], turned["b"])
    assert not np.array_equal(both["a"], initial_weights([weight("a", (2,))], 2)["a"])


# ------------------------------------------------------------------------------------------------ statistics


@pytest.mark.parametrize(("axes", "shape"), [((), ()), ((0,), (2,)), ((1,), (3,)), ((0, 1), (2, 3))])
def test_statistics_are_those_of_the_training_samples(
    axes: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(5, 2, (3000, 2, 3))
    values[:, 1, 2] = 7.0
    source = leaf(INPUT, "x", TensorType("real", (BATCH, 2, 3))) * 10.0
    weights = [weight("m", shape, "statistic"), weight("d", shape, "statistic"), weight("k")]
    tiny = model(
        weights, plan((number("k") - number("y", INPUT)) ** 2.0, epochs=1), [Statistic(source, "m", "d", axes)]
    )
    data = Dataset(Split({"x": values, "y": np.zeros(3000)}), Split({"x": values[:2] * 100, "y": np.zeros(2)}))
    found = train(tiny, data, tmp_path, device="cpu").weights
    others = tuple(axis for axis in range(3) if axis - 1 not in axes)
    deviation = (10 * values).std(axis=others)
    np.testing.assert_allclose(found["m"], (10 * values).mean(axis=others), rtol=1e-12)
    np.testing.assert_allclose(found["d"], np.where(deviation < 1e-9, 1, deviation), rtol=1e-9)


# ------------------------------------------------------------------------------------- numbers that are not finite


def test_the_equation_that_is_not_finite_is_named(tmp_path: Path) -> None:
    """log(w x) with w that falls below 0 under a large rate."""
    w, x, y = number("w"), number("x", INPUT), number("y", INPUT)
    with at(Span(5, 9)):
        logarithm = OPS["log"](w * x)
    tiny = model(
        [dataclasses.replace(weight("w"), initial=lambda g, s: np.full(s, 0.5))],
        plan((logarithm - y) ** 2.0 + 3.0 * w, optimizer=Called("sgd", {"lr": 0.3})),
    )
    data = Dataset(Split({"x": np.ones(4), "y": np.full(4, -0.7)}))
    with pytest.raises(IsoclineError) as error:
        train(tiny, data, tmp_path, device="cpu")
    (found,) = error.value.diagnostics
    assert found.code == "E451"
    assert found.span == Span(5, 9)
    assert "loss is not finite in epoch 2, step 2: `mean` is not finite (log of -" in found.message
    assert "before: loss" in found.notes[0].text
    assert load_file(tmp_path / "last_finite.safetensors")["w"] == 0.5


def test_a_gradient_that_is_not_finite_is_traced_to_its_equation(tmp_path: Path) -> None:
    """sqrt((w - 0.5)^2) at w = 0.5: the value is 0, the derivative 0/0."""
    with at(Span(10, 13)):
        root = OPS["sqrt"]((number("w") - 0.5) ** 2.0)
    tiny = model(
        [dataclasses.replace(weight("w"), initial=lambda g, s: np.full(s, 0.5))],
        plan(root + 0.0 * number("y", INPUT)),
    )
    with pytest.raises(IsoclineError) as error:
        train(tiny, Dataset(Split({"y": np.ones(2)})), tmp_path, device="cpu")
    (found,) = error.value.diagnostics
    assert (found.span, "gradient is not finite in epoch 1, step 1" in found.message) == (Span(10, 13), True)
    assert "(sqrt)" in found.message


def test_a_solver_that_fails_says_in_which_step(tmp_path: Path) -> None:
    with pytest.raises(IsoclineError) as error:
        train(decay(solver=Called("dopri5", {"evaluations": 5})), decay_data(), tmp_path, device="cpu")
    (found,) = error.value.diagnostics
    assert found.code == "E453"
    assert "in epoch 1, step 1; before: nothing" in found.notes[-1].text
    assert error.value.source is not None


# -------------------------------------------------------------------------------------------------- schedules


def test_every_schedule_of_the_language_begins_at_the_rate_and_is_finite() -> None:
    for name in SCHEDULES:
        factors = [Schedule(Called(name), 100).factor(e) for e in np.linspace(0, 100, 401)]
        assert all(math.isfinite(f) and f >= 0 for f in factors), name
        if name != "warmup_cosine":
            assert factors[0] == 1, name


@pytest.mark.parametrize(
    ("option", "reference"),
    [
        (Called("cosine"), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        (Called("step", {"every": 7, "factor": 0.3}), lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3)),
        (Called("exponential", {"factor": 0.9}), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
    ],
)
def test_schedules_agree_with_torch(option: Called, reference: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler = reference(optimizer)
    ours = Schedule(option, 20)
    for epoch in range(20):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours.factor(epoch), abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_plateau_waits_then_lowers() -> None:
    schedule = Schedule(Called("plateau", {"factor": 0.5, "patience": 2}), 100)
    factors = []
    for loss in (3.0, 2.0, 2.0, 2.5, 2.0, 1.0, 1.0):
        schedule.observe(loss)
        factors.append(schedule.factor(0))
    assert factors == [1, 1, 1, 1, 0.5, 0.5, 0.5]


def test_early_stop_counts_epochs_without_progress() -> None:
    stop = EarlyStop(2, 0.1)
    assert [stop.observe(loss, i) for i, loss in enumerate((1.0, 0.95, math.nan))] == [True, False, False]
    assert stop.exhausted


# --------------------------------------------------------------------------------------------------- progress


def test_lines_say_loss_rate_and_time_left(tmp_path: Path) -> None:
    stream = io.StringIO()
    train(line(epochs=3), line_data(validation=True), tmp_path, device="cpu", progress=Lines(stream, every=0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3  loss ")
    assert all(word in lines[0] for word in ("validation", "/s", "left"))


def test_the_bar_shows_loss_and_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    train(line(epochs=3), line_data(), tmp_path, device="cpu", progress=bar)
    assert bar.bar.finished
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("epoch 3/3", "loss ", "left"))


def test_long_work_says_what_still_goes_on() -> None:
    stream = io.StringIO()
    patient = Patient(Lines(stream), silence=0.2)
    patient.say("proving")
    deadline = time.monotonic() + 20
    while len(stream.getvalue().splitlines()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    patient.over.set()
    said = stream.getvalue().splitlines()
    assert said[:3] == ["proving", "  1 s: proving", "  1 s: proving"]
    time.sleep(0.5)
    assert len(stream.getvalue().splitlines()) <= len(said) + 1


def test_a_fresh_run_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    train(line(epochs=3), line_data(), tmp_path, device="cpu")
    with pytest.raises(IsoclineError):
        train(decay(solver=Called("dopri5", {"evaluations": 5})), decay_data(), tmp_path, device="cpu")
    assert not (tmp_path / "weights.safetensors").exists()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "4 s"), (125, "2 min 05 s"), (4800, "1 h 20 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_file_without_training_says_so(tmp_path: Path) -> None:
    with pytest.raises(IsoclineError, match="E450"):
        train(model([], None), line_data(), tmp_path)


def test_weights_of_a_batch_norm_follow_the_batches(tmp_path: Path) -> None:
    """The running mean is 1 - 0.9^n of the way from 0 to the mean of the data after n full batches."""
    x = leaf(INPUT, "x", TensorType("real", (BATCH, 3)))
    names = ("gamma", "beta", "mean", "var")
    leaves = [leaf(WEIGHT, name, TensorType("real", (3,))) for name in names]
    normal = OPS["batch_norm"](x, *leaves, eps=1e-5, axis=1)
    loss = OPS["reduce_mean"](normal**2.0, axes=(1,), keepdims=False) + 0.0 * number("y", INPUT)
    zeros = [
        dataclasses.replace(weight(name, (3,), role), initial=lambda g, s: np.zeros(s))
        for name, role in zip(names, ("trained", "trained", "running", "running"), strict=True)
    ]
    result = train(model(zeros, plan(loss, epochs=4)), line_data(), tmp_path, device="cpu")
    expected = (1 - 0.9**4) * DESIGN.mean(axis=0)
    np.testing.assert_allclose(result.weights["mean"], expected, rtol=1e-9)


def test_deploy_may_change_without_making_it_another_run(tmp_path: Path) -> None:
    first = line(with_deploy("train", "deploy"), epochs=2)
    train(first, line_data(), tmp_path, device="cpu")
    train(line(with_deploy("train"), epochs=2), line_data(), tmp_path, device="cpu", resume=True)
    with pytest.raises(IsoclineError, match="E460"):
        train(line(with_deploy("data", "train"), epochs=2), line_data(), tmp_path, resume=True)
    other = Dataset(Split({"x": DESIGN, "y": RESPONSE + 1e-12}))
    with pytest.raises(IsoclineError, match="E461"):
        train(first, other, tmp_path, resume=True)

"""What training hands on: the best weights, not the last; the memory of its optimizer; errors that fit.

Everything is held against torch alone or against closed forms.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import isocline
from isocline_compiler.data import Dataset, Split, load_data
from isocline_compiler.graph import INPUT, WEIGHT, Node, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import DataBinding, DataPlan, Parameter, Port
from isocline_compiler.ops import OPS
from isocline_compiler.training.fit import train
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.laplace import laplace
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import Span
from tests.training.models import DESIGN, RESPONSE, line, line_data, model, plan, weight


def held_out_loss(w: np.ndarray) -> float:
    """On the 16 samples that validate."""
    return float(((RESPONSE[48:] - DESIGN[48:] @ w) ** 2).mean())


@pytest.mark.parametrize("best", ["weights", "file"])
def test_the_best_weights_are_shipped_when_training_ends_far_from_them(best: str, tmp_path: Path) -> None:
    """A rate that grows until gradient descent flies apart: the last loss is a hundred times the best and more."""
    tiny = line(
        epochs=40,
        optimizer=Called("sgd", {"lr": 0.05, "momentum": 0.0}),
        schedule=Called("exponential", {"factor": 1.12}),
    )
    result = train(tiny, line_data(validation=True), tmp_path, device="cpu")
    losses = [float(row["validation_loss"]) for row in result.history]
    assert losses[-1] > 100 * min(losses), "the run must end badly for this to say anything"
    assert result.best_epoch == int(np.argmin(losses)) + 1 < 40
    shipped = result.weights["w"] if best == "weights" else load_file(tmp_path / "weights.safetensors")["w"]
    assert held_out_loss(shipped) == pytest.approx(min(losses), rel=1e-9)


OPTIMIZERS = {
    "adam": {"lr": 0.1}, "adamw": {"lr": 0.1}, "sgd": {"lr": 0.05, "momentum": 0.9}, "rmsprop": {"lr": 0.02},
    "lbfgs": {"iterations": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_with_its_memory(name: str, tmp_path: Path) -> None:
    """3 epochs, then resumed to 6, ends where 6 in one go end; a fresh optimizer at epoch 4 would end elsewhere."""

    def fitted(epochs: int, folder: str, resume: bool = False) -> np.ndarray:
        tiny = line(epochs=epochs, optimizer=Called(name, OPTIMIZERS[name]))
        return train(tiny, line_data(), tmp_path / folder, device="cpu", resume=resume).weights["w"]

    whole = fitted(6, "whole")
    fitted(3, "parts")
    np.testing.assert_array_equal(fitted(6, "parts", resume=True), whole)


def test_a_resumed_momentum_is_that_of_torch(tmp_path: Path) -> None:
    """The same six steps by torch alone."""
    optimizer = Called("sgd", {"lr": 0.05, "momentum": 0.9})
    train(line(epochs=3, optimizer=optimizer), line_data(), tmp_path, device="cpu")
    tiny = line(epochs=6, optimizer=optimizer)
    found = train(tiny, line_data(), tmp_path, device="cpu", resume=True).weights["w"]
    w = torch.tensor(initial_weights(tiny.weights, 0)["w"], requires_grad=True)
    descent = torch.optim.SGD([w], 0.05, 0.9)
    for _ in range(6):
        descent.zero_grad()
        ((torch.tensor(RESPONSE) - torch.tensor(DESIGN) @ w) ** 2).mean().backward()
        descent.step()
    np.testing.assert_allclose(found, w.detach(), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------- units

UNITS = """dyn 1
model units
data { source "data.csv"; x = column(x); z = column(z) }
input x: real
target z: real
param rate: positive = 0.5
param share: real in (2, 5) = 3
param cold: real in (-inf, 10) = 4
param shift: real[2] = [1, -1]
output y = rate*x + share + cold*x^2 + shift[0] - shift[1]
train { loss mse(y, z); optimizer sgd(lr=1e-9); epochs 2; precision float64 }
"""


def test_weights_and_history_are_numbers_in_the_units_of_the_file(tmp_path: Path) -> None:
    """A step of 1e-9 leaves every parameter at its first value, as the file states it."""
    (tmp_path / "model.dyn").write_text(UNITS)
    (tmp_path / "data.csv").write_text("x,z\n1,2\n2,3\n")
    result = isocline.train(tmp_path / "model.dyn", run=tmp_path / "run", device="cpu")
    first = {"rate": 0.5, "share": 3.0, "cold": 4.0, "shift": [1.0, -1.0]}
    assert result.weights.keys() == first.keys()
    for name, value in first.items():
        np.testing.assert_allclose(result.weights[name], value, rtol=1e-5)
    stored = load_file(tmp_path / "run" / "weights.safetensors")
    np.testing.assert_array_equal(result.free_weights["rate"], stored["rate"])
    assert stored["rate"] == pytest.approx(np.log(0.5), rel=1e-5)
    y = 0.5 * np.array([1, 2]) + 3 + 4 * np.array([1, 4]) + 2
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert result.history[0]["loss"] == pytest.approx(((y - [2, 3]) ** 2).mean(), rel=1e-6)
    assert result.history[0]["validation_loss"] is None


# ---------------------------------------------------------------------------------------------------- standard errors


@pytest.mark.parametrize("entries", [2, 4, 8])
def test_errors_of_a_mean_of_several_squares(entries: int) -> None:
    """`mean((y - X w)^2)` over several entries a sample: the covariance is SSE / (N - p) (X^T X)^-1 over all N of them.

    The weight of a square is 1 over the number of its entries, and must be in the curvature and in the variance alike.
    """
    samples = 64 // entries
    x = leaf(INPUT, "x", TensorType("real", (BATCH, entries, 3)))
    y, w = leaf(INPUT, "y", TensorType("real", (BATCH, entries))), leaf(WEIGHT, "w", TensorType("real", (3,)))
    rest: Node = y - OPS["reduce_sum"](x * w, axes=(2,), keepdims=False)
    loss = OPS["reduce_mean"](rest**2.0, axes=(1,), keepdims=False)
    fitted = model([weight("w", (3,))], plan(loss), parameters=[Parameter("w", (3,), (-np.inf, np.inf), w)])
    best = np.linalg.lstsq(DESIGN, RESPONSE, rcond=None)[0]
    variance = ((RESPONSE - DESIGN @ best) ** 2).sum() / (64 - 3)
    data = Split({"x": DESIGN.reshape(samples, entries, 3), "y": RESPONSE.reshape(samples, entries)})
    for factor in (1.0, 5.0):
        assert fitted.training is not None
        losses = fitted.training.losses.with_outputs({"loss": loss * factor})
        scaled = dataclasses.replace(fitted, training=dataclasses.replace(fitted.training, losses=losses))
        found = laplace(scaled, Dataset(data).train, {"w": best})
        np.testing.assert_allclose(found.covariance, np.linalg.inv(DESIGN.T @ DESIGN) * variance, rtol=1e-9)


# ---------------------------------------------------------------------------------------------------- windows


def windows(folder: Path, rows: str, split: Called | None, **settings: Any) -> Dataset:
    """Two rows behind and two ahead of `v`; `rows` is what the file holds of it, "-" a gap, beside the hour."""
    lines = [f"{hour},{'' if word == '-' else word}" for hour, word in enumerate(rows.split())]
    (folder / "data.csv").write_text("hour,v\n" + "\n".join(lines) + "\n")
    span = Span(0, 3)
    bindings = (DataBinding("p", "past", ("v",), 2, span), DataBinding("f", "future", ("v",), 2, span))
    chosen = DataPlan("data.csv", span, bindings, split=split, **settings)
    ports = [Port("p", "real", (2,))], [Port("f", "real", (2,))]
    return load_data(chosen, *ports, folder, Source("dyn 1\n", "model.dyn"))


@pytest.mark.parametrize("stride", [1, 3])
def test_windows_that_touch_a_gap_are_dropped_whole(stride: int, tmp_path: Path) -> None:
    """Rows 0..11, of which 6 is missing: what remains begins at 0..2 or 7..8, with stride 3 at 0 alone."""
    data = windows(tmp_path, "0 1 2 3 4 5 - 7 8 9 10 11", None, stride=stride, missing="drop")
    begins = [b for b in range(0, 9, stride) if b + 3 < 6 or b > 6]
    assert begins == ([0, 1, 2, 7, 8] if stride == 1 else [0])
    assert data.train.arrays["p"].tolist() == [[b, b + 1] for b in begins]
    assert data.train.arrays["f"].tolist() == [[b + 2, b + 3] for b in begins]


def test_no_row_that_is_trained_on_as_future_is_tested(tmp_path: Path) -> None:
    """A boundary at hour 8: futures end before it or begin at it or later; that of rows 7 and 8 goes to neither."""
    rows = " ".join(map(str, range(14)))
    data = windows(tmp_path, rows, Called("time", {"column": "hour", "test": 8}))
    assert data.test is not None
    assert data.train.arrays["f"].tolist() == [[b, b + 1] for b in range(2, 7)]
    assert data.test.arrays["f"].tolist() == [[b, b + 1] for b in range(8, 13)]

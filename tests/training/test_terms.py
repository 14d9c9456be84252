"""Terms of a loss: each counts once, and stands in the table of an epoch by its text."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import isocline

LINE = """dyn 1
model line
data {{ source "data.csv"; x = column(x); z = column(z) }}
input x: real
target z: real
param a: real = 3 {prior}
output y = a*x
train {{ {loss}; optimizer sgd(lr=1e-12); epochs 1; precision float64 }}
"""
SQUARES = 43.2
"""At a = 3 beside z = 0.6 x, x = 1 to 4: the mean of (2.4 x)^2. The mean of the magnitudes is 6."""
TERMS = {
    "two": ("loss mse(y, z), mae(y, z)", {"loss": 49.2, "mse(y, z)": SQUARES, "mae(y, z)": 6.0}),
    "one with a factor": ("loss 2*mse(y, z)", {"loss": 86.4, "2*mse(y, z)": 86.4}),
    "a regularizer": ("loss mse(y, z); regularize 0.1*a^2", {"loss": 44.1, "0.1*a^2": 0.9}),
    "one called log_prior": ("log_prior = mse(y, z); loss log_prior", {"loss": SQUARES, "log_prior": SQUARES}),
    "one called epoch": ("epoch = mse(y, z); loss epoch", {"loss": SQUARES, "(epoch)": SQUARES, "epoch": 1}),
    "one called lr": ("lr = mse(y, z); loss lr, a", {"loss": 46.2, "(lr)": SQUARES, "a": 3, "lr": 1e-12}),
}


def first_epoch(folder: Path, loss: str, prior: str = "") -> dict[str, float]:
    (folder / "data.csv").write_text("x,z\n1,0.6\n2,1.2\n3,1.8\n4,2.4\n")
    (folder / "line.dyn").write_text(LINE.format(loss=loss, prior=prior))
    isocline.train(folder / "line.dyn", run=folder / "run", device="cpu")
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return {name: float(cell) for name, cell in row.items() if cell}


@pytest.mark.parametrize("name", TERMS)
def test_every_term_counts_once_and_is_shown(name: str, tmp_path: Path) -> None:
    loss, expected = TERMS[name]
    row = first_epoch(tmp_path, loss)
    assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-9)


def test_a_term_called_log_prior_is_no_prior(tmp_path: Path) -> None:
    """Of a ~ normal(3, 1) at 3, log p = -log(2 pi)/2; a density of four samples weighs it by a quarter."""
    loss = "log_prior = gaussian_nll(y, z, 1); loss log_prior"
    with_prior, without = first_epoch(tmp_path, loss, "~ normal(3, 1)"), first_epoch(tmp_path, loss)
    assert with_prior["log_prior"] == pytest.approx(without["log_prior"], rel=1e-12)
    assert with_prior["loss"] - without["loss"] == pytest.approx(0.9189385332 / 4, rel=1e-6)
    assert with_prior["log prior"] == pytest.approx(-0.9189385332, rel=1e-6)

"""Regularizers along a solution in training: three ways to solve agree on what they are, and steps are small beside."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import isocline

ALONG = ("jacobian_norm(f, probes=2)", "taylor(path, order=2)", "path_length(path)", "integral(sum(h'^2), over=path)")
STEPS = ("1000*step_error(path)", "stiffness(path)", "total_variation(path)")
TEXT = """dyn 1
model m
data {{ source "data.npz"; x = array(x); y = array(y) }}
input x: real[2]
target y: real[2]
field f(t, h: real[2]) {{ h' = concat(h, [sin(t)]) |> dense(8) |> tanh |> dense(2) }}
path = solve f from h = x over 0..1
output end = path
train {{ loss mse(end, y); regularize {terms}; epochs 2; optimizer sgd(lr=1e-12); solver {solver}; seed 1 }}
"""


def first_epoch(folder: Path, terms: tuple[str, ...], solver: str) -> dict[str, float]:
    generator = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=generator.normal(size=(12, 2)), y=generator.normal(size=(12, 2)))
    (folder / "m.dyn").write_text(TEXT.format(terms=" + ".join(terms), solver=solver))
    isocline.train(folder / "m.dyn", run=folder / "run", device="cpu")
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        first, _ = csv.DictReader(file)
    return {term: float(first[term]) for term in terms}


def test_by_torchdiffeq_by_its_adjoint_and_on_our_grid(tmp_path: Path) -> None:
    """In float32, with tolerances of 1e-6: the vectors of the estimate are the same for all three."""
    found = {}
    for name, solver in {
        "backprop": "dopri5(rtol=1e-6, atol=1e-6)",
        "adjoint": "dopri5(rtol=1e-6, atol=1e-6); gradient adjoint",
        "grid": "tsit5(steps=10)",
    }.items():
        (tmp_path / name).mkdir()
        found[name] = first_epoch(tmp_path / name, ALONG, solver)
    assert all(value > 0 for value in found["grid"].values())
    assert found["adjoint"] == pytest.approx(found["backprop"], rel=1e-5)
    assert found["grid"] == pytest.approx(found["backprop"], rel=1e-5)


def test_sums_over_the_steps_are_those_of_the_steps(tmp_path: Path) -> None:
    """The estimate of tsit5 is of fifth order, with |h| sixth, and summed fifth again; the others scale as they say."""
    rows = {}
    for steps in (4, 8):
        (tmp_path / str(steps)).mkdir()
        rows[steps] = first_epoch(tmp_path / str(steps), STEPS, f"tsit5(steps={steps}); precision float64")
    assert 20 < rows[4][STEPS[0]] / rows[8][STEPS[0]] < 45
    assert rows[8][STEPS[1]] / rows[4][STEPS[1]] == pytest.approx(2, rel=0.1)
    assert rows[8][STEPS[2]] / rows[4][STEPS[2]] == pytest.approx(1, rel=0.05)

"""Training through noise: its paths are those that the runtime would draw, and a resumed run has the same bits."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler.data import Dataset, Split
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.fit import train
from isocline_compiler.training.laplace import laplace
from isocline_compiler.training.objective import Objective
from isocline_compiler.training.progress import Lines, Quiet
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime.randomness import Draws, normals

GBM = """dyn 1
model gbm
input s0: real
target growth: real
param mu: real = 0.1
param sigma: positive = 0.4
field market(t, s: real) {
  noise W: brownian[1]
  ds = mu*s dt + sigma*s dW[0]
}
paths = solve market from s = s0 over 0..2 samples 6
output grown = mean(paths, axis=0)
train {
  loss (mean(paths, axis=0) - growth)^2
  precision float64
  SETTINGS
}
"""
STARTS = np.linspace(0.5, 2.0, 12)
DATA = Split({"s0": STARTS, "growth": STARTS * np.exp(0.3)})
CPU = torch.device("cpu")


def model(settings: str, text: str = GBM) -> Model:
    source = Source(text.replace("SETTINGS", settings.replace("; ", "\n  ")), "gbm.dyn")
    return lower(parse(source), source)


def objective(settings: str, text: str = GBM) -> tuple[Objective, dict[str, torch.Tensor]]:
    made = model(settings, text)
    assert made.training is not None
    weights = {"mu": torch.tensor(0.1, dtype=torch.float64), "sigma": torch.tensor(0.4, dtype=torch.float64).log()}
    return Objective.of(made, made.training, DATA), weights


def by_hand(noise: np.ndarray, steps: int) -> np.ndarray:
    """(growth - mean of the paths)^2 by Euler-Maruyama in numpy."""
    h, paths = 2.0 / steps, np.repeat(STARTS[:, None], 6, axis=1)
    for k in range(steps):
        paths = paths * (1 + 0.1 * h + 0.4 * np.sqrt(h) * noise[:, :, k, 0])
    return np.asarray((paths.mean(axis=1) - DATA.arrays["growth"]) ** 2)


def test_the_paths_are_those_of_the_runtime_under_the_same_seed() -> None:
    made, weights = objective("solver euler_maruyama(steps=8); seed 5")
    batches = Batches.of(DATA, torch.float64, CPU)
    made.begin(5, 3)
    (given,) = made.noise.inputs
    found = made(weights, batches.take(slice(None)), training=True).total
    seen: list[tuple[int, int]] = []
    draw = type(given).draw

    def watched(self: object, seed: int, rows: torch.Tensor) -> torch.Tensor:
        seen.append((seed, len(rows)))
        return draw(self, seed, rows)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(given), "draw", watched)
        again = made(weights, batches.take(slice(None)), training=True).total
    ((seed, _),) = seen
    stream = int.from_bytes(hashlib.sha256(b"W").digest()[:4], "little")
    noise = normals(Draws(seed=seed, stream=stream, samples=6, steps=8, channels=1), rows=range(12))
    assert float(found) == float(again) == pytest.approx(by_hand(noise, 8).mean(), rel=1e-12)


def test_a_row_has_the_same_paths_in_any_batch_and_others_at_each_update() -> None:
    made, weights = objective("solver euler_maruyama(steps=8)")
    batches = Batches.of(DATA, torch.float64, CPU)

    def losses(update: int, rows: list[int]) -> list[float]:
        made.begin(0, update)
        return [float(made(weights, batches.take(torch.tensor([row])), training=True).total) for row in rows]

    made.begin(0, 4)
    together = float(made(weights, batches.take(torch.tensor([7, 2, 9])), training=True).total)
    assert together == pytest.approx(np.mean(losses(4, [2, 7, 9])), rel=1e-12)
    assert losses(4, [2]) != losses(5, [2])
    one, other = made.over(weights, batches), made.over(weights, batches)
    made.begin(0, 17)
    assert one == other == made.over(weights, batches)


def test_much_noise_is_drawn_in_parts_and_gives_the_same_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    made, weights = objective("solver euler_maruyama(steps=8)")
    batches = Batches.of(DATA, torch.float64, CPU)
    whole = made.over(weights, batches)
    monkeypatch.setattr("isocline_compiler.training.path_noise.MOST", 6 * 8 * 5)
    assert made.chunk == 5
    assert made.over(weights, batches) == pytest.approx(whole, rel=1e-14)


class _Stop(Quiet):
    """Ctrl-C when an epoch is over."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, row: object) -> None:
        if getattr(row, "epoch", 0) == self.after:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    settings = "solver euler_maruyama(steps=8); epochs 6; batch 5; validation 0.25; seed 3"
    straight = train(model(settings), Dataset(DATA), tmp_path / "straight", device="cpu")
    stopped = train(model(settings), Dataset(DATA), tmp_path / "stopped", device="cpu", progress=_Stop(2))
    assert not stopped.complete
    resumed = train(model(settings), Dataset(DATA), tmp_path / "stopped", device="cpu", resume=True)
    assert [float(straight.weights[name]) for name in ("mu", "sigma")] == [
        float(resumed.weights[name]) for name in ("mu", "sigma")
    ]
    assert [row["validation_loss"] for row in straight.history] == [row["validation_loss"] for row in resumed.history]


def test_without_a_solver_a_scheme_that_fits_is_taken_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(model("epochs 1"), Dataset(DATA), tmp_path, device="cpu", progress=Lines())
    said = "no solver is named for the noise of `market`: training steps it as by `solver euler_maruyama(steps=64)`"
    assert said in capsys.readouterr().err


TIMES = GBM.replace("over 0..2", "at 0..100 step 1").replace("mean(paths, axis=0)", "paths[0, 100]")


def test_every_interval_has_some_steps() -> None:
    made, _ = objective("epochs 1", TIMES)
    assert [item.steps for item in made.noise.inputs] == [200]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ("solver dopri5(rtol=1e-4)", "E466", "write `solver euler_maruyama(steps=64)`"),
        ("solver rk4(steps=8)", "E324", "the field has noise, and it knows none"),
        ("regularize steer(0.1)", "E455", "`euler_maruyama` has fixed steps"),
    ],
)
def test_solvers_that_are_not_for_noise_are_refused(settings: str, code: str, words: str) -> None:
    with pytest.raises(IsoclineError) as raised:
        objective(settings)[0]
    assert [item.code for item in raised.value.diagnostics] == [code]
    assert words in str(raised.value)


MIXED = GBM.replace(
    "output", "field still(t, y: real) {\n  y' = -mu*y\n}\ny = solve still from y = s0 over 0..1\noutput"
).replace("loss (", "loss y^2, (")


def test_a_solver_for_smooth_fields_leaves_those_with_noise_to_a_scheme_for_them() -> None:
    """And the other way round: each solve is stepped by what is meant for it."""
    for solver in ("dopri5(rtol=1e-8)", "rk4(steps=8)", "euler_maruyama(steps=64)"):
        made, weights = objective(f"solver {solver}", MIXED)
        found = made(weights, Batches.of(DATA, torch.float64, CPU).take(slice(None)))
        assert float(found.terms["y^2"]) == pytest.approx(np.mean((STARTS * np.exp(-0.1)) ** 2), rel=1e-5)
        assert [item.steps for item in made.noise.inputs] == [64]


def test_standard_errors_are_those_of_a_loss_that_stands_still(tmp_path: Path) -> None:
    settings = "solver euler_maruyama(steps=8); optimizer lbfgs; epochs 2"
    made = model(settings)
    result = train(made, Dataset(DATA), tmp_path, device="cpu")
    first, second = (laplace(made, DATA, result.free_weights).estimates[0] for _ in range(2))
    assert float(first.error) == float(second.error)


JUMPS = """dyn 1
model claims
input s0: real
target left: real
param size: real = 0.5
field reserve(t, s: real) {
  noise N: poisson(3)
  ds = 1 dt - size dN
}
paths = solve reserve from s = s0 at [0, 0.1, 2] samples 4000
output kept = mean(paths, axis=0)[2]
train {
  loss (kept - left)^2
  solver euler_maruyama(steps=8)
  precision float64
}
"""


def test_jumps_are_counted_by_the_width_of_each_step() -> None:
    """The mean of the reserve falls by size times rate times time, whatever the steps."""
    source = Source(JUMPS, "claims.dyn")
    made = lower(parse(source), source)
    assert made.training is not None
    loss = Objective.of(made, made.training, DATA)
    counts = loss.noise.filled({"s0": torch.tensor(STARTS), "rows of the split": torch.arange(12)}, training=False)["N"]
    widths = np.repeat([0.025, 0.475], 4)
    spread = np.sqrt(3 * widths / (12 * 4000))
    assert (abs(counts.numpy().mean(axis=(0, 1, 3)) - 3 * widths) < 4.5 * spread).all()

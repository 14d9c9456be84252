"""What gives reason to doubt a fit is said while training, and stands in the certificate's notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline.summary import certificate_lines
from isocline_compiler.training.doubts import loss_doubts
from isocline_compiler.training.fit import TrainingResult
from isocline_compiler.training.metrics import MetricsRow
from isocline_compiler.training.progress import Quiet

STARTS, ENDS = np.random.default_rng(4).uniform(1, 8, (2, 20)) * [[1], [0]] + [[0], [1]]


class Said(Quiet):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


HEAD = 'dyn 1\nmodel m\ndata { source "data.csv"; x = column(x); z = column(z) }\n'


def trained(folder: Path, body: str, columns: str) -> tuple[TrainingResult, list[str]]:
    (folder / "data.csv").write_text(columns)
    (folder / "m.dyn").write_text(HEAD + body)
    said = Said()
    result = isocline.train(folder / "m.dyn", run=folder / "run", device="cpu", progress=said)
    return result, said.texts


PAIRS = "x,z\n1,0.6\n2,1.2\n3,1.8\n4,2.4\n"
DECAY = """input x: real in (0, 10)
target z: real
param k: {type} = {first}
field decay(t, x: real) {{ x' = -k*x }}
s = solve decay from x = x over 0..1
output y = s
train {{ loss mse(s, z); optimizer {optimizer}; epochs {epochs}; precision {precision} }}
"""


def decay(**more: object) -> str:
    usual = {"type": "positive", "first": 0.1, "optimizer": "adam(lr=1e6)", "epochs": 30, "precision": "float32"}
    return DECAY.format(**{**usual, **more})


# ---------------------------------------------------------------------------------------------------- the loss rises


def test_a_loss_that_rose_is_said_with_its_first_and_last_value(tmp_path: Path) -> None:
    """From k = 0.6, which is nearly right, to k = 0, whose loss is mean((x - z)^2)."""
    result, said = trained(tmp_path, decay(first=0.6), PAIRS)
    x, z = np.array([1, 2, 3, 4]), np.array([0.6, 1.2, 1.8, 2.4])
    first, last = ((x * np.exp(-0.6) - z) ** 2).mean(), ((x - z) ** 2).mean()
    assert f"the loss rose from {first:.3g} to {last:.3g} over training; the last weights are kept" in said
    assert set(result.doubts) <= set(said)


def rows(*losses: float) -> list[dict[str, float | int | None]]:
    return [{"epoch": i + 1, "loss": loss} for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("history", "kept", "said"),
    [
        (rows(1.86, 0.5, 5.05), None, "the loss rose from 1.86 to 5.05 over training; the last weights are kept"),
        (rows(1.0, 2.0), 1, "the loss rose from 1 to 2 over training; the weights of epoch 1 are kept"),
        (rows(10, 0.1, 4), None, "the loss ended at 4, above the 0.1 of epoch 2; the last weights are kept"),
        (rows(10, 0.1, 0.5), None, None),
        (rows(3, 2, 1), None, None),
        (rows(3), None, None),
        ([], None, None),
    ],
)
def test_when_a_loss_is_doubted(history: list[dict[str, float | int | None]], kept: int | None, said: str) -> None:
    assert loss_doubts(history, kept) == ([said] if said else [])


# ------------------------------------------------------------------------------------------------- bounds, gradients


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("type_", "first", "low", "high"),
    [("positive", 0.5, 0, np.inf), ("real in (0, 2)", 0.5, 0, 2), ("real in (-2, 0.7)", 0.5, -2, 0.7),
     ("real in (-inf, 1)", 0.5, -np.inf, 1), ("real in (0.4, inf)", 0.5, 0.4, np.inf)],
)  # fmt: skip
@pytest.mark.parametrize("optimizer", ["adam(lr=1e6)", "sgd(lr=1e9)", "rmsprop(lr=1e5)"])
def test_a_parameter_stays_strictly_within_its_bounds(
    optimizer: str, type_: str, first: float, low: float, high: float, precision: str, tmp_path: Path
) -> None:
    body = decay(optimizer=optimizer, type=type_, first=first, precision=precision, epochs=3)
    result, _ = trained(tmp_path, body.replace("-k*x }", "-tanh(k)*x }"), PAIRS)
    k = np.float32(result.weights["k"])
    assert low < k < high
    assert np.isfinite(k)


@pytest.mark.parametrize(
    ("type_", "bound"), [("positive", "0"), ("real in (0.4, inf)", "0.4"), ("real in (0, 0.7)", "0")]
)
def test_a_parameter_that_ran_to_its_bound_is_said(type_: str, bound: str, tmp_path: Path) -> None:
    result, said = trained(tmp_path, decay(type=type_, first=0.6), PAIRS)
    assert f"`k` ran to its bound {bound}, and nothing but the bound holds it there" in said
    assert result.weights["k"] > float(bound)


def test_a_first_value_beyond_the_limits_of_float32_stays(tmp_path: Path) -> None:
    body = UNFELT.replace("idle: positive", "idle: positive = 1e-60").replace("epochs 2", "epochs 2; precision float64")
    result, _ = trained(tmp_path, body, PAIRS)
    assert result.weights["idle"] == pytest.approx(1e-60, rel=1e-9)


UNFELT = """input x: real
target z: real
param k: positive
param idle: positive
param pair: real[3] = [1, 1, 1]
param late: real = 2
y0 = k*x + pair[1] + where(x > 100, late, 0)
output y = y0
output other = idle*x
train { loss mse(y0, z); epochs 2 }
"""


def test_a_gradient_of_exactly_zero_is_said(tmp_path: Path) -> None:
    _, said = trained(tmp_path, UNFELT, PAIRS)
    told = [text.split(" was exactly")[0] for text in said if "exactly zero" in text]
    assert told == [f"the gradient of {who}" for who in ("`idle`", "`pair[0]`, `pair[2]`", "`late`")]


def test_it_is_said_when_the_first_epoch_is_over_and_once(tmp_path: Path) -> None:
    class Order(Said):
        def epoch(self, row: MetricsRow) -> None:
            self.texts.append(f"epoch {row.epoch}")

    (tmp_path / "data.csv").write_text(PAIRS)
    (tmp_path / "m.dyn").write_text(HEAD + UNFELT)
    said = Order()
    result = isocline.train(tmp_path / "m.dyn", run=tmp_path / "run", device="cpu", progress=said)
    places = [said.texts.index(text) for text in said.texts if "`idle`" in text]
    assert len(places) == 1
    assert said.texts.index("epoch 1") < places[0] < said.texts.index("epoch 2")
    assert any("`idle`" in doubt for doubt in result.doubts)


def test_a_dose_that_the_solver_never_saw_is_said(tmp_path: Path) -> None:
    """The input stops before the data begin; what it drives is multiplied by nothing."""
    body = UNFELT.replace("where(x > 100, late, 0)", "late*relu(x - 50)")
    _, said = trained(tmp_path, body, PAIRS)
    assert any("`late` was exactly zero" in text for text in said)


PULSE = """input x: real
target z: real
param k: positive = 0.3
param dose: positive = 2
field decay(t, s: real) {{ s' = -k*s + where((t > {begin}) and (t < {begin} + 0.1), dose, 0) }}
s = solve decay from s = x at 0..10 step 10
output y = s.s[1]
train {{ loss mse(s.s[1], z); epochs 1; solver rk4(steps=10) }}
"""


@pytest.mark.parametrize(("begin", "felt"), [(3.2, False), (7.7, False), (4.45, True)])
def test_a_pulse_between_the_steps_of_training_is_said(begin: float, felt: bool, tmp_path: Path) -> None:
    """Steps of 1 look at whole and at half times: a pulse from 3.2 to 3.3 is never seen."""
    _, said = trained(tmp_path, PULSE.format(begin=begin), PAIRS)
    assert any("`dose` was exactly zero" in text for text in said) != felt
    assert not any("`k` was exactly zero" in text for text in said)


def test_a_gradient_that_comes_later_in_the_epoch_is_felt(tmp_path: Path) -> None:
    """Batches of one: only one of four samples reaches `late`."""
    body = UNFELT.replace("x > 100", "x > 3.5").replace("epochs 2", "epochs 1; batch 1")
    _, said = trained(tmp_path, body, PAIRS)
    assert not any("late" in text for text in said if "exactly zero" in text)


# ------------------------------------------------------------------------------- what the curvature says, on the screen

FITTED = """dyn 1
model m
data {{ source "data.csv"; x = column(x); z = column(z) }}
input x: real in (0, 10)
target z: real
{params}
output y = {output}
train {{ loss {loss}; optimizer {optimizer}; epochs {epochs}; precision float64 }}
"""
USUAL = {"loss": "mse(y, z)", "optimizer": "lbfgs(lr=1)", "epochs": "8"}
AB, A, SLOW = "param a, b: real = 1", "param a: real = 3", {"optimizer": "sgd(lr=1e-9)", "epochs": "1"}
SCREENS = [
    ({"params": AB, "output": "(a + b)*x"}, "not identifiable from these data: `a`, `b` cannot be told"),
    ({"params": AB, "output": "a*x + 0*b"}, "not identifiable from these data: nothing determines `b`"),
    ({"params": "param a: real[2]", "output": "(a[0] - a[1])*x"}, "not identifiable from these data: `a` cannot be"),
    ({"params": A, "output": "a*x", **SLOW}, "training has not converged: the optimum is"),
    ({"params": A, "output": "sin(a*x - 0.2*x)", **SLOW}, "training has not converged: the loss still curves down"),
    ({"params": A, "output": "a*x", "loss": "mae(y, z)"}, "no standard errors: the loss is not a sum of"),
    ({"params": A + " ~ normal(0, 1)", "output": "a*x", "loss": "mae(y, z)"}, "the priors weigh as if the loss were"),
    ({"params": A, "output": "a*x", "optimizer": "sgd(lr=0.3)"}, "the loss rose from"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "said"), SCREENS)
def test_doubts_come_to_the_screen(case: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x,z\n1,0.61\n2,1.23\n3,1.78\n4,2.41\n")
    (tmp_path / "m.dyn").write_text(FITTED.format(**{**USUAL, **case}))
    built = isocline.build(tmp_path / "m.dyn", out=tmp_path / "out", run=tmp_path / "run", device="cpu")
    lines = certificate_lines(built.certificate)
    assert any(line.startswith("note") and said in line for line in lines), lines
    assert any(said in note for note in built.certificate["data_notes"])


def test_weights_beside_metrics_that_rose_say_so_again(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(PAIRS)
    (tmp_path / "m.dyn").write_text(FITTED.format(**{**USUAL, **SCREENS[-1][0]}))
    isocline.train(tmp_path / "m.dyn", run=tmp_path / "run", device="cpu")
    weights = tmp_path / "run" / "weights.safetensors"
    compiled = isocline.compile(tmp_path / "m.dyn", weights=weights, out=tmp_path / "out")
    assert any("the loss rose from" in line for line in certificate_lines(compiled.certificate))

"""Data that single precision cannot hold stop the training, and train in double precision to what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline_compiler.training.fit import TrainingResult
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

COOLING = """dyn 1
model cooling
data {{ source "{source}"; first = array(first); when = array(when); seen = array(seen) }}
input first: real
input when: time[3] unit "{unit}"
target seen: real[3]
param tau: positive = {guess}
field cool(t, x: real) {{ x' = -x/tau }}
x = solve cool from x = first at when
output x
train {{ loss mse(x, seen); optimizer lbfgs(lr=1); epochs 6; precision {precision} }}
"""


def cooling(begins: float, tau: float) -> dict[str, np.ndarray]:
    """Twelve coolings, each read at its start and twice later: x = first e^(-(t - start)/tau)."""
    first = np.linspace(1, 9, 12)
    start = begins + np.linspace(0, 40, 12)[:, None] * tau
    when = start + np.array([0, 0.5, 1.2]) * tau
    return {"first": first, "when": when, "seen": first[:, None] * np.exp(-(when - start) / tau)}


def line(x: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": x, "z": z}


LINE = """dyn 1
model line
data {{ source "{source}"; x = column(x); z = column(z) }}
input x: real
target z: real
param a: real = 0.5
output y = {output}
train {{ loss mse(y, z{shift}); optimizer lbfgs(lr=1); epochs 6; precision {precision} }}
"""
X = np.linspace(0.01, 3, 20)
CASES = {
    "seconds since 1970": (COOLING, {"unit": "s", "guess": 40}, cooling(1.7e9, 60.0), "when", "tau", 60.0),
    "days since year 0": (COOLING, {"unit": "d", "guess": 0.003}, cooling(739_000, 0.004), "when", "tau", 0.004),
    "kelvins": (
        LINE, {"output": "a*1e3*(x - 300)", "shift": ""}, line(300 + 1e-3 * X, 2 * X), "x", "a", 2.0,
    ),
    "pascals of the air": (
        LINE, {"output": "a*x", "shift": " - 101325"}, line(X, 101325 + 1e-3 * X), "z", "a", 1e-3,
    ),
}  # fmt: skip


def trained(folder: Path, name: str, precision: str) -> TrainingResult:
    text, more, data, *_ = CASES[name]
    np.savez(folder / "data.npz", **data)
    (folder / "model.dyn").write_text(text.format(source="data.npz", precision=precision, **more))
    return isocline.train(folder / "model.dyn", run=folder / "run", device="cpu")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_single_precision_is_refused_at_the_port(name: str, precision: str, tmp_path: Path) -> None:
    port = CASES[name][3]
    with pytest.raises(IsoclineError) as caught:
        trained(tmp_path, name, precision)
    faults: list[Diagnostic] = list(caught.value.diagnostics)
    assert [fault.code for fault in faults] == ["E465"]
    assert f"cannot hold the data of `{port}`" in faults[0].message
    assert "precision float64" in str(faults[0].hint)
    assert caught.value.source is not None
    assert faults[0].span is not None
    assert f" {port}: " in caught.value.source.text[faults[0].span.start : faults[0].span.stop]
    assert not (tmp_path / "run" / "weights.safetensors").exists()


@pytest.mark.parametrize("name", CASES)
def test_double_precision_finds_what_the_data_say(name: str, tmp_path: Path) -> None:
    *_, parameter, value = CASES[name]
    assert trained(tmp_path, name, "float64").weights[parameter] == pytest.approx(value, rel=1e-4)


HELD = {
    "numbers that are rounded a little": line(X, 2.5 * X),
    "large numbers that differ as much": line(1e9 * X, 2.5e9 * X),
    "kelvins that differ by degrees": line(300 + 10 * X, 2.5 * (300 + 10 * X)),
    "a target that does not vary": line(X, np.full(20, 0.1)),
    "seconds that single precision holds": line(128.0 * np.arange(20) + 1.7e9, 320.0 * np.arange(20)),
}


@pytest.mark.parametrize("name", HELD)
def test_what_rounding_leaves_as_it_is_trains(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **HELD[name])
    text = LINE.format(source="data.npz", output="a*x", shift="", precision="float32")
    (tmp_path / "model.dyn").write_text(text.replace("lbfgs(lr=1); epochs 6", "sgd(lr=1e-30); epochs 1"))
    assert isocline.train(tmp_path / "model.dyn", run=tmp_path / "run", device="cpu").complete

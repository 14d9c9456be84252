"""`path.current`: what a field defines for itself, along a solution, against the same formula of its states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll import unroll
from tests.stated import stated

FIELD = """dyn 1
model m
input v0: real in (-1, 1)
input g: real in (0.5, 2)
field f(t, v: real, m: real[2]) {
  current = g*m[0]*(v - 1)
  drive = sin(t)*m
  unread = v + t
  v' = -current - v + drive[1]
  m' = -m + tanh(v)
}
"""
OUTPUTS = "".join(f"output {name} = path.{name}\n" for name in ("current", "drive", "unread", "v", "m"))
START, G = np.array([0.2, -0.5, 0.9]), np.array([1.0, 1.5, 0.7])


def found(text: str, segment: int | None = None, **more: Array) -> dict[str, Array]:
    graph = model(text).graph
    choices = {name: replace(choice, segment=segment) for name, choice in stated(graph).items()}
    stepped = unroll(graph, choices).graph
    verify(stepped)
    given = {name: a for name, a in {"v0": START, "g": G, **more}.items() if f"input {name}" in text}
    outputs = TorchProgram(stepped)({name: torch.tensor(a) for name, a in given.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def require(x: dict[str, Array], times: Array, g: Array) -> None:
    np.testing.assert_allclose(x["current"], g * x["m"][..., 0] * (x["v"] - 1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(x["drive"], np.sin(times)[..., None] * x["m"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(x["unread"], x["v"] + times, rtol=0, atol=1e-14)


@pytest.mark.parametrize("segment", [None, 2])
def test_at_every_kept_time(segment: int | None) -> None:
    text = FIELD + "path = solve f from v = v0, m = [v0, 0.1] at 0..2 step 0.5 with rk4(steps=8)\n" + OUTPUTS
    x = found(text, segment)
    assert x["drive"].shape == (3, 5, 2)
    require(x, np.arange(0, 2.1, 0.5), G[:, None])


def test_at_the_end() -> None:
    text = FIELD + "path = solve f from v = v0, m = [v0, 0.1] over 0..2 with rk4(steps=8)\n" + OUTPUTS
    require(found(text), np.full(3, 2.0), G)


def test_at_times_of_each_sample() -> None:
    text = FIELD + "input when: time[3] in (0, 4)\n"
    text += "path = solve f from v = v0, m = [v0, 0.1] at when with rk4(steps=8)\n" + OUTPUTS
    when = np.array([[0, 1, 2], [0.5, 1, 4], [0, 0.3, 0.4]])
    require(found(text, when=when), when, G[:, None])


def test_of_a_model_without_inputs() -> None:
    text = FIELD.replace("input v0: real in (-1, 1)\ninput g: real in (0.5, 2)\n", "const v0 = 0.3\nconst g = 1.2\n")
    text += "path = solve f from v = v0, m = [v0, 0.1] at 0..2 step 0.5 with rk4(steps=8)\n" + OUTPUTS
    require(found(text), np.arange(0, 2.1, 0.5), np.array(1.2))


def test_its_layers_are_those_of_the_field() -> None:
    text = """dyn 1
model m
input x: real[2] in (-1, 1)
field f(t, h: real[2]) {
  hidden = h |> dense(4) |> tanh
  h' = hidden |> dense(2)
}
path = solve f from h = x at 0..1 step 0.5 with rk4(steps=4)
output hidden = path.hidden
output h = path
"""
    lowered = model(text)
    names = ["f.h.dense.bias", "f.h.dense.weight", "f.hidden.dense.bias", "f.hidden.dense.weight"]
    assert sorted(item.name for item in lowered.weights) == names
    random = np.random.default_rng(0)
    weights = {item.name: random.normal(size=item.shape) for item in lowered.weights}
    graph = unroll(lowered.graph, stated(lowered.graph)).graph
    bound = {"x": random.normal(size=(3, 2)), **weights}
    x = {key: y.numpy() for key, y in TorchProgram(graph)({k: torch.tensor(v) for k, v in bound.items()}).items()}
    w, b = weights["f.hidden.dense.weight"], weights["f.hidden.dense.bias"]
    np.testing.assert_allclose(x["hidden"], np.tanh(x["h"] @ w + b), rtol=0, atol=1e-14)


# ------------------------------------------------------------------------------------------- paths and jumps


NOISY = """dyn 1
model m
input x0: real[2] in (-1, 1)
input us: real[5] in (-1, 1)
control u = linear(us, step=0.25)
field f(t, x: real[2]) {
  noise W: brownian[2]
  pull = 2*x*us[0] + u(t)*sin(t)
  clock = t
  dx = -pull dt + 0.1 dW
}
path = solve f from x = x0 TIMES with euler_maruyama(steps=8) samples 3
output pull = path.pull
output clock = path.clock
output x = path
"""


@pytest.mark.parametrize("times", ["at 0..1 step 0.25", "over 0..1"])
def test_along_each_path(times: str) -> None:
    """(batch, samples, times, ...): every path at its own states, under the control of its row."""
    graph = model(NOISY.replace("TIMES", times)).graph
    stepped = unroll(graph, stated(graph)).graph
    verify(stepped)
    random = np.random.default_rng(1)
    bound = {
        str(item.attrs["name"]): random.normal(size=[4 if size == "batch" else size for size in item.shape])
        for item in stepped.inputs
    }
    x = {key: y.numpy() for key, y in TorchProgram(stepped)({k: torch.tensor(v) for k, v in bound.items()}).items()}
    t = np.arange(0, 1.1, 0.25) if times.startswith("at") else np.array(1.0)
    u = bound["us"] if times.startswith("at") else bound["us"][:, -1]
    first = bound["us"][:, 0].reshape(4, 1, 1, *(1,) * t.ndim)
    expected = 2 * x["x"] * first + (u * np.sin(t))[:, None, ..., None]
    assert np.ptp(x["x"], axis=1).max() > 0.1, "paths apart"
    np.testing.assert_allclose(x["pull"], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(x["clock"], np.broadcast_to(t, x["x"].shape[:-1]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("times", ["at 0..2 step 0.5", "over 0..2", "at when"])
def test_where_a_solution_jumps_it_is_what_the_jump_left(times: str) -> None:
    jump = "  at ([0.5, 1.25]) { v = v + 1 }\n}\n"
    text = FIELD.replace("\n}\n", f"\n{jump}", 1).replace("at ([0.5, 1.25])", "at [0.5, 1.25]")
    text = text.replace("input g", "input when: time[3] in (0, 2)\ninput g") if times == "at when" else text
    solved = "with rk4(steps=2)" if times != "at 0..2 step 0.5" else "with rk4(steps=8)"
    when = np.array([[0, 1, 2], [0, 0.5, 2], [0.2, 1.25, 1.3]])
    x = found(text + f"path = solve f from v = v0, m = [v0, 0.1] {times} {solved}\n" + OUTPUTS, when=when)
    at = {"at 0..2 step 0.5": np.arange(0, 2.1, 0.5), "over 0..2": np.full(3, 2.0), "at when": when}[times]
    require(x, at, G if times == "over 0..2" else G[:, None])


def test_across_events() -> None:
    text = FIELD.replace("\n}\n", "\n  when v < 0 { v = 0.5 - v }\n}\n", 1)
    x = found(text + "path = solve f from v = v0, m = [v0, 0.1] at 0..2 step 0.5 with rk4(steps=8)\n" + OUTPUTS)
    require(x, np.arange(0, 2.1, 0.5), G[:, None])

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

"""`inverse(h)` of a solve with noise: the path is walked back, against its start and against steps written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import isocline
import isocline_runtime
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll import unroll
from tests.stated import stated

STEPS, PATHS = 24, 6
RANDOM = np.random.default_rng(5)
START = RANDOM.uniform(0.5, 1.5, (2, 5))
FIELD = """dyn 1
model m
input x0: real in (0.5, 1.5)
input y0: real in (0.5, 1.5)
field f(t, x: real, y: real) {
  noise W: brownian[2] stratonovich
  dx = -sin(x + y) dt + (0.5 + 0.3*cos(y + t)) dW[0]
  dy = (x - y) dt + 0.4*x dW[1]
}
"""
OUTPUTS = "output x = back.x\noutput y = back.y\n"


def solved(times: str, samples: str = "", end: str = "") -> str:
    text = f"there = solve f from x = x0, y = y0 {times} with reversible_heun(steps={STEPS}) {samples}\n"
    return FIELD + text + f"back = inverse(there{end})\n" + OUTPUTS


def noise(samples: int = 1) -> Array:
    return np.random.default_rng(7).standard_normal((START.shape[1], samples, STEPS, 2))


def evaluated(text: str, w: Array, segment: int | None = None) -> dict[str, Array]:
    graph = model(text).graph
    choices = {name: replace(choice, segment=segment) for name, choice in stated(graph).items()}
    found = unroll(graph, choices).graph
    assert [node.attrs["name"] for node in found.inputs] == ["x0", "y0", "W"]
    given = {"x0": START[0], "y0": START[1], "W": w}
    return {
        name: value.numpy()
        for name, value in TorchProgram(found)({name: torch.tensor(a) for name, a in given.items()}).items()
    }


@pytest.mark.parametrize("segment", [None, 2])
@pytest.mark.parametrize("samples", ["", f"samples {PATHS}"])
@pytest.mark.parametrize("times", ["over 0..1", "over 2..0.5", "at [0, 0.25, 1]"])
def test_the_path_is_walked_back_to_its_start(times: str, samples: str, segment: int | None) -> None:
    found = evaluated(solved(times, samples), noise(PATHS if samples else 1), segment)
    start = START[:, :, None] if samples else START
    for name, begun in zip("xy", start, strict=True):
        np.testing.assert_allclose(found[name], np.broadcast_to(begun, found[name].shape), rtol=0, atol=1e-12)


def drift(t: float, z: Array) -> Array:
    return np.stack([-np.sin(z[0] + z[1]), z[0] - z[1]])


def stirred(t: float, z: Array, dw: Array) -> Array:
    return np.stack([(0.5 + 0.3 * np.cos(z[1] + t)) * dw[:, 0], 0.4 * z[0] * dw[:, 1]])


def by_hand(x: Array, w: Array, begin: float, h: float) -> Array:
    """Kidger, Foster, Li, Lyons (2021), algorithm 1, on increments (paths, steps, 2)."""
    z = x
    for i in range(w.shape[1]):
        t, dw = begin + i * h, w[:, i] * np.sqrt(abs(h))
        after = 2 * x - z + h * drift(t, z) + stirred(t, z, dw)
        half = drift(t, z) + drift(t + h, after)
        x = x + half * h / 2 + (stirred(t, z, dw) + stirred(t + h, after, dw)) / 2
        z = after
    return x


def test_the_steps_are_those_of_the_paper_both_ways() -> None:
    """From an end that is given, what the scheme remembers begins there: a solve of its own, on the path turned."""
    w = noise()[:, 0]
    text = solved("over 0..1", end=", x=x0 + 1, y=2*y0") + "output x1 = there.x\noutput y1 = there.y\n"
    found = evaluated(text, noise())
    forth = by_hand(START, w, 0.0, 1 / STEPS)
    np.testing.assert_allclose(np.stack([found["x1"], found["y1"]]), forth, rtol=0, atol=1e-12)
    back = by_hand(np.stack([START[0] + 1, 2 * START[1]]), -w[:, ::-1], 1.0, -1 / STEPS)
    np.testing.assert_allclose(np.stack([found["x"], found["y"]]), back, rtol=0, atol=1e-12)


def test_a_solve_that_is_undone_is_the_solve_that_is_not() -> None:
    plain = solved("over 0..1").replace("back = inverse(there)\n", "").replace("back.", "there.")
    kept = solved("over 0..1") + "output x1 = there.x\n"
    np.testing.assert_allclose(evaluated(kept, noise())["x1"], evaluated(plain, noise())["x"], rtol=0, atol=1e-14)


def test_the_artifact_walks_back_and_its_gradient_is_one(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    deploy = "deploy {\n  attribute x wrt x0 by saliency\n}\n"
    file.write_text(solved("over 0..1", "samples 3").replace("output x = back.x", "output x = mean(back.x)") + deploy)
    folder = isocline.compile(isocline.model(file.read_text()), tmp_path / "out").folder
    session = isocline_runtime.load(folder)
    given = {"x0": START[0].astype(np.float32), "y0": START[1].astype(np.float32)}
    found = session.run(given, seed=3)
    np.testing.assert_allclose(found["x"], START[0], rtol=0, atol=2e-5)
    np.testing.assert_allclose(found["y"], np.repeat(START[1][:, None], 3, axis=1), rtol=0, atol=2e-5)
    certificate = json.loads((folder / "certificate.json").read_text())
    assert 0 < certificate["restored"]["back"] < 1e-5
    assert [item["name"] for item in json.loads((folder / "manifest.json").read_text())["noises"]] == ["W"]
    seen = session.attribute(given, seed=3)["saliency_x0"]
    np.testing.assert_allclose(seen, 1.0, rtol=0, atol=1e-4)

"""Ensembles as streams: steps by hand in numpy with the noise that the runtime draws, and what has no steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline_compiler.graph import Array
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import Session, load

DRIVEN = """dyn 1
model driven
input x0: real[2] in (-1, 1); input us: real[11] in (-1, 1)
control u = hold(us, step=0.1)
field f(t, x: real[2]) { x' = u(t) - dropout(x, 0.2) }
path = solve f from x = x0 at 0..1 step 0.1
output y = path
output spread = std(path[-1], over=samples)
output noisy = gaussian_noise(path, 0.5)
deploy { samples 6; solver %s; stream }
"""
ROWS = [3, 1, 4]


@pytest.fixture(scope="module", params=["midpoint(steps=20)", "euler(steps=10)"])
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Session]:
    folder = tmp_path_factory.mktemp("streams") / "driven"
    return request.param, load(isocline.compile(isocline.model(DRIVEN % request.param), folder).folder)


def given() -> dict[str, Array]:
    draw = np.random.default_rng(2)
    return {"x0": draw.uniform(-0.9, 0.9, (3, 2)), "us": draw.uniform(-0.9, 0.9, (3, 11))}


def members(scheme: str, kept: Array) -> Array:
    """(times, rows, samples, 2): every evaluation of the field has a draw of its own, as Euler's and the midpoint
    scheme meet them.
    """
    inputs = given()
    x = np.repeat(inputs["x0"][:, None], 6, 1)
    masks = iter(np.moveaxis(kept, 2, 0) / 0.8)
    path = [x]
    for i in range(10):
        u = inputs["us"][:, i, None, None]
        if scheme.startswith("euler"):
            x = x + 0.1 * (u - x * next(masks))
        else:
            for _ in range(2):
                half = x + 0.025 * (u - x * next(masks))
                x = x + 0.05 * (u - half * next(masks))
        path.append(x)
    return np.array(path)


def test_steps_of_an_ensemble_by_hand(driven: tuple[str, Session]) -> None:
    scheme, session = driven
    inputs, noise = given(), session.noise(ROWS, seed=7)
    stages = 40 if scheme.startswith("midpoint") else 10
    assert {key: x.shape for key, x in noise.items()} == {
        "dropout": (3, 6, stages, 2), "gaussian_noise": (3, 6, 1, 22)
    }  # fmt: skip
    path = members(scheme, noise["dropout"].astype(np.float64))
    added = 0.5 * noise["gaussian_noise"].reshape(3, 6, 11, 2)
    stream = session.stream(x0=inputs["x0"], seed=7, rows=ROWS)
    np.testing.assert_allclose(stream.first["y"][:, 0], path[0].mean(1), rtol=1e-5, atol=1e-6)
    for i in range(10):
        answer = stream.step(us=inputs["us"][:, i])
        np.testing.assert_allclose(answer["y"], path[i + 1].mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(answer["spread"], path[i + 1].std(1), rtol=1e-4, atol=1e-6)
        noisy = (path[i + 1] + added[:, :, i + 1]).mean(1)
        np.testing.assert_allclose(answer["noisy"], noisy, rtol=1e-5, atol=2e-6)
    assert stream.ended


def test_draws_that_are_counted_elsewhere_too_are_refused(tmp_path: Path) -> None:
    """A net in the field and outside numbers its draws over both."""
    text = """dyn 1
model shared
input x0: real[2] in (-1, 1)
net g(z: real[2]) -> real[2] = tanh(dropout(z, 0.2))
field f(t, x: real[2]) { x' = g(x) }
path = solve f from x = g(x0) at 0..1 step 0.1
output path
deploy { samples 6; solver rk4(steps=20); stream }
"""
    with pytest.raises(IsoclineError) as caught:
        isocline.compile(isocline.model(text), tmp_path / "shared")
    (found,) = caught.value.diagnostics
    assert found.code == "E693"
    assert found.message.startswith("`path` cannot be taken step by step: layers with noise in its field are used")

"""Explanations and derivatives in C against onnxruntime, of loops, of steps laid out, and of both in one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import isocline
from isocline_compiler.backends.to_c import pruning
from isocline_compiler.backends.to_c.kernels import Kernel
from isocline_compiler.backends.to_c.storage import Buffer
from isocline_runtime.artifact import read_artifact
from isocline_runtime.native.opening import open_native
from isocline_runtime.signature import read_ports
from tests.native.in_c import needs_compiler

pytestmark = needs_compiler
RNG = np.random.default_rng(7)
COUNT = 21
"""A block of sixteen side by side, and five alone."""
EVERY = (
    "saliency, input_x_gradient, integrated_gradients(steps=5), smoothgrad(samples=3), "
    "occlusion, adjoint_path, parameter_sensitivity"
)
MODELS = {
    "mechanism": """dyn 1
model mechanism
input x0: real[2] in (0.5, 2)
param a: positive = 1.1
param b: positive = 0.4
field f(t, x: real, y: real) {
  x' = x*(a - b*y)
  y' = y*(0.1*x - b) + 0.1*sin(t)
}
s = solve f from x = x0[0], y = x0[1] TIMES
output x = s.x
deploy { solver SCHEME
  unroll FORM
  derivatives adjoint, forward
  attribute x wrt x0 by EVERY }
""",
    "network": """dyn 1
model network
input x0: real[3] in (-1, 1)
param inwards: real[8, 3] = INWARDS
param outwards: real[3, 8] = OUTWARDS
field f(t, x: real[3]) { x' = outwards @ tanh(inwards @ x) - x }
s = solve f from x = x0 TIMES
output x = s.x
deploy { solver SCHEME
  unroll FORM
  derivatives adjoint, forward
  attribute x wrt x0 by saliency, adjoint_path }
""",
}
FORMS = {
    "one step a loop": ("over 0..1", "rk4(steps=12)", "1"),
    "four steps a loop": ("over 0..1", "heun(steps=12)", "4"),
    "laid out": ("at linspace(0, 1, 4)", "rk4(steps=3)", "all"),
    "kept on the way": ("at linspace(0, 1, 7)", "rk4(steps=12)", "1"),
    "several steps before": ("over 0..1", "ab3(steps=12)", "1"),
}


KEPT = ("laid out", "kept on the way")
"""The seeds of a vector at several times are columns of all samples together, which no port describes."""
CASES = [f"{model}: {form}" for model in MODELS for form in FORMS if model == "mechanism" or form not in KEPT]


@pytest.fixture(scope="module", params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, form = request.param.split(": ")
    times, scheme, unroll = FORMS[form]
    rows = [str(item.round(2).tolist()) for item in (RNG.normal(size=(8, 3)), RNG.normal(size=(3, 8)))]
    text = MODELS[model].replace("TIMES", times).replace("SCHEME", scheme).replace("FORM", unroll)
    text = text.replace("INWARDS", rows[0]).replace("OUTWARDS", rows[1])
    place: Path = tmp_path_factory.mktemp("explained") / "out"
    isocline.compile(isocline.model(text.replace("EVERY", EVERY)), place)
    return place


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOCLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_every_explanation_is_that_of_the_onnx_file(folder: Path, cache: Path) -> None:
    plain, native = isocline.load(folder), isocline.load(folder, engine="native")
    (port,) = plain.inputs
    given = {port.name: np.random.default_rng(5).uniform(0.55, 0.95, (COUNT, *port.shape[1:])).astype(np.float32)}
    expected, found = plain.attribute(given, seed=3), native.attribute(given, seed=3)
    assert native.attributor().backend.get_providers() == ["native"]
    assert len(expected) > 2
    size = np.abs(expected["score"]).max()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5 * max(np.abs(array).max(), size), err_msg=name)


@pytest.mark.parametrize("name", ["adj_model.onnx", "fwd_model.onnx"])
def test_a_seeded_derivative_is_that_of_the_onnx_file(name: str, folder: Path, cache: Path) -> None:
    session = onnxruntime.InferenceSession(folder / name)
    generator = np.random.default_rng(6)
    given = {
        item.name: generator.uniform(0.55, 0.95, [COUNT if isinstance(n, str) else n for n in item.shape]).astype(
            np.float32
        )
        for item in session.get_inputs()
    }
    outputs = read_ports(session.get_outputs(), name)
    model = open_native(read_artifact(folder), name, outputs, threads=1).model
    names = [item.name for item in outputs]
    for key, ours, theirs in zip(names, model.run(names, given), session.run(names, given), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=key)


def test_an_array_that_nothing_fills_is_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rows that one loop writes and another reads, dropped from the first."""
    dropped = pruning._dropped

    def too_much(kernels: list[Kernel], kept: set[Buffer]) -> bool:
        return dropped(kernels, {item for item in kept if item.pointer != "row"})

    monkeypatch.setattr(pruning, "_dropped", too_much)
    text = MODELS["mechanism"].replace("TIMES", "over 0..1").replace("SCHEME", "rk4(steps=12)").replace("FORM", "1")
    with pytest.raises(AssertionError, match="which nothing has filled"):
        isocline.compile(isocline.model(text.replace("EVERY", "parameter_sensitivity")), tmp_path / "out")

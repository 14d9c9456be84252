"""A small artifact on the engines that need only Python, against the onnx evaluator in double precision."""

from __future__ import annotations

import numpy as np
import pytest

import isocline
from benchmarks.conformance import BOUND, SAMPLES, Case, cases_of, measured, reference_of
from benchmarks.engines import Engine, engines
from tests.conftest import DECAY

LOCAL = [engine for engine in engines() if engine.name.startswith(("onnx reference", "onnxruntime "))]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("decay")
    (folder / "decay.dyn").write_text(DECAY)
    isocline.compile(folder / "decay.dyn", out=folder / "out")
    start = np.linspace(0.1, 0.9, SAMPLES, dtype=np.float32)
    return Case("decay", folder / "out" / "model.onnx", {"start": start}, {})


@pytest.mark.parametrize("engine", LOCAL, ids=lambda engine: engine.name)
def test_an_engine_agrees_with_double_precision(engine: Engine, case: Case) -> None:
    found = measured(engine, case, reference_of(case))
    assert found.agrees, str(found)
    assert found.error is not None
    assert found.error <= BOUND


def test_the_reference_is_in_double_precision_and_right(case: Case) -> None:
    remaining = reference_of(case)["remaining"]
    assert remaining.dtype == np.float64
    exact = case.feeds["start"][:, None] * np.exp(-0.5 * np.arange(5) * 0.5)
    np.testing.assert_allclose(remaining, exact, rtol=1e-5)


def test_a_wrong_or_absent_engine_is_seen(case: Case) -> None:
    reference = reference_of(case)
    wrong = Engine("wrong", "1", lambda model, feeds: {name: 1.001 * array for name, array in reference.items()})
    assert not measured(wrong, case, reference).agrees
    absent = Engine("absent", None, lambda model, feeds: {})
    assert str(measured(absent, case, reference)) == "not installed"


STREAM = """dyn 1
model driven
input x0: real[2] in (-1, 1); input us: real[11] in (-1, 1)
control u = linear(us, step=0.1)
field f(t, x: real[2]) { x' = -x + u(t)*sin(t) }
path = solve f from x = x0 at 0..1 step 0.1
output path
deploy { solver ab3(steps=20); stream }
"""


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("stream")
    (folder / "driven.dyn").write_text(STREAM)
    isocline.compile(folder / "driven.dyn", out=folder / "out")
    return {case.model.name: case for case in cases_of(folder / "driven.dyn", folder / "out")}


@pytest.mark.parametrize("engine", LOCAL, ids=lambda engine: engine.name)
@pytest.mark.parametrize("file", ["start.onnx", "step.onnx"])
def test_an_engine_takes_a_step(engine: Engine, file: str, stream: dict[str, Case]) -> None:
    found = measured(engine, stream[file], reference_of(stream[file]))
    assert found.agrees, str(found)

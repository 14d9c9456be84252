"""A small artifact on the engines that need only Python, against the onnx evaluator in double precision."""

from __future__ import annotations

import numpy as np
import pytest

import isocline
from benchmarks.conformance import BOUND, SAMPLES, Case, measured, reference_of
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

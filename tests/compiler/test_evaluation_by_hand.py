"""What the certificate compares, against closed forms: references, halved steps, and times that are an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.certify import prove
from isocline_compiler.certify.evaluation import Evaluator, scheme_steps
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.remembered import Remembered
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.check import check

WITH_TIMES = """dyn 1
model m
input start: real in (0.5, 2)
input when: real[3] in (0, 4)
field f(t, x: real) { x' = -x + 0*t }
path = solve f from x = start at when
output y = path.x
"""

TWO_SOLVES = """dyn 1
model m
input start: real in (0.5, 2)
input rate: real in (0.5, 2)
param k: real = 1
field f(t, x: real) { x' = -k*rate*x }
path = solve f from x = start over 0..1
output y = path.x
"""


def model_of(folder: Path, text: str):
    file = folder / "m.dyn"
    file.write_text(text)
    return check(file)


def euler(start: np.ndarray, when: np.ndarray, substeps: int) -> np.ndarray:
    """prod (1 - h_i): Euler's method on x' = -x, with equal substeps of each interval."""
    grown = (1 - np.diff(when, axis=1) / substeps) ** substeps
    return start[:, None] * np.concatenate([np.ones((len(start), 1)), np.cumprod(grown, axis=1)], axis=1)


def test_steps_are_halved_where_the_times_come_with_the_input(tmp_path: Path) -> None:
    model = model_of(tmp_path, WITH_TIMES)
    start, when = np.array([1.0, 1.7]), np.array([[0.0, 0.4, 1.0], [0.2, 1.1, 3.0]])
    evaluator = Evaluator(model, {}, Samples({"start": start, "when": when}, {}, "by hand"))
    (solve,) = evaluator.open
    choices = {solve.spec.choice: scheme_steps(solve, Called("euler", {"steps": 6}))}
    found = evaluator.run(choices)["y"]
    np.testing.assert_allclose(found, euler(start, when, 3), rtol=1e-12)
    change = np.abs(euler(start, when, 6) - euler(start, when, 3)).max(axis=1) / np.abs(euler(start, when, 3)).max(
        axis=1
    )
    assert prove._halving(evaluator, {"y": found}, choices)["y"] == pytest.approx(change.max(), rel=1e-9)


def test_the_reference_is_of_the_times_that_each_sample_brings(tmp_path: Path) -> None:
    model = model_of(tmp_path, WITH_TIMES)
    start, when = np.array([1.0, 1.7]), np.array([[0.0, 0.4, 1.0], [0.2, 1.1, 3.0]])
    evaluator = Evaluator(model, {}, Samples({"start": start, "when": when}, {}, "by hand"), error=1e-6)
    expected = start[:, None] * np.exp(-(when - when[:, :1]))
    np.testing.assert_allclose(evaluator.reference["y"], expected, rtol=1e-7)


CHANGES = {
    "start": ({"start": np.array([2.0])}, {}, 2 * np.exp(-1.0)),
    "captured": ({"rate": np.array([2.0])}, {}, np.exp(-2.0)),
    "weight": ({}, {"k": np.array(0.5)}, np.exp(-0.5)),
}


@pytest.mark.parametrize(("inputs", "weights", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_remembered_reference_is_not_that_of_another_question(inputs, weights, expected, tmp_path: Path) -> None:
    """One memory for both: what is asked second differs from the first in a start, a captured value or a weight."""
    model = model_of(tmp_path, TWO_SOLVES)
    first = Samples({"start": np.array([1.0]), "rate": np.array([1.0])}, {}, "by hand")
    one = Evaluator(model, {"k": np.array(1.0)}, first, error=1e-6)
    one.known = Remembered(AdaptiveExplicit(1e-6).integrator)
    np.testing.assert_allclose(one.run({})["y"], np.exp(-1.0), rtol=1e-7)
    other = Evaluator(
        model, {"k": np.array(1.0), **weights}, Samples({**first.inputs, **inputs}, {}, "by hand"), error=1e-6
    )
    other.known = one.known
    np.testing.assert_allclose(other.run({})["y"], expected, rtol=1e-7)
    np.testing.assert_allclose(one.run({})["y"], np.exp(-1.0), rtol=1e-7)


def test_two_solutions_from_one_start_are_remembered_apart(tmp_path: Path) -> None:
    text = (
        "dyn 1\nmodel m\ninput start: real in (0.5, 2)\n"
        "field f(t, x: real) { x' = -x }\nfield g(t, x: real) { x' = x }\n"
        "slow = solve f from x = start over 0..1\nfast = solve g from x = start over 0..1\n"
        "output a = slow.x\noutput b = fast.x\n"
    )
    samples = Samples({"start": np.array([1.0, 1.5])}, {}, "by hand")
    found = Evaluator(model_of(tmp_path, text), {}, samples, error=1e-6).reference
    np.testing.assert_allclose(found["a"], samples.inputs["start"] * np.exp(-1.0), rtol=1e-7)
    np.testing.assert_allclose(found["b"], samples.inputs["start"] * np.exp(1.0), rtol=1e-7)

"""The samples that a certificate speaks of: corners, the worst that a search finds, and inputs that rounding moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, uniform

from isocline_compiler import driver
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import Samples, drawn
from isocline_compiler.certify.trials import WORTH, trial
from isocline_compiler.certify.worst import search_worst
from isocline_compiler.lower.check import check
from isocline_compiler.solvers.unroll.forms import operations
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load

RATE = """dyn 1
model rate
input a: real in (0, 1)
field f(t, x: real) { x' = (1 + 4*exp(-((a - 0.6180339)/0.05)^2))*x }
x = solve f from x = 1 over 0..1
output x
deploy { dtype float64 }
"""
STEPS = 8


def rate(a: np.ndarray) -> np.ndarray:
    return 1 + 4 * np.exp(-(((a - 0.6180339) / 0.05) ** 2))


def euler_errors(a: np.ndarray) -> np.ndarray:
    """Of x' = k x over 0..1 in n steps of Euler's: |(1 + k/n)^n / e^k - 1|, in closed form."""
    return np.abs((1 + rate(a) / STEPS) ** STEPS / np.exp(rate(a)) - 1)


def test_the_search_finds_the_worst_input_between_the_draws(tmp_path: Path) -> None:
    file = tmp_path / "rate.dyn"
    file.write_text(RATE)
    model = check(file)
    few = Samples({"a": np.array([0.05, 0.3, 0.55, 0.8, 0.95])}, {}, "five")
    evaluator = Evaluator(model, {}, few)
    (solve,) = evaluator.open
    choices = {solve.spec.choice: discretisation(solve, "euler", STEPS)}
    worst = search_worst(evaluator, choices, ("x",), model.inputs, lambda samples: Evaluator(model, {}, samples))
    scanned = euler_errors(np.linspace(0, 1, 10_001)).max()
    assert euler_errors(few.inputs["a"]).max() < 0.7 * scanned
    assert worst.errors.max() > 0.99 * scanned
    np.testing.assert_allclose(worst.errors, euler_errors(worst.samples.inputs["a"]), rtol=1e-5)
    assert worst.tried == 96


def test_the_search_does_not_run_after_an_answer_that_passes_through_zero(tmp_path: Path) -> None:
    """x(1) = a - 1/2 and a constant: near a = 1/2 the relative error of every grid is without bound."""
    file = tmp_path / "zero.dyn"
    file.write_text(
        "dyn 1\nmodel zero\ninput a: real in (0, 1)\nfield f(t, x: real) { x' = 3*t^2 }\n"
        "x = solve f from x = a - 1.5 over 0..1\noutput x\ndeploy { dtype float64 }\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, Samples({"a": np.array([0.1, 0.45, 0.9])}, {}, "three"))
    (solve,) = evaluator.open
    choices = {solve.spec.choice: discretisation(solve, "euler", STEPS)}
    worst = search_worst(evaluator, choices, ("x",), model.inputs, lambda samples: Evaluator(model, {}, samples))
    usual = np.sqrt(np.mean((evaluator.samples.inputs["a"] - 0.5) ** 2))
    assert (np.abs(worst.samples.inputs["a"] - 0.5) >= 0.1 * usual).all()


def test_every_output_is_searched(tmp_path: Path) -> None:
    """Of two outputs the first alone has a peak."""
    file = tmp_path / "rate.dyn"
    file.write_text(RATE.replace("output x\n", "output x\noutput y = x*0 + 1\n"))
    model = check(file)
    few = Samples({"a": np.array([0.05, 0.3, 0.55, 0.8, 0.95])}, {}, "five")
    evaluator = Evaluator(model, {}, few)
    (solve,) = evaluator.open
    choices = {solve.spec.choice: discretisation(solve, "euler", STEPS)}
    worst = search_worst(evaluator, choices, ("x", "y"), model.inputs, lambda samples: Evaluator(model, {}, samples))
    assert worst.errors.max() > 0.99 * euler_errors(np.linspace(0, 1, 10_001)).max()
    assert ((worst.samples.inputs["a"] > 0) & (worst.samples.inputs["a"] < 1)).all()


def test_a_search_at_the_edge_stays_within_the_bounds(tmp_path: Path) -> None:
    file = tmp_path / "edge.dyn"
    file.write_text(
        "dyn 1\nmodel edge\ninput a: real in (0, 1)\nfield f(t, x: real) { x' = 4*a*x }\n"
        "x = solve f from x = 1 over 0..1\noutput x\ndeploy { dtype float64 }\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, Samples({"a": np.array([0.2, 0.9])}, {}, "two"))
    (solve,) = evaluator.open
    choices = {solve.spec.choice: discretisation(solve, "euler", STEPS)}
    asked: list[np.ndarray] = []

    def on(samples: Samples) -> Evaluator:
        asked.append(samples.inputs["a"])
        return Evaluator(model, {}, samples)

    worst = search_worst(evaluator, choices, ("x",), model.inputs, on)
    everything = np.concatenate(asked)
    assert everything.min() > 0
    assert 0.95 < everything.max() < 1
    assert worst.errors.max() > 0.95 * abs((1 + 4 / STEPS) ** STEPS / np.exp(4.0) - 1)


def test_what_is_deployed_keeps_the_error_between_the_draws(tmp_path: Path) -> None:
    """A peak so narrow that the draws are beside it: the grid that they choose would miss there."""
    width = 0.004
    file = tmp_path / "rate.dyn"
    text = RATE.replace("/0.05", f"/{width}").replace("dtype float64", "dtype float64; solver auto(error=1e-3)")
    file.write_text(text)
    model = check(file)
    peak = lambda a: 1 + 4 * np.exp(-(((a - 0.6180339) / width) ** 2))  # noqa: E731
    assert peak(drawn(model.inputs, model.source).inputs["a"]).max() < 0.9 * peak(0.6180339)
    compiled = driver.compile(file, tmp_path / "out")
    a = np.linspace(0.6, 0.64, 4001)
    errors = np.abs(load(compiled.folder).run(a=a)["x"] / np.exp(peak(a)) - 1)
    assert errors.max() <= 1e-3
    stated = compiled.certificate["deployed"]["x"]["maximum"]
    assert stated <= 1e-3
    assert errors.max() <= 1.1 * stated
    assert "in a search" in compiled.certificate["samples"]


def test_draws_are_uniform_within_the_bounds(tmp_path: Path) -> None:
    file = tmp_path / "box.dyn"
    file.write_text("dyn 1\nmodel box\ninput a: real[2] in (-1, 3)\ninput b: real in (0, 10)\noutput y = a[0] + b\n")
    model = check(file)
    found = drawn(model.inputs, model.source)
    a, b = found.inputs["a"], found.inputs["b"]
    for values, low, high in ((a[:, 0], -1, 3), (a[:, 1], -1, 3), (b, 0, 10)):
        assert len(values) == 64 + 8
        assert kstest(values[:64], uniform(low, high - low).cdf).pvalue > 1e-3


def test_draws_end_with_the_corners_of_the_box(tmp_path: Path) -> None:
    file = tmp_path / "box.dyn"
    inputs = "input a: real[2] in (-1, 3)\ninput b: real in (0, 10)"
    file.write_text(f"dyn 1\nmodel box\n{inputs}\noutput y = a[0]*a[1] + b\n")
    model = check(file)
    found = drawn(model.inputs, model.source)
    pairs = zip(found.inputs["a"][-8:], found.inputs["b"][-8:], strict=True)
    near = {tuple(float(round(x)) for x in (*a, b / 10)) for a, b in pairs}
    assert near == {(x, y, z) for x in (-1.0, 3.0) for y in (-1.0, 3.0) for z in (0.0, 1.0)}
    assert found.inputs["a"].min() > -1
    assert found.inputs["b"].max() < 10
    assert "8 of their corners" in found.origin


def test_few_of_many_samples_are_spread_over_all_of_them() -> None:
    many = Samples({"a": np.arange(1000.0)}, {}, "many")
    np.testing.assert_array_equal(many.first(4).inputs["a"], [0, 333, 666, 999])
    assert many.first(1000) is many


def test_a_trial_of_a_long_grid_answers_as_torch_does(tmp_path: Path) -> None:
    file = tmp_path / "rate.dyn"
    file.write_text(RATE.replace("output x\n", "output x\noutput half = x/2\n"))
    evaluator = Evaluator(check(file), {}, Samples({"a": np.linspace(0.01, 0.99, 7)}, {}, "seven"))
    (solve,) = evaluator.open
    choice = discretisation(solve, "rk4", 3000)
    assert operations(solve, choice) >= WORTH
    found = trial(evaluator, {solve.spec.choice: choice})
    np.testing.assert_allclose(found["x"], evaluator.run({solve.spec.choice: choice})["x"], rtol=1e-12)
    np.testing.assert_allclose(found["x"], np.exp(rate(evaluator.samples.inputs["a"])), rtol=1e-9)
    np.testing.assert_allclose(found["half"], np.exp(rate(evaluator.samples.inputs["a"])) / 2, rtol=1e-9)


CLOCK = """dyn 1
model clock
input when: real in (1.7e9, 1.7000001e9) unit "s"
input size: real in (1, 2)
output y = size*sin((when - 1.7e9)/10)
deploy {{ dtype {dtype} }}
"""


def test_an_input_that_single_precision_cannot_hold_stops_the_build(tmp_path: Path) -> None:
    """Near 1.7e9 its numbers are 128 apart: the answer is any."""
    file = tmp_path / "clock.dyn"
    file.write_text(CLOCK.format(dtype="float32"))
    with pytest.raises(IsoclineError) as caught:
        driver.compile(file, tmp_path / "out")
    assert {fault.code for fault in caught.value.diagnostics} == {"E634"}
    assert "`when`" in caught.value.diagnostics[0].message
    assert len(caught.value.diagnostics) == 1, "the other input is held well"
    assert not (tmp_path / "out").exists()


def test_double_precision_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "clock.dyn"
    file.write_text(CLOCK.format(dtype="float64"))
    session = load(driver.compile(file, tmp_path / "out").folder)
    when = 1.7e9 + np.array([3.0, 20.0, 77.5])
    found = session.run(when=when, size=np.array([1.5, 1.25, 1.75]))["y"]
    np.testing.assert_allclose(found, [1.5, 1.25, 1.75] * np.sin((when - 1.7e9) / 10), rtol=1e-12)

"""Both references against closed forms: how exact they are, in which sample and state, and when they are believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler import driver
from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify import evaluation
from isocline_compiler.certify.agreed import Agreed
from isocline_compiler.certify.cause import Stuck, cause_of
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit, Reference, reference_tolerance
from isocline_compiler.certify.remembered import Remembered
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.graph import Node
from isocline_compiler.lower.check import check
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_runtime import load

X0 = "input x0: real in (0, 10)"
SWING = f"""{X0}
field f(t, x: real) {{ x'' = -9*x }}
p = solve f from x = x0, x' = 0 over 0..10
output x = p.x"""
FADE = f"""{X0}
field f(t, x: real) {{ x' = -x }}
x = solve f from x = x0 over 0..30
output x"""
SPIRAL = f"""{X0}
field f(t, x, y: real) {{ x' = -x - 20*y; y' = 20*x - y }}
p = solve f from x = x0, y = 0 over 0..15
output x = p.x"""
PUSH = f"""{X0}
field f(t, x: real) {{ x' = where(t >= 60 and t < 60.5, 2, 0) }}
x = solve f from x = x0 over 0..100
output x"""
PULSE = f"""{X0}
field f(t, x: real) {{ x' = exp(-((t - 60)/1e-2)^2)/(1e-2*1.7724538509055159) }}
x = solve f from x = x0 over 0..100
output x"""
RATES = f"""{X0}
input k: real in (0, 50)
field f(t, x: real) {{ x'' = -k^2*x }}
p = solve f from x = x0, x' = 0 over 0..3
output x = p.x"""
ONSET = f"""{X0}
input onset: real in (1, 9)
field f(t, x: real) {{ x' = where(t >= onset, 1, 0) }}
x = solve f from x = x0 over 0..10
output x"""
TWO_SCALES = f"""{X0}
field f(t, x, y: real) {{ x' = -1e4*(x - y); y' = 1e4*(x - y) - y }}
p = solve f from x = x0, y = 0 over 0..2
output x = p.x"""


def asked(folder: Path, body: str, error: float = 1e-3, **inputs: object) -> Evaluator:
    file = folder / "m.dyn"
    file.write_text(f"dyn 1\nmodel m\n{body}\n")
    arrays = {name: np.asarray(value, dtype=float) for name, value in inputs.items()}
    return Evaluator(check(file), {}, Samples(arrays, {}, "by hand"), error)


def by(reference: Reference, evaluator: Evaluator) -> np.ndarray:
    """What one of the two says the output is."""
    evaluator.known = Remembered(reference.integrator)
    return evaluator.run({})["x"]


FAMILIES = {"the first": AdaptiveExplicit, "the second": Multistep}
BOTH = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@BOTH
@pytest.mark.parametrize("error", [1e-4, 1e-6, 1e-8])
def test_a_reference_is_far_better_than_the_stated_error(family, error: float, tmp_path: Path) -> None:
    x0 = np.array([0.7, 1.0, 8.0])
    found = by(family(reference_tolerance(error)), asked(tmp_path, SWING, x0=x0))
    assert np.abs(found / (x0 * np.cos(30.0)) - 1).max() <= error / 30


@BOTH
@pytest.mark.parametrize("x0", [[1e-12], [1e7], [1e-12, 1e-6, 1.0, 1e7]], ids=str)
def test_a_small_state_is_as_exact_as_a_large_one(family, x0: list[float], tmp_path: Path) -> None:
    found = by(family(1e-7), asked(tmp_path, SWING, x0=x0))
    assert np.abs(found / (np.array(x0) * np.cos(30.0)) - 1).max() <= 1e-4


@pytest.mark.parametrize("reference", [AdaptiveExplicit(1e-7), Multistep(1e-7, longest=1 / 8)], ids=FAMILIES)
def test_a_small_sample_that_turns_quickly_is_exact_beside_a_large_one(reference: Reference, tmp_path: Path) -> None:
    """The large one is slow: the steps that suffice for it do not for the other."""
    found = by(reference, asked(tmp_path, RATES, x0=[1.0, 1e-9], k=[1.0, 20.0]))
    np.testing.assert_allclose(found, [np.cos(3.0), 1e-9 * np.cos(60.0)], rtol=1e-4)


@BOTH
@pytest.mark.parametrize(("body", "shrunk"), [(FADE, np.exp(-30.0)), (SPIRAL, np.exp(-15.0) * np.cos(300.0))])
def test_what_has_decayed_is_as_exact_as_what_it_was(family, body: str, shrunk: float, tmp_path: Path) -> None:
    x0 = np.array([1.0, 3.0])
    found = by(family(1e-7), asked(tmp_path, body, x0=x0))
    assert np.abs(found / (x0 * shrunk) - 1).max() <= 1e-3


def test_easy_samples_beside_a_hard_one_change_nothing(tmp_path: Path) -> None:
    """Of all steps the hard one decides; a norm over the batch would let it hide among the others."""
    one = by(AdaptiveExplicit(1e-7), asked(tmp_path, RATES, x0=[1.0], k=[40.0]))
    many = by(AdaptiveExplicit(1e-7), asked(tmp_path, RATES, x0=np.ones(1000), k=[40.0, *[0.0] * 999]))
    np.testing.assert_allclose(many[0], one[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(many[0], np.cos(120.0), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(many[1:], 1.0)


@BOTH
def test_a_pulse_is_not_stepped_over(family, tmp_path: Path) -> None:
    np.testing.assert_allclose(by(family(1e-7), asked(tmp_path, PUSH, x0=[0.5, 2.0])), [1.5, 3.0], rtol=1e-6)


def test_a_narrow_pulse_is_stepped_onto(tmp_path: Path) -> None:
    np.testing.assert_allclose(by(AdaptiveExplicit(1e-7), asked(tmp_path, PULSE, x0=[0.5, 2.0])), [1.5, 3.0], rtol=1e-6)


def test_stiff_states_of_many_samples_take_few_evaluations(tmp_path: Path) -> None:
    """x and y meet within 1e-4 at x0/2, and fall together from there at half of the rate."""
    x0 = np.linspace(1, 9, 16)
    found = by(Multistep(1e-7, longest=1 / 64, allowed=6_000), asked(tmp_path, TWO_SCALES, x0=x0))
    fast, slow = np.linalg.eigvalsh(np.array([[-1e4, 1e4], [1e4, -1e4 - 1]]))
    exact = x0 * ((-1e4 - fast) * np.exp(2 * slow) + (slow + 1e4) * np.exp(2 * fast)) / (slow - fast)
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_jumps_are_those_of_the_inputs_that_are_solved(tmp_path: Path) -> None:
    """One integrator for two calls: what it knows of the first is not said of the second."""
    integrator = AdaptiveIntegrator("dopri8", 1e-9, 1e-9)
    for onset in (2.5, 6.25):
        evaluator = asked(tmp_path, ONSET, x0=[1.0], onset=[onset])
        evaluator.known = Remembered(integrator)
        np.testing.assert_allclose(evaluator.run({})["x"], [11 - onset], rtol=1e-9)
        ((_, breaks),) = integrator.known.values()
        assert [jump.after for jump in breaks.jumps] == [onset]


# ---------------------------------------------------------------------------------------------------- jumps of grids


def test_a_grid_stands_on_jumps_that_all_samples_share(tmp_path: Path) -> None:
    """Of a push at 60 it knows; of one that begins at 2.5 for one sample and at 6.25 for another it does not."""
    shared, own = asked(tmp_path, PUSH, x0=[1.0, 2.0]), asked(tmp_path, ONSET, x0=[1.0, 2.0], onset=[2.5, 6.25])
    assert shared.jumps(shared.solves[0]).times == (60.0, 60.5)
    assert own.jumps(own.solves[0]).times == ()
    assert [jump.after for jump in own.agreed.breaks["x"].jumps] == [2.5, 6.25]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beside_a_jump_the_deployed_precision_is_sure_of_the_side(dtype: str, tmp_path: Path) -> None:
    body = PUSH.replace("60.5", "61.3").replace("60", "60.1") + f"\ndeploy {{ dtype {dtype} }}"
    evaluator = asked(tmp_path, body, x0=[1.0])
    jumps = evaluator.jumps(evaluator.solves[0])
    assert jumps.times == (60.1, 61.3)
    number = np.dtype(dtype).type
    for t in jumps.times:
        assert number(t - jumps.margin) < min(t, number(t))
        assert number(t + jumps.margin) > max(t, number(t))
    assert jumps.margin < 1e-4


@pytest.mark.parametrize(("width", "told"), [(1e-6, True), (1e-2, False)])
def test_jumps_that_single_precision_cannot_tell_apart_are_told(width: float, told: bool, tmp_path: Path) -> None:
    evaluator = asked(tmp_path, PUSH.replace("t < 60.5, 2", f"t < 60 + {width}, {1 / width}"), x0=[1.0])
    if not told:
        assert len(evaluator.jumps(evaluator.solves[0]).times) == 2
        return
    with pytest.raises(IsoclineError) as caught:
        evaluator.jumps(evaluator.solves[0])
    assert {fault.code for fault in caught.value.diagnostics} == {"E633"}


@pytest.mark.parametrize("unroll", ["all", "2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_deployed_grid_reads_each_side_of_a_jump(unroll: str, dtype: str, tmp_path: Path) -> None:
    """Steps of a scheme whose last stage is at the step's end: between jumps the slope is a number, and exact."""
    file = tmp_path / "m.dyn"
    body = PUSH.replace("60.5", "61.3").replace("60 ", "60.1 ")
    file.write_text(f"dyn 1\nmodel m\n{body}\ndeploy {{ solver rk4(steps=12); unroll {unroll}; dtype {dtype} }}\n")
    session = load(driver.compile(file, tmp_path / "out").folder)
    x0 = np.array([0.5, 7.0], dtype=dtype)
    np.testing.assert_allclose(session.run(x0=x0)["x"], x0 + 2 * (61.3 - 60.1), rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- believed

ERROR = 1e-3


def apart_in_one(x0: float, shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reference answers wrongly for the sample that starts there."""
    right = Multistep._solve

    def wrong(self: Multistep, node: Node, field: TorchField, initial: tuple, *given: object) -> tuple:
        (x,) = right(self, node, field, initial, *given)
        return (torch.where(initial[0] == x0, x * (1 + shift), x),)

    monkeypatch.setattr(Multistep, "_solve", wrong)


@pytest.mark.parametrize("count", [40, 200])
@pytest.mark.parametrize(("part", "agree"), [(0.0, True), (0.05, True), (0.3, False), (3.0, False)])
def test_a_tenth_of_the_error_is_how_far_references_may_differ(
    part: float, agree: bool, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = asked(tmp_path, FADE, ERROR, x0=np.linspace(1, 9, count))
    apart_in_one(9.0, part * ERROR, monkeypatch)
    if agree:
        assert evaluator.agreed.largest == pytest.approx(part * ERROR, abs=1e-6)
        np.testing.assert_allclose(evaluator.reference["x"], np.linspace(1, 9, count) * np.exp(-30.0), rtol=1e-5)
        return
    with pytest.raises(IsoclineError) as caught:
        _ = evaluator.reference
    (fault,) = caught.value.diagnostics
    assert fault.code == "E630"
    assert ", for x0 = 9:" in fault.message


def test_an_answer_that_is_rounding_is_told_as_such(tmp_path: Path) -> None:
    """(sqrt(x0) - t/2)^2 until it is zero, and zero from then on; what solvers leave of it is nothing."""
    empty = f"{X0}\nfield f(t, x: real) {{ x' = -sqrt(max(x, 0)) }}\nx = solve f from x = x0 over 0..10\noutput x"
    evaluator = asked(tmp_path, empty, ERROR, x0=[1.0, 4.0])
    with pytest.raises(IsoclineError) as caught:
        _ = evaluator.reference
    (fault,) = caught.value.diagnostics
    assert fault.code == "E644"
    assert "for x0 = " in fault.message
    kept = asked(tmp_path, empty.replace("over 0..10", "at 0..10 step 0.5"), ERROR, x0=[1.0, 4.0])
    times = np.arange(0, 10.5, 0.5)
    exact = np.maximum(np.sqrt([[1.0], [4.0]]) - times / 2, 0) ** 2
    np.testing.assert_allclose(kept.reference["x"], exact, atol=1e-8)


def test_the_worst_inputs_bring_their_own_answers(tmp_path: Path) -> None:
    first, second = (asked(tmp_path, PUSH, x0=x0) for x0 in ([1.0, 2.0], [5.0, 7.0, 9.0]))
    for evaluator, apart in ((first, 1e-9), (second, 1e-6)):
        evaluator.settled = replace(evaluator.agreed, apart={"x": apart})
        del evaluator.agreed
    joined = first.joined(second, "both")
    np.testing.assert_allclose(joined.reference["x"], [2.0, 3.0, 6.0, 8.0, 10.0], rtol=1e-6)
    assert isinstance(joined.agreed, Agreed)
    assert joined.agreed.apart == {"x": 1e-6}
    assert first.joined(first, "the same").agreed.apart == {"x": 1e-9}
    (solve,) = joined.solves
    assert joined.jumps(solve).times == (60.0, 60.5)


@pytest.mark.parametrize("family", [*FAMILIES.values(), AdaptiveImplicit])
def test_every_reference_keeps_each_time_once_at_jumps_and_at_the_end(family, tmp_path: Path) -> None:
    body = f"""{X0}
field f(t, x: real) {{ x' = where(t < 1, 1, 0) - 200*x }}
x = solve f from x = x0 at [0, 0.5, 1, 1.5, 2]
output x"""
    x0 = np.array([0.7, 8.0])
    evaluator = asked(tmp_path, body, x0=x0)
    found = by(family(reference_tolerance(1e-3)), evaluator)
    push = 1 / 200
    expected = [x0, push + 0 * x0, push + 0 * x0, 0 * x0, 0 * x0]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-6, atol=1e-9)


def test_what_is_said_to_run_away_by_the_explicit_reference_alone_is_solved_by_the_implicit_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below b = 0 the equations run away, and the explicit method errs there from some starts: here always."""
    body = f"""{X0}
field f(t, a, b, c: real) {{
  a' = 1e4*b*c - 0.04*a
  b' = 0.04*a - 1e4*b*c - 3e7*b^2
  c' = 3e7*b^2
}}
p = solve f from a = x0, b = 0, c = 0.1 at [0, 0.001, 0.01, 0.1, 1, 10, 100, 1000, 10000]
output x = stack(p.a, p.b, p.c, axis=-1)"""

    def said(stuck: Stuck, goes_on: object, given: object) -> Diagnostic:
        return replace(cause_of(stuck, goes_on), code="E671")

    monkeypatch.setattr(evaluation, "cause_of", said)
    x0 = np.array([0.7, 1.0])
    found = asked(tmp_path, body, x0=x0).reference["x"]

    def slopes(t: float, y: np.ndarray) -> list[float]:
        first, second, third = 0.04 * y[0], 3e7 * y[1] ** 2, 1e4 * y[1] * y[2]
        return [third - first, first - second - third, second]

    for start, path in zip(x0, found, strict=True):
        truth = solve_ivp(slopes, (0, 1e4), [start, 0, 0.1], "Radau", rtol=1e-10, atol=1e-16)
        np.testing.assert_allclose(path[-1], truth.y[:, -1], rtol=1e-5)


PULLED = f"""{X0}
field f(t, x, y: real) {{ x' = -300*(x - y) + PUSH; y' = -0.1*y }}
p = solve f from x = x0, y = x0 over 0..10
output x = p.x"""


def test_a_search_takes_the_multistep_method_where_it_asked_for_less(tmp_path: Path) -> None:
    """x = 300/299.9 x0 e^(-t/10) once the start is forgotten. Where something jumps, others may jump elsewhere."""
    evaluator = asked(tmp_path, PULLED.replace("PUSH", "0"), x0=[1.0, 4.0])
    quickest = evaluator.quickest()
    assert isinstance(quickest, Multistep)
    others = Evaluator(evaluator.model, {}, Samples({"x0": np.array([2.0, 3.0])}, {}, "by hand"), 1e-3, quickest)
    exact = 300 / 299.9 * np.array([2.0, 3.0]) * np.exp(-1)
    np.testing.assert_allclose(others.referred()["x"], exact, rtol=1e-5)
    assert isinstance(
        asked(tmp_path, PULLED.replace("PUSH", "where(t > 5, 1, 0)"), x0=[1.0]).quickest(), AdaptiveExplicit
    )


def test_a_search_hurries_and_what_is_believed_does_not(tmp_path: Path) -> None:
    """A search may take longer steps and a compiled field: against scipy, and a hundredth of the stated error."""
    evaluator = asked(tmp_path, TURNING, x0=[0.5, 1.0])
    quickest, believed = evaluator.quickest(), evaluator.alike()
    assert isinstance(quickest, AdaptiveExplicit)
    assert quickest.hurried
    assert isinstance(believed, AdaptiveExplicit)
    assert not believed.hurried
    x0 = np.array([0.7, 0.9])
    spent = []
    for reference in (quickest, believed):
        others = Evaluator(evaluator.model, {}, Samples({"x0": x0}, {}, "by hand"), 1e-3, reference)
        for start, end in zip(x0, others.referred()["x"], strict=True):
            truth = solve_ivp(
                lambda t, s: (s[1] * (3 + np.sin(t)), -np.sin(s[0])), (0, 10), (start, 0), rtol=1e-11, atol=1e-12
            )
            assert end == pytest.approx(truth.y[0, -1], rel=1e-5)
        spent.append(reference.taken["p"])
    assert spent[0] < spent[1]


TURNING = f"""{X0}
field f(t, x, y: real) {{ x' = y*(3 + sin(t)); y' = -sin(x) }}
p = solve f from x = x0, y = 0 over 0..10
output x = p.x"""

"""A build that finds no solution names the cause: an operation and what it met, a rate, a switch, a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler import driver
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source


def refused(folder: Path, body: str, deploy: str = "solver auto(error=1e-3)") -> tuple[Diagnostic, str]:
    """What stops the build, and the text in the file that it points at."""
    file = folder / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{body}\ndeploy {{ {deploy} }}\n")
    with pytest.raises(IsoclineError) as caught:
        driver.compile(file, out=folder / "case")
    assert not (folder / "case").exists()
    (fault,) = caught.value.diagnostics
    assert fault.span is not None
    source: Source | None = caught.value.source
    assert source is not None
    return fault, source.text[fault.span.start : fault.span.stop]


def numbers(text: str) -> list[float]:
    return [float(item) for item in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)]


def scalar(field: str, end: str = "1", bounds: str = "(0.5, 2)") -> str:
    return (
        f"input x0: real in {bounds}\nfield f(t, x: real) {{ {field} }}\noutput y = solve f from x = x0 over 0..{end}"
    )


OPERATIONS = {
    "a root at the start": ("x' = -sqrt(x - 5)", "(0, 10)", "sqrt", "sqrt(x - 5)"),
    "a logarithm on the way": ("x' = -1 + 0*log(x)", "(0.5, 0.9)", "log", "log(x)"),
    "a root of the time": ("x' = x*sqrt(0.5 - t)", "(1, 2)", "sqrt", "sqrt(0.5 - t)"),
    "a power of a negative number": ("x' = -3*(x - 1)^0.5", "(0, 2)", "^", "(x - 1)^0.5"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_operation_that_met_a_wrong_number_is_named(name: str, tmp_path: Path) -> None:
    field, bounds, operation, text = OPERATIONS[name]
    fault, place = refused(tmp_path, scalar(field, bounds=bounds))
    assert fault.code == "E670"
    assert f"`{operation}` met" in fault.message
    assert place == text
    time, state = numbers(fault.message.partition(" at t = ")[2])[:2]
    (met, *_) = numbers(fault.message.partition(" met ")[2])
    offset = {"sqrt(x - 5)": state - 5, "log(x)": state, "sqrt(0.5 - t)": 0.5 - time, "(x - 1)^0.5": state - 1}[text]
    assert met <= 0
    assert met == pytest.approx(offset, abs=1e-5)


def test_the_operation_of_an_output_is_named_with_the_inputs(tmp_path: Path) -> None:
    fault, place = refused(tmp_path, "input a: real in (0, 10)\noutput y = 2*log(a - 5)", "parity 1e-3")
    assert (fault.code, place) == ("E609", "log(a - 5)")
    met, a = numbers(fault.message)[0], numbers(fault.message.partition("for a = ")[2])[0]
    assert met < 0
    assert met == pytest.approx(a - 5, abs=1e-4)


def test_an_operation_within_the_steps_of_a_residual_network_is_named(tmp_path: Path) -> None:
    """1 - 0.5 - 0.5: the root of the third step is that of a negative number."""
    fault, place = refused(
        tmp_path,
        "input x0: real in (0.9, 1)\nfield f(t, x: real) { x' = -0.5 + 0*sqrt(x) }\n"
        "s = solve f from x = x0 over 0..4 with euler(steps=4)\noutput y = s.x",
        "parity 1e-3",
    )
    assert (fault.code, place) == ("E609", "sqrt(x)")
    assert -0.101 <= numbers(fault.message)[0] < 0


@pytest.mark.parametrize(
    ("field", "end", "bounds", "when"),
    [
        ("x' = x^2", "3", "(0.5, 1)", lambda x0: 1 / x0),
        ("x' = exp(x)", "3", "(0, 1)", lambda x0: np.exp(-x0)),
        ("x' = -1/x", "3", "(1, 2)", lambda x0: x0**2 / 2),
    ],
)
def test_a_solution_that_runs_away_is_told_with_its_time(
    field: str, end: str, bounds: str, when: Callable[[float], float], tmp_path: Path
) -> None:
    """x0/(1 - x0 t) at 1/x0, -log(e^-x0 - t) at e^-x0, sqrt(x0^2 - 2t) at x0^2/2: for the inputs that are named."""
    fault, _ = refused(tmp_path, scalar(field, end, bounds))
    assert fault.code == "E671"
    (time,) = numbers(fault.message.partition("near t = ")[2])[:1]
    (x0,) = numbers(fault.message.partition("of the inputs x0 = ")[2])[:1]
    assert time == pytest.approx(when(x0), rel=1e-2)


STIFF = {
    "Robertson's problem": (
        "input a0: real in (0.9, 1.1)\nfield rob(t, a, b, c: real) { a' = -0.04*a + 1e4*b*c\n"
        "b' = 0.04*a - 1e4*b*c - 3e7*b^2\nc' = 3e7*b^2 }\n"
        "p = solve rob from a = a0, b = 0, c = 0 at [0, 0.4, 4, 40]\noutput y = stack(p.a, p.b, p.c, axis=-1)",
        (1e3, 1e4),
    ),
    "a fast pull to a slow curve": (scalar("x' = -1e6*(x - cos(t))", "10"), (0.99e6, 1.01e6)),
    "two time scales": (
        "input x0: real in (0.5, 2)\nfield f(t, x, y: real) { x' = -x + y\ny' = 2e5*(x^2 - y) }\n"
        "s = solve f from x = x0/4, y = 0 over 0..5\noutput z = s.x",
        (1.9e5, 2.1e5),
    ),
}


@pytest.mark.parametrize("name", STIFF)
def test_a_stiff_field_is_told_with_its_rate(name: str, tmp_path: Path) -> None:
    """By the explicit reference, in whose place an implicit one is taken then."""
    text, (least, most) = STIFF[name]
    file = tmp_path / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{text}\ndeploy {{ solver auto(error=1e-3) }}\n")
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source), 1e-3)
    with pytest.raises(IsoclineError) as caught:
        evaluator.referred()
    (fault,) = caught.value.diagnostics
    assert fault.code == "E672"
    (rate,) = numbers(fault.message.partition("at a rate of ")[2])[:1]
    assert least <= rate <= most
    assert "shorten the solve" in str(fault.hint)


def test_a_switch_that_holds_the_solution_is_named(tmp_path: Path) -> None:
    fault, place = refused(tmp_path, scalar("x' = -sign(x - 0.2*t) - 0.5", "4"))
    assert fault.code == "E673"
    assert place == "sign(x - 0.2*t)"
    assert "tanh" in str(fault.hint)

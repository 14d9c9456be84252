"""Pulses, switches and tiny units: the answer of onnxruntime beside closed forms, over dense scans of the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from isocline_compiler import driver
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load


@dataclass(frozen=True)
class Case:
    """A program, dense values of its inputs, and the solution of its equations at the times it keeps."""

    text: str
    inputs: dict[str, np.ndarray]
    output: str
    exact: Callable[..., np.ndarray]
    error: float = 1e-3
    dtype: str = "float32"


def scan(low: float, high: float) -> np.ndarray:
    """Strictly inside the bounds."""
    return np.linspace(low, high, 259)[1:-1]


def push(y0: np.ndarray) -> np.ndarray:
    return np.stack([y0, y0 + 1], axis=1)


def infusions(dose: np.ndarray) -> np.ndarray:
    """One hour a day from the eighth on, eliminated at 0.1 an hour, summed over the days."""
    days = []
    for hour in np.arange(0.0, 241, 24):
        begins = np.arange(8.0, hour, 24)
        days.append(((np.exp(0.1 * (begins + 1 - hour)) - np.exp(0.1 * (begins - hour))) / 0.1).sum())
    return dose[:, None] * np.array(days)


def square_wave(gain: np.ndarray) -> np.ndarray:
    """x' = gain sign(sin(2 pi t)) - x from 0, at 0, 2.5 and 5: piece by piece."""
    kept, x, t = [0.0], 0.0, 0.0
    for side in (1, -1) * 5:
        x, t = side + (x - side) * np.exp(-0.5), t + 0.5
        if t in (2.5, 5.0):
            kept.append(x)
    return gain[:, None] * np.array(kept)


DAYS = list(range(8, 240, 24))
CASES = {
    "a push of one second in a hundred": Case(
        "input y0: real in (-1, 1)\nfield f(t, y: real) { y' = where(t >= 60 and t < 61, 1, 0) }\n"
        "y = solve f from y = y0 at 0..100 step 100\noutput y",
        {"y0": scan(-1, 1)}, "y", push,
    ),
    "a push of a microsecond": Case(
        "input y0: real in (-1, 1)\nfield f(t, y: real) { y' = where(t > 60 and t < 60 + 1e-6, 1e6, 0) }\n"
        "y = solve f from y = y0 at 0..100 step 100\noutput y",
        {"y0": scan(-1, 1)}, "y", push, dtype="float64",
    ),
    "a pulse around its middle": Case(
        "input y0: real in (-1, 1)\nfield f(t, y: real) { y' = where(abs(t - 60.1) < 5e-5, 1e4, 0) }\n"
        "y = solve f from y = y0 at 0..100 step 100\noutput y",
        {"y0": scan(-1, 1)}, "y", push, dtype="float64",
    ),
    "a smooth pulse that is narrow": Case(
        "input y0: real in (-1, 1)\n"
        "field f(t, y: real) { y' = exp(-((t - 60)/1e-2)^2)/(1e-2*1.7724538509055159) }\n"
        "y = solve f from y = y0 at 0..100 step 100\noutput y",
        {"y0": scan(-1, 1)}, "y", push,
    ),
    "a pulse backwards in time": Case(
        "input y0: real in (-1, 1)\nfield f(t, y: real) { y' = where(t >= 60 and t < 60.5, -2, 0) }\n"
        "y = solve f from y = y0 at 100..0 step -100\noutput y",
        {"y0": scan(-1, 1)}, "y", push,
    ),
    "an infusion every day": Case(
        "input dose: real in (1, 5)\nfield drug(t, c: real) {\n  hour = t - 24*floor(t/24)\n"
        "  c' = dose*where(hour >= 8 and hour < 9, 1, 0) - 0.1*c\n}\n"
        "c = solve drug from c = 0 at 0..240 step 24\noutput c",
        {"dose": scan(1, 5)}, "c", infusions,
    ),
    "a push that is held": Case(
        "input y0: real in (-1, 1)\ncontrol u = hold([0, 1, 0], at=[0, 60, 61])\n"
        "field f(t, y: real) { y' = u(t) }\ny = solve f from y = y0 at 0..100 step 100\noutput y",
        {"y0": scan(-1, 1)}, "y", push,
    ),
    "an infusion every day, held": Case(
        f"input dose: real in (1, 5)\nconst switched = {sorted([0, *DAYS, *(day + 1 for day in DAYS)])}\n"
        f"control rate = hold({[0, *[1, 0] * len(DAYS)]}, at=switched)\n"
        "field drug(t, c: real) { c' = dose*rate(t) - 0.1*c }\nc = solve drug from c = 0 at 0..240 step 24\noutput c",
        {"dose": scan(1, 5)}, "c", infusions,
    ),
    "a stimulus that is late": Case(
        "input a: real in (0.1, 1)\ncontrol u = hold([0, 1], at=[0, 50])\n"
        "field f(t, v: real) { v' = -0.1*v + a*u(t) }\nv = solve f from v = 0 at 0..100 step 10\noutput v",
        {"a": scan(0.1, 1)}, "v",
        lambda a: a[:, None] * 10 * (1 - np.exp(-0.1 * np.maximum(np.arange(0.0, 101, 10) - 50, 0))),
    ),
    "a square wave": Case(
        "input gain: real in (1, 2)\nfield f(t, x: real) { x' = gain*sign(sin(2*pi*t)) - x }\n"
        "x = solve f from x = 0 at 0..5 step 2.5\noutput x",
        {"gain": scan(1, 2)}, "x", square_wave,
    ),
    "a start that differs from sample to sample": Case(
        "input onset: real in (1, 9)\n"
        "field f(t, x: real) { x' = where(t >= onset and t < onset + 0.25, 4, 0) - 0.1*x }\n"
        "x = solve f from x = 0 over 0..10\noutput x",
        {"onset": scan(1, 9)}, "x",
        lambda onset: 40 * (np.exp(0.1 * (onset + 0.25 - 10)) - np.exp(0.1 * (onset - 10))), error=2e-2,
    ),
    "a corner of the forcing": Case(
        "input x0: real in (1, 2)\nfield f(t, x: real) { x' = relu(t - 3.3) - x }\n"
        "x = solve f from x = x0 over 0..5\noutput x",
        {"x0": scan(1, 2)}, "x",
        lambda x0: x0 * np.exp(-5) + quad(lambda s: (s - 3.3) * np.exp(s - 5), 3.3, 5, epsabs=1e-13)[0],
    ),
    "nanometres": Case(
        "input x0: real in (1e-9, 2e-9) unit \"m\"\nfield osc(t, x: real) { x'' = -9*x }\n"
        "p = solve osc from x = x0, x' = 0 over 0..20\noutput x = p.x unit \"m\"",
        {"x0": scan(1e-9, 2e-9)}, "x", lambda x0: x0 * np.cos(60.0),
    ),
    "a tenth of a millimetre": Case(
        "input x0: real in (0.99e-4, 1.01e-4) unit \"m\"\nfield osc(t, x: real) { x'' = -9*x }\n"
        "p = solve osc from x = x0, x' = 0 over 0..20\noutput x = p.x unit \"m\"",
        {"x0": scan(0.99e-4, 1.01e-4)}, "x", lambda x0: x0 * np.cos(60.0),
    ),
    "one large state and one small": Case(
        "input p0: real in (0.9e5, 1.1e5) unit \"Pa\"\nfield f(t, p, x: real) { p' = -0.1*p; x' = 1e-15*p - x }\n"
        "s = solve f from p = p0, x = 0 over 0..3\noutput x = s.x unit \"m\"",
        {"p0": scan(0.9e5, 1.1e5)}, "x", lambda p0: 1e-15 * p0 * (np.exp(-0.3) - np.exp(-3.0)) / 0.9,
    ),
    "time in nanoseconds": Case(
        "input x0: real in (1, 2)\nfield f(t, x: real) { x' = -3e9*x }\n"
        "x = solve f from x = x0 over 0..1e-9\noutput x",
        {"x0": scan(1, 2)}, "x", lambda x0: x0 * np.exp(-3.0),
    ),
    "growth by ten orders": Case(
        "input x0: real in (1, 2)\nfield f(t, x: real) { x' = (1 + sin(3*t))*x }\n"
        "x = solve f from x = x0 over 0..23\noutput x",
        {"x0": scan(1, 2)}, "x", lambda x0: x0 * np.exp(23 + (1 - np.cos(69.0)) / 3),
    ),
}  # fmt: skip


def compiled(text: str, folder: Path, error: float, dtype: str = "float32") -> Path:
    file = folder / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{text}\ndeploy {{ solver auto(error={error}); dtype {dtype} }}\n")
    driver.compile(file, out=folder / "case")
    return folder / "case"


@pytest.mark.parametrize("name", CASES)
def test_the_deployed_answer_is_within_the_stated_error(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    session = load(compiled(case.text, tmp_path, case.error, case.dtype))
    single = {key: array.astype(np.float32) for key, array in case.inputs.items()}
    found = session.run(**single)[case.output].astype(np.float64)
    exact = case.exact(*(array.astype(np.float64) for array in single.values()))
    rows = len(exact)
    scale = np.abs(exact).reshape(rows, -1).max(axis=1)
    errors = np.abs(found - exact).reshape(rows, -1).max(axis=1) / scale
    assert errors.max() <= case.error


CHAOS = """input x0: real in (1, 1.01)
field f(t, x, y, z: real) { x' = 10*(y - x); y' = x*(28 - z) - y; z' = x*y - 8/3*z }
s = solve f from x = x0, y = 1, z = 20 over 0..40
output x = s.x"""


def test_the_build_stops_where_two_references_differ(tmp_path: Path) -> None:
    """The Lorenz system over forty units: no method in double precision knows where it is then."""
    with pytest.raises(IsoclineError) as caught:
        compiled(CHAOS, tmp_path, 1e-3)
    (fault,) = caught.value.diagnostics
    assert fault.code == "E630"
    assert "dopri8" in fault.message
    assert "LSODA" in fault.message
    assert not (tmp_path / "case").exists()


def test_single_precision_cannot_tell_a_short_push_apart(tmp_path: Path) -> None:
    case = CASES["a push of a microsecond"]
    with pytest.raises(IsoclineError) as caught:
        compiled(case.text, tmp_path, case.error)
    (fault,) = caught.value.diagnostics
    assert fault.code == "E633"
    assert "float64" in str(fault.hint)

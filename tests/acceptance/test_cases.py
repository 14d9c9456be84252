"""Models that are easy to answer wrongly or to refuse: small units, states at rest, rounding, rates far apart.

The files of `cases/` that are here answer like closed forms, or like scipy, over dense scans of their input. Those that
take minutes are run by `python -m tests.acceptance.cases`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ellipj, ellipk

from isocline_compiler import driver, pipeline
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_runtime import load
from tests.acceptance.cases.problems import PROBLEMS
from tests.acceptance.measured import Array

FILES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """The ends of a model's one input, its output, and what that is for many values of the input."""

    low: float
    high: float
    output: str
    exact: Callable[[Array], Array]
    count: int = 201
    dtype: str = "float32"

    def scan(self) -> Array:
        """Strictly inside, and such as float32 holds."""
        return np.linspace(self.low, self.high, self.count + 2)[1:-1].astype(np.float32).astype(np.float64)


def integrated(slopes: Callable[[float, Array], Any], start: list[float], times: Array) -> Array:
    """The states at `times`, shape (times, states). Dormand, Prince: DOP853."""
    span = (times[0], times[-1])
    path = solve_ivp(slopes, span, start, "DOP853", times, rtol=1e-11, atol=1e-14, max_step=0.5)
    assert path.success, path.message
    return np.asarray(path.y.T)


def damped(x0: Array) -> Array:
    w = np.sqrt(4 - 0.1**2)
    return x0 * np.exp(-1.2) * (np.cos(12 * w) + 0.1 / w * np.sin(12 * w))


def reactions(a0: Array) -> Array:
    t = np.arange(0, 2.25, 0.5)
    return 2 * a0[:, None] * (np.exp(-t) - np.exp(-2 * t))


def cubic(drive: Array) -> Array:
    after = [integrated(lambda t, v, d=d: [d - v[0] ** 3], [0.0], np.arange(50.0, 101, 10))[:, 0] for d in drive]
    return np.concatenate([np.zeros((len(drive), 5)), np.array(after)], axis=1)


def pushed(force: Array) -> Array:
    """A step of the force, ten units of time after it: 1 - e^-0.2t (cos wt + 0.2/w sin wt)."""
    w = np.sqrt(1 - 0.2**2)
    answer = 1 - np.exp(-2) * (np.cos(10 * w) + 0.2 / w * np.sin(10 * w))
    return force[:, None] * np.array([0, 0, answer])


def filled(flow: Array) -> Array:
    """h' = q - 0.2 h^2 is sqrt(5 q) tanh(sqrt(0.2 q) t), then 1/h grows by 0.2 a unit of time."""
    top = np.sqrt(5 * flow) * np.tanh(np.sqrt(0.2 * flow) / 2)
    return np.stack([*[0 * flow] * 4, 1 / (1 / top + 0.2 * 9.5)], axis=1)


def turned(s: Array) -> Array:
    sn, cn, dn, _ = ellipj(s[:, None] * np.arange(21.0), 0.51)
    return s[:, None, None] * np.stack([sn, cn, dn], axis=-1)


def swung(angle: Array) -> Array:
    """theta = 2 arcsin(k cd(t)), with k = sin(angle/2)."""
    k = np.sin(angle / 2)[:, None]
    sn, *_ = ellipj(np.arange(0, 21.0, 2) + ellipk(k**2), k**2)
    return 2 * np.arcsin(k * sn)


def chased(prey: Array) -> Array:
    def slopes(t: float, s: Array) -> list[float]:
        return [s[0] * (1 - s[1]), 0.7 * s[1] * (s[0] - 1)]

    return np.array([integrated(slopes, [x, 0.5], np.arange(0, 16.0, 3)) for x in prey])


def toggled(u0: Array) -> Array:
    def slopes(t: float, s: Array) -> list[float]:
        return [156.25 / (1 + s[1] ** 2.5) - s[0], 15.6 / (1 + s[0]) - s[1]]

    return np.array([integrated(slopes, [u, 1.0], np.arange(0, 11.0, 2)) for u in u0])


def orbiting(e: Array) -> Array:
    """(cos E - e, sqrt(1 - e^2) sin E) with Kepler's equation E - e sin E = t."""
    e, t = e[:, None], np.arange(6.0)
    anomaly = t + e * np.sin(t)
    for _ in range(30):
        anomaly = anomaly - (anomaly - e * np.sin(anomaly) - t) / (1 - e * np.cos(anomaly))
    assert np.abs(anomaly - e * np.sin(anomaly) - t).max() < 1e-12
    return np.stack([np.cos(anomaly) - e, np.sqrt(1 - e**2) * np.sin(anomaly)], axis=-1)


CASES = {
    "micrometres": Case(1e-6, 2e-6, "x", damped),
    "picomoles": Case(1e-12, 3e-12, "b", reactions),
    "cubic_at_rest": Case(0.05, 1, "v", cubic, 21),
    "oscillator_at_rest": Case(1, 2, "x", pushed),
    "tank_at_rest": Case(1, 4, "level", filled),
    "rigid_body": Case(0.9, 1.1, "y", turned),
    "large_swings": Case(0.5, 2, "theta", swung),
    "hunters": Case(0.8, 2, "both", chased, 21),
    "spread_of_rates": Case(0.2, 8, "y", lambda w: np.stack([np.cos(6 * w), -np.sin(6 * w)], axis=1)),
    "orbits": Case(0.01, 0.8, "place", orbiting, dtype="float64"),
    "toggle_switch": Case(0.5, 2, "both", toggled, 21),
}


@pytest.mark.parametrize("name", CASES)
def test_the_deployed_answer_is_within_the_stated_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    case, file = CASES[name], FILES / f"{name}.dyn"
    driver.compile(file, out=tmp_path / "out")
    session = load(tmp_path / "out")
    (port,) = session.inputs
    assert (port.low, port.high, port.dtype) == (case.low, case.high, case.dtype)
    scan = case.scan()
    found, exact = session.run({port.name: scan})[case.output].astype(np.float64), case.exact(scan)
    assert found.shape == exact.shape
    errors = np.abs(found - exact).reshape(len(scan), -1).max(1) / np.abs(exact).reshape(len(scan), -1).max(1)
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert errors.max() <= certificate["stated_error"]
    assert errors.max() <= 1.05 * certificate["deployed"][case.output]["maximum"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_long_files_state_the_problem(name: str) -> None:
    model, problem = check(FILES / f"{name}.dyn"), PROBLEMS[name]
    assert model.name == name
    assert [port.bounds for port in model.inputs] == [(problem.low, problem.high)]
    assert {port.name for port in model.outputs} == set(problem.outputs)


def test_the_repressilator_oscillates_as_published() -> None:
    """Periods of some 150 minutes, and up to thousands of proteins."""
    path = PROBLEMS["repressilator"].solved(20.0)[:, 3]
    peaks = [i for i in range(1, 100) if path[i - 1] < path[i] > path[i + 1]]
    assert 100 <= 10 * np.diff(peaks[-3:]).mean() <= 200
    assert 1e3 < path.max() < 1e4


def test_the_ring_keeps_its_mean_frequency() -> None:
    """The couplings cancel in the sum."""
    problem = PROBLEMS["ring"]
    path = problem.solved(1.2).sum(axis=1)
    frequencies = [0.61, 1.32, 0.87, 1.09, 0.55, 1.41, 0.98, 0.73, 1.18, 0.8]
    np.testing.assert_allclose(path - path[0], 1.2 * sum(frequencies) * problem.times, atol=1e-9)


def refused(folder: Path, text: str) -> tuple[Diagnostic, str]:
    """What stops the build, and the text that it points at."""
    file = folder / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{text}\n")
    with pytest.raises(IsoclineError) as caught:
        driver.compile(file, out=folder / "case")
    assert not (folder / "case").exists()
    (fault,) = caught.value.diagnostics
    assert fault.span is not None
    assert caught.value.source is not None
    return fault, caught.value.source.text[fault.span.start : fault.span.stop]


UNKNOWN = {
    "times": (
        "input x0: real in (0.5, 2)\ninput ts: time[N] in (0, 10)\nfield f(t, x: real) { x' = sin(t) - x/2 }\n"
        "x = solve f from x = x0 at ts\noutput x",
        "input ts: time[N] in (0, 10)", "the size `N` of the input `ts`",
    ),
    "a vector": ("input a: real[Width] in (0, 1)\noutput y = a^2", "input a", "the size `Width` of the input `a`"),
    "one axis of an image": (
        "input a: real[4, Rows] in (-1, 1)\noutput y = tanh(a)", "input a", "the size `Rows` of the input `a`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_size_that_only_data_could_tell_is_named(name: str, tmp_path: Path) -> None:
    text, place, said = UNKNOWN[name]
    fault, pointed = refused(tmp_path, text)
    assert fault.code == "E607"
    assert said in fault.message
    assert pointed.startswith(place)
    size = said.split("`")[1]
    assert f"const {size} = " in str(fault.hint)
    assert "bounds" not in f"{fault.message} {fault.hint}"


FIELD = "input x0: real in (0.1, 1)\nparam k: positive = 0.5\nfield decay(t, x: real) {{ x' = {} }}\n{}"
SOLVED = "output y = solve decay from x = x0 over 0..1"
MENDED = {
    "2k": (FIELD.format("-2k*x", SOLVED), "E109", "2k", "2*k", "2*k"),
    "3 sin": (FIELD.format("-k*3 sin(x)", SOLVED), "E109", "3 sin", "3*sin", "3*sin"),
    "a number before a parenthesis": (
        "input a: real in (0, 1)\noutput y = 4(a + 1)", "E109", "4(a", "4*(a", "write `*`",
    ),
    "a field is called": (
        FIELD.format("-k*x", "output y = decay(0, x0)"), "E261", "decay(0, x0)", "solve decay from x = x0 over 0..1",
        "solve decay from x = ",
    ),
    "a field is called in a definition": (
        FIELD.format("-k*x", "y0 = decay(0, x0)\noutput y = 2*y0"), "E261", "decay(0, x0)",
        "solve decay from x = x0 over 0..1", "alone on the right side",
    ),
    "a field is called in a net": (
        FIELD.format("-k*x", "net twice(a: real) = 2*decay(0, a)\noutput y = twice(x0)"), "E261",
        "net twice(a: real) = 2*decay(0, a)\noutput y = twice(x0)",
        "s = solve decay from x = x0 over 0..1\noutput y = 2*s",
        "solve decay from x = ",
    ),
    "a constant in a field": (
        "input x0: real in (0, 1)\nfield f(t, x: real) {\n  const a = 2\n  x' = -a*x\n}\n"
        "output y = solve f from x = x0 over 0..1",
        "E131", "field f(t, x: real) {\n  const a = 2\n",
        "const a = 2\nfield f(t, x: real) {\n", "move `const ...` out",
    ),
    "a net in a field": (
        "input x0: real in (0, 1)\nfield f(t, x: real) {\n  net g(a: real) = tanh(a)\n  x' = -g(x)\n}\n"
        "output y = solve f from x = x0 over 0..1",
        "E131", "field f(t, x: real) {\n  net g(a: real) = tanh(a)\n",
        "net g(a: real) = tanh(a)\nfield f(t, x: real) {\n", "move `net ...` out",
    ),
    "a control in a field": (
        "input ts: time[20] in (0, 1)\ninput xs: real[20, 3] in (-1, 1)\nfield cde(t, z: real[3]) {\n"
        "  control X = hermite(xs, at=ts)\n  dz = (z |> dense(9) |> tanh |> reshape(3, 3)) dX\n}\n"
        "z = solve cde from z = xs[0] over 0..1\noutput z",
        "E131", "field cde(t, z: real[3]) {\n  control X = hermite(xs, at=ts)\n",
        "control X = hermite(xs, at=ts)\nfield cde(t, z: real[3]) {\n", "move `control ...` out",
    ),
}  # fmt: skip


def checked(folder: Path, text: str) -> list[Diagnostic]:
    file = folder / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{text}\n")
    try:
        check(file)
    except IsoclineError as error:
        return list(error.diagnostics)
    return []


@pytest.mark.parametrize("name", MENDED)
def test_a_hint_mends_the_mistake_at_its_place(name: str, tmp_path: Path) -> None:
    text, code, wrong, right, hint = MENDED[name]
    (fault,) = checked(tmp_path, text)
    assert fault.code == code
    assert hint in str(fault.hint)
    assert fault.span is not None
    begins = len("dyn 1\nmodel case\n") + text.index(wrong)
    assert begins <= fault.span.start
    assert fault.span.stop <= begins + len(wrong)
    assert not checked(tmp_path, text.replace(wrong, right))


CLIPPED = {
    "relu and clip": ("clip(relu(x), -1, 1)", lambda x: np.clip(np.maximum(x, 0), -1, 1)),
    "clip and relu": ("relu(clip(2*x, -0.5, 0.25))", lambda x: np.maximum(np.clip(2 * x, -0.5, 0.25), 0)),
    "a clip of a clip": ("clip(clip(x, -0.5, 1), 0, 0.3)", lambda x: np.clip(np.clip(x, -0.5, 1), 0, 0.3)),
}


@pytest.mark.parametrize("name", CLIPPED)
def test_clips_that_a_runtime_joins_run_in_double_precision(name: str, tmp_path: Path) -> None:
    text, exact = CLIPPED[name]
    file = tmp_path / "clips.dyn"
    file.write_text(
        f"dyn 1\nmodel clips\ninput x: real[2, 3] in (-1, 1)\noutput z = {text}\ndeploy {{ dtype float64 }}\n"
    )
    driver.compile(file, out=tmp_path / "out")
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2, 3))
    np.testing.assert_array_equal(load(tmp_path / "out").run(x=x)["z"], exact(x))


DIVERGED = """dyn 1
model diverged
data {{ source "pairs.csv"; x0 = column(x0); seen = column(seen) }}
input x0: real in (0, 10)
target seen: real
param k: positive = {first}
field decay(t, x: real) {{ x' = -k*x }}
x = solve decay from x = x0 over 0..1
output y = x
train {{ loss mse(x, seen); optimizer {optimizer}; epochs 20 }}
deploy {{ solver auto(error=1e-3) }}
"""


@pytest.mark.parametrize(("first", "optimizer"), [(0.55, "adam(lr=1e6)"), (0.7, "rmsprop(lr=1e5)")])
def test_a_loss_that_rose_is_said_on_the_screen_and_little_else(first: float, optimizer: str, tmp_path: Path) -> None:
    """From near k = 1/2 to k = 0, where x stays x0; fonts are looked for anew, which matplotlib would tell."""
    x0 = np.linspace(1, 9, 20)
    seen = x0 * np.exp(-0.5)
    (tmp_path / "pairs.csv").write_text("x0,seen\n" + "".join(f"{a},{b}\n" for a, b in zip(x0, seen, strict=True)))
    (tmp_path / "diverged.dyn").write_text(DIVERGED.format(first=first, optimizer=optimizer))
    command = [sys.executable, "-m", "isocline", "build", "diverged.dyn", "-o", "out"]
    fresh = {"MPLCONFIGDIR": str(tmp_path / "fonts"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **fresh}, capture_output=True, text=True, check=True
    )
    said = ended.stdout + ended.stderr
    least, most = (float(((x0 * np.exp(-k) - seen) ** 2).mean()) for k in (first, 0.0))
    assert f"the loss rose from {least:.3g} to {most:.3g} over training" in said
    assert "ran to its bound 0" in said
    assert "matplotlib" not in said.lower()
    assert "font" not in said.lower()
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    (k,) = certificate["parameters"]
    assert k["value"] > 0


SENSOR = """dyn 1
model sensor "a sensor that relaxes, read at seconds since 1970"
data {{ source "read.csv"; first = column(first); when = columns(t0, t1, t2); seen = columns(x0, x1, x2) }}
input first: real in (0, 20)
input when: time[3] unit "s"
target seen: real[3]
param tau: positive = 50
field relax(t, x: real) {{ x' = -x/tau }}
x = solve relax from x = first at when
output x
train {{ loss mse(x, seen); optimizer lbfgs(lr=1); epochs 6; solver rk4(steps=8); precision {precision} }}
deploy {{ solver auto(error=1e-3); dtype {dtype} }}
"""


def sensor(folder: Path, precision: str, dtype: str) -> Path:
    """Thirty relaxations of 60 s on one day, read at once, after half a minute and after a minute."""
    draws = np.random.default_rng(8)
    rows = ["first,t0,t1,t2,x0,x1,x2"]
    for _ in range(30):
        first, begins = draws.uniform(1, 9), 1.7e9 + draws.uniform(0, 86_400)
        after = np.array([0.0, 30.0, 60.0])
        rows.append(",".join(f"{x:.17g}" for x in (first, *(begins + after), *(first * np.exp(-after / 60)))))
    (folder / "read.csv").write_text("\n".join(rows) + "\n")
    file = folder / "sensor.dyn"
    file.write_text(SENSOR.format(precision=precision, dtype=dtype))
    return file


@pytest.mark.parametrize(("precision", "dtype", "code"), [
    ("float32", "float32", "E465"), ("float32", "float64", "E465"), ("float64", "float32", "E634"),
])  # fmt: skip
def test_seconds_since_1970_in_single_precision_are_refused(
    precision: str, dtype: str, code: str, tmp_path: Path
) -> None:
    with pytest.raises(IsoclineError) as caught:
        driver.build(sensor(tmp_path, precision, dtype), tmp_path / "out", run=tmp_path / "run", device="cpu")
    (fault,) = caught.value.diagnostics
    assert fault.code == code
    assert "`when`" in fault.message
    assert "dtype float64" in str(fault.hint)
    assert not (tmp_path / "out").exists()


def test_seconds_since_1970_in_double_precision_give_the_rate_and_the_answer(tmp_path: Path) -> None:
    file = sensor(tmp_path, "float64", "float64")
    built = driver.build(file, tmp_path / "out", run=tmp_path / "run", device="cpu")
    (tau,) = built.certificate["parameters"]
    assert tau["value"] == pytest.approx(60, rel=1e-3)
    found = load(tmp_path / "out").run(first=5.75, when=1.7e9 + np.array([11.0, 41.0, 71.0]))["x"]
    np.testing.assert_allclose(found, 5.75 * np.exp([0, -0.5, -1]), rtol=3e-3)


def test_a_ring_from_any_angles_is_answered_in_single_precision(tmp_path: Path) -> None:
    """Its rounding, 1e-5 to 2e-5, is a fifth of the stated error."""
    driver.compile(FILES / "ring_of_any.dyn", out=tmp_path / "out")
    draws = np.random.default_rng(7)
    start = draws.uniform(-2.9, 2.9, (50, 10)).astype(np.float32)
    frequency = draws.uniform(0.55, 1.45, (50, 10)).astype(np.float32)
    found = load(tmp_path / "out").run(start=start, frequency=frequency)["y"].astype(np.float64)
    for y, angles, speeds in zip(found, start.astype(float), frequency.astype(float), strict=True):

        def slopes(t: float, a: Array, speeds: Array = speeds) -> Array:
            return speeds + 2 * (np.sin(np.roll(a, 1) - a) + np.sin(np.roll(a, -1) - a))

        exact = integrated(slopes, list(angles), np.arange(0, 10.25, 0.5))
        assert np.abs(y - exact).max() <= 1e-4 * np.abs(exact).max()

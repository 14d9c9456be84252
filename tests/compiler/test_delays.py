"""Delays: `x(t - tau)` against solutions by the method of steps, scipy, steps written by hand, and differences."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import isocline
import isocline_runtime
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Graph, everything
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.grid import Discretisation, through
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError

SEGMENTS = [None, 1, 3]


def stepped(text: str, scheme: str, times: list[float], substeps: int, segment: int | None) -> Graph:
    """The outputs by so many steps between two times, laid out or in a loop."""
    graph = model(text).graph
    grid = through(times, substeps)
    (node,) = [item for item in graph.nodes() if item.op.name == "solve"]
    everywhere = node.attrs["spec"].interval.everywhere
    grid = grid if everywhere else replace(grid, keep=grid.keep[-1:])
    found = unroll(graph, {"h": Discretisation(SCHEMES[scheme], grid, segment)}).graph
    verify(found)
    return found


def run(graph: Graph, **given: float | Array) -> dict[str, Array]:
    bound = {name: torch.tensor(np.asarray(value, np.float64)) for name, value in given.items()}
    return {name: value.numpy() for name, value in TorchProgram(graph)(bound).items()}


def pure(t: float, k: float, tau: float) -> float:
    """x' = -k x(t - tau), x = 1 up to 0: sum_j (-k)^j (t - (j - 1) tau)_+^j / j!, by the method of steps."""
    terms = range(1 + math.ceil(t / tau + 1e-9))
    return sum((-k) ** j * max(t - (j - 1) * tau, 0.0) ** j / math.factorial(j) for j in terms)


PURE = """dyn 1
model m
param tau: real = 1
input x0: real in (0.5, 1.5)
field f(t, x: real) { x' = -0.9*x(t - tau) }
h = solve f from x = x0 at 0..6 step 0.5
output y = h
"""


@pytest.mark.parametrize("lag", ["tau", "1", "2/2", "one"])
@pytest.mark.parametrize("segment", SEGMENTS)
def test_schemes_keep_their_order_where_the_grid_stands_on_what_breaks(segment: int | None, lag: str) -> None:
    """Of a number, a parameter, an input; the solution is a polynomial of degree j on the j-th stretch."""
    text = PURE.replace("x(t - tau)", f"x(t - {lag})")
    text = text.replace("param tau: real = 1\n", "input one: real\n" if lag == "one" else "") if lag != "tau" else text
    given = {"tau": {"tau": 1.0}, "one": {"one": np.ones(3)}}.get(lag, {})
    times = np.arange(0, 6.01, 0.5)
    exact = np.outer([1.0, 0.5, 2.0], [pure(t, 0.9, 1.0) for t in times])
    errors = []
    for substeps in (2, 4, 8):
        graph = stepped(text, "rk4", times.tolist(), substeps, segment)
        found = run(graph, x0=np.array([1.0, 0.5, 2.0]), **given)["y"]
        errors.append(np.abs(found - exact).max())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(slopes) > 3.7
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("segment", [1, 3])
def test_steps_of_many_widths_read_numbers_that_are_known(segment: int) -> None:
    """Where each step has numbers of its own for the past, no time is looked up; they are those of steps laid out."""
    text = PURE.replace("-0.9*x(t - tau)", "-0.9*x(t - 1) + 0.2*x(t - 0.37)").replace("param tau: real = 1\n", "")
    text = text.replace("at 0..6 step 0.5", "at [0, 0.3, 1, 1.9, 2, 4]")
    times = [0, 0.3, 1, 1.9, 2, 4]
    graphs = [stepped(text, "rk38", times, 7, s) for s in (None, segment)]
    assert not any(node.op.name in ("lookup", "interval_of") for node in everything(graphs[1].outputs.values()))
    one, other = (run(graph, x0=np.array([0.4, 1.1]))["y"] for graph in graphs)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-13)


@pytest.mark.parametrize("scheme", ["heun", "ab2", "trapezoid", "sdirk2", "bosh3"])
def test_any_scheme_may_read_the_past(scheme: str) -> None:
    """A two-step scheme, over corners; implicit ones, whose Jacobian is that of now alone."""
    times, errors = np.arange(0, 6.01, 0.5), []
    text = PURE.replace("x' = -0.9*x(t - tau)", "x' = -0.9*x(t - 1)").replace("param tau: real = 1\n", "")
    exact = np.outer([1.0, 0.5], [pure(t, 0.9, 1.0) for t in times])
    for substeps in (8, 16):
        graph = stepped(text, scheme, times.tolist(), substeps, 2)
        errors.append(np.abs(run(graph, x0=np.array([1.0, 0.5]))["y"] - exact).max())
    assert math.log2(errors[0] / errors[1]) > SCHEMES[scheme].order - 0.2


def test_laid_out_and_looped_steps_are_the_same_numbers() -> None:
    text = PURE.replace("x(t - tau)", "x(t - tau) + 0.3*x(t - 0.7)^2")
    times = np.arange(0, 6.01, 0.5).tolist()
    found = [run(stepped(text, "kutta3", times, 3, s), x0=np.array([0.4, 1.1]), tau=1.3)["y"] for s in SEGMENTS]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("segment", SEGMENTS)
def test_the_gradient_with_respect_to_the_delay_is_that_of_the_solution(segment: int | None) -> None:
    """On a grid made for the delay its steps have a corner there; each step is on its own side of it."""
    text = PURE.replace("at 0..6 step 0.5", "over 0..3")
    graph = stepped(text, "rk4", [0.0, 1.0, 2.0, 3.0], 4, segment)
    tau = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = TorchProgram(graph)({"x0": torch.ones(1, dtype=torch.float64), "tau": tau})["y"]
    (slope,) = torch.autograd.grad(y.sum(), tau)
    true = (pure(3, 0.9, 1 + 1e-6) - pure(3, 0.9, 1 - 1e-6)) / 2e-6
    assert abs(float(slope) - true) < 1e-8


def mackey_glass(x0: float, end: float) -> float:
    """scipy's DOP853 stretch by stretch, each reading the dense output of the one before."""
    past: list = [lambda t: np.array([x0 * np.cos(t / 10)])]
    state = np.array([x0])
    for begin in np.arange(0.0, end, 17.0):

        def slope(t: float, x: Array, before=past[-1]) -> Array:
            late = before(t - 17.0)
            return 0.2 * late / (1 + late**10) - 0.1 * x

        stop = min(begin + 17.0, end)
        found = solve_ivp(slope, (begin, stop), state, "DOP853", rtol=1e-11, atol=1e-12, dense_output=True)
        past.append(found.sol)
        state = found.y[:, -1]
    return float(state[0])


MACKEY = """dyn 1
model mackey
input x0: real in (0.5, 1.5)
field f(t, x: real) {
  late = x(t - 17)
  x' = 0.2*late/(1 + late^10) - 0.1*x
}
h = solve f from x(s) = x0*cos(s/10) over 0..END
output y = h
deploy { solver auto(error=1e-4) }
"""


def test_mackey_glass_with_a_history_that_moves_is_within_its_stated_error(tmp_path: Path) -> None:
    compiled = isocline.compile(isocline.model(MACKEY.replace("END", "90")), tmp_path)
    start = np.array([0.6, 1.0, 1.4])
    found = isocline_runtime.load(compiled.folder).run({"x0": start.astype(np.float32)})["y"]
    true = np.array([mackey_glass(x0, 90.0) for x0 in start])
    assert np.abs(found / true - 1).max() < 1.1e-4


def test_delays_of_each_sample_are_followed_and_walked_a_second_time(tmp_path: Path) -> None:
    text = """dyn 1
model each
input tau: real in (0.8, 1.2)
input x0: real in (0.5, 1.5)
field f(t, x: real[2], v: real) {
  x' = -x(t - tau) + sin(t)
  v' = -0.5*x(t - 0.3)[0] - v
}
h = solve f from x(s) = [x0*cos(s), x0], v = 0 at 0..6 step 0.5 with rk4(steps=48)
output y = h.x
output v = h.v
"""
    compiled = isocline.compile(isocline.model(text), tmp_path)
    assert all(0 < found < 1e-12 for found in compiled.certificate["second_walk"].values())
    session = isocline_runtime.load(compiled.folder)
    given = {"tau": np.array([0.85, 1.15]), "x0": np.array([1.0, 0.7])}
    found = session.run({name: array.astype(np.float32) for name, array in given.items()})
    for row, (tau, x0) in enumerate(zip(given["tau"], given["x0"], strict=True)):
        true = by_steps(tau, x0)
        np.testing.assert_allclose(found["y"][row], true[:, :2], rtol=0, atol=3e-3)
        np.testing.assert_allclose(found["v"][row], true[:, 2], rtol=0, atol=3e-3)


def test_references_follow_the_delay_of_each_sample() -> None:
    """Both share the method of steps: scipy, one sample at a time, stands outside."""
    text = """dyn 1
model each
input tau: real in (0.8, 1.2)
input x0: real in (0.5, 1.5)
field f(t, x: real[2], v: real) {
  x' = -x(t - tau) + sin(t)
  v' = -0.5*x(t - 0.3)[0] - v
}
h = solve f from x(s) = [x0*cos(s), x0], v = 0 over 0..3
output y = h.x
deploy { solver auto(error=1e-5) }
"""
    given = {"tau": np.array([0.85, 1.15]), "x0": np.array([1.0, 0.7])}
    found = Evaluator(model(text), {}, Samples(given, {}, "two"), 1e-5).reference["y"]
    true = np.stack([by_steps(tau, x0)[6, :2] for tau, x0 in zip(given["tau"], given["x0"], strict=True)])
    np.testing.assert_allclose(found, true, rtol=0, atol=1e-6)


def by_steps(tau: float, x0: float) -> Array:
    """By scipy, on stretches of the shorter delay."""
    pieces: list = []

    def past(t: float) -> Array:
        if t <= 0:
            return np.array([x0 * np.cos(t), x0, 0.0])
        return pieces[min(int(t / 0.3), len(pieces) - 1)](t)

    def slope(t: float, y: Array) -> Array:
        return np.array([*(-past(t - tau)[:2] + np.sin(t)), -0.5 * past(t - 0.3)[0] - y[2]])

    state, kept = np.array([x0, x0, 0.0]), [np.array([x0, x0, 0.0])]
    for begin in np.arange(20) * 0.3:
        ends = (begin, begin + 0.3)
        found = solve_ivp(slope, ends, state, "DOP853", rtol=1e-10, atol=1e-12, dense_output=True)
        pieces.append(found.sol)
        state = found.y[:, -1]
    kept += [past(t) for t in np.arange(0.5, 6.01, 0.5)]
    return np.stack(kept)


def test_a_delay_is_learned(tmp_path: Path) -> None:
    """From solutions of another delay and rate, with noise of 0.002; standard errors cover both."""
    random = np.random.default_rng(0)
    times = np.arange(0, 6.01, 0.5)
    starts = random.uniform(0.5, 1.5, 24)
    clean = np.outer(starts, [pure(t, 0.9, 1.3) for t in times])
    np.savez(tmp_path / "d.npz", x0=starts, seen=clean + 0.002 * random.normal(size=clean.shape))
    text = """dyn 1
model learned
data {
  source "d.npz"
  x0 = array(x0)
  seen = array(seen)
}
param tau: real in (0.5, 2) = 1
param k: positive = 1
input x0: real in (0.5, 1.5)
target seen: real[13]
field f(t, x: real) { x' = -k*x(t - tau) }
h = solve f from x = x0 at 0..6 step 0.5
output y = h
train {
  solver rk4(steps=48)
  loss mse(y, seen)
  optimizer adam(lr=0.05)
  epochs 140
}
deploy {
  solver auto(error=1e-4)
  attribute y wrt x0 by saliency, adjoint_path, parameter_sensitivity
}
"""
    (tmp_path / "m.dyn").write_text(text)
    fitted = isocline.build(tmp_path / "m.dyn", out=tmp_path / "out", run=tmp_path / "run")
    found = {item["name"]: item for item in fitted.certificate["parameters"]}
    for name, true in (("tau", 1.3), ("k", 0.9)):
        value, error = found[name]["value"], found[name]["standard_error"]
        assert abs(value - true) < 4 * error < 0.01


def test_a_solver_that_remembers_nothing_is_refused_in_training() -> None:
    text = PURE + "target s: real[13]\ntrain {\n  solver dopri5(rtol=1e-6)\n  loss mse(y, s)\n  epochs 1\n}\n"
    with pytest.raises(IsoclineError) as caught:
        model(text)
    assert caught.value.diagnostics[0].code == "E278"

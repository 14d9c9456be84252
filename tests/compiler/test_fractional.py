"""Fractional order: `D(x, a)` against the function of Mittag-Leffler, closed forms, sums written out, differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

import isocline
import isocline_runtime
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.graph import ARGUMENT, Array, Graph, constant, leaf, value_of
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.ops.evaluation import evaluated
from isocline_compiler.solvers.grid import Discretisation, Grid, through
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.fractional_weights import (
    EXACT,
    Exponentials,
    Lags,
    as_value,
    letnikov,
    reciprocal_gamma,
)
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError
from tests.fractional_steppers import by_sums

NAMES = ["l1", "gl", "fractional_abm", "soe"]
SEGMENTS = [None, 1, 3]
TIMES = [0.0, 0.5, 1.0, 1.5, 2.0]


def mittag_leffler(a: float, z: float) -> float:
    """E_a(z) = sum z^k / Gamma(a k + 1), in 100 digits."""
    with mpmath.workdps(100):
        return float(sum(mpmath.mpf(z) ** k / mpmath.gamma(mpmath.mpf(a) * k + 1) for k in range(1200)))


def stepped(text: str, scheme: str, times: list[float], substeps: int, segment: int | None) -> Graph:
    """The outputs by so many steps between two times, laid out or in a loop."""
    graph = model(text).graph
    (node,) = [item for item in graph.nodes() if item.op.name == "solve"]
    grid = through(times, substeps)
    grid = grid if node.attrs["spec"].interval.everywhere else replace(grid, keep=grid.keep[-1:])
    found = unroll(graph, {"h": Discretisation(SCHEMES[scheme], grid, segment)}).graph
    verify(found)
    return found


def run(graph: Graph, **given: float | Array) -> dict[str, Array]:
    bound = {name: torch.tensor(np.asarray(value, np.float64)) for name, value in given.items()}
    return {name: value.numpy() for name, value in TorchProgram(graph)(bound).items()}


DECAY = """dyn 1
model m
input x0: real in (0.5, 1.5)
field f(t, x: real) { D(x, 0.6) = -1.3*x }
h = solve f from x = x0 at 0..2 step 0.5
output y = h
"""


@pytest.mark.parametrize("order", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("scheme", NAMES)
def test_relaxation_is_the_function_of_mittag_leffler(scheme: str, order: float) -> None:
    """D^a x = -k x from x_0 is x_0 E_a(-k t^a), which begins like t^a: at a time the error falls with the step."""
    text = DECAY.replace("0.6", str(order))
    exact = np.array([mittag_leffler(order, -1.3 * t**order) for t in TIMES])
    errors = []
    for substeps in (16, 32):
        found = run(stepped(text, scheme, TIMES, substeps, 1), x0=np.array([1.0, 0.7]))["y"]
        errors.append(np.abs(found[0] - exact)[1:].max())
        np.testing.assert_allclose(found[1], 0.7 * found[0], rtol=1e-12)
    least = 1.0 if scheme in ("l1", "gl") else 1.0 + order
    assert math.log2(errors[0] / errors[1]) > least - 0.15
    assert errors[1] < (0.02 if scheme in ("l1", "gl") else 1e-3)


@pytest.mark.parametrize("order", [0.4, 0.7, 0.9])
@pytest.mark.parametrize(
    ("scheme", "declared"),
    [("l1", lambda a: 2 - a), ("gl", lambda a: 1.0), ("fractional_abm", lambda a: min(2, 1 + 2 * a)),
     ("soe", lambda a: min(2, 1 + 2 * a))],
)  # fmt: skip
def test_orders_on_a_smooth_solution(scheme: str, declared: Callable[[float], float], order: float) -> None:
    """x = t^2 solves D^a x = 2 t^(2-a)/Gamma(3-a) + sin t^2 - sin x."""
    force = f"{2 / math.gamma(3 - order):.17g}*t^{2 - order:.17g}"
    text = DECAY.replace("D(x, 0.6) = -1.3*x", f"D(x, {order}) = {force} + sin(t^2) - sin(x)")
    text = text.replace("x = x0", "x = 0*x0").replace("at 0..2 step 0.5", "over 0..1")
    errors = [abs(float(run(stepped(text, scheme, [0, 1], n, 2), x0=np.ones(1))["y"][0]) - 1) for n in (80, 160)]
    assert abs(math.log2(errors[0] / errors[1]) - declared(order)) < 0.17


@pytest.mark.parametrize("scheme", NAMES)
def test_the_order_that_a_scheme_declares_is_observed(scheme: str) -> None:
    for found in observed_orders(SCHEMES[scheme]):
        assert found.observed is not None
        assert found.observed > found.declared - 0.2


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize(
    ("scheme", "middle"),
    [("gl", 1.0), *((scheme, middle) for scheme in ("l1", "fractional_abm", "soe") for middle in (1.0, 0.3))],
)
def test_steps_are_those_of_the_papers(scheme: str, middle: float, segment: int | None) -> None:
    """Laid out and in loops, on even and on uneven steps, to rounding; a sum of exponentials also beside the kernel."""
    times = [0.0, middle, 2.0]
    text = DECAY.replace("-1.3*x", "sin(2*t) - x - 0.2*x^3").replace("at 0..2 step 0.5", f"at {times}")
    grid = through(times, 9)
    settled = SCHEMES[scheme].with_options({"iterations": 12})
    graph = unroll(model(text).graph, {"h": Discretisation(settled, grid, segment)}).graph
    found = run(graph, x0=np.array([0.7, 1.2]))["y"]

    def slope(t: float, x: float) -> float:
        return -1 - 0.6 * x**2

    for row, x0 in zip(found, (0.7, 1.2), strict=True):
        true = by_sums(scheme, 0.6, np.array(grid.times), lambda t, x: np.sin(2 * t) - x - 0.2 * x**3, x0, slope)
        np.testing.assert_allclose(row, true[[0, 9, 18]], rtol=0, atol=1e-13)
        if scheme == "soe":
            whole = by_sums(
                "fractional_abm", 0.6, np.array(grid.times), lambda t, x: np.sin(2 * t) - x - 0.2 * x**3, x0
            )
            np.testing.assert_allclose(row, whole[[0, 9, 18]], rtol=0, atol=1e-7)


@pytest.mark.parametrize("scheme", ["l1", "gl"])
def test_many_states_are_solved_for_in_groups(scheme: str) -> None:
    """Of more numbers than are eliminated entry by entry: two of them beside each other, 15 times."""
    pair = DECAY.replace("x: real", "x: real[2]").replace("-1.3*x", "[-x[0] + 0.5*x[1]^2, -2*x[1] + x[0]]")
    many = DECAY.replace("x: real", "x: real[15, 2]").replace(
        "-1.3*x", "stack(-x[:, 0] + 0.5*x[:, 1]^2, -2*x[:, 1] + x[:, 0], axis=1)"
    )
    start = {"x0": np.array([0.7, 1.2])}
    few = run(stepped(pair.replace("x = x0", "x = [x0, 1]"), scheme, TIMES, 4, 1), **start)["y"]
    found = run(stepped(many.replace("x = x0", "x = [x0, 1] + zeros(15, 2)"), scheme, TIMES, 4, 1), **start)["y"]
    np.testing.assert_allclose(found, np.broadcast_to(few[:, :, None], found.shape), rtol=0, atol=1e-12)


MIXED = """dyn 1
model m
param a: real in (0.2, 0.95) = 0.6
param k: positive = 1.3
input x0: real in (0.5, 1.5)
field f(t, x: real[2], v: real) {
  D(x, a) = -k*x + [v, sin(t)]
  v' = -x[0]*v
}
h = solve f from x = [x0, 1], v = 0.5 at 0..2 step 0.5
output y = h.x
output w = h.v
"""


@pytest.mark.parametrize("scheme", NAMES)
def test_laid_out_and_looped_steps_are_the_same_numbers_of_a_learned_order(scheme: str) -> None:
    given = {"a": 0.0, "k": 0.1, "x0": np.array([0.7, 1.2])}
    graphs = [stepped(MIXED, scheme, TIMES, 5, segment) for segment in SEGMENTS]
    found = [run(graph, **given) for graph in graphs]
    for other in found[1:]:
        for name in ("y", "w"):
            np.testing.assert_allclose(other[name], found[0][name], rtol=0, atol=1e-13)
    known = MIXED.replace("param a: real in (0.2, 0.95) = 0.6", f"const a = {0.2 + 0.75 * 0.5}")
    number = run(stepped(known, scheme, TIMES, 5, None), k=0.1, x0=given["x0"])
    np.testing.assert_allclose(number["y"], found[0]["y"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", NAMES)
def test_the_gradient_with_respect_to_the_order_is_that_of_differences(scheme: str) -> None:
    graph = stepped(MIXED, scheme, TIMES, 5, 1)

    def score(a: Tensor) -> Tensor:
        bound = {"a": a, "k": torch.tensor(0.1, dtype=torch.float64), "x0": torch.tensor([0.7, 1.2]).double()}
        return (TorchProgram(graph)(bound)["y"] ** 2).sum()

    at = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(score(at), at)
    with torch.no_grad():
        true = (score(at + 1e-5) - score(at - 1e-5)) / 2e-5
    assert abs(float(slope)) > 1e-3
    assert abs(float(slope / true) - 1) < 1e-7


# ---------------------------------------------------------------------------------------------------- weights


def test_the_kernel_is_met_to_what_is_stated() -> None:
    times = tuple(np.linspace(0, 50, 2001))
    kernel = Exponentials.of(times)
    t = np.geomspace(times[1], 50, 500)
    for order in (0.05, 0.3, 0.6, 0.95, 0.999):
        found = np.exp(-np.outer(t, kernel.rates)) @ np.asarray(kernel.weights(order))
        assert np.abs(found / (t ** (order - 1) / math.gamma(order)) - 1).max() < EXACT
    assert np.asarray(kernel.weights(1.0)).sum() == 1
    assert len(kernel.rates) < 70
    assert len(Exponentials.of(tuple(np.linspace(0, 50, 200001))).rates) < 80


@pytest.mark.parametrize("order", [0.21, 0.5, 0.94])
def test_weights_of_a_learned_order_are_those_of_the_number(order: float) -> None:
    lags, kernel = Lags.of((0.0, 0.1, 0.4, 0.5, 1.0), even=False), Exponentials(0.1, 4.0)
    learned = leaf(ARGUMENT, "a", TensorType("real"))
    pairs = [
        (reciprocal_gamma(learned, 2.0), 1 / math.gamma(2 + order)),
        (lags.rectangle(learned), lags.rectangle(order)),
        (lags.ramp(learned), lags.ramp(order)),
        (lags.l1(learned), lags.l1(order)),
        (letnikov(learned, 9), letnikov(order, 9)),
        (kernel.weights(learned), kernel.weights(order)),
    ]
    for node, number in pairs:
        (found,) = evaluated([as_value(node)], {learned: np.array(order)})
        np.testing.assert_allclose(found, np.asarray(value_of(constant(number))), rtol=1e-11, atol=1e-14)


# ---------------------------------------------------------------------------------------------------- references


@pytest.mark.parametrize(
    ("order", "rate", "end"), [(0.3, 1.0, 2.0), (0.5, 3.0, 8.0), (0.737, 2.0, 4.0), (1.0, 1.0, 3.0), (0.15, 1.0, 1.0)]
)
def test_both_references_are_the_function_of_mittag_leffler(order: float, rate: float, end: float) -> None:
    text = DECAY.replace("D(x, 0.6) = -1.3*x", f"D(x, {order}) = -{rate}*x")
    text = text.replace("0..2 step 0.5", f"0..{end} step {end / 2}")
    exact = [mittag_leffler(order, -rate * t**order) for t in (0, end / 2, end)]
    given = {"x0": torch.tensor([1.0, 0.6], dtype=torch.float64)}
    for reference, bound in ((AdaptiveExplicit(1e-7), 1e-7), (Multistep(1e-7), 1e-10)):
        found = TorchProgram(model(text).graph)(given, integrator=reference.integrator)["y"].detach().numpy()
        np.testing.assert_allclose(found, np.outer([1.0, 0.6], exact), rtol=0, atol=bound)


def test_both_references_follow_several_orders_and_a_force_that_jumps() -> None:
    """Of x alone a line; the jump is told of to the graded meshes, so only they are asked."""
    text = """dyn 1
model m
input x0: real in (0.5, 1.5)
field f(t, x, v: real) {
  D(x, 0.5) = where(t < 0.7, 1, 0)
  v' = x
}
h = solve f from x = x0, v = 0 over 0..2
output y = h.x
output w = h.v
"""
    given = {"x0": torch.tensor([1.0, 0.6], dtype=torch.float64)}
    found = TorchProgram(model(text).graph)(given, integrator=AdaptiveExplicit(1e-6).integrator)
    lag = 1.3
    x = (2**0.5 - lag**0.5) / math.gamma(1.5)
    v = (2**1.5 - lag**1.5) / math.gamma(2.5)
    for row, x0 in enumerate((1.0, 0.6)):
        assert abs(float(found["y"][row]) - x0 - x) < 1e-6
        assert abs(float(found["w"][row]) / (2 * x0 + v) - 1) < 1e-6


# ---------------------------------------------------------------------------------------------------- artifacts


@pytest.mark.parametrize("scheme", NAMES)
@pytest.mark.parametrize("form", ["all", "1"])
def test_each_form_is_deployed_differentiated_and_attributed(tmp_path: Path, scheme: str, form: str) -> None:
    """Laid out, and as a loop of one step; in onnxruntime, beside the same steps in torch."""
    text = DECAY.replace("-1.3*x", "-1.3*x + 0.1*x^2").replace("at 0..2 step 0.5", "over 0..2 with SCHEME(steps=40)")
    text += f"deploy {{\n  unroll {form}\n  attribute y wrt x0 by saliency, adjoint_path\n}}\n"
    compiled = isocline.compile(isocline.model(text.replace("SCHEME", scheme)), tmp_path)
    assert compiled.certificate["attribution"]
    start = np.array([0.6, 1.4])
    found = isocline_runtime.load(compiled.folder).run({"x0": start.astype(np.float32)})["y"]
    true = run(stepped(text.replace("SCHEME", scheme), scheme, [0.0, 2.0], 40, None), x0=start)["y"]
    np.testing.assert_allclose(found, true, rtol=2e-6)


def test_auto_meets_the_stated_error(tmp_path: Path) -> None:
    """Against the function of Mittag-Leffler, which no part of the certificate knows."""
    text = DECAY.replace("at 0..2 step 0.5", "over 0..2") + "deploy { solver auto(error=1e-3) }\n"
    compiled = isocline.compile(isocline.model(text), tmp_path)
    (chosen,) = compiled.certificate["solves"]
    assert chosen["scheme"] in NAMES
    assert {row["scheme"] for row in compiled.certificate["work_precision"]} >= {"l1", "fractional_abm", "soe"}
    start = np.array([0.6, 1.4])
    found = isocline_runtime.load(compiled.folder).run({"x0": start.astype(np.float32)})["y"]
    assert np.abs(found / (start * mittag_leffler(0.6, -1.3 * 2**0.6)) - 1).max() < 1.1e-3
    assert max(compiled.certificate["references_apart"].values()) < 1e-5


def test_a_gradient_in_the_file_has_the_order_of_what_it_varies() -> None:
    """dx/dx_0 of the relaxation is E_a, by a tangent solve of the same order."""
    text = DECAY.replace("at 0..2 step 0.5", "over 0..2") + "output g = grad(h, x0)\n"
    grid = Grid(tuple(np.linspace(0, 2, 61).tolist()), (60,))
    graph = unroll(model(text).graph, {"h": Discretisation(SCHEMES["fractional_abm"], grid, None)}).graph
    found = run(graph, x0=np.array([1.0, 0.5]))
    np.testing.assert_allclose(found["g"], mittag_leffler(0.6, -1.3 * 2**0.6), rtol=0, atol=3e-4)
    np.testing.assert_allclose(found["y"], np.array([1.0, 0.5]) * found["g"], rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- training


LEARNED = """dyn 1
model learned
data {
  source "d.npz"
  x0 = array(x0)
  seen = array(seen)
}
param a: real in (0.2, 0.98) = 0.5
param k: positive = 1
input x0: real in (0.5, 1.5)
target seen: real[9]
field f(t, x: real) { D(x, a) = -k*x }
h = solve f from x = x0 at 0..4 step 0.5
output y = h
train {
  solver soe(steps=64)
  loss mse(y, seen)
  optimizer adam(lr=0.05)
  epochs 120
}
deploy { solver auto(error=1e-3) }
"""


def test_an_order_is_learned(tmp_path: Path) -> None:
    """From solutions of another order and rate with noise of 0.002; standard errors cover both."""
    random = np.random.default_rng(0)
    times, starts = np.arange(0, 4.01, 0.5), random.uniform(0.5, 1.5, 24)
    clean = np.outer(starts, [mittag_leffler(0.7, -0.8 * t**0.7) for t in times])
    np.savez(tmp_path / "d.npz", x0=starts, seen=clean + 0.002 * random.normal(size=clean.shape))
    (tmp_path / "m.dyn").write_text(LEARNED)
    fitted = isocline.build(tmp_path / "m.dyn", out=tmp_path / "out", run=tmp_path / "run")
    found = {item["name"]: item for item in fitted.certificate["parameters"]}
    for name, true in (("a", 0.7), ("k", 0.8)):
        value, error = found[name]["value"], found[name]["standard_error"]
        assert abs(value - true) < 4 * error + 1e-3
        assert error < 0.01


def test_order_and_rate_are_not_told_apart_where_only_one_time_is_seen() -> None:
    """x_0 E_a(-k t^a) at one time is one number: the slopes with respect to a and to k are along one line."""
    text = """dyn 1
model m
param a: real in (0.2, 0.98) = 0.5
param k: positive = 1
input x0: real in (0.5, 1.5)
field f(t, x: real) { D(x, a) = -k*x }
h = solve f from x = x0 at [0, 2, 4]
output y = h
"""
    graph = stepped(text, "fractional_abm", [0, 2, 4], 30, 1)

    def seen(raw: Tensor) -> Tensor:
        bound = {"a": raw[0], "k": raw[1], "x0": torch.tensor([0.6, 1.0, 1.4], dtype=torch.float64)}
        return TorchProgram(graph)(bound)["y"]

    slopes = torch.autograd.functional.jacobian(seen, torch.zeros(2, dtype=torch.float64)).numpy()
    alone = np.linalg.svd(slopes[:, 2], compute_uv=False)
    both = np.linalg.svd(slopes[:, 1:].reshape(-1, 2), compute_uv=False)
    assert alone[1] < 1e-12 * alone[0]
    assert both[1] > 1e-2 * both[0]


def test_an_adaptive_solver_is_refused_in_training() -> None:
    text = DECAY.replace("-1.3*x", "-k*x").replace("input x0", "param k: positive = 1\ninput x0")
    text += "target s: real[5]\ntrain {\n  solver dopri5(rtol=1e-6)\n  loss mse(y, s)\n  epochs 1\n}\n"
    with pytest.raises(IsoclineError) as caught:
        model(text)
    assert caught.value.diagnostics[0].code == "E247"


def test_letnikov_is_refused_on_steps_that_differ() -> None:
    with pytest.raises(IsoclineError) as caught:
        stepped(DECAY, "gl", [0.0, 0.5, 1.1, 1.5, 2.0], 3, None)
    assert caught.value.diagnostics[0].code == "E249"

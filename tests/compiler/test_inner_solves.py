"""A solve in a field: against nested steps in numpy and torch, the closed form of the inner equation, and scipy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_c import to_c
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph, everything
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model as model_of
from isocline_compiler.model import Model
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights
from tests.native.in_c import CHECKED, built, called, needs_compiler
from tests.solves import unrolled

STARTS = np.array([0.6, 1.0, 1.9])

RELAXED = """dyn 1
model m
input x0: real in (0.5, 2)
input u: real in (-1, 1)
param k: positive = 1.5
field relax(t, y, x: real) {{
  y' = k*(cos(x + u*t) - y)
  x' = 0
}}
field slow(t, x: real) {{
  fast = solve relax from y = 0.2*t, x = x over 0..2 with rk4(steps={steps})
  x' = -fast.y*x
}}
path = solve slow from x = x0 over 0..1
output end = path.x
"""


def stepped(graph: Graph, scheme: str = "rk4", steps: int = 5) -> Graph:
    verify(graph)
    found = unrolled(graph, lambda solve: scheme_steps(solve, solve.spec.scheme or Called(scheme, {"steps": steps})))
    verify(found)
    return found


def weights_of(model: Model) -> dict[str, Tensor]:
    return {name: torch.tensor(x, dtype=torch.float64) for name, x in initial_weights(model.weights, 0).items()}


def run(model: Model, graph: Graph, **given: Any) -> dict[str, np.ndarray]:
    tensors = {key: torch.as_tensor(x) for key, x in given.items()}
    found = TorchProgram(graph)({**weights_of(model), **tensors})
    return {key: x.detach().numpy() for key, x in found.items()}


def rk4(f: Callable[[Any, Any], Any], x: Any, begin: float, end: float, steps: int) -> Any:
    h = (end - begin) / steps
    for i in range(steps):
        t = begin + i * h
        a = f(t, x)
        b = f(t + h / 2, x + h / 2 * a)
        c = f(t + h / 2, x + h / 2 * b)
        x = x + h / 6 * (a + 2 * b + 2 * c + f(t + h, x + h * c))
    return x


def by_hand(x0: Tensor, u: Tensor, k: float, inner: int, outer: int) -> Tensor:
    """Nested steps: the slope of the outer equation is the end of the inner one."""

    def slope(t: float, x: Tensor) -> Tensor:
        start = torch.zeros_like(x) + 0.2 * t
        return -rk4(lambda s, y: k * (torch.cos(x + u * s) - y), start, 0.0, 2.0, inner) * x

    return torch.as_tensor(rk4(slope, x0, 0.0, 1.0, outer))


@pytest.mark.parametrize("steps", [3, 80])
def test_values_and_gradients_are_those_of_nested_steps(steps: int) -> None:
    """Few inner steps are laid out, many are a loop; the gradient as a graph is torch's through the nested loops."""
    model = model_of(RELAXED.format(steps=steps))
    loops = [node for node in everything(model.graph.outputs.values()) if node.op is SCAN]
    assert bool(loops) == (steps > 10)
    assert [solve.spec.name for solve in solves_of(model.graph)] == ["path"]
    graph = optimise(stepped(bound(model)), check=True)
    x0, u = torch.tensor(STARTS, requires_grad=True), torch.tensor(np.array([0.0, -0.5, 0.8]), requires_grad=True)
    wanted = by_hand(x0, u, 1.5, steps, 5)
    np.testing.assert_allclose(run(model, graph, x0=STARTS, u=u.detach())["end"], wanted.detach(), rtol=1e-12)
    inputs = {node.attrs["name"]: node for node in graph.inputs}
    slopes = gradient(graph.outputs["end"], [inputs["x0"], inputs["u"]])
    backwards = optimise(Graph(graph.inputs, dict(zip(("dx0", "du"), slopes, strict=True))), check=True)
    found = evaluate(tuple(backwards.outputs.values()), {"x0": x0.detach(), "u": u.detach()})
    for mine, expected in zip(found, torch.autograd.grad(wanted.sum(), [x0, u]), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


def bound(model: Model) -> Graph:
    """The model's graph with its weights as literals."""
    return optimise(bind(model.graph, {key: x.numpy() for key, x in weights_of(model).items()}), check=True)


@needs_compiler
@pytest.mark.parametrize("steps", [3, 200])
def test_files_and_c_answer_as_nested_steps_do(steps: int, tmp_path: Path) -> None:
    model = model_of(RELAXED.format(steps=steps))
    graph = optimise(stepped(bound(model)), check=True)
    u = np.array([0.0, -0.5, 0.8])
    wanted = by_hand(torch.tensor(STARTS), torch.tensor(u), 1.5, steps, 5).numpy()
    session = onnxruntime.InferenceSession(to_onnx(graph, {}).SerializeToString())
    (found,) = session.run(["end"], {"x0": STARTS.astype(np.float32), "u": u.astype(np.float32)})
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    program = to_c(graph, {}, name="m", dtype="float64")
    in_c = called(built(program, tmp_path, *CHECKED), program, {"x0": STARTS, "u": u}, 3, np.float64)["end"]
    np.testing.assert_allclose(in_c[:, 0], wanted, rtol=1e-11)


@pytest.mark.parametrize("reference", [AdaptiveExplicit(1e-8), Multistep(1e-8), AdaptiveImplicit(1e-8)])
def test_references_and_implicit_schemes_solve_the_outer_equation(reference: Any) -> None:
    """The inner one in closed form, y(2) = cos(x) + (0.2 t - cos(x)) e^(-2k), the outer one by scipy."""
    model = model_of(RELAXED.format(steps=12))
    decay = np.exp(-3.0)

    def slope(t: float, x: np.ndarray) -> np.ndarray:
        return -(np.cos(x) + (0.2 * t - np.cos(x)) * decay) * x

    wanted = solve_ivp(slope, (0, 1), STARTS, rtol=1e-11, atol=1e-12).y[:, -1]
    given = {**weights_of(model), "x0": torch.tensor(STARTS), "u": torch.zeros(3, dtype=torch.float64)}
    found = TorchProgram(model.graph)(given, integrator=reference.integrator)["end"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for scheme in ("radau5", "dopri5"):
        graph = stepped(model.graph, scheme, 8)
        values = run(model, graph, x0=STARTS, u=np.zeros(3))["end"]
        np.testing.assert_allclose(values, wanted, rtol=1e-5, err_msg=scheme)


NETWORK = """dyn 1
model m
input x0: real[3], ts: time[4]
field settle(s, y, x: real[3]) {
  y' = concat(x, y) |> dense(8) |> tanh |> dense(3)
  x' = zeros(3)
}
field twice(s, z: real[3]) {
  inner = solve settle from y = zeros(3), x = z over 0..0.5 with rk4(steps=2)
  z' = inner.y - z
}
field slow(t, x: real[3]) {
  far = solve twice from z = x over 0..t with euler(steps=2)
  x' = far |> dense(3) |> tanh
}
x = scan (t0, t1) over (ts) from x = x0 { x = solve slow from x = x over t0..t1 }
path = solve slow from x = x0 over 0..1
output x
output far = path.far
"""


def test_networks_nest_in_a_scan_to_an_end_that_is_the_outer_time() -> None:
    """Three equations within one another, the weights of each shared by all its evaluations; a definition of the field
    along a solution may be the end of an inner one.
    """
    model = model_of(NETWORK)
    assert {name.split(".")[0] for name in weights_of(model)} == {"settle", "slow"}
    w = weights_of(model)

    def dense(v: Tensor, name: str) -> Tensor:
        return v @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def settled(x: Tensor) -> Tensor:
        def slope(s: float, y: Tensor) -> Tensor:
            return dense(torch.tanh(dense(torch.cat([x, y], 1), "settle.y.dense")), "settle.y.dense_2")

        return torch.as_tensor(rk4(slope, torch.zeros_like(x), 0.0, 0.5, 2))

    def far(t: Tensor, x: Tensor) -> Tensor:
        z = x
        for _ in range(2):
            z = z + t[:, None] / 2 * (settled(z) - z)
        return z

    def slow(t: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(dense(far(t, x), "slow.x.dense"))

    draw = np.random.default_rng(1)
    x0, ts = torch.tensor(draw.normal(size=(5, 3))), torch.tensor(draw.exponential(size=(5, 4)).cumsum(1))
    x, before, every = x0, ts[:, 0], []
    for i in range(4):
        h = ts[:, i] - before
        x, before = x + h[:, None] * slow(before, x), ts[:, i]
        every.append(x)
    found = run(model, stepped(model.graph, "euler", 1), x0=x0, ts=ts)
    np.testing.assert_allclose(found["x"], torch.stack(every, 1), rtol=1e-11)
    end = x0 + slow(torch.zeros(5, dtype=torch.float64), x0)
    np.testing.assert_allclose(found["far"], far(torch.ones(5, dtype=torch.float64), end), rtol=1e-11)


def test_no_solve_is_left_in_a_field() -> None:
    for text in (NETWORK, RELAXED.format(steps=200)):
        for node in everything(model_of(text).graph.outputs.values()):
            if node.op is SOLVE:
                assert not any(inner.op is SOLVE for inner in everything(node.attrs["region"].results))


def test_an_inner_field_reads_a_control_and_has_weights_per_step() -> None:
    """A layer of a residual network in the slope, driven by a path of the file at the inner times."""
    model = model_of("""dyn 1
model m
input x0: real in (0, 1)
input us: real[3] in (-1, 1)
control U = linear(us, step=0.5)
field layers(s, h: real[2]) weights per step { h' = (h |> dense(2)) + [U(s), 1] }
field slow(t, x: real) {
  h = solve layers from h = [x, t] at 0..1 step 0.25 with euler(steps=4)
  x' = h[2, 0] - h[-1, 1]
}
path = solve slow from x = x0 over 0..1
output path
""")
    w = {name: x.numpy() for name, x in weights_of(model).items()}
    weight, bias = w["layers.h.dense.weight"], w["layers.h.dense.bias"]
    assert weight.shape == (4, 2, 2)
    us = np.random.default_rng(3).uniform(-1, 1, (3, 3))

    def slope(t: float, x: np.ndarray) -> np.ndarray:
        h, every = np.stack([x, np.full_like(x, t)], 1), []
        for i in range(4):
            driven = [np.interp(i / 4, [0, 0.5, 1], row) for row in us]
            h = h + (h @ weight[i] + bias[i] + np.stack([driven, np.ones(3)], 1)) / 4
            every.append(h)
        return np.asarray(every[1][:, 0] - every[3][:, 1])

    found = run(model, stepped(model.graph), x0=STARTS / 2, us=us)["path"]
    np.testing.assert_allclose(found, rk4(slope, STARTS / 2, 0.0, 1.0, 5), rtol=1e-11)


def test_a_slope_without_a_sample_needs_none() -> None:
    """Nothing of a batch: one solution for all."""
    model = model_of("""dyn 1
model m
input u: real
field grow(s, y: real) { y' = y }
field slow(t, x: real) {
  y = solve grow from y = 1 over 0..x with rk4(steps=40)
  x' = y
}
path = solve slow from x = 0 over 0..0.5
output end = path + 0*u
""")
    found = run(model, stepped(model.graph, "dopri5", 20), u=np.zeros(2))["end"]
    np.testing.assert_allclose(found, -np.log(1 - 0.5), rtol=1e-6)

"""Compensated sums against Kahan's recurrence written out in numpy, plain steps and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import choose, discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.certify.sweep import ROUNDING
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import ARGUMENT, INPUT, Graph, Region, leaf
from isocline_compiler.graph.solve import Interval
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.lower.check import check
from isocline_compiler.ops import OPS
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation, through, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.compensated import Compensated
from tests.compiler.test_unroll import Leapfrogged
from tests.solves import solve_node, unrolled

REAL = TensorType("real", ("batch",))
X0 = np.linspace(0.5, 1.5, 5)


def turning(times, everywhere=False) -> Graph:
    """x' = y, y' = -x from (x0, 0)."""
    t, x, y = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", REAL), leaf(ARGUMENT, "y", REAL)
    start = leaf(INPUT, "x0", REAL)
    node = solve_node(Region((t, x, y), (y, -x)), (start, start * 0.0), Interval(times, everywhere))
    return Graph((start,), {"x": node})


def stepped(scheme, grid, segment=None, everywhere=False) -> Graph:
    graph = turning(grid.outputs if everywhere else (grid.times[0], grid.times[-1]), everywhere)
    return unrolled(graph, lambda solve: Discretisation(scheme, grid, segment))


def by_onnxruntime(graph: Graph, precision="float32") -> np.ndarray:
    content = to_onnx(optimise(graph), {}, opset=18, dtype=precision).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["x"], {"x0": X0.astype(precision)})[0]


def by_torch(graph: Graph, dtype=torch.float64) -> np.ndarray:
    return TorchProgram(graph)({"x0": torch.tensor(X0, dtype=dtype)})["x"].numpy()


def kahan(steps: int, h: float) -> np.ndarray:
    """Euler's steps in float32, each sum by Kahan's recurrence, of the increment too: h is a number of float32."""
    one = np.float32
    x, y = X0.astype(one), np.zeros(len(X0), one)
    c, d = np.zeros_like(x), np.zeros_like(y)
    for _ in range(steps):
        first, second = one(h) * y, -(one(h) * x)
        dx, dy = first - c, second - d
        s, t = x + dx, y + dy
        c, d = ((s - x) - dx) + ((dx - first) + c), ((t - y) - dy) + ((dy - second) + d)
        x, y = s, t
    return x


@pytest.mark.parametrize("segment", [None, 1, 3, 40], ids=lambda n: "laid out" if n is None else f"segments of {n}")
def test_it_is_kahans_recurrence_to_the_last_bit(segment):
    h = 2.0**-7
    found = by_onnxruntime(stepped(Compensated.of(SCHEMES["euler"]), uniform(0.0, 200 * h, 200), segment))
    np.testing.assert_array_equal(found, kahan(200, h))


def test_rounding_does_not_grow_with_the_steps():
    """Exact arithmetic of 300 Euler steps, and what is lost in float32 with and without what was rounded off."""
    h, exact = Fraction(1, 128), []
    for value in X0.astype(np.float32):
        x, y = Fraction(float(value)), Fraction(0)
        for _ in range(300):
            x, y = x + h * y, y - h * x
        exact.append(float(x))
    grid = uniform(0.0, 300 / 128, 300)
    lost = {
        name: np.abs(by_onnxruntime(stepped(scheme, grid, 5)) - exact).max()
        for name, scheme in {"plain": SCHEMES["euler"], "summed": Compensated.of(SCHEMES["euler"])}.items()
    }
    assert lost["summed"] < 1.5e-7 < 5e-7 < lost["plain"]


@pytest.mark.parametrize("name", ["heun", "rk4", "dopri5"])
def test_in_exact_arithmetic_it_is_the_scheme(name):
    grid = through((0.0, 0.5, 2.0), 6)
    for segment in (None, 2):
        plain, summed = (
            by_torch(stepped(scheme, grid, segment, everywhere=True))
            for scheme in (SCHEMES[name], Compensated.of(SCHEMES[name]))
        )
        np.testing.assert_allclose(summed, plain, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("segment", [None, 2])
def test_its_gradients_are_those_of_the_scheme(segment):
    found = {}
    for scheme in (SCHEMES["rk4"], Compensated.of(SCHEMES["rk4"])):
        graph = stepped(scheme, uniform(0.0, 2.0, 12), segment)
        slope = gradient(OPS["reduce_sum"](graph.outputs["x"], axes=(0,), keepdims=False), graph.inputs)
        found[scheme.name] = by_torch(Graph(graph.inputs, {"x": slope[0]}))
    np.testing.assert_allclose(found["compensated rk4"], found["rk4"], rtol=1e-14)


def test_a_scheme_that_gives_states_alone_cannot_be_compensated():
    solve = SCHEMES["rk4"].problems[0].solve()
    assert Compensated.of(SCHEMES["rk4"]).fits(solve) is None
    misfit = Compensated.of(Leapfrogged()).fits(solve)
    assert misfit is not None
    assert "no increments" in misfit(None).message


TURNING = """dyn 1
model turning
input a: real in (0.5, 1)
field turn(t, x, y: real) { x' = -y; y' = x }
path = solve turn from x = a, y = 0 over 0..200
output x = path.x
"""


def test_auto_takes_compensated_sums_where_a_long_loop_rounds_too_much(tmp_path):
    file = tmp_path / "turning.dyn"
    file.write_text(TURNING)
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).rounded("float32").first(16), 1e-3)
    (solve,) = evaluator.open

    def rounds(choice):
        exact, single = (evaluator.run({"path": choice}, dtype)["x"] for dtype in (torch.float64, torch.float32))
        return (np.abs(single - exact) / np.abs(exact)).max()

    plain, summed = (rounds(discretisation(solve, "rk38", 1585, compensated=item)) for item in (False, True))
    assert summed < 0.3 * plain
    bound = np.sqrt(plain * summed)
    choices, _ = choose(evaluator, 1e-3, None, lambda text: None, rounding=bound / ROUNDING)
    assert choices["path"].scheme.name.startswith("compensated ")
    assert rounds(choices["path"]) <= bound


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0**-30), (3.0, 1e-9), (-7.5, 1e-8), (1e8, 0.3)])
def test_what_a_sum_rounds_off_is_exact(a, b):
    a, b = np.float32(a), np.float32(b)
    args = (leaf(INPUT, "a", TensorType("real", ())), leaf(INPUT, "b", TensorType("real", ())))
    graph = Graph(args, {"c": OPS["rounded_off"](*args)})
    session = onnxruntime.InferenceSession(to_onnx(graph, {}, dtype="float32").SerializeToString())
    found = session.run(["c"], {"a": np.asarray(a), "b": np.asarray(b)})[0]
    assert Fraction(float(found)) == Fraction(float(a + b)) - Fraction(float(a)) - Fraction(float(b))

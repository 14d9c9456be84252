"""Linear equations and determinants against torch.linalg: values, derivatives, the emitted graph, and mechanics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler import driver, pipeline
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.derivatives.reverse_forward import gradient, jvp
from isocline_compiler.graph import INPUT, Graph, Node, leaf
from isocline_compiler.ops.elementwise import TANH
from isocline_compiler.ops.linear_algebra import LARGEST, eliminated
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import real
from isocline_runtime import load
from tests.compiler.test_derivatives import Program, lowered
from tests.compiler.workbench import Workbench

RNG = np.random.default_rng(12)
SIZES = (1, 2, 3, 4, 7, LARGEST)
SAMPLES = 50


def well(n: int, samples: int = SAMPLES) -> np.ndarray:
    """Matrices with singular values from 1 to 3, whose rows and columns stand in any order."""
    turns = [np.linalg.qr(RNG.normal(size=(samples, n, n)))[0] for _ in range(2)]
    found: np.ndarray = turns[0] * RNG.uniform(1, 3, (samples, 1, n)) @ turns[1]
    return found


def deployed(node: Node, leaves: list[Node], arrays: list[np.ndarray], dtype: str = "float64") -> np.ndarray:
    """What onnxruntime computes of a node, and torch by the graph, which is compared."""
    model = to_onnx(Graph(tuple(leaves), {"y": node}), {}, dtype=dtype)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    fed = {item.attrs["name"]: array.astype(dtype) for item, array in zip(leaves, arrays, strict=True)}
    (found,) = session.run(None, fed)
    return np.asarray(found)


def called(function: str, *arrays: np.ndarray, dtype: str = "float64") -> np.ndarray:
    """A function of the language, by onnxruntime."""
    bench = Workbench()
    leaves = [bench.input(array) for array in arrays]
    return deployed(bench.build(function, *leaves), leaves, list(arrays), dtype)


# ---------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("n", SIZES)
def test_values_are_those_of_torch(n: int) -> None:
    a, b, several = well(n), RNG.normal(size=(SAMPLES, n)), RNG.normal(size=(SAMPLES, n, 3))
    theirs = torch.tensor(a)
    near = {"rtol": 1e-12, "atol": 1e-12}
    solution = torch.linalg.solve(theirs, torch.tensor(b))
    np.testing.assert_allclose(called("solve_linear", a, b), solution, **near)
    np.testing.assert_allclose(
        called("solve_linear", a, several), torch.linalg.solve(theirs, torch.tensor(several)), **near
    )
    np.testing.assert_allclose(called("inverse", a), torch.linalg.inv(theirs), **near)
    np.testing.assert_allclose(called("det", a), torch.linalg.det(theirs), **near)
    np.testing.assert_allclose(called("logdet", a), torch.linalg.slogdet(theirs).logabsdet, **near)
    np.testing.assert_allclose(called("trace", a), np.trace(a, axis1=1, axis2=2), **near)


@pytest.mark.parametrize("n", SIZES[1:])
def test_a_zero_where_the_first_pivot_would_be_is_no_obstacle(n: int) -> None:
    """Permutation matrices, scaled: every pivot but at most one stands elsewhere."""
    orders = np.stack([np.roll(RNG.permutation(n), 1) for _ in range(SAMPLES)])
    a = np.eye(n)[orders] * RNG.uniform(0.5, 2, (SAMPLES, n, 1)) * RNG.choice([-1, 1], (SAMPLES, n, 1))
    b = RNG.normal(size=(SAMPLES, n))
    np.testing.assert_allclose(called("solve_linear", a, b), np.linalg.solve(a, b[..., None])[..., 0], rtol=1e-14)
    np.testing.assert_allclose(called("det", a), torch.linalg.det(torch.tensor(a)), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", SIZES)
def test_the_units_of_an_equation_do_not_matter(n: int, dtype: str) -> None:
    """Rows times powers of 2 from 2^-30 to 2^30, an exact change of units: the solution is what it was."""
    a, b = well(n).astype("float32").astype(float), RNG.normal(size=(SAMPLES, n)).astype("float32").astype(float)
    units = 2.0 ** RNG.integers(-30, 30, (SAMPLES, n, 1))
    expected = np.linalg.solve(a, b[..., None])[..., 0]
    found = called("solve_linear", units * a, units[..., 0] * b, dtype=dtype)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("n", SIZES)
def test_single_precision_costs_what_the_condition_says(n: int) -> None:
    """The error is a few units of rounding times the condition number, of random matrices, some of them bad ones."""
    a, b = (RNG.normal(size=shape).astype("float32") for shape in ((1000, n, n), (1000, n, 1)))
    exact = np.linalg.solve(a.astype(float), b.astype(float))
    found = called("solve_linear", a, b, dtype="float32")
    error = np.linalg.norm(found - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
    assert (error / np.linalg.cond(a.astype(float))).max() < 4 * 2.0**-24


def test_a_singular_sample_has_no_solution_and_the_others_keep_theirs() -> None:
    for n in (1, 2, 3, 5):
        a, b = well(n, 3), RNG.normal(size=(3, n))
        a[1, -1] = a[1, 0] if n > 1 else 0.0
        found = called("solve_linear", a, b)
        assert not np.isfinite(found[1]).all()
        np.testing.assert_allclose(found[::2], np.linalg.solve(a[::2], b[::2, :, None])[..., 0], rtol=1e-11)
        zero = np.zeros((1, n, n))
        assert called("det", zero) == 0.0
        assert called("logdet", zero) == -np.inf


@pytest.mark.parametrize("batched", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_matrix_or_a_right_side_may_be_common_to_all_samples(n: int, batched: tuple[bool, bool]) -> None:
    """Here the graph in torch, which every other test of the language compares onnxruntime with."""
    bench = Workbench()
    a, b = (
        bench.input(x if own else x[0], own)
        for x, own in zip((well(n), RNG.normal(size=(SAMPLES, n))), batched, strict=True)
    )
    node = bench.build("solve_linear", a, b)
    left, right = (item if own else item[None] for item, own in zip((bench.of(a), bench.of(b)), batched, strict=True))
    expected = torch.linalg.solve(left, right[..., None])[..., 0]
    expected = expected if any(batched) else expected[0]
    torch.testing.assert_close(bench(node), expected, rtol=1e-12, atol=1e-12)
    leaves = [a, b]
    np.testing.assert_allclose(deployed(node, leaves, [bench.of(x).numpy() for x in leaves]), expected, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- derivatives

TERMS = {
    "solve_linear": lambda bench, a, b: REDUCE_SUM(TANH(bench.build("solve_linear", a, b)), axes=(1,)),
    "inverse": lambda bench, a, b: REDUCE_SUM(bench.build("inverse", a) * bench.build("inverse", a), axes=(1, 2)),
    "det": lambda bench, a, b: bench.build("det", a),
    "logdet": lambda bench, a, b: bench.build("logdet", a),
}
THEIRS = {
    "solve_linear": lambda a, b: torch.tanh(torch.linalg.solve(a, b)).sum(-1),
    "inverse": lambda a, b: (torch.linalg.inv(a) ** 2).sum((-1, -2)),
    "det": lambda a, b: torch.linalg.det(a),
    "logdet": lambda a, b: torch.linalg.slogdet(a).logabsdet,
}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("name", TERMS)
def test_first_and_second_derivatives_are_those_of_autograd(name: str, n: int) -> None:
    """Backwards, forwards, and backwards of backwards, in onnxruntime; some matrices need other pivots."""
    bench = Workbench()
    samples = [well(n, 5), RNG.normal(size=(5, n)), RNG.normal(size=(5, n, n))]
    a, b, direction = leaves = [bench.input(array) for array in samples]
    y = TERMS[name](bench, a, b)
    (first,) = gradient(y, [a])
    (forward,) = jvp([y], [a], [direction])
    (second,) = gradient(REDUCE_SUM(first * direction, axes=(1, 2)), [a])
    x, right, towards = map(torch.tensor, samples)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(THEIRS[name](x, right).sum(), x, create_graph=True)
    product = (slope * towards).sum((-1, -2))
    curved = torch.autograd.grad(product.sum(), x)[0] if product.requires_grad else torch.zeros_like(x)
    for ours, theirs in ((first, slope), (forward, product), (second, curved)):
        np.testing.assert_allclose(deployed(ours, leaves, samples), theirs.detach(), rtol=1e-10, atol=1e-10)


def test_the_derivative_by_the_right_side_is_that_of_autograd() -> None:
    bench = Workbench()
    samples = [well(3), RNG.normal(size=(SAMPLES, 3, 2))]
    a, b = (bench.input(array) for array in samples)
    (found,) = gradient(REDUCE_SUM(TANH(eliminated(a, b)), axes=(1, 2)), [b])
    x = torch.tensor(samples[1], requires_grad=True)
    torch.tanh(torch.linalg.solve(torch.tensor(samples[0]), x)).sum().backward()
    np.testing.assert_allclose(deployed(found, [a, b], samples), x.grad, rtol=1e-11)


def test_the_slope_of_a_small_determinant_is_the_cofactors_at_singular_matrices_too() -> None:
    a = np.array([[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]], np.zeros((3, 3)).tolist()])
    bench = Workbench()
    node = bench.input(a)
    (found,) = gradient(bench.build("det", node), [node])
    (first, second, third) = a[0]
    cofactors = np.stack([np.cross(second, third), np.cross(third, first), np.cross(first, second)])
    np.testing.assert_allclose(deployed(found, [node], [a]), np.stack([cofactors, np.zeros((3, 3))]), atol=1e-15)


def test_training_may_take_half_precision() -> None:
    a, b = leaf(INPUT, "a", real("batch", 2, 2)), leaf(INPUT, "b", real("batch", 2, 1))
    values = [torch.eye(2, dtype=torch.bfloat16)[None] * 2, torch.ones(1, 2, 1, dtype=torch.bfloat16)]
    (found,) = evaluate([eliminated(a, b)], dict(zip((a, b), values, strict=True)))
    assert found.dtype == torch.bfloat16
    assert found.flatten().tolist() == [0.5, 0.5]


# ---------------------------------------------------------------------------------------------------- mechanics

DOUBLE_PENDULUM = """dyn 1
model double_pendulum
input start: real[2] in (-1, 1)
const g = 9.81
field swing(t, q: real[2]) {
  mass  = [[2, cos(q[0] - q[1])], [cos(q[0] - q[1]), 1]]
  turn  = sin(q[0] - q[1])
  force = [-turn*q'[1]^2 - 2*g*sin(q[0]), turn*q'[0]^2 - g*sin(q[1])]
  q''   = solve_linear(mass, force)
}
path = solve swing from q = start, q' = [0, 0] at 0..1 step 0.5
output angles = path.q
output moved = jacobian(path.q, start)
deploy { solver rk4(steps=60); unroll 1; dtype float64 }
"""


def explicit(_: float, state: np.ndarray) -> np.ndarray:
    """The double pendulum of equal rods and bobs with its mass matrix inverted by hand, as textbooks print it."""
    a, b, u, v = state
    d, g = a - b, 9.81
    below = 3 - np.cos(2 * d)
    first = (-3 * g * np.sin(a) - g * np.sin(a - 2 * b) - 2 * np.sin(d) * (v**2 + u**2 * np.cos(d))) / below
    second = 2 * np.sin(d) * (2 * u**2 + 2 * g * np.cos(a) + v**2 * np.cos(d)) / below
    return np.array([u, v, first, second])


def test_a_double_pendulum_swings_as_its_explicit_equations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled as a loop, with its sensitivities; the reference is DOP853 on other equations."""
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    (tmp_path / "m.dyn").write_text(DOUBLE_PENDULUM)
    compiled = driver.compile(tmp_path / "m.dyn", out=tmp_path / "out")
    start, h = np.array([0.9, -0.5]), 1e-6

    def exact(angles: np.ndarray) -> np.ndarray:
        found = solve_ivp(explicit, (0, 1), [*angles, 0, 0], "DOP853", [0, 0.5, 1], rtol=1e-12, atol=1e-12)
        return np.asarray(found.y[:2].T)

    found = load(compiled.folder).run(start=start[None])
    np.testing.assert_allclose(found["angles"][0], exact(start), atol=2e-5)
    moved = np.stack([(exact(start + h * e) - exact(start - h * e)) / (2 * h) for e in np.eye(2)], axis=-1)
    np.testing.assert_allclose(found["moved"][0], moved, atol=2e-4)


LAGRANGIAN = """
net learned(q: real[2], v: real[2]) -> real = concat(q, v) |> dense(8) |> tanh |> dense(1)
field motion(t, q: real[2]) {
  L   = sum(q'^2)/2 + learned(q, q')
  q'' = solve_linear(hessian(L, q'), grad(L, q) - jvp(grad(L, q'), q, q'))
}
path = solve motion from q = x[:2], q' = x[1:] over 0..0.3 with rk4(steps=2)
output y = concat(path.q, path.q')
output slope = grad(sum(path.q^2), x)
"""


def test_a_lagrangian_network_moves_as_torch_says() -> None:
    """Cranmer et al. (2020): q'' = (d2L/dv2)^-1 (dL/dq - (d2L/dv dq) v), the derivatives of a net, by torch.func."""
    program = Program(lowered(LAGRANGIAN), steps=2)
    weights = program.bound

    def lagrangian(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        layers = sorted({name.rsplit(".", 1)[0] for name in weights})
        first, second = ([weights[f"{layer}.{part}"] for part in ("weight", "bias")] for layer in layers)
        hidden = torch.tanh(torch.cat([q, v]) @ first[0] + first[1])
        return (v**2).sum() / 2 + (hidden @ second[0] + second[1])[0]

    def slope(state: torch.Tensor) -> torch.Tensor:
        q, v = state[:2], state[2:]
        mass = torch.func.hessian(lagrangian, 1)(q, v)
        mixed = torch.func.jacrev(torch.func.grad(lagrangian, 1), 0)(q, v)
        return torch.cat([v, torch.linalg.solve(mass, torch.func.grad(lagrangian)(q, v) - mixed @ v)])

    def flow(x: torch.Tensor) -> torch.Tensor:
        state, h = torch.cat([x[:2], x[1:]]), 0.15
        for _ in range(2):
            k1 = slope(state)
            k2 = slope(state + h / 2 * k1)
            k3 = slope(state + h / 2 * k2)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(state + h * k3))
        return state

    expected = torch.stack([flow(x) for x in program.x])
    torch.testing.assert_close(program("y"), expected, rtol=1e-11, atol=1e-11)
    slopes = torch.stack([torch.func.grad(lambda x: (flow(x)[:2] ** 2).sum())(x) for x in program.x])
    torch.testing.assert_close(program("slope"), slopes, rtol=1e-9, atol=1e-10)

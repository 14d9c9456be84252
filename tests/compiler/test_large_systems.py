"""Implicit schemes for states of more than a few numbers: vectors, Jacobians in blocks, and their elimination."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import INPUT, Array, Graph, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.ops.inverse import INVERSE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.block_systems import BlockSystem
from isocline_compiler.solvers.schemes.blocks import BlockTridiagonal
from isocline_compiler.solvers.schemes.grouped_systems import GroupedSystems
from isocline_compiler.solvers.schemes.linear_systems import systems_of
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl import Source, parse
from tests import structured_steppers as structured

RNG = np.random.default_rng(11)
A = np.round(RNG.standard_normal((26, 26)) / 4 - 2 * np.eye(26), 3)
MATRIX = f"const A: real[26, 26] = [{', '.join(str(row.tolist()) for row in A)}]\n"
LINE = """
field f(t, u: real[15], v: real[15]) {
  u' = sin(t) + u^2*v - 4*u + 12*(concat([1], u[:14]) - 2*u + concat(u[1:], [1]))
  v' = 3*u - u^2*v + 12*(concat([3], v[:14]) - 2*v + concat(v[1:], [3]))
}
path = solve f from u = x[:15], v = x[15:] over 0..1
output y = concat(path.u, path.v)
"""
ONE = "path = solve f from u = x over 0..1\noutput y = path\n"
FIELDS = {
    "line": (30, LINE),
    "ring": (27, "field f(t, u: real[27]) { u' = stiff(9*(concat(u[26:], u[:26]) - u)) - u^3*t }\n" + ONE),
    "alone": (25, "field f(t, u: real[25]) { u' = cos(t) - 3*u^2 }\n" + ONE),
    "rows": (
        28,
        "field f(t, u: real[14, 2]) { u' = 0.5*(concat(u[1:], u[:1]) - u) - u*sum(u, axes=1, keep=true) }\n"
        "path = solve f from u = reshape(x, 14, 2) over 0..1\noutput y = reshape(path, 28)\n",
    ),
    "dense": (26, f"{MATRIX}field f(t, u: real[26]) {{ u' = A @ tanh(u) + sin(t)*u }}\n" + ONE),
    "linear": (26, f"{MATRIX}field f(t, u: real[26]) {{ u' = stiff(A @ u) + t }}\n" + ONE),
}  # fmt: skip
FEW = ("ring", "linear")
"""Those with a part that is marked."""


def slopes(name: str, t: complex, x: Array) -> Array:
    """The fields of `FIELDS` in numpy."""
    match name:
        case "line":
            u, v = x[:15], x[15:]
            (ul, ur), (vl, vr) = (
                (np.r_[end, s[:-1]], np.r_[s[1:], end]) for s, end in ((u, 1), (v, 3))
            )  # fmt: skip
            return np.concatenate([
                np.sin(t) + u * u * v - 4 * u + 12 * (ul - 2 * u + ur), 3 * u - u * u * v + 12 * (vl - 2 * v + vr)
            ])  # fmt: skip
        case "ring":
            return marked(name, t, x) - x**3 * t
        case "alone":
            return np.cos(t) - 3 * x**2
        case "rows":
            u = x.reshape(14, 2)
            return (0.5 * (np.roll(u, -1, 0) - u) - u * u.sum(1, keepdims=True)).ravel()
        case "dense":
            return A @ np.tanh(x) + np.sin(t) * x
        case _:
            return marked(name, t, x) + t


def marked(name: str, t: complex, x: Array) -> Array:
    return 9 * (np.roll(x, 1) - x) if name == "ring" else A @ x


@cache
def model(name: str) -> Model:
    size, text = FIELDS[name]
    source = Source(f"dyn 1\nmodel m\ninput x: real[{size}] in (0.2, 1)\n{text}", "m.dyn")
    return lower(parse(source), source)


def starts(name: str) -> Array:
    return np.random.default_rng(2).uniform(0.2, 1.0, (3, FIELDS[name][0]))


def emitted(name: str, scheme: str, steps: int, segment: int | None) -> Graph:
    graph = model(name).graph
    (solve,) = solves_of(graph)
    choice = replace(discretisation(solve, scheme, steps), segment=segment)
    return unroll(graph, {solve.spec.choice: choice}).graph


def by_torch(graph: Graph, x: Array) -> Array:
    with torch.no_grad():
        return TorchProgram(graph)({"x": torch.tensor(x)})["y"].numpy()


def by_onnxruntime(graph: Graph, given: dict[str, Array], dtype: str = "float64") -> dict[str, Array]:
    content = to_onnx(graph, {}, dtype=dtype).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {key: value.astype(dtype) for key, value in given.items()})
    return dict(zip(graph.outputs, found, strict=True))


def by_numpy(name: str, scheme: str, steps: int, x: Array) -> Array:
    """The steps of `tests/structured_steppers.py`, whose Jacobians are complex steps and whose solver is LAPACK's."""
    times, of = np.linspace(0, 1, steps + 1), SCHEMES[scheme]

    def f(t: complex, y: Array) -> Array:
        return slopes(name, t, y)

    def stiff(t: complex, y: Array) -> Array:
        return marked(name, t, y)

    if scheme == "ars222":
        return structured.implicit_explicit(
            scheme, of.iterations, lambda t, y: f(t, y) - stiff(t, y), stiff, x, times
        )[-1]  # fmt: skip
    if scheme.startswith("ro"):
        return structured.rosenbrock(*of._matrices, of._weights, f, x, times)[-1]
    table = of.tableau
    return structured.implicit_runge_kutta(table.matrix, table.weights, table.nodes, of.iterations, f, x, times)[-1]


def system(name: str) -> BlockSystem:
    (solve,) = solves_of(model(name).graph)
    known = systems_of(solve)
    assert isinstance(known, GroupedSystems)
    (group,) = known.groups
    return group.system


CASES = [
    (name, scheme)
    for name in FIELDS
    for scheme in ("rodas4", "radau5", "sdirk2", "ars222")
    if scheme != "ars222" or name in FEW
]


@pytest.mark.parametrize("segment", [None, 1])
@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_emitted_steps_are_those_of_the_paper(name: str, scheme: str, segment: int | None) -> None:
    x = starts(name)
    found = by_torch(emitted(name, scheme, 3, segment), x)
    expected = np.array([by_numpy(name, scheme, 3, row) for row in x])
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", FIELDS)
def test_the_sparsity_holds_every_entry_of_the_jacobian(name: str) -> None:
    """And, of these fields, none but those that are not zero somewhere; colours share no row."""
    known = system(name)
    there = known.sparsity.entries
    exact = np.zeros(there.shape, bool)
    for x in starts(name):
        exact |= structured.jacobian(lambda t, y: slopes(name, t, y), 0.7, x) != 0
    np.testing.assert_array_equal(there, exact)
    for colour in set(known.sparsity.colours.tolist()):
        assert there[:, known.sparsity.colours == colour].sum(1).max() <= 1


def test_a_line_is_solved_in_blocks_of_its_species() -> None:
    known = system("line")
    assert (known.size, known.blocks) == (2, 15)
    assert known.sparsity.colours.max() + 1 <= 6


@pytest.mark.parametrize("scheme", ["rodas4", "radau5", "trbdf2"])
@pytest.mark.parametrize("name", ["line", "dense"])
def test_many_steps_reach_the_solution_of_scipy(name: str, scheme: str) -> None:
    """As ONNX in loops, against scipy's Radau of tolerance 1e-10."""
    x = starts(name)
    found = by_onnxruntime(optimise(emitted(name, scheme, 400, 1)), {"x": x})["y"]
    for start, y in zip(x, found, strict=True):
        exact = solve_ivp(lambda t, s: slopes(name, t, s), (0, 1), start, "Radau", rtol=1e-10, atol=1e-12).y[:, -1]
        np.testing.assert_allclose(y, exact, rtol=1e-4 if scheme == "trbdf2" else 1e-8)


@pytest.mark.parametrize("segment", [None, 1])
@pytest.mark.parametrize("scheme", ["rodas4", "radau5", "implicit_euler"])
@pytest.mark.parametrize("name", ["line", "dense"])
def test_gradients_go_back_through_the_systems(name: str, scheme: str, segment: int | None) -> None:
    """Of a sum of squares, our reverse mode as ONNX, against torch's through the same steps laid out."""
    graph = emitted(name, scheme, 2, segment)
    y, (x,) = graph.outputs["y"], graph.inputs
    (back,) = gradient(REDUCE_SUM(y * y, axes=(1,), keepdims=False), [x])
    found = by_onnxruntime(optimise(Graph(graph.inputs, {"g": back})), {"x": starts(name)})["g"]
    start = torch.tensor(starts(name), requires_grad=True)
    end = TorchProgram(emitted(name, scheme, 2, None))({"x": start})["y"]
    (expected,) = torch.autograd.grad((end**2).sum(), start)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("asked", ["jvp(y, x, cos(x))", "jvp(jvp(y, x, cos(x)), x, sin(x))"])
@pytest.mark.parametrize("scheme", ["rodas4", "radau5", "implicit_euler"])
@pytest.mark.parametrize("name", ["line", "dense"])
def test_tangents_share_the_factors_of_what_they_vary(name: str, scheme: str, asked: str) -> None:
    """First and second derivatives along directions, as states of the same solve; torch's through the steps alone."""
    size, text = FIELDS[name]
    source = Source(f"dyn 1\nmodel m\ninput x: real[{size}] in (0.2, 1)\n{text}output d = {asked}\n", "m.dyn")
    graph = lower(parse(source), source).graph
    solve = max(solves_of(graph), key=lambda item: len(item.initial))
    known = systems_of(solve)
    assert isinstance(known, GroupedSystems)
    assert len(known.groups) >= 2
    assert {group.base for group in known.groups} == {min(group.base for group in known.groups)}
    choice = discretisation(solve, scheme, 2)
    found = by_onnxruntime(optimise(unroll(graph, {solve.spec.choice: choice}).graph), {"x": starts(name)})["d"]
    program = TorchProgram(emitted(name, scheme, 2, None))

    def end(x: torch.Tensor) -> torch.Tensor:
        return program({"x": x})["y"]

    def along(x: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(end, (x,), (x.cos(),))[1]

    x = torch.tensor(starts(name))
    exact = along(x) if asked.count("jvp") == 1 else torch.func.jvp(along, (x,), (x.sin(),))[1]
    np.testing.assert_allclose(found, exact.numpy(), rtol=1e-9, atol=1e-10)


def test_a_matrix_that_reads_no_state_is_inverted_when_compiling() -> None:
    """Of linear equations no elimination is left in the deployed graph."""
    operators = [node.op for node in optimise(emitted("linear", "rodas4", 2, None)).nodes()]
    assert INVERSE not in operators
    assert INVERSE in [node.op for node in optimise(emitted("dense", "rodas4", 2, None)).nodes()]


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 17, 40, 65])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_inverse_is_that_of_lapack(rows: int, dtype: str) -> None:
    a = leaf(INPUT, "a", TensorType("real", ("batch", rows, rows)))
    given = np.random.default_rng(rows).standard_normal((4, rows, rows)) + (2 + rows**0.5) * np.eye(rows)
    found = by_onnxruntime(Graph((a,), {"y": INVERSE(a)}), {"a": given}, dtype)["y"]
    np.testing.assert_allclose(found, np.linalg.inv(given), rtol=0, atol=1e-13 if dtype == "float64" else 2e-6)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 7, 8, 13])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_cyclic_reduction_solves_block_tridiagonal_systems(blocks: int, size: int) -> None:
    """Against a dense solve by LAPACK of the matrix put together."""
    rng = np.random.default_rng(blocks)
    d, low, up = rng.standard_normal((3, 2, blocks, size, size))
    d += 6 * np.eye(size)
    r = rng.standard_normal((2, blocks, size))
    low[:, 0], up[:, -1] = 0, 0
    whole = np.zeros((2, blocks * size, blocks * size))
    for i in range(blocks):
        for j, part in ((i - 1, low), (i, d), (i + 1, up)):
            if 0 <= j < blocks:
                whole[:, i * size : (i + 1) * size, j * size : (j + 1) * size] = part[:, i]
    matrix = TensorType("real", ("batch", blocks, size, size))
    nodes = [leaf(INPUT, name, matrix) for name in ("d", "low", "up")]
    right = leaf(INPUT, "r", TensorType("real", ("batch", blocks, size)))
    graph = Graph((*nodes, right), {"x": BlockTridiagonal(*nodes).factors.solve(right)})
    given = {name: x.swapaxes(2, 3) for name, x in (("d", d), ("low", low), ("up", up))}
    found = by_onnxruntime(graph, {**given, "r": r})["x"]
    expected = np.linalg.solve(whole, r.reshape(2, -1, 1)).reshape(r.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- as published

CELLS = 64
PLACES = np.arange(1, CELLS + 1) / (CELLS + 1)
RATE = (CELLS + 1) ** 2 / 50
BRUSSELATOR = f"""
const place: real[{CELLS}] = {PLACES.tolist()}
field f(t, u: real[{CELLS}], v: real[{CELLS}]) {{
  u' = feed + u^2*v - 4*u + {RATE}*(concat([1], u[:{CELLS - 1}]) - 2*u + concat(u[1:], [1]))
  v' = 3*u - u^2*v + {RATE}*(concat([3], v[:{CELLS - 1}]) - 2*v + concat(v[1:], [3]))
}}
path = solve f from u = 1 + sin(2*pi*place), v = 3 + 0*place over 0..10
output y = concat(path.u, path.v)
"""
"""Hairer, Wanner (1996), IV.10, (10.14)."""
TURN = np.linalg.qr(np.random.default_rng(4).standard_normal((40, 40)))[0]
STIFF = TURN @ np.diag(-np.logspace(0, 4, 40)) @ TURN.T
FORTY = f"""
const A: real[40, 40] = {STIFF.tolist()}
field f(t, u: real[40]) {{ u' = A @ u + cos(t) }}
path = solve f from u = feed + 0*A[0] over 0..1
output y = path
"""
PUBLISHED = {"brusselator": (BRUSSELATOR, 10.0), "forty": (FORTY, 1.0)}
FEEDS = np.array([0.95, 1.0, 1.07])


def published_slopes(name: str, feed: float, t: float, x: Array) -> Array:
    if name == "forty":
        return STIFF @ x + np.cos(t)
    u, v = x[:CELLS], x[CELLS:]
    (ul, ur), (vl, vr) = ((np.r_[end, s[:-1]], np.r_[s[1:], end]) for s, end in ((u, 1), (v, 3)))
    return np.r_[feed + u * u * v - 4 * u + RATE * (ul - 2 * u + ur), 3 * u - u * u * v + RATE * (vl - 2 * v + vr)]


@cache
def published(name: str) -> Array:
    """By scipy's Radau of tolerance 1e-10."""
    end = PUBLISHED[name][1]
    found = []
    for feed in FEEDS:
        start = np.r_[1 + np.sin(2 * np.pi * PLACES), np.full(CELLS, 3.0)] if name == "brusselator" else [feed] * 40
        of = solve_ivp(lambda t, x, p=feed: published_slopes(name, p, t, x), (0, end), start, "Radau",
                       rtol=1e-10, atol=1e-12)  # fmt: skip
        found.append(of.y[:, -1])
    return np.array(found)


def deployed(name: str, scheme: str, steps: int, segment: int | None, dtype: str = "float64") -> Array:
    source = Source(f"dyn 1\nmodel m\ninput feed: real in (0.9, 1.1)\n{PUBLISHED[name][0]}", "m.dyn")
    graph = lower(parse(source), source).graph
    (solve,) = solves_of(graph)
    choice = replace(discretisation(solve, scheme, steps), segment=segment)
    return by_onnxruntime(optimise(unroll(graph, {solve.spec.choice: choice}).graph), {"feed": FEEDS}, dtype)["y"]


CLOSE = {
    ("brusselator", "rodas4"): (160, 1e-6), ("brusselator", "radau5"): (160, 1e-6),
    ("brusselator", "sdirk2"): (160, 1e-3), ("brusselator", "implicit_euler"): (160, 1e-1),
    ("forty", "rodas4"): (20, 1e-6), ("forty", "radau5"): (20, 1e-6),
    ("forty", "sdirk2"): (40, 1e-3), ("forty", "implicit_euler"): (40, 1e-1),
}  # fmt: skip
"""Steps, and the largest relative error."""


@pytest.mark.parametrize(("name", "scheme"), CLOSE)
def test_published_problems_are_solved_in_loops(name: str, scheme: str) -> None:
    steps, bound = CLOSE[name, scheme]
    exact = published(name)
    assert np.abs(deployed(name, scheme, steps, 1) - exact).max() <= bound * np.abs(exact).max()


@pytest.mark.parametrize("scheme", ["rodas4", "radau5"])
def test_single_precision_is_enough_for_a_line(scheme: str) -> None:
    exact = published("brusselator")
    assert np.abs(deployed("brusselator", scheme, 160, 1, "float32") - exact).max() <= 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("scheme", ["rodas4", "radau5", "sdirk2", "implicit_euler"])
def test_dense_equations_laid_out_are_those_of_the_loop(scheme: str) -> None:
    np.testing.assert_allclose(deployed("forty", scheme, 5, None), deployed("forty", scheme, 5, 1), rtol=1e-9)


def main() -> None:
    """Errors by the number of steps: `python -m tests.compiler.test_large_systems`."""
    for name in PUBLISHED:
        exact = published(name)
        for scheme in ("rodas4", "radau5", "sdirk2", "implicit_euler"):
            for steps in (20, 40, 80, 160, 320):
                error = np.abs(deployed(name, scheme, steps, 1) - exact).max() / np.abs(exact).max()
                print(f"{name} {scheme} {steps}: {error:.1e}", flush=True)


if __name__ == "__main__":
    main()

"""Schemes for equations with noise: their orders, and what is particular to each."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.stochastic.paths import coarsened, nodes
from isocline_compiler.derivatives.reverse_forward import jvp
from isocline_compiler.graph import INPUT, Graph, constant, leaf
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.lower.check import model
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError
from tests.noisy_equations import FACTORS, coupled, drift
from tests.stochastic_orders import CASES, STOCHASTIC, ends, orders
from tests.stochastic_reversal import SCHEMES as ALONG
from tests.stochastic_reversal import returned

CASE = {case.problem.name: case for case in CASES}

# ---------------------------------------------------------------------------------------------------- orders

SHOWN = {
    "euler_maruyama": ("hyperbolic", "curved", "twisted"),
    "tamed_euler": ("hyperbolic", "curved"),
    "implicit_euler_maruyama": ("hyperbolic", "curved"),
    "milstein": ("hyperbolic", "commuting_stratonovich"),
    "milstein_free": ("hyperbolic", "commuting"),
    "srk": ("hyperbolic", "separate", "curved"),
    "sra1": ("curved",),
    "sra2": ("curved",),
    "sra3": ("curved",),
    "shark": ("curved",),
    "euler_heun": ("hyperbolic_stratonovich", "twisted_stratonovich"),
    "stratonovich_heun": ("hyperbolic_stratonovich", "twisted_stratonovich", "curved"),
    "stratonovich_midpoint": ("hyperbolic_stratonovich", "twisted_stratonovich", "curved"),
    "reversible_heun": ("twisted_stratonovich", "curved"),
}
"""On which equations a scheme shows the order that it says, and no better one: of each kind of noise one."""


def test_every_scheme_shows_its_order_somewhere() -> None:
    assert SHOWN.keys() == STOCHASTIC.keys()


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in SHOWN.items() for case in cases])
def test_the_strong_order_is_the_declared_one_and_no_other(name: str, case: str) -> None:
    scheme = STOCHASTIC[name]
    shown = orders(scheme, CASE[case], (8, 16, 32), paths=1000, batches=6).strong
    said = scheme.strong_order(CASE[case].kinds)
    assert shown.half < 0.2
    assert said - 0.1 < shown.value + shown.half
    assert shown.value - shown.half < said + 0.2


WEAK = (
    ("euler_maruyama", "hyperbolic"), ("milstein", "hyperbolic"), ("srk", "separate"), ("sra1", "curved"),
    ("shark", "curved"), ("stratonovich_heun", "curved"), ("stratonovich_midpoint", "curved"),
    ("reversible_heun", "commuting_stratonovich"), ("implicit_euler_maruyama", "separate"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case"), WEAK)
def test_the_weak_order_is_the_declared_one_and_no_other(name: str, case: str) -> None:
    scheme = STOCHASTIC[name]
    shown = orders(scheme, CASE[case], (4, 8, 16), paths=3000, batches=6, seed=1).weak
    said = scheme.weak_order(CASE[case].kinds)
    assert shown.half < 0.3
    assert said - 0.3 < shown.value + shown.half
    assert shown.value - shown.half < said + 0.3


@pytest.mark.parametrize(
    ("name", "case", "part"),
    [("euler_maruyama", "twisted", 1 / 2), ("stratonovich_heun", "twisted_stratonovich", 1 / 4)],
)
def test_without_the_levy_area_the_error_is_that_of_the_best_guess(name: str, case: str, part: float) -> None:
    """dx = dW_1, dy = x dW_2: the mean square error of y is h/2 of Euler and Maruyama's, h/4 of Heun's, T = 1."""
    found = orders(STOCHASTIC[name], CASE[case], (8, 16), paths=4000, batches=2, finer=32)
    for steps, error in zip((8, 16), found.strong_errors, strict=True):
        in_y = 2 * error**2  # x is exact, and both are averaged
        left = part / (16 * 32) if name == "euler_maruyama" else 0.5 / (16 * 32)  # the finest grid's own
        assert in_y == pytest.approx(part / steps, abs=left + 0.06 * part / steps)


def test_milstein_is_refused_where_noise_does_not_commute() -> None:
    text = """dyn 1
model m
input s0: real in (0.5, 1.5)
field f(t, s: real, v: real) { noise W: brownian[2]; ds = s dt + s*v dW[0]; dv = -v dt + v dW[1] + 0.1*v dW[0] }
path = solve f from s = s0, v = 1 over 0..1 with milstein(steps=8)
output y = path.s
"""
    with pytest.raises(IsoclineError, match="needs commutative noise, and that of `f` is general"):
        model(text)
    model(text.replace("s*v dW[0]; dv = -v dt + v dW[1] + 0.1*v dW[0]", "s dW[0]; dv = -v dt + v dW[1]"))


# ---------------------------------------------------------------------------------------------------- paths


def test_unequal_steps_become_one_on_the_same_path() -> None:
    """W and its integral at common nodes, beside sums over a grid that is a thousand times finer."""
    rng, noise, groups, factor, inner = np.random.default_rng(0), Noise("W", 2), 3, 4, 1000
    widths = rng.uniform(0.01, 0.2, groups * factor)
    tiny = np.repeat(widths / inner, inner)
    w = nodes(rng.standard_normal((5, 2, len(tiny), 2)), noise, tiny)
    integral = np.concatenate(
        [np.zeros_like(w[:, :, :1]), np.cumsum(tiny[:, None] * (w[:, :, 1:] + w[:, :, :-1]) / 2, axis=2)], axis=2
    )

    def standard(each: int, h: np.ndarray) -> np.ndarray:
        """xi and eta of every step that holds `each` of the tiny ones."""
        dw = np.diff(w[:, :, ::each], axis=2)
        under = np.diff(integral[:, :, ::each], axis=2) - h[:, None] * w[:, :, :-1:each]
        area = under / h[:, None] - dw / 2
        return np.concatenate([dw / np.sqrt(h)[:, None], area / np.sqrt(h / 12)[:, None]], axis=3)

    fine, wide = standard(inner, widths), widths.reshape(groups, factor).sum(axis=1)
    np.testing.assert_allclose(
        coarsened(fine, noise, factor, widths), standard(inner * factor, wide), rtol=1e-9, atol=1e-9
    )


# ---------------------------------------------------------------------------------------------------- each of them


def test_the_reversible_scheme_goes_back_on_its_own_path() -> None:
    """Its step with -h and -dW leads from (x', z') to (x, z): forty steps on, and forty back."""
    scheme, count = STOCHASTIC["reversible_heun"], 40
    solve = coupled("general", "stratonovich").solve()
    field, h = Field.of(solve), 1 / count
    x = solve.initial
    dw = [leaf(INPUT, f"w{i}", TensorType("real", (BATCH, 2))) for i in range(count)]
    memory = scheme.start(field, x)
    for i in range(count):
        step = Step(i * h, (i + 1) * h, h, (h, h), {"W": dw[i]})
        memory, x = scheme.advance(memory, field, step, x)
    there = x
    for i in reversed(range(count)):
        step = Step((i + 1) * h, i * h, -h, (-h, -h), {"W": -dw[i]})
        memory, x = scheme.advance(memory, field, step, x)
    graph = Graph(
        (*solve.initial, *dw), {"x": x[0], "y": x[1], "z": memory[0], "there": there[0], "way": there[0] - memory[0]}
    )
    rng = np.random.default_rng(6)
    bound = {item.attrs["name"]: torch.tensor(rng.standard_normal((5, 2)) * np.sqrt(h)) for item in dw}
    bound |= {"x_0": torch.full((5,), 0.5, dtype=torch.float64), "y_0": torch.full((5,), -0.5, dtype=torch.float64)}
    found = TorchProgram(graph)(bound)
    assert (found["there"] - 0.5).abs().min() > 1e-2
    for name, begun in (("x", 0.5), ("z", 0.5), ("y", -0.5)):
        np.testing.assert_allclose(found[name].numpy(), begun, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALONG)
def test_from_its_end_alone_a_path_is_walked_back_but_for_the_error_of_the_steps(name: str) -> None:
    """With -dW in the reverse order: less is left on finer steps, and something always."""
    (coarse, moved), (fine, _) = returned(name, 16), returned(name, 128)
    assert moved > 0.3
    assert 1e-6 < fine < coarse / 4


FITTING = [
    (name, kind)
    for name, kind in product(STOCHASTIC, FACTORS)
    if STOCHASTIC[name].fits(coupled(kind, STOCHASTIC[name].calculi[0]).solve()) is None
]


@pytest.mark.parametrize(("name", "kind"), [item for item in FITTING if item[1] in ("diagonal", "additive", "general")])
def test_times_that_come_with_a_sample_give_the_same_steps(name: str, kind: str) -> None:
    """Widths that are values instead of numbers, unequal ones, of each sample its own; and all of it as a file."""
    scheme = STOCHASTIC[name]
    problem = coupled(kind, scheme.calculi[0])
    solve, times = problem.solve(), leaf(INPUT, "times", TensorType("real", (BATCH, 7)))
    spec = replace(solve.spec, interval=Interval(None, everywhere=True))
    node = solve.rebuilt(spec=spec, times=times).node()
    graph = Graph((*solve.initial, times), {"x": pick(node, 0), "y": pick(node, 1)})
    graph = optimise(unroll(graph, {kind: Discretisation(scheme, 1, 2)}).graph)
    rng = np.random.default_rng(11)
    knots = np.concatenate([np.zeros((3, 1)), np.cumsum(rng.uniform(0.05, 0.25, (3, 6)), axis=1)], axis=1)
    noise = rng.standard_normal((3, 1, 6, problem.channels * scheme.normals))
    bound = {"x_0": np.full(3, 0.5), "y_0": np.full(3, -0.5), "times": knots, "W": noise}
    found = TorchProgram(graph)({key: torch.tensor(value) for key, value in bound.items()})
    for row, at in enumerate(knots):
        known = solve.rebuilt(spec=replace(solve.spec, interval=Interval(tuple(at.tolist()), everywhere=True))).node()
        alone = Graph(solve.initial, {"x": pick(known, 0), "y": pick(known, 1)})
        choice = Discretisation(scheme, Grid(tuple(at.tolist()), tuple(range(7))))
        own = {key: torch.tensor(bound[key][row : row + 1]) for key in ("x_0", "y_0", "W")}
        expected = TorchProgram(unroll(alone, {kind: choice}).graph)(own)
        for output in ("x", "y"):
            np.testing.assert_allclose(found[output][row].numpy(), expected[output][0].numpy(), rtol=1e-12, atol=1e-13)
    file = to_onnx(graph, {}, dtype="float64").SerializeToString()
    answered = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(["x", "y"], bound)
    for output, array in zip(("x", "y"), answered, strict=True):
        np.testing.assert_allclose(array, found[output].numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("name", "kind"), FITTING)
def test_a_varied_solve_has_the_derivative_of_the_steps(name: str, kind: str) -> None:
    """Discretising and differentiating commute, with every kind of noise: beside differences of the walked ends."""
    scheme = STOCHASTIC[name]
    problem = coupled(kind, scheme.calculi[0])
    solve = problem.solve()
    outputs = [pick(solve.node(), i) for i in range(2)]
    directions = [broadcast_like(constant(v), x) for v, x in zip((1.0, 0.7), solve.initial, strict=True)]
    along = jvp(outputs, solve.initial, directions)
    graph = Graph(solve.initial, dict(zip(("x", "y", "u", "v"), (*outputs, *along), strict=True)))
    choice = Discretisation(scheme, Grid(tuple(i / 8 for i in range(9)), (8,)), 1)
    if name == "tamed_euler":
        with pytest.raises(IsoclineError, match="not a step of the varied equations"):
            unroll(graph, {kind: choice})
        return
    program = TorchProgram(unroll(graph, {kind: choice}).graph)
    noise = torch.tensor(np.random.default_rng(7).standard_normal((4, 1, 8, problem.channels * scheme.normals)))

    def walked(shift: float) -> dict[str, torch.Tensor]:
        starts = {"x_0": 0.8 + shift, "y_0": -0.4 + 0.7 * shift}
        return program({"W": noise, **{k: torch.full((4,), v, dtype=torch.float64) for k, v in starts.items()}})

    after, before, here = walked(1e-5), walked(-1e-5), walked(0.0)
    for own, tangent in (("x", "u"), ("y", "v")):
        difference = (after[own] - before[own]) / 2e-5
        np.testing.assert_allclose(here[tangent].numpy(), difference.numpy(), rtol=1e-7, atol=1e-8)


CUBIC = OrderProblem(
    "cubic", ("x",), lambda t, x: [x[0] - x[0] * x[0] * x[0]], lambda t, w: [np.full(1, 8.0)], 4.0,
    diffusion=lambda t, x: [[0.5 * x[0]]],
)  # fmt: skip
"""dx = (x - x^3) dt + x dW / 2, x(0) = 8: the stochastic Ginzburg-Landau equation."""


def test_a_tamed_drift_keeps_paths_where_they_are_and_another_loses_them() -> None:
    """E x^2 settles at 1 - 1/8: in the stationary law x^2 is gamma distributed with that mean. From 8, with h = 1/5."""
    normals = np.random.default_rng(8).standard_normal((4000, 20, 1))
    with np.errstate(all="ignore"):
        lost = ends(STOCHASTIC["euler_maruyama"], CUBIC, 20, normals)
    kept = ends(STOCHASTIC["tamed_euler"], CUBIC, 20, normals)
    assert not np.isfinite(lost).all()
    assert np.isfinite(kept).all()
    normals = np.random.default_rng(8).standard_normal((4000, 400, 1))
    assert np.mean(ends(STOCHASTIC["tamed_euler"], CUBIC, 400, normals) ** 2) == pytest.approx(0.875, rel=0.05)


def test_an_implicit_step_solves_its_equations() -> None:
    """One step of two coupled equations, iterated to the end, beside scipy."""
    from scipy.optimize import root

    problem, h = coupled("diagonal", "ito"), 1.0
    scheme = STOCHASTIC["implicit_euler_maruyama"].with_options({"iterations": 12})
    normals = 0.3 * np.random.default_rng(9).standard_normal((5, 1, 2))
    found = ends(scheme, problem, 1, normals).T
    for row, xi in zip(found, normals[:, 0], strict=True):
        start = np.array([0.5, -0.5])
        noise = np.array([0.4 * np.sqrt(1 + 0.25), 0.5 * np.sin(-0.5)]) * xi

        def left(x, known=start + noise):
            return x - known - h * np.array(drift(1.0, x[0], x[1], np.sin, np.cos))

        np.testing.assert_allclose(row, root(left, row, tol=1e-13).x, rtol=1e-9)


def test_an_implicit_step_of_a_stiff_linear_drift_is_exact_after_one_iteration() -> None:
    """dx = -1000 x dt + dW with h = 1/10: x' = (x + dW) / (1 + 100)."""
    stiff = OrderProblem(
        "stiff", ("x",), lambda t, x: [-1000.0 * x[0]], lambda t, w: [np.ones(1)], 1.0,
        diffusion=lambda t, x: [[1.0 + 0.0 * t]],
    )  # fmt: skip
    normals = np.random.default_rng(10).standard_normal((6, 10, 1))
    found = ends(STOCHASTIC["implicit_euler_maruyama"].with_options({"iterations": 1}), stiff, 10, normals)
    x = np.ones(6)
    for i in range(10):
        x = (x + np.sqrt(0.1) * normals[:, i, 0]) / 101
    np.testing.assert_allclose(found[0], x, rtol=1e-12)


def test_iterations_are_an_option_of_the_call_and_arrays_are_refused() -> None:
    text = """dyn 1
model m
input s0: real in (0.5, 1.5)
field f(t, s: real) { noise W: brownian; ds = -s^3 dt + 0.1*s dW }
path = solve f from s = s0 over 0..1 with implicit_euler_maruyama(steps=4, iterations=7)
output y = path.s
"""
    from isocline_compiler.certify.evaluation import scheme_steps
    from isocline_compiler.solvers.unroll.forms import solves_of

    (solve,) = solves_of(model(text).graph)
    assert solve.spec.scheme is not None
    assert scheme_steps(solve, solve.spec.scheme).scheme.iterations == 7
    with pytest.raises(IsoclineError, match="states that are numbers, and one of these is an array"):
        model(text.replace("s: real)", "s: real[2])").replace("s = s0", "s = [s0, 1]").replace("0.1*s dW", "s dW"))

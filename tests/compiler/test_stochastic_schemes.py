"""Schemes for equations with noise: their orders, and the same steps as torchsde's and diffrax's."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.stochastic.paths import coarsened, nodes
from isocline_compiler.derivatives.reverse_forward import jvp
from isocline_compiler.graph import INPUT, Graph, constant, leaf
from isocline_compiler.graph.solve import Interval, Noise, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.lower.check import model
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.elementwise import COS, SIN, SQRT
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.rossler import SRI, StochasticTableau
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.schemes.stochastic_problems import HYPERBOLIC
from isocline_compiler.solvers.schemes.stochastic_tableaus import SRK, STOCHASTIC_TABLEAUS
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl.diagnostics import IsoclineError
from tests.stochastic_orders import CASES, STOCHASTIC, ends, orders

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


# ---------------------------------------------------------------------------------------------------- torchsde

STEPS, PATHS = 12, 6


def _factor(t, x, root):
    return 0.4 * (1.0 + 0.2 * t) * root(1.0 + x * x)


def _drift(t, x, y, sin, cos):
    return sin(y) - x + 0.3 * t, cos(x) * y - y * y * y


FACTORS = {
    "diagonal": lambda t, x, y, sin, root: [[_factor(t, x, root), None], [None, 0.5 * sin(y)]],
    "scalar": lambda t, x, y, sin, root: [[_factor(t, y, root), 0.5 * x * sin(y)]],
    "potential": lambda t, x, y, sin, root: [[0.6 * x * y, 0.3 * x * x]],
    "additive": lambda t, x, y, sin, root: [[0.4 + 0.2 * t, 0.1 + 0.0 * t], [0.3 + 0.0 * t, 0.7 * t + 0.1]],
    "general": lambda t, x, y, sin, root: [[_factor(t, y, root), 0.2 * x], [0.5 * y, 0.5 * sin(x)]],
    "steady": lambda t, x, y, sin, root: [[0.4, 0.1], [0.3, 0.7]],
    "steady general": lambda t, x, y, sin, root: [[0.4 * root(1.0 + y * y), 0.2 * x], [0.5 * y, 0.5 * sin(x)]],
}
TYPES = {"potential": "scalar", "steady": "additive", "steady general": "general"}
"""How torchsde calls the noise, where it is not by the name above."""


def coupled(kind: str, calculus: str) -> OrderProblem:
    """x and y, coupled and nonlinear, from 1/2 and -1/2; there is no solution to compare with."""
    return OrderProblem(
        kind, ("x", "y"), lambda t, x: _drift(t, *x, SIN, COS), lambda t, w: [np.full(1, 0.5), np.full(1, -0.5)], 1.0,
        diffusion=lambda t, x: [
            [constant(item) if isinstance(item, float) else item for item in column]
            for column in FACTORS[kind](t, *x, SIN, SQRT)
        ],
        channels=1 if kind in ("scalar", "potential") else 2,
        calculus=calculus,
    )  # fmt: skip


def _like(y: torch.Tensor, value) -> torch.Tensor:
    return torch.zeros_like(y) if value is None else torch.as_tensor(value, dtype=y.dtype).expand_as(y)


class Theirs(torch.nn.Module):
    """The same equation as torchsde reads it."""

    def __init__(self, kind: str, calculus: str) -> None:
        super().__init__()
        self.kind, self.sde_type = kind, calculus
        self.noise_type = TYPES.get(kind, kind)

    def f(self, t, x):
        return torch.stack(_drift(t, x[:, 0], x[:, 1], torch.sin, torch.cos), dim=1)

    def g(self, t, x):
        columns = FACTORS[self.kind](t, x[:, 0], x[:, 1], torch.sin, torch.sqrt)
        whole = torch.stack([torch.stack([_like(x[:, 0], g) for g in column], dim=1) for column in columns], dim=2)
        return torch.diagonal(whole, dim1=1, dim2=2) if self.noise_type == "diagonal" else whole


def given_path(normals: np.ndarray, h: float):
    """A Brownian motion of torchsde's that answers with these numbers."""
    import torchsde

    m = normals.shape[2] // 2
    dw, area = (torch.tensor(x) for x in (np.sqrt(h) * normals[..., :m], np.sqrt(h / 12) * normals[..., m:]))

    class Given(torchsde.BaseBrownian):
        dtype, device, shape = dw.dtype, dw.device, (len(normals), m)
        levy_area_approximation = "space-time"

        def __repr__(self) -> str:
            return "given"

        def __call__(self, ta, tb=None, return_U=False, return_A=False):
            i = round(float(ta) / h)
            return (dw[:, i], h * (dw[:, i] / 2 + area[:, i])) if return_U else dw[:, i]

    return Given()


THEIRS = [
    *(("euler_maruyama", "euler", kind, "ito", {}) for kind in FACTORS),
    # of scalar noise with several states torchsde 0.2.6 takes the transpose of dg/dx: symmetric where g is a gradient
    *(("milstein", "milstein", kind, "ito", {}) for kind in ("diagonal", "potential", "additive")),
    *(("milstein", "milstein", kind, "stratonovich", {}) for kind in ("diagonal", "potential", "additive")),
    *(("milstein_free", "milstein", kind, "ito", {"grad_free": True}) for kind in ("diagonal", "scalar")),
    *(("srk", "srk", kind, "ito", {}) for kind in ("diagonal", "scalar")),
    ("sra1", "srk", "additive", "ito", {}),
    *(
        (ours, theirs, kind, "stratonovich", {})
        for (ours, theirs), kind in product(
            (("euler_heun", "euler_heun"), ("stratonovich_heun", "heun"), ("stratonovich_midpoint", "midpoint"),
             ("reversible_heun", "reversible_heun")),
            FACTORS,
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "kind", "calculus", "options"), THEIRS)
def test_a_step_is_that_of_torchsde(ours: str, theirs: str, kind: str, calculus: str, options: dict) -> None:
    torchsde = pytest.importorskip("torchsde")
    problem, scheme = coupled(kind, calculus), STOCHASTIC[ours]
    normals = np.random.default_rng(4).standard_normal((PATHS, STEPS, 2 * problem.channels))
    found = ends(scheme, problem, STEPS, normals[..., : problem.channels * scheme.normals])
    start = torch.tensor([[0.5, -0.5]], dtype=torch.float64).expand(PATHS, 2)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    path = given_path(normals, 1 / STEPS)
    expected = torchsde.sdeint(
        Theirs(kind, calculus), start, times, bm=path, method=theirs, dt=1 / STEPS, options=options
    )
    np.testing.assert_allclose(found.T, expected[-1].detach().numpy(), rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- diffrax

DIFFRAX = [
    ("shark", "ShARK", "additive", "stratonovich"),
    ("sra1", "SRA1", "steady", "stratonovich"),  # its stages have g(t) where Rossler has g(t + c1 h)
    ("euler_heun", "EulerHeun", "steady general", "stratonovich"),  # both of its g are at t
    ("stratonovich_heun", "Heun", "general", "stratonovich"),
    ("stratonovich_midpoint", "Midpoint", "general", "stratonovich"),
    ("reversible_heun", "ReversibleHeun", "general", "stratonovich"),
    ("euler_maruyama", "Euler", "general", "ito"),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "kind", "calculus"), DIFFRAX)
def test_a_step_is_that_of_diffrax(ours: str, theirs: str, kind: str, calculus: str) -> None:
    """Where diffrax is installed: it is no dependency."""
    diffrax, jax = pytest.importorskip("diffrax"), pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, h = jax.numpy, 1 / STEPS
    problem, scheme = coupled(kind, calculus), STOCHASTIC[ours]
    normals = np.random.default_rng(5).standard_normal((1, STEPS, 2 * problem.channels))
    dw, area = jnp.asarray(np.sqrt(h) * normals[0, :, :2]), jnp.asarray(np.sqrt(h / 12) * normals[0, :, 2:])

    class Given(diffrax.AbstractBrownianPath):
        levy_area: type = diffrax.SpaceTimeLevyArea
        t0: float = 0.0
        t1: float = 1.0

        def evaluate(self, t0, t1=None, left=True, use_levy=False):
            i = jnp.round(t0 / h).astype(int)
            return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=dw[i], H=area[i]) if use_levy else dw[i]

    def g(t, x, args):
        columns = FACTORS[kind](t, x[0], x[1], jnp.sin, jnp.sqrt)
        return jnp.stack([jnp.stack([jnp.asarray(item, dtype=x.dtype) for item in column]) for column in columns], 1)

    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, x, args: jnp.stack(_drift(t, x[0], x[1], jnp.sin, jnp.cos))),
        diffrax.ControlTerm(g, Given()),
    )
    solution = diffrax.diffeqsolve(
        terms, getattr(diffrax, theirs)(), 0.0, 1.0, None, jnp.array([0.5, -0.5]),
        stepsize_controller=diffrax.StepTo(jnp.linspace(0, 1, STEPS + 1)),
    )  # fmt: skip
    found = ends(scheme, problem, STEPS, normals[..., : problem.channels * scheme.normals])
    np.testing.assert_allclose(found[:, 0], np.asarray(solution.ys[-1]), rtol=1e-10, atol=1e-12)


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


FITTING = [
    (name, kind)
    for name, kind in product(STOCHASTIC, FACTORS)
    if STOCHASTIC[name].fits(coupled(kind, STOCHASTIC[name].calculi[0]).solve().spec) is None
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
            return x - known - h * np.array(_drift(1.0, x[0], x[1], np.sin, np.cos))

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


# ---------------------------------------------------------------------------------------------------- planted faults


def coefficients(tableau: StochasticTableau) -> list[tuple[str, int, int | None]]:
    """The places of all coefficients that are not zero."""
    names = ["alpha", "c0", "c1", "beta1", "beta2", *(("beta3", "beta4") if isinstance(tableau, SRI) else ())]
    found: list[tuple[str, int, int | None]] = []
    for name in names:
        found += [(name, i, None) for i, entry in enumerate(getattr(tableau, name)) if entry]
    for name in ("a0", "b0", "a1", "b1", "w0"):
        rows = getattr(tableau, name, ())
        found += [(name, i, j) for i, row in enumerate(rows) for j, entry in enumerate(row) if entry]
    return found


def changed(tableau: StochasticTableau, name: str, i: int, j: int | None, by: Fraction) -> StochasticTableau:
    """The tableau with one coefficient moved; a row of drift coefficients takes its node along."""
    rows = [list(row) if isinstance(row, tuple) else row for row in getattr(tableau, name)]
    if j is None:
        rows[i] += by
        return replace(tableau, **{name: tuple(rows)})
    rows[i][j] += by
    fields = {name: tuple(map(tuple, rows))}
    node = {"a0": "c0", "a1": "c1"}.get(name)
    if node is not None:
        nodes = list(getattr(tableau, node))
        nodes[i] += by
        fields[node] = tuple(nodes)
    return replace(tableau, **fields)


PLACES = [(tableau, *place) for tableau in STOCHASTIC_TABLEAUS for place in coefficients(tableau)]


@pytest.mark.parametrize(
    ("tableau", "name", "i", "j"), PLACES, ids=[f"{tableau.name} {name}{i}{j}" for tableau, name, i, j in PLACES]
)
def test_a_tableau_with_a_wrong_coefficient_is_refused(
    tableau: StochasticTableau, name: str, i: int, j: int | None
) -> None:
    with pytest.raises(ValueError, match="instead of"):
        changed(tableau, name, i, j, Fraction(1, 50))


def test_conditions_are_needed_for_the_order_and_not_only_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the conditions off, a wrong weight of I_(1,1,1) or a wrong stage shows in the order."""
    monkeypatch.setattr(StochasticTableau, "__post_init__", lambda self: None)
    for name, i, j in (("beta4", 0, None), ("b1", 3, 0), ("beta2", 1, None)):
        wrong = changed(SRK, name, i, j, Fraction(1, 2))
        assert any(item.differs for item in observed_orders(wrong)), (name, i, j)
    assert not any(item.differs for item in observed_orders(replace(SRK)))


def test_a_table_of_another_project_that_misses_a_sign_is_refused() -> None:
    """torchsde 0.2.6 has SRA2 and SRA3 with the sign of beta2 turned, and uses neither."""
    for tableau in STOCHASTIC_TABLEAUS:
        if tableau.name in ("sra2", "sra3"):
            turned = tuple(-entry for entry in tableau.beta2)
            with pytest.raises(ValueError, match=r"beta2 c1 is 1\.0 instead of -1\.0"):
                replace(tableau, beta2=turned)


def test_orders_of_a_problem_go_by_its_kinds() -> None:
    scheme = STOCHASTIC["euler_maruyama"]
    assert scheme.strong_order(HYPERBOLIC.solve().spec.kinds) == 0.5
    assert scheme.strong_order(CASE["curved"].kinds) == 1.0

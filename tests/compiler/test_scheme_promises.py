"""What schemes promise besides their order: energies that stay, steps undone, derivatives, stability, any grid."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.integrate._ivp import radau

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.derivatives.reverse_forward import push_forward
from isocline_compiler.graph import Graph, Node, constant
from isocline_compiler.graph.solve import Interval, Solve, pick
from isocline_compiler.ops.arithmetic import POW
from isocline_compiler.ops.elementwise import COS, SIN
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.multistep import Adams
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.unroll import unroll
from tests.compiler.test_derivatives import Program, lowered, near
from tests.solves import unrolled

DETERMINISTIC = [scheme for scheme in SCHEMES.values() if not scheme.normals]
PENDULUM = OrderProblem("pendulum", ("q", "p"), lambda t, x: [x[1], -SIN(x[0])], lambda t, _: [t, t], 1.0)


def walked(
    scheme: Scheme,
    problem: OrderProblem,
    times: np.ndarray,
    start: list[float],
    segment: int | None,
    dtype=torch.float64,
) -> np.ndarray:
    """The states at every time as the compiler emits the steps, (times, states)."""
    grid = tuple(map(float, times))
    solve = problem.solve()
    node = solve.rebuilt(spec=replace(solve.spec, interval=Interval(grid, everywhere=True))).node()
    graph = Graph(solve.initial, {name: pick(node, i) for i, name in enumerate(problem.states)})
    choice = Discretisation(scheme, Grid(grid, tuple(range(len(grid)))), segment)
    program = TorchProgram(unroll(graph, {solve.spec.name: choice}).graph)
    bound = {f"{name}_0": torch.tensor([value], dtype=dtype) for name, value in zip(problem.states, start, strict=True)}
    with torch.no_grad():
        found = program(bound)
    return np.array([found[name].numpy()[0] for name in problem.states]).T


# ---------------------------------------------------------------------------------------------------- energies


def energy_error(name: str) -> np.ndarray:
    """|H - H_0| of a pendulum over 10^4 steps of a quarter second."""
    path = walked(SCHEMES[name], PENDULUM, np.linspace(0, 2500, 10_001), [1.5, 0.0], 20)
    energy = path[:, 1] ** 2 / 2 - np.cos(path[:, 0])
    return np.abs(energy - energy[0])


@pytest.mark.parametrize(
    "name", ["symplectic_euler", "coupling", "leapfrog", "leapfrog_position", "yoshida4", "mclachlan4"]
)
def test_the_energy_stays_within_what_it_is_at_first(name: str) -> None:
    error = energy_error(name)
    assert error[-2000:].max() <= 1.05 * error[:2000].max()


def test_the_energy_of_a_scheme_that_is_not_symplectic_drifts() -> None:
    error = energy_error("rk4")
    assert error[-2000:].max() > 3 * error[:2000].max()
    assert error[-1] > 10 * energy_error("mclachlan4").max()


# ---------------------------------------------------------------------------------------------------- backwards

UNDONE = {
    "leapfrog": "leapfrog", "leapfrog_position": "leapfrog_position", "yoshida4": "yoshida4",
    "mclachlan4": "mclachlan4",
    "coupling": "symplectic_euler", "symplectic_euler": "coupling",
}  # fmt: skip
"""By which scheme, walked backwards, the steps of another are undone."""


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize("name", UNDONE)
def test_steps_backwards_undo_those_forwards(name: str, dtype: torch.dtype, near: float) -> None:
    times, start = np.linspace(0, 5, 41), [1.5, 0.3]
    there = walked(SCHEMES[name], PENDULUM, times, start, None, dtype)[-1]
    back = walked(SCHEMES[UNDONE[name]], PENDULUM, times[::-1], [float(x) for x in there], None, dtype)[-1]
    assert np.abs(there - start).max() > 0.1
    np.testing.assert_allclose(back, start, rtol=0, atol=near)


LAYERS = """
field block(t, q, p: real[3]) weights per step {{
  q' = p |> dense(8) |> tanh |> dense(3)
  p' = q |> dense(8) |> tanh |> dense(3)
}}
there = solve block from q = x, p = 2*x over 0..3 with {ahead}(steps=3)
back = solve block from q = there.q, p = there.p over 3..0 with {behind}(steps=3)
output q = there.q
output p = there.p
output y = back.q
output z = back.p
"""


def layers(ahead: str) -> Program:
    """There and back, each solve by the scheme that it names."""
    program = Program(lowered(LAYERS.format(ahead=ahead, behind=UNDONE[ahead])))
    program.graph = unrolled(program.model.graph, _named)
    return program


def _named(solve: Solve) -> Discretisation:
    assert solve.spec.scheme is not None
    return discretisation(solve, solve.spec.scheme.name, 3)


@pytest.mark.parametrize("ahead", ["coupling", "leapfrog", "mclachlan4"])
def test_layers_with_weights_of_their_own_are_undone_from_the_last_one_on(ahead: str) -> None:
    program = layers(ahead)
    near(program("y"), program.x, 1e-12)
    near(program("z"), 2 * program.x, 1e-12)
    assert (program("q") - program.x).abs().min() > 0.01


def test_coupling_is_the_residual_network_of_the_paper() -> None:
    """y1 = x1 + F(x2), y2 = x2 + G(y1), block by block, in numpy. Gomez, Ren, Urtasun, Grosse (2017), (6)."""
    program = layers("coupling")
    q, p = program.x.numpy(), 2 * program.x.numpy()
    part = {name: value.numpy() for name, value in program.bound.items()}

    def layer(of: str, i: int, x: np.ndarray) -> np.ndarray:
        name = f"block.{of}.dense"
        hidden = np.tanh(x @ part[f"{name}.weight"][i] + part[f"{name}.bias"][i])
        return np.asarray(hidden @ part[f"{name}_2.weight"][i] + part[f"{name}_2.bias"][i])

    for i in range(3):
        q = q + layer("q", i, p)
        p = p + layer("p", i, q)
    near(program("q"), torch.tensor(q), 1e-12)
    near(program("p"), torch.tensor(p), 1e-12)


def test_an_integral_of_both_groups_goes_with_leapfrog() -> None:
    """int p q dt of q' = p, p' = -q from (0, 1) is sin(T)^2/2."""
    work = OrderProblem("work", ("q", "p", "w"), lambda t, x: [x[1], -x[0], x[0] * x[1]], lambda t, _: [t, t, t], 1.0)
    errors = []
    for steps in (20, 40):
        path = walked(SCHEMES["leapfrog"], work, np.linspace(0, 2, steps + 1), [0.0, 1.0, 0.0], 1)
        errors.append(abs(path[-1, 2] - np.sin(2.0) ** 2 / 2))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


# ---------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("segment", [None, 2])
@pytest.mark.parametrize("scheme", DETERMINISTIC, ids=lambda scheme: scheme.name)
def test_the_varied_solve_is_the_derivative_of_the_steps(scheme: Scheme, segment: int | None) -> None:
    """Our forward mode through the solve, then the same scheme, against torch's reverse mode through its steps."""
    problem = scheme.problems[0]
    solve = problem.solve()
    times = tuple(float(t) for t in np.linspace(0, problem.end / 2, 8))
    solve = solve.rebuilt(spec=replace(solve.spec, interval=Interval(times, everywhere=False)))
    node = solve.node()
    ends = [pick(node, i) for i in range(len(problem.states))]
    directions = [tuple(_one(x) if i == j else None for i, x in enumerate(solve.initial)) for j in range(len(ends))]
    moved = push_forward(ends, solve.initial, directions)
    names = [f"d{i}{j}" for j in range(len(ends)) for i in range(len(ends))]
    varied = [item for along in moved for item in along]
    kept = {name: item for name, item in zip(names, varied, strict=True) if item is not None}
    choices = {solve.spec.name: Discretisation(scheme, Grid(times, (7,)), segment)}
    start = {
        f"{name}_0": torch.tensor(x, requires_grad=True)
        for name, x in zip(problem.states, _start(problem), strict=True)
    }
    forward = TorchProgram(unroll(Graph(solve.initial, kept), choices).graph)({k: v.detach() for k, v in start.items()})
    plain = TorchProgram(unroll(Graph(solve.initial, dict(zip(problem.states, ends, strict=True))), choices).graph)(
        start
    )
    for i, name in enumerate(problem.states):
        expected = torch.autograd.grad(plain[name].sum(), list(start.values()), retain_graph=True, allow_unused=True)
        for j, gradient in enumerate(expected):
            found = forward[f"d{i}{j}"] if f"d{i}{j}" in forward else torch.zeros(1)
            np.testing.assert_allclose(found, np.zeros(1) if gradient is None else gradient, rtol=1e-10, atol=1e-13)


def _one(x: Node) -> Node:
    return 0.0 * x + constant(1.0)


def _start(problem: OrderProblem) -> list[np.ndarray]:
    return list(problem.start(1).values())


# ---------------------------------------------------------------------------------------------------- stability


def decayed(name: str, steps: int, rate: float = 2500.0, **options: int) -> float:
    """|x(1)| of x' = -rate (x - cos t) from 2."""
    decay = OrderProblem("decay", ("x",), lambda t, x: [-rate * (x[0] - COS(t))], lambda t, _: [t], 1.0)
    scheme = SCHEMES[name].with_options(options) if options else SCHEMES[name]
    return float(np.abs(walked(scheme, decay, np.linspace(0, 1, steps + 1), [2.0], None)[-1, 0]))


def test_stable_where_euler_explodes_at_the_same_cost() -> None:
    """Ten steps of rodas4 are sixty evaluations, of rkc2 with twenty stages two hundred, of radau5 ninety."""
    for name, options in (("rodas4", {}), ("radau5", {}), ("trbdf2", {}), ("ros2", {}), ("rkc2", {"stages": 20})):
        assert decayed(name, 10, **options) == pytest.approx(np.cos(1), abs=0.05)
    assert not decayed("euler", 200) < 1e10


@pytest.mark.parametrize("stages", [2, 5, 12, 40])
def test_the_interval_of_a_chebyshev_scheme_is_as_long_as_published(stages: int) -> None:
    """Sommeijer, Shampine, Verwer (1998), (2.8): beta(s) = (s + 1)^2 0.653, |R| at most 1 - eps/3 but near 0."""
    scheme = SCHEMES["rkc2"].with_options({"stages": stages})
    beta = 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * 2 / 13)
    inside = np.linspace(-beta, -beta / 1000, 4001)
    assert np.abs(scheme.stability(inside)).max() <= 1 + 1e-12
    assert abs(scheme.stability(np.array([-1.1 * beta - 1]))[0]) > 1


@pytest.mark.parametrize(
    "name", ["implicit_euler", "sdirk2", "trbdf2", "radau5", "ros2", "rodas4", "imex_euler", "ars222"]
)
def test_what_is_called_l_stable_is(name: str) -> None:
    """|R| <= 1 on the imaginary axis, R without poles on the left, and R = 0 at infinity."""
    scheme = SCHEMES[name]
    angles = np.exp(1j * np.linspace(np.pi / 2, 3 * np.pi / 2, 181))
    for size in (0.1, 1.0, 10.0, 1e3):
        assert np.abs(scheme.stability(size * angles)).max() <= 1 + 1e-9
    assert abs(scheme.stability(np.array([-1e9]))[0]) < 1e-6


@pytest.mark.parametrize("name", ["implicit_midpoint", "trapezoid", "ros3p"])
def test_what_is_called_a_stable_is(name: str) -> None:
    angles = np.exp(1j * np.linspace(np.pi / 2, 3 * np.pi / 2, 181))
    for size in (0.1, 1.0, 10.0, 1e3):
        assert np.abs(SCHEMES[name].stability(size * angles)).max() <= 1 + 1e-9


# ---------------------------------------------------------------------------------------------------- any grid

UNEVEN = np.array([0.0, 0.1, 0.35, 0.4, 0.8, 0.9, 1.4, 1.5, 2.0])


def _power(k: int) -> OrderProblem:
    return OrderProblem(f"power{k}", ("x",), lambda t, x: [0.0 * x[0] + POW(t, float(k))], lambda t, _: [t], 2.0)


@pytest.mark.parametrize("segment", [None, 1, 2])
@pytest.mark.parametrize("name", ["ab2", "ab3", "ab4", "abm"])
def test_an_adams_scheme_is_exact_for_polynomials_on_uneven_grids(name: str, segment: int | None) -> None:
    scheme = SCHEMES[name]
    assert isinstance(scheme, Adams)
    for k in range(1, scheme.steps):
        found = walked(scheme, _power(k), UNEVEN, [0.0], segment)[:, 0]
        np.testing.assert_allclose(found, UNEVEN ** (k + 1) / (k + 1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("segment", [None, 1, 2])
def test_the_two_step_midpoint_is_exact_for_a_line_of_slopes_on_uneven_grids(segment: int | None) -> None:
    found = walked(SCHEMES["midpoint2"], _power(1), UNEVEN, [0.0], segment)[:, 0]
    np.testing.assert_allclose(found, UNEVEN**2 / 2, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["etd_ab2", "dpm_solver_2m"])
def test_a_two_step_exponential_scheme_walks_uneven_grids_the_same_laid_out_and_in_loops(name: str) -> None:
    problem = SCHEMES[name].problems[0]
    paths = [walked(SCHEMES[name], problem, UNEVEN, [0.3], segment) for segment in (None, 1, 2)]
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-13)
    np.testing.assert_allclose(paths[2], paths[0], rtol=1e-13)
    even = walked(SCHEMES[name], problem, np.linspace(0, 2, 9), [0.3], None)[-1]
    assert np.abs(paths[0][-1] - even).max() > 1e-4


# ---------------------------------------------------------------------------------------------------- others' tables


@pytest.mark.parametrize("name", ["ab2", "ab3", "ab4", "abm"])
def test_torchdiffeq_has_the_same_adams_coefficients(name: str) -> None:
    theirs = importlib.import_module("torchdiffeq._impl.fixed_adams")
    scheme = SCHEMES[name]
    assert isinstance(scheme, Adams)
    count = scheme.steps
    explicit = np.array(theirs._BASHFORTH_COEFFICIENTS[count]) / theirs._DIVISOR[count]
    _, sigma, star = scheme.polynomials
    np.testing.assert_allclose(sigma[:count][::-1], explicit, rtol=1e-13)
    if scheme.corrected:
        implicit = np.array(theirs._MOULTON_COEFFICIENTS[count]) / theirs._DIVISOR[count]
        np.testing.assert_allclose(star[1:][::-1], implicit, rtol=1e-13)


def test_scipy_has_the_same_eigenvalues_of_radau() -> None:
    blocks, *_ = SCHEMES["radau5"]._eigen
    values = sorted((value for value, _ in blocks), key=lambda value: value.imag)
    assert values[0] == pytest.approx(radau.MU_REAL, rel=1e-13)
    assert values[1] == pytest.approx(np.conj(radau.MU_COMPLEX), rel=1e-13)
    np.testing.assert_allclose(SCHEMES["radau5"].tableau.nodes, radau.C, rtol=1e-15)


def test_a_wrong_coefficient_of_a_structured_scheme_is_refused() -> None:
    leapfrog, rodas = SCHEMES["leapfrog"], SCHEMES["rodas4"]
    with pytest.raises(ValueError, match="leapfrog: order 2"):
        replace(leapfrog, kicks=(0.4, 0.6))
    with pytest.raises(ValueError, match="mclachlan4: its moves sum"):
        replace(SCHEMES["mclachlan4"], drifts=(*SCHEMES["mclachlan4"].drifts[:-1], 0.2))
    with pytest.raises(ValueError, match="yoshida4: order 2"):
        replace(SCHEMES["yoshida4"], kicks=SCHEMES["yoshida4"].kicks[::-1], drifts=(0.4, 0.3, 0.3, 0.0))
    for row, column in ((1, 0), (3, 1), (5, 4)):
        changed = [list(item) for item in rodas.c]
        changed[row][column] += 1e-4
        with pytest.raises(ValueError, match="rodas4: order"):
            replace(rodas, c=tuple(map(tuple, changed)))
    with pytest.raises(ValueError, match="ars222: its stages"):
        replace(SCHEMES["ars222"], implicit=((0.0, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.7, 0.3)))


# ---------------------------------------------------------------------------------------------------- what fields hold


@pytest.mark.parametrize("name", ["radau5", "rodas4", "trbdf2"])
def test_an_implicit_scheme_follows_a_net_that_reads_state_and_time(name: str) -> None:
    """Its Jacobian goes through a concatenation; the end against scipy's, of tolerance 1e-10."""
    text = """
net v(q: real[3], t: real) -> real[3] = concat(q, [t]) |> dense(8) |> tanh |> dense(3)
field flow(t, q: real[3]) { q' = v(q, t) - q }
y = solve flow from q = x over 0..1
output y
"""
    program = Program(lowered(text), name, 64)
    part = {key.removeprefix("v."): value.numpy() for key, value in program.bound.items()}

    def slope(t: float, q: np.ndarray) -> np.ndarray:
        hidden = np.tanh(np.append(q, t) @ part["dense.weight"] + part["dense.bias"])
        return np.asarray(hidden @ part["dense_2.weight"] + part["dense_2.bias"] - q)

    for start, found in zip(program.x.numpy(), program("y").numpy(), strict=True):
        end = solve_ivp(slope, (0, 1), start, rtol=1e-10, atol=1e-10).y[:, -1]
        np.testing.assert_allclose(found, end, rtol=0, atol=1e-4 if name == "trbdf2" else 1e-7)

"""Solves by torchdiffeq, against scipy at much tighter tolerances and against derivatives by differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Graph, Node, Region, leaf
from isocline_compiler.graph.solve import Interval, pick, spec_of
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.ops import OPS
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.steering import Steering
from isocline_compiler.vocabulary.options import ADAPTIVE
from isocline_dsl.diagnostics import IsoclineError
from tests.solves import solve_node

VECTOR = TensorType("real", (BATCH, 2))
SCALAR = TensorType("real", (BATCH,))
RATES = np.array([[0.7, 0.3], [-0.2, 0.5]])
STARTS = np.array([[1.0, 0.5], [0.2, -0.4], [2.0, 0.1]])
DRIVES = np.array([0.3, -0.1, 0.8])


def driven(times: tuple[float, ...] | None, everywhere: bool = True, per_sample: bool = True) -> tuple[Node, Node]:
    """x' = A tanh(x) + u cos t, y' = x_0 - y: a vector and a number, a captured input u, a weight A."""
    x0, y0, u = leaf(INPUT, "x0", VECTOR), leaf(INPUT, "y0", SCALAR), leaf(INPUT, "u", SCALAR)
    clock = SCALAR if times is None and per_sample else TensorType("real", ())
    t, x, y, v = (
        leaf(ARGUMENT, name, type_) for name, type_ in (("t", clock), ("x", VECTOR), ("y", SCALAR), ("v", SCALAR))
    )
    rates = leaf(WEIGHT, "rates", TensorType("real", (2, 2)))
    push = OPS["reshape"](v * OPS["cos"](t), shape=(BATCH, 1))
    slopes = (OPS["matmul"](OPS["tanh"](x), rates) + push, OPS["select"](x, axis=1, index=0) - y)
    given = leaf(INPUT, "ts", TensorType("real", (BATCH, 4) if per_sample else (4,)))
    solve = solve_node(
        Region((t, x, y, v), slopes), (x0, y0), Interval(times, everywhere),
        captured=(u,), times=None if times is not None else given, field="driven",
    )  # fmt: skip
    return pick(solve, 0), pick(solve, 1)


def reference(sample: int, times: np.ndarray) -> np.ndarray:
    """The same equations by scipy: (times, 3)."""

    def slopes(t: float, z: np.ndarray) -> np.ndarray:
        x = np.tanh(z[:2]) @ RATES + DRIVES[sample] * np.cos(t)
        return np.array([*x, z[0] - z[2]])

    start = np.array([*STARTS[sample], 0.1 * sample])
    span = (times[0], times[-1])
    return solve_ivp(slopes, span, start, "DOP853", times, rtol=1e-11, atol=1e-12).y.T


def bound(**more: np.ndarray) -> dict[str, torch.Tensor]:
    values = {"x0": STARTS, "y0": np.array([0.0, 0.1, 0.2]), "u": DRIVES, "rates": RATES, **more}
    return {name: torch.tensor(value) for name, value in values.items()}


def run(nodes: tuple[Node, ...], values: dict[str, torch.Tensor], integrator: AdaptiveIntegrator) -> list[torch.Tensor]:
    graph = Graph((), {str(i): node for i, node in enumerate(nodes)})
    return list(TorchProgram(graph)(values, integrator=integrator).values())


TIGHT = AdaptiveIntegrator("dopri5", 1e-9, 1e-10)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_each_solver_reaches_its_tolerance(method: str) -> None:
    low = method in ("fehlberg2", "adaptive_heun")
    solver = AdaptiveIntegrator(method, *((1e-5, 1e-6) if low else (1e-8, 1e-9)))
    times = (0.0, 0.4, 1.5, 2.0)
    x, y = run(driven(times), bound(), solver)
    for sample in range(3):
        expected = reference(sample, np.array(times))
        np.testing.assert_allclose(x[sample], expected[:, :2], atol=1e-3 if low else 1e-6)
        np.testing.assert_allclose(y[sample], expected[:, 2], atol=1e-3 if low else 1e-6)


def test_backwards_in_time_undoes_forwards() -> None:
    forwards = run(driven((0.5, 3.0), everywhere=False), bound(), TIGHT)
    values = {**bound(), "x0": forwards[0], "y0": forwards[1]}
    x, y = run(driven((3.0, 1.0, 0.5)), values, TIGHT)
    np.testing.assert_allclose(x[:, -1], STARTS, atol=1e-7)
    np.testing.assert_allclose(y[:, -1], [0.0, 0.1, 0.2], atol=1e-7)


TIMES = np.array([[0.0, 0.4, 1.0, 2.0], [1.0, 1.0, 2.5, 3.0], [2.0, 1.5, 0.3, -1.0]])


def test_every_sample_has_its_own_times() -> None:
    x, y = run(driven(None), bound(ts=TIMES), TIGHT)
    for sample in (0, 2):
        expected = reference(sample, TIMES[sample])
        np.testing.assert_allclose(x[sample], expected[:, :2], atol=1e-7)
        np.testing.assert_allclose(y[sample], expected[:, 2], atol=1e-7)
    np.testing.assert_array_equal(x[1, 0], x[1, 1])  # no time passes
    np.testing.assert_allclose(x[1, 1:], reference(1, TIMES[1, 1:])[:, :2], atol=1e-7)


def test_times_that_all_samples_share() -> None:
    x, _ = run(driven(None, everywhere=False, per_sample=False), bound(ts=TIMES[0]), TIGHT)
    np.testing.assert_allclose(x[1], reference(1, TIMES[0])[-1, :2], atol=1e-7)


def test_times_that_turn_round_are_refused() -> None:
    wrong = TIMES.copy()
    wrong[1, 2] = 0.5
    with pytest.raises(IsoclineError, match="E457"):
        run(driven(None), bound(ts=wrong), TIGHT)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("times", [(0.0, 0.7, 2.0), None])
def test_gradients_agree_with_differences(adjoint: bool, times: tuple[float, ...] | None) -> None:
    solver = AdaptiveIntegrator("dopri5", 1e-9, 1e-10, adjoint=adjoint)
    values = bound() if times else bound(ts=TIMES)
    moved = [name for name in values if values[name].is_floating_point()]

    def loss(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        x, y = run(driven(times), tensors, solver)
        return (x**2).sum() + (y * y.detach().cos()).sum() * 0 + y.sum()

    free = {name: value.clone().requires_grad_() for name, value in values.items()}
    gradients = torch.autograd.grad(loss(free), list(free.values()))
    generator = torch.Generator().manual_seed(3)
    for name, gradient in zip(free, gradients, strict=True):
        if name == "ts":
            continue  # the second sample stands still at first: one-sided
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        shifted = [loss({**values, name: values[name] + h * direction}) for h in (1e-4, -1e-4)]
        measured = float((shifted[0] - shifted[1]) / 2e-4)
        assert float((gradient * direction).sum()) == pytest.approx(measured, rel=1e-4, abs=1e-4), name
    assert moved


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_weight_beside_a_function_of_it_counts_once(adjoint: bool) -> None:
    """x' = k x - e^k x^2, whose e^k is computed once a solve: what goes through it is not part of the slope by k.

    x(1) = k x0 e^k/(k + x0 e^k (e^k - 1)), differentiated by autograd.
    """
    x0, k = leaf(INPUT, "x0", SCALAR), leaf(WEIGHT, "k", TensorType("real", ()))
    t, x = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", SCALAR)
    region = Region((t, x), (k * x - OPS["exp"](k) * x * x,))
    end = pick(solve_node(region, (x0,), Interval((0.0, 1.0), False), field="logistic"), 0)
    start = torch.tensor([0.3, 1.7], dtype=torch.float64)
    rate = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    grown = rate * start * rate.exp() / (rate + start * rate.exp() * (rate.exp() - 1))
    (found,) = run((end,), {"x0": start, "k": rate}, AdaptiveIntegrator("dopri5", 1e-9, 1e-10, adjoint=adjoint))
    ours, theirs = (torch.autograd.grad(value.sum(), rate)[0] for value in (found, grown))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-8)


def explosive(power: float) -> Callable[[], Node]:
    """x' = x^power from 1: for power 2 the solution is 1/(1 - t)."""

    def make() -> Node:
        x0 = leaf(INPUT, "x0", SCALAR)
        t, x = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", SCALAR)
        region = Region((t, x), (OPS["exp"](power * OPS["log"](x)),))
        solve = solve_node(region, (x0,), Interval((0.0, 2.0), False), field="explosive")
        return pick(solve, 0)

    return make


def test_a_solution_that_runs_away_is_named_with_its_time() -> None:
    start = {"x0": torch.tensor([0.1, 1.0])}
    with pytest.raises(IsoclineError) as error:
        run((explosive(2.0)(),), start, AdaptiveIntegrator("dopri5", 1e-6, 1e-7))
    (found,) = error.value.diagnostics
    assert found.code == "E452"
    assert "`explosive` at t = 1" in found.message
    assert "e+" in found.notes[0].text  # the sample that runs away, not the one that does not


def test_a_solve_that_takes_too_long_is_stopped() -> None:
    start = {"x0": torch.tensor([1.0])}
    with pytest.raises(IsoclineError) as error:
        run((explosive(2.0)(),), start, AdaptiveIntegrator("dopri5", 1e-9, 1e-10, allowed=100))
    (found,) = error.value.diagnostics
    assert (found.code, "100 evaluations of `explosive`" in found.message) == ("E453", True)


def test_steering_moves_the_end_within_its_width_and_by_the_seed_alone() -> None:
    nodes = driven((0.0, 2.0), everywhere=False)
    steering = Steering(0.5, active=True)
    ends = []
    for seed in (1, 2, 1):
        steering.begin((seed,))
        ends.append(steering.times(nodes[0].inputs[0])[-1])
    assert ends[0] == ends[2] != ends[1]
    draws = [steering.times(nodes[0].inputs[0])[-1] for _ in range(300)]
    assert 1.5 < min(draws) < 1.52
    assert 2.48 < max(draws) < 2.5
    assert spec_of(driven((0.0, 1.0))[0].inputs[0]).interval.times == steering.times(driven((0.0, 1.0))[0].inputs[0])
    with pytest.raises(IsoclineError, match="E454"):
        Steering(2.0, active=True).times(nodes[0].inputs[0])


def test_stacked_weights_are_constant_piece_by_piece() -> None:
    """x' = w_k for t in piece k of 4: x(T) = T mean(w)."""
    x0 = leaf(INPUT, "x0", SCALAR)
    t, x = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", SCALAR)
    slice_, stack = leaf(ARGUMENT, "w", TensorType("real", ())), leaf(WEIGHT, "w", TensorType("real", (4,)))
    region = Region((t, x, slice_), (0.0 * x + slice_,))
    solve = solve_node(region, (x0,), Interval((0.0, 2.0), False), stacked=(stack,), field="pieces")
    weights = torch.tensor([1.0, -2.0, 4.0, 3.0], dtype=torch.float64)
    values = {"x0": torch.zeros(2, dtype=torch.float64), "w": weights}
    (end,) = run((pick(solve, 0),), values, AdaptiveIntegrator("dopri5", 1e-6, 1e-7))
    np.testing.assert_allclose(end, [3.0, 3.0], atol=1e-3)

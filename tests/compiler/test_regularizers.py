"""Terms of the loss: the energy of a path against a quadrature of the exact solution, the decay against numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp

from isocline_compiler.backends.to_torch import TorchField, evaluate
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Node, Region, leaf
from isocline_compiler.graph.solve import Interval, pick, spec_of
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.lower.regularization import LossContext
from isocline_compiler.lower.weights import WeightTable
from isocline_compiler.ops import OPS
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.regularizers.record import TrainingSetting
from tests.solves import solve_node

REAL, PAIR = TensorType("real", ("batch",)), TensorType("real", ("batch", 2))


def decay(times: tuple[float, ...], everywhere: bool) -> Node:
    """x' = -k x with x a pair, y' = cos(t) y + x_0, k captured."""
    t, x, y, k = (
        leaf(ARGUMENT, n, item)
        for n, item in (("t", TensorType("real")), ("x", PAIR), ("y", REAL), ("k", TensorType("real")))
    )
    region = Region((t, x, y, k), (-k * x, OPS["cos"](t) * y + OPS["select"](x, axis=1, index=0)))
    starts = leaf(INPUT, "x0", PAIR), leaf(INPUT, "y0", REAL)
    rate = leaf(WEIGHT, "k", TensorType("real"))
    return solve_node(region, starts, Interval(times, everywhere), captured=(rate,), field="decay")


BOUND = {
    "x0": torch.tensor([[1.0, 2.0], [0.5, -1.0]]).double(),
    "y0": torch.tensor([0.3, 2.0]).double(),
    "k": torch.tensor(0.7).double(),
}


def scipy_integrator(node: Node, field: TorchField, initial: Any, captured: Any, stacked: Any, times: Any) -> Any:
    """DOP853 over all samples and states at once."""
    sizes = [item.numel() for item in initial]

    def parts(flat: np.ndarray[Any, Any]) -> list[torch.Tensor]:
        split = torch.as_tensor(flat).split(sizes)
        return [piece.reshape(item.shape) for piece, item in zip(split, initial, strict=True)]

    def slope(t: float, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        slopes = field(torch.tensor(t).double(), parts(flat))
        return torch.cat([item.reshape(-1) for item in slopes]).numpy()

    start = torch.cat([item.reshape(-1) for item in initial]).numpy()
    grid = list(times.tolist() if times is not None else spec_of(node).interval.times)
    found = solve_ivp(slope, (grid[0], grid[-1]), start, "DOP853", grid, rtol=1e-9, atol=1e-10).y.T
    if not spec_of(node).interval.everywhere:
        return tuple(parts(found[-1]))
    return tuple(torch.stack(items, 1) for items in zip(*map(parts, found), strict=True))


def exact_energy(x0: Sequence[float], y0: float, k: float, start: float, stop: float) -> float:
    """The mean of the three squared slopes, integrated along x = x0 e^(-k (t - start)) and y by quadrature."""

    def first(t: float) -> float:
        return float(x0[0] * np.exp(-k * (t - start)))

    y = solve_ivp(
        lambda t, y: np.cos(t) * y + first(t), (start, stop), [y0], "DOP853", dense_output=True, rtol=1e-11, atol=1e-12
    )

    def integrand(t: float) -> float:
        decay = np.exp(-k * (t - start))
        slopes = [-k * x0[0] * decay, -k * x0[1] * decay, np.cos(t) * y.sol(t)[0] + x0[0] * decay]
        return float(np.mean(np.square(slopes)))

    return abs(float(quad(integrand, start, stop, epsabs=1e-12)[0]))


class Problem:
    """A training problem of one solve."""

    def __init__(self, solve: Node, weights: tuple[Node, ...] = ()) -> None:
        self.solve, self.weights = solve, weights

    def solves(self, field: str) -> list[Node]:
        assert field == "decay"
        return [self.solve]

    def replace(self, old: Node, new: Node) -> None:
        assert old is self.solve
        self.solve = new


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("times", [(0.0, 0.5, 2.0), (2.0, 0.25)])
def test_kinetic_energy_is_the_integral_along_the_path(times: tuple[float, ...], everywhere: bool) -> None:
    problem = Problem(decay(times, everywhere))
    before = problem.solve
    energy = REGULARIZERS["kinetic_energy"].term(problem, ["decay"])
    assert isinstance(energy, Node)
    assert problem.solve is not before
    (found,) = evaluate([energy], BOUND, integrator=scipy_integrator)
    rows = zip(BOUND["x0"].tolist(), BOUND["y0"].tolist(), strict=True)
    expected = [exact_energy(x0, y0, 0.7, times[0], times[-1]) for x0, y0 in rows]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_the_states_stay_what_they_were() -> None:
    problem = Problem(decay((0.0, 0.5, 2.0), True))
    before = problem.solve
    REGULARIZERS["kinetic_energy"].term(problem, ["decay"])
    assert [str(item) for item in problem.solve.types] == ["real[batch, 3, 2]", "real[batch, 3]", "real[batch, 3]"]
    roots = [pick(solve, index) for index in (0, 1) for solve in (before, problem.solve)]
    x, new_x, y, new_y = evaluate(roots, BOUND, integrator=scipy_integrator)
    torch.testing.assert_close(new_x, x, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(new_y, y, rtol=1e-7, atol=1e-8)


def test_solves_one_after_the_other_and_integrals_side_by_side() -> None:
    """The second solve starts where the first ends; the energy is asked for twice and must not count itself."""
    first = decay((0.0, 0.5), False)
    region, captured = first.attrs["region"], first.inputs[-1]
    starts = (pick(first, 0), pick(first, 1))
    interval = Interval((0.5, 2.0), False)
    second = solve_node(region, starts, interval, captured=(captured,), field="decay", name="second")
    assert second.attrs["region"] is region
    context = LossContext([pick(second, 0)], WeightTable(), ())
    terms = [REGULARIZERS["kinetic_energy"].term(context, ["decay"]) for _ in range(2)]
    integrals = [len(spec_of(solve).places("integral")) for solve in context.solves("decay")]
    assert integrals == [2, 2], "the terms must share the solves"
    energies = [context.current(item) for item in terms if isinstance(item, Node)]
    found = torch.stack(evaluate(energies, BOUND, integrator=scipy_integrator)).numpy()
    rows = zip(BOUND["x0"].tolist(), BOUND["y0"].tolist(), strict=True)
    whole = [exact_energy(x0, y0, 0.7, 0.0, 2.0) for x0, y0 in rows]
    np.testing.assert_allclose(found, [whole, whole], rtol=1e-6)


def test_weights_of_each_step_stay_behind_the_states() -> None:
    x, w = leaf(ARGUMENT, "x", PAIR), leaf(ARGUMENT, "w", TensorType("real", (2,)))
    region = Region((leaf(ARGUMENT, "t", TensorType("real")), x, w), (x * w,))
    stacked = leaf(WEIGHT, "w", TensorType("real", (4, 2)))
    start, interval = leaf(INPUT, "x0", PAIR), Interval((0.0, 1.0), False)
    problem = Problem(solve_node(region, (start,), interval, stacked=(stacked,), field="decay"))
    REGULARIZERS["kinetic_energy"].term(problem, ["decay"])
    assert problem.solve.inputs[-1] is stacked
    assert [item.attrs["name"] for item in problem.solve.attrs["region"].arguments] == ["t", "x", "integral~0", "w"]


def test_weight_decay_sums_the_squares_of_kernels() -> None:
    shapes = {"f.dense.weight": (3, 2), "f.dense.bias": (4, 2), "gru.hidden_weight": (2, 6), "groupnorm.scale": (3,)}
    leaves = tuple(leaf(WEIGHT, name, TensorType("real", shape)) for name, shape in shapes.items())
    term = REGULARIZERS["weight_decay"].term(Problem(decay((0.0, 1.0), False), leaves))
    assert isinstance(term, Node)
    generator = np.random.default_rng(3)
    values = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    (found,) = evaluate([term], {name: torch.as_tensor(value) for name, value in values.items()})
    kernels = [value for name, value in values.items() if name.endswith("weight")]
    assert found.item() == pytest.approx(sum(float((value**2).sum()) for value in kernels), rel=1e-12)


def test_steer_is_a_setting() -> None:
    setting = REGULARIZERS["steer"].term(Problem(decay((0.0, 1.0), False)), [0.25])
    assert setting == TrainingSetting("steer", {"width": 0.25})


def test_every_regularizer_is_documented() -> None:
    for item in REGULARIZERS.values():
        assert item.summary
        assert item.name in item.example

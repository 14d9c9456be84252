"""Integrals along the solution against quadrature of a dense solution by scipy, integrands by torch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian, jvp

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower import lower
from isocline_compiler.training.draws import Drawing
from isocline_compiler.training.solvers import training_solver
from isocline_dsl import Source, parse
from tests.dense_path import BOUND, ROWS, evaluated, field, model, quadrature

SPANS = {"over 0..2": (0.0, 2.0), "at [1.5, 0.5, -0.25]": (1.5, -0.25), "at 0..2 step 0.5": (0.0, 2.0)}


def slope(t: float, z: Tensor, row: int, order: int) -> Tensor:
    """d^k z/dt^k along the solution, by nested forward derivatives of (t, z) -> z'."""

    def along(inner: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def outer(time: Tensor, state: Tensor) -> Tensor:
            directions = (torch.ones_like(time), field(time, state, row))
            return jvp(inner, (time, state), directions, create_graph=True)[1]

        return outer

    def first(time: Tensor, state: Tensor) -> Tensor:
        return field(time, state, row)

    found: Callable[[Tensor, Tensor], Tensor] = first
    for _ in range(order - 1):
        found = along(found)
    return found(torch.tensor(t, dtype=torch.float64), z).detach()


def frobenius(t: float, z: Tensor, row: int) -> float:
    matrix = jacobian(lambda state: field(t, state, row), z)
    assert isinstance(matrix, Tensor)
    return float(matrix.square().sum())


INTEGRANDS: dict[str, Callable[[float, Tensor, int], Any]] = {
    "kinetic_energy(path)": lambda t, z, row: float(slope(t, z, row, 1).square().mean()),
    "path_length(path)": lambda t, z, row: float(slope(t, z, row, 1).norm()),
    "jacobian_norm(path)": frobenius,
    "taylor(path, order=1)": lambda t, z, row: float(slope(t, z, row, 1).square().sum()),
    "taylor(path, order=2)": lambda t, z, row: float(slope(t, z, row, 2).square().sum()),
    "taylor(path, order=3)": lambda t, z, row: float(slope(t, z, row, 3).square().sum()),
}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("term", INTEGRANDS)
def test_a_regularizer_is_the_quadrature_of_a_dense_solution(term: str, span: str) -> None:
    found = evaluated(model(term, span))[term].numpy()
    expected = np.abs(quadrature(INTEGRANDS[term], SPANS[span]))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("term", ["path_length(path)", "jacobian_norm(path)", "taylor(path, order=2)"])
def test_on_a_grid_of_our_own_it_converges_as_the_scheme_does(term: str) -> None:
    """The error of rk4 falls by 2^4 where its steps are halved."""
    expected = quadrature(INTEGRANDS[term], (0.0, 2.0))
    errors = [np.abs(evaluated(model(term, solver=f"rk4(steps={n})"))[term].numpy() - expected).max() for n in (20, 40)]
    assert 12 < errors[0] / errors[1] < 20


@pytest.mark.parametrize("term", [*INTEGRANDS, "jacobian_norm(path, probes=2)"])
@pytest.mark.parametrize("solver", ["dopri5(rtol=1e-10, atol=1e-11)", "rk4(steps=4)"])
def test_the_gradient_in_training_is_the_difference_quotient(term: str, solver: str) -> None:
    made = model(term, solver=solver)
    weights = {name: BOUND[name].clone().requires_grad_() for name in ("rate", "turn")}
    total = evaluated(made, {**BOUND, **weights})[term].sum()
    gradient = torch.autograd.grad(total, list(weights.values()))
    for (name, value), found in zip(weights.items(), gradient, strict=True):
        high, low = (
            float(evaluated(made, {**BOUND, name: value.detach() + step})[term].sum()) for step in (1e-4, -1e-4)
        )
        assert float(found) == pytest.approx((high - low) / 2e-4, rel=1e-5), name


def test_the_estimate_is_that_of_its_vectors_and_right_in_the_mean() -> None:
    """All eight vectors of three signs, each by itself: |v^T J|^2, and their mean is |J|^2."""
    term = "jacobian_norm(path, probes=1)"
    made = model(term)
    assert made.training is not None
    names = [draw.name for draw in made.training.draws]
    assert [draw.shape for draw in made.training.draws] == [(1, 2), (1,)]
    found = []
    for i in range(8):
        signs = torch.tensor([1.0 - 2 * (i >> k & 1) for k in range(3)]).double()
        draws = {names[0]: signs[:2].expand(2, 1, 2), names[1]: signs[2:].expand(2, 1)}

        def one(t: float, z: Tensor, row: int, signs: Tensor = signs) -> float:
            matrix = jacobian(lambda state: field(t, state, row), z)
            assert isinstance(matrix, Tensor)
            return float((signs @ matrix).square().sum())

        found.append(evaluated(made, draws=draws)[term].numpy())
        if i in (0, 5):
            np.testing.assert_allclose(found[-1], quadrature(one, (0.0, 2.0)), rtol=1e-8)
    np.testing.assert_allclose(np.mean(found, axis=0), quadrature(frobenius, (0.0, 2.0)), rtol=1e-8)


def test_the_estimate_of_several_vectors_is_the_mean_of_theirs() -> None:
    first, second = torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double(), torch.tensor([1.0, -1.0]).double()

    def estimate(probes: list[int]) -> Any:
        term = f"jacobian_norm(path, probes={len(probes)})"
        made = model(term)
        assert made.training is not None
        values = (first[probes].expand(2, -1, 2), second[probes].expand(2, -1))
        draws = {draw.name: value for draw, value in zip(made.training.draws, values, strict=True)}
        return evaluated(made, draws=draws)[term].numpy()

    np.testing.assert_allclose(estimate([0, 1]), (estimate([0]) + estimate([1])) / 2, rtol=1e-8)


def test_its_vectors_are_new_in_each_step_and_stay_in_validation() -> None:
    plan = model("jacobian_norm(path, probes=3)").training
    assert plan is not None
    drawing = Drawing(plan.draws, plan.seed)
    drawing.begin(1)
    first, fixed = (drawing.take(ROWS, torch.float64, training) for training in (True, False))
    drawing.begin(2)
    second, still = (drawing.take(ROWS, torch.float64, training) for training in (True, False))
    assert all(torch.equal(fixed[name], still[name]) for name in fixed)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all(set(value.unique().tolist()) <= {-1.0, 1.0} for value in first.values())


TWO = """dyn 1
model two
input x: real
target y: real
param k: real = 0.5
field f(t, h: real) { h' = k*h }
early = solve f from h = x over 0..1
late = solve f from h = 2*early over 1..3
output late
train { loss mse(late, y); regularize path_length(early) + path_length(late) + path_length(f); precision float64 }
"""


def lengths(x: float, k: Tensor) -> dict[str, Tensor]:
    source = Source(TWO)
    plan = lower(parse(source), source).training
    assert plan is not None
    given = {"x": torch.tensor([x]).double(), "y": torch.tensor([0.0]).double(), "k": k}
    return TorchProgram(plan.losses).evaluate(given, integrator=training_solver(plan).integrator).outputs


def test_a_solution_is_one_and_a_field_is_all_of_its_own() -> None:
    found = lengths(1.0, torch.tensor(0.5).double())
    early, late = np.exp(0.5) - 1, 2 * (np.exp(1.5) - np.exp(0.5))
    assert float(found["path_length(early)"]) == pytest.approx(early, rel=1e-5)
    assert float(found["path_length(late)"]) == pytest.approx(late, rel=1e-5)
    assert float(found["path_length(f)"]) == pytest.approx(early + late, rel=1e-5)


def test_a_path_at_rest_has_no_length_and_its_gradient_is_zero() -> None:
    k = torch.tensor(0.5).double().requires_grad_()
    length = lengths(0.0, k)["path_length(f)"].sum()
    (gradient,) = torch.autograd.grad(length, [k])
    assert (float(length), float(gradient)) == (0.0, 0.0)


DEEP = """dyn 1
model deep
input x: real[3]
target y: real[3]
field block(t, h: real[3]) weights per step { h' = h |> dense(4) |> tanh |> dense(3) }
first = solve block from h = x over 0..1 with euler(steps=5)
output y0 = first
train { loss mse(y0, y); regularize weight_smoothness(block); precision float64; epochs 1 }
"""


def test_the_smoothness_of_weights_is_that_of_their_differences_in_numpy() -> None:
    source = Source(DEEP)
    made = lower(parse(source), source)
    plan = made.training
    assert plan is not None
    stepped, _ = training_solver(plan).unrolled(plan.losses)
    generator = np.random.default_rng(2)
    values = {weight.name: generator.normal(size=weight.shape) for weight in made.weights}
    assert {array.shape for array in values.values()} == {(5, 3, 4), (5, 4), (5, 4, 3), (5, 3)}
    given = {name: torch.as_tensor(array) for name, array in values.items()}
    given |= {"x": torch.zeros(2, 3).double(), "y": torch.zeros(2, 3).double()}
    found = TorchProgram(stepped)(given)["weight_smoothness(block)"]
    expected = sum(float(np.square(np.diff(array, axis=0)).sum()) for array in values.values())
    assert float(found) == pytest.approx(expected, rel=1e-12)

"""Runge-Kutta schemes against exact solutions, the exponential, and the tables of scipy and torchdiffeq."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import torch

from isocline_compiler.graph.naming import by_name
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_compiler.solvers.schemes.tableau import runge_kutta_step as step
from isocline_compiler.solvers.schemes.trees import density, failed_condition, trees, vertices

TABLEAUS = [scheme for scheme in SCHEMES.values() if isinstance(scheme, Tableau)]
every_tableau = pytest.mark.parametrize("tableau", TABLEAUS, ids=lambda tableau: tableau.name)

IMPLICIT_MIDPOINT = Tableau(
    "implicit_midpoint",
    2,
    a=((Fraction(1, 2),),),
    b=(1,),
    c=(Fraction(1, 2),),
    reference="Hairer (1993), II.7",
)
GAUSS2 = Tableau(
    "gauss2",
    4,
    a=((1 / 4, 1 / 4 - math.sqrt(3) / 6), (1 / 4 + math.sqrt(3) / 6, 1 / 4)),
    b=(1 / 2, 1 / 2),
    c=(1 / 2 - math.sqrt(3) / 6, 1 / 2 + math.sqrt(3) / 6),
    reference="Hairer (1993), II.7, table 7.3",
)


def coupled(t, x):
    """u' = u v, v' = -sin t (u exp(-sin t))^3: nonlinear and nonautonomous, solved by u = exp(sin t), v = cos
    t.
    """
    u, v = x
    return u * v, -math.sin(t) * (u * math.exp(-math.sin(t))) ** 3


def coupled_solution(t):
    return math.exp(math.sin(t)), math.cos(t)


def trajectory_error(tableau, steps, end=4.0):
    """The root mean square over the trajectory: at one point the leading terms of the error may cancel."""
    times = [end * i / steps for i in range(steps + 1)]
    x = coupled_solution(0.0)
    memory, squares = tableau.start(coupled, x), []
    for t, until in pairwise(times):
        memory, x = tableau.advance(memory, coupled, Step.of(t, end / steps, 2, until), x)
        squares.append(math.dist(x, coupled_solution(until)) ** 2)
    return math.sqrt(sum(squares) / steps)


COARSEST = {1: 128, 2: 64, 3: 32, 4: 32, 5: 64, 8: 8}
"""Few enough steps that rounding does not show after two halvings, enough that the leading term does."""


@every_tableau
def test_the_measured_order_is_the_declared_one(tableau):
    coarse, fine = (trajectory_error(tableau, COARSEST[tableau.order] * k) for k in (1, 4))
    assert math.log2(coarse / fine) / 2 == pytest.approx(tableau.order, abs=0.15)


@every_tableau
def test_no_scheme_is_better_than_it_says(tableau):
    assert failed_condition(tableau.matrix, tableau.weights, tableau.order + 1) is not None


@every_tableau
def test_stability_is_the_growth_on_the_linear_equation(tableau):
    z = np.array([[-0.5, 0.3j], [-2 + 1j, 0.1 - 0.7j]])
    (grown,) = step(tableau, lambda t, x: (z * x[0],), Step.of(0.0, 1.0), (np.ones_like(z),))
    np.testing.assert_allclose(tableau.stability(z), grown, rtol=1e-12)


@every_tableau
def test_stability_agrees_with_the_exponential_to_the_order(tableau):
    def remainder(z):
        return abs(tableau.stability(z) - np.exp(z))

    assert math.log2(remainder(0.8j) / remainder(0.4j)) > tableau.order + 0.6


def test_stability_of_an_implicit_scheme_is_the_known_rational_function():
    z = np.array([-3.0, 0.5j, -100.0])
    np.testing.assert_allclose(IMPLICIT_MIDPOINT.stability(z), (1 + z / 2) / (1 - z / 2), rtol=1e-13)


@pytest.mark.parametrize(("order", "count"), [(1, 1), (2, 1), (3, 2), (4, 4), (5, 9), (6, 20), (7, 48), (8, 115)])
def test_rooted_trees_are_as_many_as_cayley_counted(order, count):
    assert len(set(trees(order))) == len(trees(order)) == count
    assert {vertices(tree) for tree in trees(order)} == {order}


def test_densities_of_the_trees_of_order_four_are_those_of_the_book():
    assert sorted(map(density, trees(4))) == [4, 8, 12, 24]


CLAIMS = [(tableau.name, place) for tableau in TABLEAUS for place in ("a", "b", "c")]


@pytest.mark.parametrize(("name", "place"), [claim for claim in CLAIMS if claim != ("euler", "a")])
def test_a_wrong_coefficient_is_refused(name, place):
    tableau = SCHEMES[name]
    row = tableau.a[-1] if place == "a" else getattr(tableau, place)
    wrong = (*row[:-1], row[-1] + Fraction(1, 10**6))
    changed = {"a": (*tableau.a[:-1], wrong)} if place == "a" else {place: wrong}
    with pytest.raises(ValueError, match=f"scheme {name}: (row|order)"):
        replace(tableau, **changed)


def test_two_wrong_coefficients_that_cancel_in_the_row_sum_are_refused():
    rk4 = SCHEMES["rk4"]
    with pytest.raises(ValueError, match=r"order 4 condition of the tree \[\[\[\.\]\]\]|order 3"):
        replace(rk4, a=(*rk4.a[:3], (Fraction(1, 10), 0, Fraction(9, 10))))


def test_an_order_that_is_not_reached_is_refused_by_name_of_the_condition():
    with pytest.raises(ValueError, match=r"scheme heun: order 3 condition of the tree \[\[\.\]\]: 0\.0 instead of 1/6"):
        replace(SCHEMES["heun"], order=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": (0,)}, "2 weights need as many rows"),
        ({"a": ((), (1, 0, 0))}, "rows of lengths"),
        ({"embedded": (1,)}, "one a stage"),
        ({"order": 0}, "at least 1"),
        ({"embedded": (Fraction(1, 3), Fraction(1, 3)), "embedded_order": 1}, "embedded: order 1"),
    ],
)
def test_a_misshapen_tableau_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SCHEMES["heun"], **changes)


def test_a_name_belongs_to_one_scheme():
    with pytest.raises(ValueError, match="two schemes are named 'euler'"):
        by_name(SCHEMES["euler"], SCHEMES["heun"], SCHEMES["euler"], kind="schemes")


@pytest.mark.parametrize(("name", "table"), [("dopri5", scipy.integrate.RK45), ("bosh3", scipy.integrate.RK23)])
def test_scipy_has_the_same_table(name, table):
    ours, stages = SCHEMES[name], len(table.B)
    np.testing.assert_allclose(ours.matrix[:stages, : table.A.shape[1]], table.A, rtol=1e-15)
    np.testing.assert_allclose(ours.weights[:stages], table.B, rtol=1e-15)
    np.testing.assert_allclose(ours.nodes[:stages], table.C, rtol=1e-15)
    second = np.array(ours.embedded, dtype=np.float64) - ours.weights
    np.testing.assert_allclose(second, table.E, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("module", "attribute", "name"),
    [
        ("dopri5", "_DORMAND_PRINCE_SHAMPINE_TABLEAU", "dopri5"),
        ("bosh3", "_BOGACKI_SHAMPINE_TABLEAU", "bosh3"),
        ("dopri8", "_DOPRI8_TABLEAU", "dopri8"),
    ],
)
def test_torchdiffeq_has_the_same_table(module, attribute, name):
    table, ours = getattr(importlib.import_module(f"torchdiffeq._impl.{module}"), attribute), SCHEMES[name]
    stages = ours.stages
    rows = [row.numpy()[:stages] for row in table.beta][: stages - 1]
    for i, row in enumerate(rows, start=1):
        np.testing.assert_allclose(ours.matrix[i, : len(row)], row, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(ours.weights, table.c_sol.numpy()[:stages], rtol=1e-14)


def test_derived_properties():
    assert {tableau.name for tableau in TABLEAUS if tableau.fsal} == {"bosh3", "dopri5", "tsit5"}
    assert all(tableau.explicit and not tableau.symplectic for tableau in TABLEAUS)
    assert IMPLICIT_MIDPOINT.symplectic
    assert GAUSS2.symplectic
    assert not GAUSS2.explicit


@every_tableau
def test_evaluations_are_those_that_a_step_makes(tableau):
    calls = []

    def field(t, x):
        calls.append(t)
        return (x[0] * -1.0,)

    step(tableau, field, Step.of(0.0, 0.1), (1.0,))
    assert len(calls) == tableau.evaluations
    assert tableau.evaluations == tableau.stages - tableau.fsal


def test_the_last_stage_is_at_the_next_time_of_the_grid_exactly():
    assert sum((0.1, 0.2)) != 0.3
    seen = []
    step(SCHEMES["rk4"], lambda t, x: (seen.append(t), (0.0,))[1], Step.of(0.1, 0.2, 1, end=0.3), (1.0,))
    assert seen == [0.1, 0.2, 0.2, 0.3]


class Counted:
    """A number that counts the operations made on such numbers."""

    made: list[str]

    def __init__(self, made):
        self.made = made

    def __add__(self, other):
        self.made.append("+")
        return Counted(self.made)

    def __mul__(self, other):
        assert isinstance(other, float | Counted)
        self.made.append("*")
        return Counted(self.made)

    __rmul__ = __mul__


def test_zero_coefficients_leave_no_operations_behind():
    made = []
    step(SCHEMES["rk4"], lambda t, x: (Counted(made),), Step.of(0.0, 0.5), (Counted(made),))
    assert (made.count("+"), made.count("*")) == (3 + 4, 3 + 4)
    made.clear()
    step(SCHEMES["euler"], lambda t, x: (Counted(made),), Step.of(0.0, 1.0), (Counted(made),))
    assert made == ["+"]


@every_tableau
def test_a_step_is_the_same_in_numbers_arrays_and_tensors(tableau):
    def field(t, x):
        u, v = x
        return v * (t + 1.0), u * -1.0

    plain = step(tableau, field, Step.of(0.2, 0.1, 2), (1.0, 0.5))
    arrays = step(tableau, field, Step.of(np.float64(0.2), np.array([0.1]), 2), (np.ones(1), np.full(1, 0.5)))
    tensors = step(
        tableau,
        field,
        Step.of(torch.tensor(0.2, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64), 2),
        (torch.ones(1, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)),
    )
    for a, b, c in zip(plain, arrays, tensors, strict=True):
        np.testing.assert_allclose([b.item(), c.item()], a, rtol=1e-14)


def test_an_implicit_tableau_has_no_explicit_step():
    with pytest.raises(NotImplementedError, match="implicit_midpoint"):
        step(IMPLICIT_MIDPOINT, coupled, Step.of(0.0, 0.1), (np.ones(4),))

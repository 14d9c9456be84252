"""Tableaus for noise check the conditions of their order, and those are needed for it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from isocline_compiler.certify.order import observed_orders
from isocline_compiler.solvers.schemes.rossler import SRI, StochasticTableau
from isocline_compiler.solvers.schemes.stochastic_problems import HYPERBOLIC
from isocline_compiler.solvers.schemes.stochastic_tableaus import SRK, STOCHASTIC_TABLEAUS
from tests.stochastic_orders import CASES, STOCHASTIC

CASE = {case.problem.name: case for case in CASES}


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

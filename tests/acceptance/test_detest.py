"""The nonstiff suite: its equations against closed forms, its files, and the deployed models of three problems.

The whole suite takes minutes: `python -m tests.acceptance.detest` writes its table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import jv

from isocline_compiler.lower.check import check
from tests.acceptance.detest.problems import GRAVITY, MASSES, PROBLEMS, SUN, TIMES
from tests.acceptance.measured import Array, Problem, Row, errors_of, measure, table

FILES = Path(__file__).parent / "detest"
FAST = ("a5", "c1", "e1")
WIDE = ("d2", "d3", "d4", "d5")
"""Orbits that amplify the rounding of their start beyond a tenth of the stated error: float32 cannot hold them."""
S = 1.03


def _chain(rates: Array) -> Array:
    matrix = np.diag(np.append(-rates, 0.0)) + np.diag(rates, -1)
    return np.stack([expm(matrix * t)[:, 0] for t in TIMES])


def _lines(count: int) -> Array:
    matrix = np.diag(np.full(count, -2.0)) + np.diag(np.ones(count - 1), 1) + np.diag(np.ones(count - 1), -1)
    return np.stack([expm(matrix * t)[:, 0] for t in TIMES])


EXACT: dict[str, Callable[[], Array]] = {
    "a1": lambda: S * np.exp(-TIMES),
    "a2": lambda: S / np.sqrt(1 + S**2 * TIMES),
    "a3": lambda: S * np.exp(np.sin(TIMES)),
    "a4": lambda: 20 / (1 + (20 / S - 1) * np.exp(-TIMES / 4)),
    "b2": lambda: (S / 2) * np.stack(
        [2 + np.exp(-TIMES) + np.exp(-3 * TIMES), 2 - 2 * np.exp(-3 * TIMES),
         2 - np.exp(-TIMES) + np.exp(-3 * TIMES)], axis=1,
    ),
    "c1": lambda: S * _chain(np.ones(9)),
    "c2": lambda: S * _chain(np.arange(1.0, 10.0)),
    "c3": lambda: S * _lines(10),
    "c4": lambda: S * _lines(51),
    "e4": lambda: 30 * S + np.log(np.cosh(np.sqrt(0.0128) * TIMES)) / 0.4,
}  # fmt: skip
"""Of the first state where it is one, else of all, from s = 1.03."""


@pytest.mark.parametrize("name", EXACT)
def test_equations_have_their_closed_solutions(name: str) -> None:
    found, exact = PROBLEMS[name].solved(S), EXACT[name]()
    found = found if exact.ndim == 2 else found[:, 0]
    assert np.abs(found - exact).max() <= 1e-10 * np.abs(exact).max()


def test_bessels_equation_begins_at_one() -> None:
    found = PROBLEMS["e1"].solved(1.0)[:, 0]
    assert np.abs(found - jv(0.5, TIMES + 1)).max() <= 1e-10


@pytest.mark.parametrize(("name", "e"), [("d1", 0.1), ("d3", 0.5), ("d5", 0.9)])
def test_orbits_are_keplers(name: str, e: float) -> None:
    """x = cos E - e, y = sqrt(1 - e^2) sin E, E - e sin E = t."""
    anomaly = np.array(TIMES)
    for _ in range(200):
        anomaly -= (anomaly - e * np.sin(anomaly) - TIMES) / (1 - e * np.cos(anomaly))
    exact = np.stack([np.cos(anomaly) - e, np.sqrt(1 - e * e) * np.sin(anomaly)], axis=1)
    assert np.abs(PROBLEMS[name].solved(1.0)[:, :2] - exact).max() <= 1e-8


def test_the_outer_bodies_keep_their_energy() -> None:
    """In coordinates of the common centre, with the sun's own motion; a sign or a mass that is wrong would lose it."""
    path = PROBLEMS["c5"].solved(1.0)
    masses = np.append(SUN, MASSES)
    energies = []
    for row in path:
        place = np.vstack([np.zeros(3), row[:15].reshape(5, 3)])
        speed = np.vstack([np.zeros(3), row[15:].reshape(5, 3)])
        speed -= masses @ speed / masses.sum()
        kinetic = 0.5 * (masses * (speed**2).sum(1)).sum()
        pairs = [(i, j) for i in range(6) for j in range(i)]
        potential = sum(masses[i] * masses[j] / np.linalg.norm(place[i] - place[j]) for i, j in pairs)
        energies.append(kinetic - GRAVITY * potential)
    assert np.ptp(energies) <= 1e-10 * abs(energies[0])


@pytest.mark.parametrize("name", PROBLEMS)
def test_files_state_the_problem(name: str) -> None:
    model, problem = check(FILES / f"{name}.dyn"), PROBLEMS[name]
    assert model.name == name
    assert [port.bounds for port in model.inputs] == [(problem.low, problem.high)]
    assert {port.name for port in model.outputs} == set(problem.outputs)
    assert model.deployment.error == 1e-4
    assert model.deployment.dtype == ("float64" if name in WIDE else "float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_certificates_are_true(name: str) -> None:
    row = measure(PROBLEMS[name], FILES / f"{name}.dyn", 1e-4, count=41)
    assert row.verdict == "true", row.cells


@pytest.mark.slow
def test_an_orbit_that_amplifies_the_rounding_of_its_start_is_refused_in_single_precision(tmp_path: Path) -> None:
    """Rounding s alone moves the position after 20 units by 1.1e-5, a tenth of the stated error."""
    file = tmp_path / "d2.dyn"
    file.write_text((FILES / "d2.dyn").read_text().replace("; dtype float64", ""))
    row = measure(PROBLEMS["d2"], file, 1e-4)
    assert row.verdict == "refused"
    assert "error[E634]: float32 cannot hold `s`" in row.message


DECAY = Problem("decay", lambda t, y: -y, lambda s: [s], np.array([0.0, 1.0]))


def test_the_scan_finds_the_worst_input() -> None:
    scan = DECAY.scan(11)
    true = scan[:, None] * np.exp(-np.array([0.0, 1.0]))
    found = true.copy()
    found[7] *= 1.002
    errors = errors_of(DECAY, scan, {"y": found})
    assert errors.argmax() == 7
    assert errors[7] == pytest.approx(0.002, rel=1e-6)
    assert np.delete(errors, 7).max() <= 1e-10


def test_an_answer_that_is_no_number_is_infinitely_wrong() -> None:
    scan = DECAY.scan(3)
    assert np.isinf(errors_of(DECAY, scan, {"y": np.full((3, 2), np.nan)})).all()


def test_verdicts_tell_a_broken_promise_from_a_number_that_is_a_little_low() -> None:
    row = Row("p", 1.0, 1e-3, "rk4", 10, certified=5e-4, true=5.1e-4)
    assert row.verdict == "true"
    assert replace(row, true=7e-4).verdict == "exceeded"
    assert replace(row, true=1.1e-3).verdict == "false"
    assert replace(row, true=float("nan")).verdict == "false"
    assert replace(row, message="scipy: no").verdict == "unmeasured"
    assert replace(row, scheme="").verdict == "refused"
    assert "2 problems: 1 true, 0 exceeded, 1 false" in table([row, replace(row, true=2e-3)])


def test_a_refusal_is_reported_with_its_message(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text("dyn 1\nmodel m\ninput s: real\noutput y = q\n")
    row = measure(DECAY, file, 1e-3)
    assert row.verdict == "refused"
    assert "error[E201]" in row.message or "`q`" in row.message


def test_a_build_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text((FILES / "a1.dyn").read_text())
    row = measure(DECAY, file, 1e-3, limit=1)
    assert (row.verdict, row.message) == ("refused", "not through after 1 s")

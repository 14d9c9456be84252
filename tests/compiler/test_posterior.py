"""A-posteriori bounds against closed forms: never below what a solution misses, and not useless where they exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline_compiler.certify import posterior as bounded
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.posterior import Bounding, Unbounded, logarithmic_norms, posterior
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import IsoclineError

TEXT = """dyn 1
model m
input x0: real in (0.5, 2)
field f(t, x, y: real) {{ {field} }}
path = solve f from x = x0, y = {y0} at linspace(0, {end}, 9)
output y = stack(path.x, path.y, axis=-1)
deploy {{ solver auto(error=1e-3) }}
"""
Exact = Callable[[np.ndarray, float], np.ndarray]


def _decay(t: np.ndarray, x0: float) -> np.ndarray:
    return np.stack([x0 * np.exp(-t), 2 * np.exp(-3 * t)], axis=1)


def _growth(t: np.ndarray, x0: float) -> np.ndarray:
    return np.stack([x0 * np.exp(t), x0 * np.exp(2 * t)], axis=1)


def _turning(t: np.ndarray, x0: float) -> np.ndarray:
    return np.stack([x0 * np.cos(2 * t), x0 * np.sin(2 * t)], axis=1)


def _forced(t: np.ndarray, x0: float) -> np.ndarray:
    """x' = -x + sin t, and y' = cos(5 t)."""
    return np.stack([(x0 + 0.5) * np.exp(-t) + (np.sin(t) - np.cos(t)) / 2, 1 + np.sin(5 * t) / 5], axis=1)


def _logistic(t: np.ndarray, x0: float) -> np.ndarray:
    """x' = x (1 - x), and y' = -y^2 from 1."""
    return np.stack([1 / (1 + (1 / x0 - 1) * np.exp(-t)), 1 / (1 + t)], axis=1)


CASES: dict[str, tuple[str, str, float, Exact]] = {
    "decay": ("x' = -x; y' = -3*y", "2", 8, _decay),
    "growth": ("x' = x; y' = 2*y", "x0", 2, _growth),
    "turning": ("x' = -2*y; y' = 2*x", "0", 5, _turning),
    "forced": ("x' = -x + sin(t); y' = cos(5*t)", "1", 4, _forced),
    "logistic": ("x' = x*(1 - x); y' = -y^2", "1", 4, _logistic),
}


def evaluator_of(folder: Path, name: str) -> Evaluator:
    field, y0, end, _ = CASES[name]
    file = folder / "m.dyn"
    file.write_text(TEXT.format(field=field, y0=y0, end=end))
    model = check(file)
    return Evaluator(model, {}, drawn(model.inputs, model.source).first(1))


def missed(evaluator: Evaluator, name: str) -> tuple[float, float]:
    """How far the third solution is from the closed form at any stop, by the size of each state; and its bound."""
    _, _, end, exact = CASES[name]
    bounding = Bounding({})
    found = evaluator.outputs(evaluator.stepped({}), bounding)["y"][0]
    x0 = float(evaluator.samples.inputs["x0"][0])
    size = np.abs(exact(np.linspace(0, end, 2001), x0)).max(axis=0)
    error = np.abs(found - exact(np.linspace(0, end, 9), x0)) / size
    return float(error.max()), bounding.found["path"]


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("name", CASES)
def test_a_bound_is_never_below_the_error(
    name: str, tolerance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "TOLERANCE", tolerance)
    error, bound = missed(evaluator_of(tmp_path, name), name)
    assert error <= bound
    assert bound <= 1e4 * tolerance


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_solution_is_bounded_by_its_defect(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver is given another field, one per cent off: what comes out is smooth, converged, and wrong."""
    theirs = bounded.solve_ivp
    monkeypatch.setattr(
        bounded, "solve_ivp", lambda f, *rest, **more: theirs(lambda t, x: 1.01 * f(t, x), *rest, **more)
    )
    error, bound = missed(evaluator_of(tmp_path, name), name)
    assert 1e-4 < error <= bound


def test_the_build_stops_where_both_references_lie_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are off by the same 3e-4, less than the stated error and more than a tenth of it."""
    theirs = Evaluator.referred
    monkeypatch.setattr(
        Evaluator, "referred", lambda self: {name: (1 + 3e-4) * array for name, array in theirs(self).items()}
    )
    evaluator_of(tmp_path, "decay")
    with pytest.raises(IsoclineError, match="DOP853 of scipy") as caught:
        isocline.compile(tmp_path / "m.dyn", out=tmp_path / "out")
    assert {item.code for item in caught.value.diagnostics} == {"E630"}


def test_the_certificate_states_bound_and_distance(tmp_path: Path) -> None:
    found = posterior(evaluator_of(tmp_path, "decay"))
    assert found.samples == 1
    assert 0 < found.bounds["path"] < 1e-7
    assert found.apart["y"] < 1e-6


def test_where_solutions_run_apart_nothing_is_said(tmp_path: Path) -> None:
    """The pendulum upside down: mu is 100 throughout, and e^200 is more than any defect allows."""
    file = tmp_path / "m.dyn"
    file.write_text(TEXT.format(field="x' = 100*y; y' = sin(x)*100 - 50*x", y0="0", end=2))
    model = check(file)
    found = posterior(Evaluator(model, {}, drawn(model.inputs, model.source).first(1)))
    assert not found.bounds
    assert "run apart" in found.why


def test_a_solve_that_begins_with_the_error_of_another_is_not_bounded(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\ninput x0: real in (1, 2)\nfield f(t, x: real) { x' = -x }\n"
        "a = solve f from x = x0 over 0..1\nb = solve f from x = a over 0..1\noutput b\n"
    )
    model = check(file)
    found = posterior(Evaluator(model, {}, drawn(model.inputs, model.source).first(1)))
    assert not found.bounds
    assert found.apart["b"] < 1e-6
    assert "several solves" in found.why


def test_a_large_state_is_not_bounded(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\ninput x0: real[65] in (0, 1)\nfield f(t, x: real[65]) { x' = -x }\n"
        "x = solve f from x = x0 over 0..1\noutput x\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).first(1))
    with pytest.raises(Unbounded, match="more than 64"):
        evaluator.outputs(evaluator.stepped({}), Bounding({}))
    assert posterior(evaluator).samples == 0


@pytest.mark.parametrize("seed", range(5))
def test_logarithmic_norms_are_the_derivatives_of_norms(seed: int) -> None:
    a, h = np.random.default_rng(seed).standard_normal((4, 4)), 1e-7
    limits = [(np.linalg.norm(np.eye(4) + h * a, order) - 1) / h for order in (1, 2, np.inf)]
    np.testing.assert_allclose(logarithmic_norms(a), limits, atol=1e-5)

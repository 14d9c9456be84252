"""|R(h lambda)| on linear systems whose eigenvalues are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.certify import spectrum
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.certify.spectrum import LARGEST
from isocline_compiler.certify.stability import Stability, stability
from isocline_compiler.lower.check import check


def stated(folder: Path, matrix: np.ndarray, scheme: str, steps: int) -> Stability:
    """The record of x' = A x over 0..1 on a grid."""
    size = len(matrix)
    rows = ", ".join("[" + ", ".join(f"({value!r})" for value in row) + "]" for row in matrix.tolist())
    file = folder / "linear.dyn"
    file.write_text(
        f"dyn 1\nmodel linear\nconst a = [{rows}]\ninput start: real[{size}] in (-1, 1)\n"
        f"field f(t, x: real[{size}]) {{ x' = a @ x }}\n"
        "x = solve f from x = start over 0..1\noutput x\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).first(8))
    (solve,) = evaluator.open
    (record,) = stability(evaluator, {"x": discretisation(solve, scheme, steps)})
    return record


def test_the_fastest_decay_of_euler(tmp_path: Path) -> None:
    """R(z) = 1 + z: with h = 1/4 and eigenvalues -1 and -12, |1 - 3| = 2; the grid makes grow what decays."""
    record = stated(tmp_path, np.array([[-1.0, 0.0], [3.0, -12.0]]), "euler", 4)
    assert record.largest == pytest.approx(2.0, abs=1e-12)
    assert record.decaying == pytest.approx(2.0, abs=1e-12)
    assert record.eigenvalue == pytest.approx((-12.0, 0.0))
    assert (record.scheme, record.step, record.exact) == ("euler", 0.25, True)


def test_an_oscillation_under_rk4(tmp_path: Path) -> None:
    """Eigenvalues +-3i: R is the Taylor polynomial of degree 4 of exp; nothing decays."""
    record = stated(tmp_path, np.array([[0.0, 3.0], [-3.0, 0.0]]), "rk4", 2)
    z = 1.5j
    assert record.largest == pytest.approx(abs(sum(z**k / math.factorial(k) for k in range(5))), abs=1e-12)
    assert abs(record.eigenvalue[1]) == pytest.approx(3.0)


def test_growth_is_not_instability(tmp_path: Path) -> None:
    record = stated(tmp_path, np.diag([2.0, -1.0]), "midpoint", 2)
    assert record.largest == pytest.approx(1 + 1 + 0.5)
    assert record.decaying == pytest.approx(1 - 0.5 + 0.125)


@pytest.mark.parametrize("made", [True, False], ids=["of the Jacobian", "of products with it"])
def test_arnoldi_finds_the_outermost_eigenvalue_of_a_large_state(
    made: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A diagonal of LARGEST + 1 numbers, one of the second sample far outside: the probe agrees with the spectrum."""
    size = LARGEST + 1
    if not made:
        monkeypatch.setattr(spectrum, "WHOLE", LARGEST)
    file = tmp_path / "large.dyn"
    file.write_text(
        f"dyn 1\nmodel large\ninput start: real[{size}] in (0.5, 1)\ninput rates: real[{size}] in (-30, 0)\n"
        f"field f(t, x: real[{size}]) {{ x' = rates*x }}\nx = solve f from x = start over 0..1\noutput x\n"
    )
    model = check(file)
    samples = drawn(model.inputs, model.source).first(2)
    rates = np.linspace(-1.0, 0.0, size)
    samples.inputs["rates"][:] = rates
    samples.inputs["rates"][:, 17] = [-5.0, -30.0]
    evaluator = Evaluator(model, {}, samples)
    (solve,) = evaluator.open
    (record,) = stability(evaluator, {"x": discretisation(solve, "euler", 10)})
    assert not record.exact
    assert record.sample == 1
    assert record.eigenvalue == pytest.approx((-30.0, 0.0), rel=1e-6)
    assert record.largest == pytest.approx(2.0, rel=1e-5)


def test_each_row_of_a_batch_has_its_own_spectrum(tmp_path: Path) -> None:
    """The rate is an input: the record names the sample with the largest."""
    file = tmp_path / "rows.dyn"
    file.write_text(
        "dyn 1\nmodel rows\ninput rate: real in (1, 9)\nfield f(t, x: real) { x' = -rate*x }\n"
        "x = solve f from x = 1 over 0..1\noutput x\n"
    )
    model = check(file)
    samples = drawn(model.inputs, model.source).first(8)
    samples.inputs["rate"][:] = [1, 2, 3, 4, 9, 5, 6, 7]
    evaluator = Evaluator(model, {}, samples)
    (solve,) = evaluator.open
    (record,) = stability(evaluator, {"x": discretisation(solve, "euler", 3)})
    assert record.sample == 4
    assert record.largest == pytest.approx(2.0)


@pytest.mark.parametrize("scheme", ["imex_euler", "ars222"])
def test_a_scheme_of_two_parts_has_no_growth_of_the_whole(tmp_path: Path, scheme: str) -> None:
    """x' = -2 x + 3 x, the first implicit: with h = 1/3 Euler's step grows by (1 + 1)/(1 + 2/3) = 1.2. R(h lambda) of
    the implicit part would be 1/(1 - 1/3), and without bound with h = 1.
    """
    file = tmp_path / "parts.dyn"
    file.write_text(
        "dyn 1\nmodel parts\ninput start: real in (0.5, 1)\nfield f(t, x: real) { x' = stiff(-2*x) + 3*x }\n"
        "x = solve f from x = start over 0..3\noutput x\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).first(8))
    (solve,) = evaluator.open
    choices = {"x": discretisation(solve, scheme, 9)}
    if scheme == "imex_euler":
        grown = evaluator.run(choices)["x"] / evaluator.samples.inputs["start"]
        np.testing.assert_allclose(grown, 1.2**9, rtol=1e-12)
    assert stability(evaluator, choices) == ()

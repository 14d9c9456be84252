"""Equations with the schemes that their own literature takes, instead of those that `auto` finds, against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocline_compiler import driver, pipeline
from isocline_runtime import load
from tests.acceptance.equations import PROBLEMS
from tests.acceptance.test_equations import MODELS, errors_of

NAMED = (
    ("hodgkin_huxley", "exponential_euler(steps=2000)", 5e-2),  # Rush, Larsen (1978)
    ("hodgkin_huxley", "ars222(steps=800)", 2e-3),
    ("fisher", "rkc2(steps=40, stages=5)", 3e-3),  # Sommeijer, Shampine, Verwer (1998)
    ("fisher", "ars222(steps=80)", 2e-3),  # Ascher, Ruuth, Spiteri (1997)
    ("fisher", "etd_rk4(steps=20)", 1e-3),  # Kassam, Trefethen (2005)
)
"""A model, a scheme for it with its steps, and an error that it stays below."""


@pytest.mark.parametrize(("name", "solver", "least"), NAMED)
def test_a_named_scheme_is_as_exact_as_its_certificate_says(
    name: str, solver: str, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    text = (MODELS / f"{name}.dyn").read_text()
    (tmp_path / f"{name}.dyn").write_text(text.replace("auto(error=1e-3)", f"{solver}\n  dtype float64"))
    compiled = driver.compile(tmp_path / f"{name}.dyn", out=tmp_path / "artifact")
    (solve,) = compiled.certificate["solves"]
    assert solve["scheme"] == solver.partition("(")[0]
    session = load(tmp_path / "artifact")
    for output, error in errors_of(session, PROBLEMS[name], "certificate").items():
        certified = compiled.certificate["discretisation"][output]["maximum"]
        np.testing.assert_allclose(error, certified, rtol=1e-3, atol=1e-7)
        assert error <= least, output

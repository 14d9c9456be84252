"""Models without training, straight from the file: the deployed trajectories against scipy's, at the stated error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocline_compiler import driver, pipeline
from isocline_compiler.certify.reference import reference_tolerance
from isocline_compiler.pipeline import Compiled
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import Session, load
from tests.acceptance.equations import PROBLEMS, Problem

MODELS = Path(__file__).parent / "models"
SOLVER = "deploy { solver auto(error=1e-3) }"
FRESH = 32
"""Samples that the compiler has not seen."""

ERRORS = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
SWEPT = ("van_der_pol", "lorenz", "phosphorylation")
"""Compiled at every error; the others, each of another form, at one."""
CASES = [(name, error) for name in PROBLEMS for error in (ERRORS if name in SWEPT else ("1e-3",))]
DRAWN = (("brusselator", "1e-3"), ("fitzhugh_nagumo", "1e-3"), ("logistic", "1e-3"))
"""Cases whose page is drawn; drawing takes as long as the rest."""


def precision(name: str, error: str) -> str:
    """Rounding in float32 reaches 1e-6 and more in these models, and 5e-6 in a chaotic one."""
    return "float64" if float(error) <= (1e-5 if name == "lorenz" else 1e-6) else "float32"


def written(folder: Path, name: str, error: str, dtype: str) -> Path:
    """The file of a model with another stated error."""
    text = (MODELS / f"{name}.dyn").read_text()
    assert text.count(SOLVER) == 1
    file = folder / f"{name}.dyn"
    file.write_text(text.replace(SOLVER, f"deploy {{\n  solver auto(error={error})\n  dtype {dtype}\n}}"))
    return file


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Problem, Compiled]:
    """A problem and its artifact."""
    name, error = request.param
    folder = tmp_path_factory.mktemp(f"{name}{error}")
    file = written(folder, name, error, precision(name, error))
    with pytest.MonkeyPatch.context() as patch:
        if request.param not in DRAWN:
            patch.setattr(pipeline, "report_of", lambda *_: "")
        return PROBLEMS[name], driver.compile(file, out=folder / "artifact")


@cache
def truth(name: str, source: str, dtype: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs, "fresh" or those that an artifact carries, the worst of its certificate among them; scipy's outputs."""
    problem = PROBLEMS[name]
    if source == "fresh":
        inputs = problem.sample(np.random.default_rng(20260), FRESH, "float32")
    else:
        with np.load(folder / "samples.npz") as stored:
            inputs = {
                key.removeprefix("input/"): stored[key].astype(dtype) for key in stored if key.startswith("input/")
            }
    return inputs, problem.solved(inputs)


def errors_of(session: Session, problem: Problem, source: str) -> dict[str, float]:
    """By output, the largest over samples of max |found - true| / max |true|, as the certificate defines it."""
    dtype = session.inputs[0].dtype if session.inputs else ""
    inputs, true = truth(problem.name, source, dtype, session.path)
    found = session.run(inputs)
    return {name: _error(np.asarray(found[name], dtype=float), true[name], bool(inputs)) for name in true}


def _error(found: Any, true: Any, batched: bool) -> float:
    assert found.shape == true.shape
    rows = [(found, true)] if not batched else list(zip(found, true, strict=True))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in rows)


@pytest.mark.parametrize("source", ["fresh", "certificate"])
def test_deployed_trajectories_keep_the_stated_error(case: tuple[Problem, Compiled], source: str) -> None:
    problem, compiled = case
    for output, error in errors_of(load(compiled.folder), problem, source).items():
        assert error <= compiled.certificate["stated_error"], output


def test_the_certificate_states_the_error_that_scipy_measures(case: tuple[Problem, Compiled]) -> None:
    """The deployed model differs from its grid by rounding, which parity bounds, and the reference has an error."""
    problem, compiled = case
    certificate = compiled.certificate
    own = max(100 * reference_tolerance(certificate["stated_error"]), 1e-9)
    for output, error in errors_of(load(compiled.folder), problem, "certificate").items():
        stated = certificate["discretisation"][output]["maximum"]
        assert abs(error - stated) <= own + 1.01 * certificate["parity"][output]["maximum"], output
        assert stated <= certificate["stated_error"]


def test_the_page_shows_the_model(case: tuple[Problem, Compiled]) -> None:
    problem, compiled = case
    page = (compiled.folder / "report.html").read_text()
    if (problem.name, f"{compiled.certificate['stated_error']:.0e}") in {(name, "1e-03") for name, _ in DRAWN}:
        assert problem.name in page
        assert "<svg" in page


def test_float32_cannot_keep_what_rounding_breaks(tmp_path: Path) -> None:
    """Parity is a promise of its own; at 1e-7 the build says that float32 misses it, and writes nothing."""
    file = written(tmp_path, "fitzhugh_nagumo", "1e-6", "float32\n  parity 1e-7")
    with pytest.raises(IsoclineError) as caught:
        driver.compile(file, out=tmp_path / "artifact")
    assert {item.code for item in caught.value.diagnostics} == {"E632"}
    assert "float32 rounds" in caught.value.diagnostics[0].message
    assert not (tmp_path / "artifact").exists()

"""Numbers of a certificate beside closed forms: errors of what is deployed, orders on the model, bounds on rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocline_compiler import driver, pipeline
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.order import ObservedOrder, model_order
from isocline_compiler.certify.samples import Samples
from isocline_compiler.lower.check import check
from isocline_compiler.solvers.grid import Discretisation, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_runtime import load
from tests.toys.two_step import TOYS

FADE = """dyn 1
model fade
input x0: real in (1, 2)
field f(t, x: real) {{ x' = {slope} }}
x = solve f from x = x0 over 0..1
output x
deploy {{ {deploy} }}
"""


@pytest.fixture(autouse=True)
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")


def written(folder: Path, deploy: str, slope: str = "-x") -> Path:
    file = folder / "fade.dyn"
    file.write_text(FADE.format(slope=slope, deploy=deploy))
    return file


def order_on(folder: Path, scheme: Scheme, slope: str, steps: int = 8) -> ObservedOrder:
    model = check(written(folder, "solver rk4(steps=8)", slope))
    evaluator = Evaluator(model, {}, Samples({"x0": np.linspace(1.1, 1.9, 5)}, {}, "five"))
    (found,) = model_order(evaluator, {"x": Discretisation(scheme, uniform(0.0, 1.0, steps))})
    return found


@pytest.mark.parametrize("name", ["euler", "heun", "ralston3", "rk4"])
def test_the_order_on_a_smooth_model_is_that_of_the_scheme(name: str, tmp_path: Path) -> None:
    """On x' = -x a step is R(-h), the exponential series up to h^p: halving divides what is left by 2^p."""
    found = order_on(tmp_path, SCHEMES[name], "-x")
    assert found.declared == SCHEMES[name].order
    assert found.observed == pytest.approx(SCHEMES[name].order, abs=0.35)
    assert not found.differs


def test_a_scheme_of_a_lower_order_than_it_says_differs_on_the_model(tmp_path: Path) -> None:
    """3/2 - 4/10 is not 1: its steps are too long, and halving them does not help."""
    (toy,) = TOYS
    assert order_on(tmp_path, toy, "-x").observed == pytest.approx(2, abs=0.35)
    wrong = order_on(tmp_path, replace(toy, before=-0.4), "-x")
    assert wrong.declared == 2
    assert wrong.differs


def test_no_more_than_the_first_order_is_expected_of_a_field_with_corners(tmp_path: Path) -> None:
    found = order_on(tmp_path, SCHEMES["rk4"], "-abs(x - 1.2)")
    assert found.declared == 1
    assert not found.differs


SWIRL = """dyn 1
model swirl
input s: real in (0.99, 1.01)
field f(t, x, y, z: real) { x' = 0.2*x + y*z; y' = -0.01*x - 0.4*y - x*z; z' = -z - x*y }
p = solve f from x = -0.54770787*s, y = 0.73876479*s, z = -0.0049284531*s at linspace(0, 14.85, 20)
output y = stack(p.x, p.y, p.z, axis=-1)
"""


def test_an_order_that_rises_as_steps_are_halved_is_waited_for(tmp_path: Path) -> None:
    """3.2 and 3.6 after so many halvings as are enough elsewhere, from steps that the stated error allows: then 3.8."""
    file = tmp_path / "swirl.dyn"
    file.write_text(SWIRL)
    model = check(file)
    evaluator = Evaluator(model, {}, Samples({"s": np.linspace(0.991, 1.009, 5)}, {}, "five"))
    (found,) = model_order(evaluator, {"p": discretisation(evaluator.open[0], "abm", 2)})
    assert found.observed == pytest.approx(4, abs=0.35)
    assert not found.differs


def test_the_certificate_holds_the_order_on_the_model(tmp_path: Path) -> None:
    certificate = driver.compile(written(tmp_path, "solver euler(steps=16)"), tmp_path / "out").certificate
    (found,) = (item for item in certificate["orders"] if item["on"] == "the model")
    assert found["observed"] == pytest.approx(1, abs=0.1)
    assert {item["on"] for item in certificate["orders"]} > {"the model"}


def errors(folder: Path) -> tuple[dict[str, Any], float]:
    """The certificate, and how far the deployed answers are from x0/e on the samples that were stored."""
    session = load(folder)
    with np.load(folder / "samples.npz") as stored:
        x0 = stored["input/x0"]
    found = np.asarray(session.run(x0=x0)["x"], dtype=float)
    exact = np.asarray(x0, dtype=float) * np.exp(-1.0)
    return dict(session.certificate or {}), float(np.abs(found / exact - 1).max())


def test_the_error_of_what_is_deployed_holds_its_rounding(tmp_path: Path) -> None:
    """In so fine a grid only rounding is left: of the file, and not of the same steps in double precision."""
    folder = driver.compile(written(tmp_path, "solver dopri5(steps=100)"), tmp_path / "out").folder
    certificate, measured = errors(folder)
    assert 2**-26 < measured < 1e-5
    assert certificate["deployed"]["x"]["maximum"] == pytest.approx(measured, rel=1e-2)
    assert certificate["parity"]["x"]["maximum"] == pytest.approx(measured, rel=1e-2)
    assert certificate["discretisation"]["x"]["maximum"] < 1e-9


@pytest.mark.parametrize("scheme", ["euler", "heun"])
def test_halved_steps_move_as_far_as_the_closed_form_says(scheme: str, tmp_path: Path) -> None:
    grown = {"euler": lambda h: 1 - h, "heun": lambda h: 1 - h + h * h / 2}[scheme]
    certificate, measured = errors(
        driver.compile(written(tmp_path, f"solver {scheme}(steps=8)"), tmp_path / "o").folder
    )
    coarse, fine = (grown(1 / n) ** n for n in (8, 16))
    assert certificate["step_halving"]["x"] == pytest.approx(abs(coarse / fine - 1), rel=0.1)
    assert measured == pytest.approx(abs(coarse * np.e - 1), rel=1e-4)


@pytest.mark.parametrize(
    ("deploy", "bound"),
    [
        ("solver auto(error=1e-2)", 1e-3),
        ("solver auto(error=1e-3)", 1e-4),
        ("solver auto(error=1e-5)", 5e-6),
        ("solver auto(error=1e-3); parity 3e-5", 3e-5),
        ("solver rk4(steps=20)", 1e-5),
    ],
)
def test_rounding_is_bounded_by_a_tenth_of_the_error_or_what_single_precision_keeps(
    deploy: str, bound: float, tmp_path: Path
) -> None:
    certificate = driver.compile(written(tmp_path, deploy), tmp_path / "out").certificate
    assert certificate["parity_bound"] == pytest.approx(bound)

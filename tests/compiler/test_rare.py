"""Zeros of divisors and of what is under roots and logarithms are found on the graph, and tried on both sides."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler import driver
from isocline_compiler.certify.prove import Proving
from isocline_compiler.certify.rare import rare_samples
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_runtime import load


def written(folder: Path, body: str) -> Path:
    file = folder / "case.dyn"
    file.write_text(f"dyn 1\nmodel case\n{body}\n")
    return file


def refused(folder: Path, body: str) -> list[Diagnostic]:
    with pytest.raises(IsoclineError) as caught:
        driver.compile(written(folder, body), out=folder / "case")
    assert not (folder / "case").exists()
    return list(caught.value.diagnostics)


ZEROS = {
    "a change of sign": ("input x: real in (-3, 2)\noutput y = 1/(exp(x) - 1)", {"x": 0.0}),
    "a square": ("input x: real in (-3, 2)\noutput y = (1 - cos(x - 0.7))/(x - 0.7)^2", {"x": 0.7}),
    "one that is not crossed": ("input x: real in (-3, 2)\noutput y = sqrt(x^2 - 2.6*x + 1.69)", {"x": 1.3}),
    "an argument of log": ("input x: real in (-1, 2)\noutput y = log(abs(x - 0.1))", {"x": 0.1}),
}


@pytest.mark.parametrize("name", ZEROS)
def test_samples_lie_on_both_sides_of_a_zero(name: str, tmp_path: Path) -> None:
    body, place = ZEROS[name]
    model = check(written(tmp_path, body))
    found = rare_samples(model, {}, drawn(model.inputs, model.source))
    assert found is not None
    box = {"x": np.ptp(model.inputs[0].bounds)}
    for key, zero in place.items():
        for side in (-1, 1):
            for distance in (1e-6, 1e-4, 1e-2):
                away = side * (found.samples.inputs[key] - zero) / box[key]
                assert np.abs(away / distance - 1).min() < 0.5


def test_a_difference_of_two_inputs_is_met_where_it_vanishes(tmp_path: Path) -> None:
    model = check(written(tmp_path, "input a, b: real in (0, 4)\noutput y = (a^2 - b^2)/(a - b)"))
    found = rare_samples(model, {}, drawn(model.inputs, model.source))
    assert found is not None
    apart = np.abs(found.samples.inputs["a"] - found.samples.inputs["b"])
    assert ((apart > 1e-7) & (apart < 1e-5)).any()
    assert all("a - b" in words for words in found.words)


GATE = """input v: real in (-80, 40) unit "mV"
output rate = 0.28*(v + 23)/({divisor})
deploy {{ attribute rate wrt v by saliency, integrated_gradients(steps=16) }}"""

LOST = {
    "a rate of Traub and Miles": (GATE.format(divisor="exp((v + 23)/5) - 1"), -23),
    "its derivative": (GATE.format(divisor="expm1((v + 23)/5)"), -23),
    "the derivative of sin(x)/x": (
        "input x: real in (-3, 2)\noutput y = sin(x)/x\ndeploy { attribute y wrt x by saliency }", 0,
    ),
    "log(1 + x)/x": ("input x: real in (-0.5, 2)\noutput y = log(1 + x)/x", 0),
    "a difference quotient of roots": ("input x: real in (-0.5, 2)\noutput y = (sqrt(1 + x) - 1)/x", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_a_quotient_of_small_numbers_stops_the_build_where_it_loses_its_digits(name: str, tmp_path: Path) -> None:
    body, zero = LOST[name]
    faults = refused(tmp_path, body)
    assert {fault.code for fault in faults} == {"E674"}
    (place,) = re.findall(r" at [vx] = (\S+), where", faults[0].message)
    assert abs(float(place) - zero) < 1.3
    assert "comes to 0" in faults[0].message
    assert "expm1" in str(faults[0].hint)


def test_the_place_that_is_told_is_where_the_digits_are_lost(tmp_path: Path) -> None:
    """log(1 + x)/x in single precision, by numpy at the place of the message: off by as much as the message says."""
    body, _ = LOST["log(1 + x)/x"]
    (fault, *_) = refused(tmp_path, body)
    assert fault.code == "E674"
    said, place = (float(item) for item in re.findall(r"off by (\S+) at x = (\S+),", fault.message)[0])
    x = np.float32(place)
    exact = np.log1p(float(x)) / float(x)
    assert abs(float(np.log(np.float32(1) + x) / x) / exact - 1) == pytest.approx(said, rel=0.06)


def test_every_sample_near_a_zero_is_told_by_its_own_place(tmp_path: Path) -> None:
    body, _ = LOST["log(1 + x)/x"]
    proving = Proving(check(written(tmp_path, body)), {}, None)
    drawn_first = len(drawn(proving.model.inputs, proving.model.source).inputs["x"])
    places = proving.samples.inputs["x"]
    assert len(places) >= drawn_first + 6
    for row, place in enumerate(places):
        words = proving._near_zero(row)
        if row < drawn_first:
            assert words is None
        else:
            assert words is not None
            assert float(words.removeprefix("x = ").partition(",")[0]) == pytest.approx(place, rel=1e-4)


def test_the_series_that_the_message_offers_is_right(tmp_path: Path) -> None:
    """u/(e^u - 1) = 1 - u/2 + u^2/12 - ..., whose derivative at 0 is -1/2: a saliency of 1.4*1/2*1/5 = 0.14."""
    body = """input v: real in (-80, 40) unit "mV"
x = (v + 23)/5
output rate = 1.4*where(abs(x) < 0.1, 1 - x/2 + x^2/12, x/where(abs(x) < 0.1, 1, expm1(x)))
deploy { attribute rate wrt v by saliency }"""
    driver.compile(written(tmp_path, body), out=tmp_path / "case")
    v = np.array([-23.0001, -23.0, -22.99, -23.4, -22.4], dtype=np.float32)
    found = load(tmp_path / "case").attribute({"v": v})
    (name,) = [key for key in found if "saliency" in key]
    u = (v.astype(np.float64) + 23) / 5
    np.testing.assert_allclose(found[name], 0.28 * np.abs(-1 / 2 + u / 6 - u**3 / 180), rtol=2e-4)


def test_double_precision_keeps_enough_digits(tmp_path: Path) -> None:
    body = GATE.format(divisor="exp((v + 23)/5) - 1").replace("deploy {", "deploy { dtype float64;")
    driver.compile(written(tmp_path, body), out=tmp_path / "case")
    found = load(tmp_path / "case").attribute({"v": np.array([-23.0001])})
    (name,) = [key for key in found if "saliency" in key]
    np.testing.assert_allclose(found[name], 0.14, rtol=1e-4)
    certificate = json.loads((tmp_path / "case" / "certificate.json").read_text())
    assert "near zeros of divisors" in certificate["samples"]

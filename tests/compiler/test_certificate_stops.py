"""Faults planted in the compiler stop the build: a wrong order, a wrong row of weights, a wrong derivative."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from isocline_compiler import pipeline
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Row
from isocline_compiler.lower.check import check
from isocline_compiler.ops import OPS
from isocline_compiler.pipeline import Trained, compile_model
from isocline_compiler.solvers import grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.training.initial import initial_weights
from isocline_dsl.diagnostics import IsoclineError
from tests.toys.two_step import TOYS

DECAY = """dyn 1
model m
input start: real in (0.5, 2)
field f(t, x: real) { x' = -x + sin(t) }
path = solve f from x = start over 0..2
output y = path.x
"""

RESIDUAL = """dyn 1
model m
input start: real[3] in (-1, 1)
field block(t, h: real[3]) weights per step { h' = h |> dense(3) |> tanh }
path = solve block from h = start over 0..4 with euler(steps=4)
output y = path.h
"""

EXPLAINED = """dyn 1
model m
input x: real[2] in (0.3, 1)
output y = sum(sin(x)*x)
deploy { attribute y wrt x by saliency }
"""


@pytest.fixture(autouse=True)
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")


def codes(folder: Path, text: str, override: Called | None = None) -> set[str]:
    """Of the messages that stop the build; none where an artifact is written."""
    file = folder / "m.dyn"
    file.write_text(text)
    model = check(file)
    trained = Trained(initial_weights(model.weights, 0))
    try:
        compile_model(model, trained, None, override, lambda _: None, folder / "out")
    except IsoclineError as error:
        assert not (folder / "out").exists()
        return {item.code for item in error.diagnostics}
    return set()


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_a_two_step_scheme_with_a_wrong_coefficient_stops_the_build(
    wrong: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (toy,) = TOYS
    scheme = replace(toy, before=-0.4) if wrong else toy
    monkeypatch.setattr(grid, "SCHEMES", MappingProxyType({**SCHEMES, toy.name: scheme}))
    assert codes(tmp_path, DECAY, Called(toy.name, {"steps": 400})) == ({"E628"} if wrong else set())


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_steps_that_read_a_wrong_row_of_weights_stop_the_build(
    wrong: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if wrong:
        monkeypatch.setattr(Row, "index", lambda self, step, steps, depth: max(step - 1, 0))
    assert codes(tmp_path, RESIDUAL) == ({"E629"} if wrong else set())


SOUGHT = ("attribute y wrt x by saliency", "derivatives adjoint", "derivatives forward")


@pytest.mark.parametrize("sought", SOUGHT)
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_a_wrong_derivative_rule_stops_the_build(wrong: bool, sought: str, tmp_path: Path) -> None:
    sine = OPS["sin"]
    rule = sine.vjp
    if wrong:
        object.__setattr__(sine, "vjp", lambda g, y, x: (-g * OPS["cos"](x),))
    try:
        assert codes(tmp_path, EXPLAINED.replace(SOUGHT[0], sought)) == ({"E623"} if wrong else set())
    finally:
        object.__setattr__(sine, "vjp", rule)

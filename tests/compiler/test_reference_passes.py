"""A pass of the reference that is left out would have taken the same steps: with it, too, the solution is the same."""

from __future__ import annotations

import pytest
from torchdiffeq._impl.odeint import SOLVERS

from isocline_compiler.certify import reference_passes
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.check import model as model_of
from isocline_compiler.training import integrate

MODELS = {
    "slow": ("x' = -x", "0..1"),
    "a swing": ("x' = -9*x + sin(8*t)", "0..3"),
    "fast": ("x' = -200*(x - cos(t))", "0..1"),
    "backwards": ("x' = 0.3*x*(1 - x)", "1..0"),
    "a jump": ("x' = where(t < 0.4, x, -3*x)", "0..1 step 0.25"),
    "from rest": ("x' = t^3 - x", "0..2"),
}


def solved(field: str, span: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], int]:
    """The reference, and how many passes were made for it."""
    made = []
    solve = integrate.AdaptiveIntegrator.solve

    def counted(self, *arguments):
        made.append(self.rtol)
        return solve(self, *arguments)

    at = "at" if "step" in span else "over"
    text = f"""dyn 1
model m
input a: real in (0.5, 1.5)
field f(t, x: real) {{ {field} }}
x = solve f from x = a {at} {span}
output x
"""
    model = model_of(text)
    with monkeypatch.context() as patched:
        patched.setattr(integrate.AdaptiveIntegrator, "solve", counted)
        evaluator = Evaluator(model, {}, drawn(model.inputs, model.source))
        return evaluator.referred()["x"].tolist(), len(made)


@pytest.mark.parametrize("name", MODELS)
def test_the_solution_is_the_same_to_the_last_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, made = solved(*MODELS[name], monkeypatch)
    monkeypatch.setattr(reference_passes._Pass, "steps_as_with", lambda *_: False)
    every, three = solved(*MODELS[name], monkeypatch)
    assert found == every
    assert three == 3
    assert made == 3 if name == "fast" else made <= 3


def test_passes_are_left_out_where_all_steps_are_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert solved(*MODELS["slow"], monkeypatch)[1] == 1


@pytest.mark.parametrize("method", integrate.POWERS)
def test_the_power_is_that_of_the_solver(method: str) -> None:
    assert SOLVERS[method].order == integrate.POWERS[method]

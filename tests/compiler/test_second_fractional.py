"""The second walk of fractional schemes: sums from the papers, even grids against any, and thousands of steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify import second_fractional
from isocline_compiler.certify.steppers import MOST_SUMMED, MOST_UNEVEN, SecondWalk, steppable
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.integrate import AdaptiveIntegrator
from tests.fractional_steppers import by_sums
from tests.stated import stated

TWO = """dyn 1
model m
input x0: real[2] in (0.2, 1)
field f(t, x: real[2], y: real) {{
  D(x, 0.6) = -x + sin(t)*y
  D(y, 0.8) = -y*x[0]
}}
path = solve f from x = x0, y = 0.5 at {times} with {scheme}(steps={steps})
output x = path.x
output y = path.y
"""
STARTS = np.array([[0.3, 0.7], [0.9, 0.5]])
EVEN, UNEVEN = "0..2 step 0.5", "[0, 0.5, 0.75, 2]"
SCHEMES = ("l1", "gl", "fractional_abm", "soe")


def walked(found: Model, **given: Array) -> dict[str, Array]:
    walk = SecondWalk(AdaptiveIntegrator())
    bound = {name: torch.tensor(x) for name, x in given.items()}
    return {name: x.numpy() for name, x in TorchProgram(found.graph)(bound, integrator=walk).items()}


@pytest.mark.parametrize(
    ("scheme", "times"), [*((scheme, EVEN) for scheme in SCHEMES), *((x, UNEVEN) for x in SCHEMES if x != "gl")]
)
def test_it_walks_the_steps_that_are_deployed(scheme: str, times: str) -> None:
    """Those of Gruenwald and Letnikov are of even grids alone."""
    found = model(TWO.format(times=times, scheme=scheme, steps=48))
    second = walked(found, x0=STARTS)
    program = TorchProgram(unroll(found.graph, stated(found.graph)).graph)
    for name, x in program({"x0": torch.tensor(STARTS)}).items():
        np.testing.assert_allclose(second[name], x.numpy(), rtol=1e-11, err_msg=name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_the_sum_of_the_papers(scheme: str) -> None:
    text = TWO.format(times="0..2 step 0.5", scheme=scheme, steps=60)
    text = text.replace("x = x0, y = 0.5", "x = x0").replace(", y: real)", ")").replace("*y\n", "\n")
    text = text.replace("  D(y, 0.8) = -y*x[0]\n", "").replace("output y = path.y\n", "").replace("-x +", "-x^2 +")
    found = walked(model(text), x0=STARTS)["x"]
    t = np.linspace(0, 2, 61)
    iterations = int(next(iter(stated(model(text).graph).values())).scheme.options.get("iterations", 12))
    for row in range(2):
        for entry in range(2):
            expected = by_sums(
                scheme, 0.6, t, lambda t, x: np.sin(t) - x**2, STARTS[row, entry], lambda t, x: -2 * x, iterations
            )
            np.testing.assert_allclose(found[row, :, entry], expected[::15], rtol=1e-10)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_of_an_even_grid_are_those_of_any(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of weights for all steps, or a row for each."""
    found = model(TWO.format(times=EVEN, scheme=scheme, steps=200))
    once = walked(found, x0=STARTS)
    monkeypatch.setattr(second_fractional, "EVEN", -1.0)
    again = walked(found, x0=STARTS)
    for name, x in once.items():
        np.testing.assert_allclose(x, again[name], rtol=1e-11)


def test_thousands_of_steps_are_walked() -> None:
    """Where the sums are of one row of weights; elsewhere fewer."""
    for times, most in ((EVEN, MOST_SUMMED), (UNEVEN, MOST_UNEVEN)):
        for steps, walks in ((most - most % 12, True), (most - most % 12 + 12, False)):
            (solve,) = solves_of(model(TWO.format(times=times, scheme="soe", steps=steps)).graph)
            assert steppable(solve) is walks
    few, many = (walked(model(TWO.format(times=EVEN, scheme="soe", steps=n)), x0=STARTS)["x"] for n in (1000, 3000))
    assert 0 < np.abs(few - many).max() < 1e-4

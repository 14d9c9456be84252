"""Input times gradient: the first-order share of each entry in the score."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.attribution.baseline import chosen
from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array


def input_x_gradient() -> Build:
    """The share of each entry in the score as the gradient sees it: x dS/dx, with its sign.

    Exact for a score that is linear in the input. Shrikumar, Greenside, Shcherbina, Kundaje (2016), Not just a black
    box.

    Example: attribute y wrt x by input_x_gradient
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        gradients = problem.input_gradients()
        return tuple(Result("attribution", problem.inputs[name] * g, name) for name, g in gradients.items())

    return build


def _definition() -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        here = {name: x[:, None] for name, x in oracle.inputs.items()}
        return {name: (chosen(x, oracle.entries[name]) * oracle.slopes(name, here))[:, 0] for name, x in here.items()}

    return measure


INPUT_X_GRADIENT = Method(
    input_x_gradient,
    axioms=("implementation invariance", "linearity"),
    cost="one gradient",
    definition=_definition,
    shares=True,
)

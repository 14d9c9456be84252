"""SmoothGrad, the gradient without its grain: averaged over noise added to the input."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.solvers.points import repeated
from isocline_compiler.vocabulary.functions.kinds import Count, Positive

SAMPLES, STD = 16, 0.1


def smoothgrad(samples: Count = SAMPLES, std: Positive = STD) -> Build:
    """The gradient averaged over noisy copies of the input: the mean of dS/dx(x + std e_i), with its sign.

    e_i are standard normal, an input of the graph that the runtime fills from a seed; `std` is in the input's units.
    All inputs are disturbed together.

    Smilkov, Thorat, Kim, Viegas, Wattenberg (2017), SmoothGrad: removing noise by adding noise.

    Example: attribute y wrt x by smoothgrad(samples=8, std=0.05)
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        noisy = {
            name: repeated(problem.inputs[name], samples) + std * problem.noise(name, samples) for name in problem.wrt
        }
        points = problem.at(noisy)
        found = problem.gradients(points.score, list(points.inputs.values()))
        return tuple(
            Result("attribution", REDUCE_MEAN(points.split(g), axes=(1,), keepdims=False), name)
            for name, g in zip(points.inputs, found, strict=True)
        )

    return build


def _definition(samples: Count = SAMPLES, std: Positive = STD) -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        noisy = {name: x[:, None] + std * oracle.noise[name] for name, x in oracle.inputs.items()}
        return {name: oracle.slopes(name, noisy).mean(axis=1) for name in noisy}

    return measure


SMOOTHGRAD = Method(
    smoothgrad,
    axioms=("implementation invariance", "linearity"),
    cost="samples gradients, in one pass",
    definition=_definition,
)

"""Expected gradients, integrated gradients from many baselines: the training data themselves say what is usual."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isocline_compiler.attribution.baseline import chosen, known_background
from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array, constant
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.vocabulary.functions.kinds import Count

NAME, SAMPLES = "expected_gradients", 32


def expected_gradients(samples: Count = SAMPLES) -> Build:
    """Each entry's share in the difference from a typical sample: the mean of (x - b_j) dS/dx(b_j + a_j (x - b_j)).

    b_j are `samples` training samples, drawn when compiling and stored in the graph, with one point a_j in (0, 1) each.
    With many of them the shares add up to S(x) less the mean score of the training data.

    Erion, Janizek, Sturmfels, Lundberg, Lee (2021), Improving performance of deep learning models with axiomatic
    attribution priors and expected gradients.

    Example: attribute y wrt x by expected_gradients(samples=8)
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        background = known_background(NAME, problem.background)
        stored = {name: background(name, samples) for name in problem.wrt}
        nodes = fractions(samples)
        away, path = {}, {}
        for name, b in stored.items():
            x = problem.inputs[name]
            single = RESHAPE(x, shape=(x.shape[0], 1, *x.type.sample))
            away[name] = single - constant(b)
            path[name] = constant(b) + constant(_column(nodes, b.ndim)) * away[name]
        points = problem.at(path)
        found = problem.gradients(points.score, list(points.inputs.values()))
        return tuple(
            Result("attribution", REDUCE_MEAN(away[name] * points.split(g), axes=(1,), keepdims=False), name)
            for name, g in zip(points.inputs, found, strict=True)
        )

    return build


def fractions(count: int) -> Array:
    """One point in the middle of each of `count` equal parts of (0, 1), in a fixed random order."""
    return (np.random.default_rng(0).permutation(count) + 0.5) / count


def _column(values: Array, rank: int) -> Array:
    return values.reshape(-1, *(1,) * (rank - 1))


def _definition(samples: Count = SAMPLES) -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        background = known_background(NAME, oracle.background)
        stored = {name: background(name, samples) for name in oracle.inputs}
        away = {name: x[:, None] - stored[name] for name, x in oracle.inputs.items()}
        path = {name: b + _column(fractions(samples), b.ndim) * away[name] for name, b in stored.items()}
        return {
            name: (chosen(away[name], oracle.entries[name]) * oracle.slopes(name, path)).mean(axis=1) for name in path
        }

    return measure


EXPECTED_GRADIENTS = Method(
    expected_gradients,
    axioms=("completeness in expectation", "sensitivity", "implementation invariance", "linearity"),
    cost="samples gradients, in one pass",
    definition=_definition,
    compares_with_data=True,
    shares=True,
)

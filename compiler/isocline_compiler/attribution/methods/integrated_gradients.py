"""Integrated gradients, gathered on the way from a baseline: shares that add up to the change of the score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isocline_compiler.attribution.baseline import ZEROS, baseline_of, check_baseline, chosen, shapes_of
from isocline_compiler.attribution.problem import Points, Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array, Node, constant
from isocline_compiler.ops.indexing import SELECT, SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.vocabulary.functions.kinds import Count, Word

NAME, STEPS = "integrated_gradients", 32


def integrated_gradients(steps: Count = STEPS, baseline: Word = ZEROS) -> Build:
    r"""Each entry's share in the change of the score from a baseline x0: (x - x0) times the mean gradient on the way.

    (x - x0) int_0^1 dS/dx(x0 + a (x - x0)) da, the integral by the Gauss-Legendre rule of `steps` points, all inputs
    moving together. The shares add up to S(x) - S(x0); what the rule leaves of that is the output `residual`.
    `baseline` is zeros, or the mean of the training samples.

    Sundararajan, Taly, Yan (2017), Axiomatic attribution for deep networks.

    Example: attribute y wrt x by integrated_gradients(steps=16, baseline=mean)
    """

    check_baseline(NAME, baseline)

    def build(problem: Problem) -> tuple[Result, ...]:
        starts = {
            name: constant(baseline_of(NAME, baseline, problem.background, name, problem.shape(name)))
            for name in problem.wrt
        }
        nodes, weights = gauss_legendre(steps)
        differences = {name: problem.inputs[name] - starts[name] for name in problem.wrt}
        places = np.insert(nodes, 0, 0.0)  # S(x0) comes in the same pass; its gradient may be infinite, and is not used
        path = problem.at({name: starts[name] + _along(differences[name], places) for name in problem.wrt})
        shares = {}
        for name, g in zip(path.inputs, problem.gradients(path.score, list(path.inputs.values())), strict=True):
            inner = SLICE(path.split(g), axis=1, start=1, stop=None)
            weighted = inner * constant(_column(weights, differences[name].type.rank))
            shares[name] = differences[name] * REDUCE_SUM(weighted, axes=(1,), keepdims=False)
        residual = _residual(problem, path, shares)
        return (
            *(Result("attribution", node, name) for name, node in shares.items()),
            Result("residual", residual),
        )

    return build


def gauss_legendre(steps: int) -> tuple[Array, Array]:
    """Nodes and weights of the rule on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def _column(values: Array, rank: int) -> Array:
    """(m,) against (batch, m, *input), where (batch, *input) has this rank."""
    return values.reshape(-1, *(1,) * (rank - 1))


def _along(difference: Node, nodes: Array) -> Node:
    """a (x - x0) at every node: (batch, m, *input)."""
    single = RESHAPE(difference, shape=(difference.shape[0], 1, *difference.type.sample))
    return single * constant(_column(nodes, difference.type.rank))


def _residual(problem: Problem, path: Points, shares: Mapping[str, Node]) -> Node:
    """S(x) - S(x0) - sum of all shares, (batch,); x0 is the first point of the path."""
    left = problem.score - SELECT(path.split(path.score), axis=1, index=0)
    for node in shares.values():
        axes = tuple(range(1, node.type.rank))
        left = left - (REDUCE_SUM(node, axes=axes, keepdims=False) if axes else node)
    return left


def _definition(steps: int = STEPS, baseline: Word = ZEROS) -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        nodes, weights = gauss_legendre(steps)
        shapes = shapes_of(oracle.inputs)
        starts = {name: baseline_of(NAME, baseline, oracle.background, name, shape) for name, shape in shapes.items()}
        away = {name: x[:, None] - starts[name] for name, x in oracle.inputs.items()}
        path = {name: starts[name] + _column(nodes, x.ndim - 1) * x for name, x in away.items()}
        return {
            name: chosen(x, oracle.entries[name])[:, 0] * np.einsum("nmk,m->nk", oracle.slopes(name, path), weights)
            for name, x in away.items()
        }

    return measure


INTEGRATED_GRADIENTS = Method(
    integrated_gradients,
    axioms=("completeness", "sensitivity", "implementation invariance", "linearity", "symmetry"),
    cost="steps gradients, in one pass",
    definition=_definition,
    shares=True,
)

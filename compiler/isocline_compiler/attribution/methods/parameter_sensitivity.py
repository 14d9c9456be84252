"""Sensitivity to parameters: what the score owes to the declared parameters, and how sure it is when they are not."""

from __future__ import annotations

import math

import numpy as np

from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Method, Result
from isocline_compiler.derivatives.of_samples import derivatives_of_samples
from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.model import Parameter
from isocline_compiler.ops.elementwise import SQRT, SQUARE
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_dsl import messages

NAME, LIMIT = "parameter_sensitivity", 256


def parameter_sensitivity() -> Build:
    """The derivative of the score by each declared parameter: dS/dp, in the parameter's own units, bounds undone.

    By one reverse pass, which all numbers share, and a product at each place that reads the parameter; through a loop
    by forward mode, a pass for each number. Where training gave the parameters a covariance C (Laplace), `deviation` is
    the standard deviation sqrt(J C J^T) of the score that their errors imply, to first order.

    Cacuci (1981), Sensitivity theory for nonlinear systems; MacKay (1992), Bayesian interpolation.

    Example: attribute y wrt x by parameter_sensitivity
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        columns = {item.name: _columns(problem, item) for item in problem.parameters}
        found = [Result("sensitivity", _arranged(columns[item.name], item), item.name) for item in problem.parameters]
        return (*found, *_deviation(problem, [node for nodes in columns.values() for node in nodes]))

    return build


def _columns(problem: Problem, parameter: Parameter) -> list[Node]:
    """dS/dp_k for each number of the parameter, (batch,)."""
    count = math.prod(parameter.shape)
    if count > LIMIT:
        raise Fault(lambda span: messages.too_many_points(span, NAME, count, LIMIT))
    units = np.eye(count).reshape(count, *parameter.shape)
    return derivatives_of_samples(problem.score, parameter.value, [constant(unit) for unit in units])


def _arranged(columns: list[Node], parameter: Parameter) -> Node:
    """(batch, *parameter)."""
    return RESHAPE(_side_by_side(columns), shape=(columns[0].shape[0], *parameter.shape))


def _side_by_side(columns: list[Node]) -> Node:
    """(batch, n)"""
    return CONCAT(*(RESHAPE(node, shape=(node.shape[0], 1)) for node in columns), axis=1)


def _deviation(problem: Problem, columns: list[Node]) -> tuple[Result, ...]:
    """sqrt(J C J^T) as the length of J L, where C = L L^T: never the root of a difference."""
    if problem.covariance is None or not columns:
        return ()
    values, vectors = np.linalg.eigh(problem.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    spread = MATMUL(_side_by_side(columns), constant(root))
    length = SQRT(REDUCE_SUM(SQUARE(spread), axes=(1,), keepdims=False))
    return (Result("deviation", length),)


PARAMETER_SENSITIVITY = Method(
    parameter_sensitivity,
    axioms=("implementation invariance",),
    cost="one gradient, and a product a use and number; through a loop two gradients a number",
)

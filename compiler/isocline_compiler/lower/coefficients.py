"""Coefficients of a scheme that are learned, a number for each step: `lm2(steps=8, k=learned)`."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Node, constant
from isocline_compiler.graph.called import LEARNED
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.weights import WeightTable
from isocline_compiler.model import Initializer
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_dsl.messages import calls


def with_coefficients(solve: Solve, table: WeightTable) -> Solve:
    """The solve with a row for each coefficient that its scheme learns: a weight for each step but the first, (n - 1,),
    named after the solution, `h.lm2.k`; the first step has no state before its own, and 0 stands there.

    Raises LowerError where there is no other step.
    """
    scheme = solve.spec.scheme
    if scheme is None:
        return solve
    steps = int(scheme.options["steps"])
    rows, stacked = [], []
    for key, bounds in SCHEMES[scheme.name].learnable.items():
        if scheme.options[key] == LEARNED:
            if steps < 2:
                raise LowerError(calls.wrong_argument(scheme.span, scheme.name, "steps", "two or more", str(steps)))
            rows.append(Row(key, "coefficients"))
            stacked.append(_weight(f"{solve.spec.name}.{scheme.name}.{key}", steps, bounds, solve, table))
    return solve.with_rows(rows, stacked)


def _weight(name: str, steps: int, bounds: tuple[float, float], solve: Solve, table: WeightTable) -> Node:
    weight = table.get(name, (steps - 1,), _between(*bounds), "trained", solve.span)
    return CONCAT(constant(np.zeros(1)), weight, axis=0)


def _between(low: float, high: float) -> Initializer:
    return lambda generator, shape: generator.uniform(low, high, shape)

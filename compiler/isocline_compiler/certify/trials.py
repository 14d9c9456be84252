"""Graphs of many operations by onnxruntime: a search runs many long loops, and torch takes ten times as long for each.

What is found this way decides which grid is taken and nothing else: the certificate measures the grid that was taken
by torch, operation by operation, against references that torch and scipy compute.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from isocline_compiler.backends.to_onnx import Precision
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.runner import runner
from isocline_compiler.graph import Array, Graph, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import BODY, operations, times_solved

WORTH = 20_000
"""Operations of all steps from which on it pays to emit a graph and to load it."""


def trial(evaluator: Evaluator, choices: Choices, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
    """The outputs with these solves on their grids: by onnxruntime where that is quicker, else as `Evaluator.run`."""
    every = {**evaluator.stated, **choices}
    solves = [solve for solve in evaluator.solves if solve.spec.choice in every]
    times = times_solved(evaluator.graph)
    count = sum(operations(solve, every[solve.spec.choice]) * times[solve.spec.choice] for solve in solves)
    if count < WORTH or any(solve.spec.choice not in every for solve in evaluator.solves):
        return evaluator.run(choices, dtype)
    precision: Precision = "float64" if dtype == torch.float64 else "float32"
    looped = {
        solve.spec.choice: replace(
            every[solve.spec.choice], segment=max(BODY // every[solve.spec.choice].scheme.cost(solve).nodes, 1)
        )
        for solve in solves
    }
    run = runner(prune(unroll(evaluator.graph, looped).graph), evaluator.weights, precision)
    return evaluator.run(choices, dtype) if run is None else run(evaluator.samples.inputs)


def operations_of(graph: Graph) -> int:
    """Operations of a graph without solves, those of a loop once for each iteration where their number is known."""
    nodes = graph.nodes()
    loops = [node for node in nodes if node.op is SCAN and isinstance(node.attrs["length"], int)]
    return len(nodes) + sum(
        int(node.attrs["length"]) * len(topological(node.attrs["region"].results)) for node in loops
    )


__all__ = ["WORTH", "operations_of", "trial"]

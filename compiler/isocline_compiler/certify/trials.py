"""Trials of grids by onnxruntime: a search runs many long loops, and torch takes ten times as long for each.

What is found this way decides which grid is taken and nothing else: the certificate measures the grid that was taken
by torch, operation by operation, against references that torch and scipy compute.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import torch

from isocline_compiler.backends.to_onnx import Precision, to_onnx
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.graph import Array
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import BODY, operations
from isocline_dsl.diagnostics import IsoclineError

WORTH = 20_000
"""Operations of all steps from which on it pays to emit a graph and to load it."""


def trial(evaluator: Evaluator, choices: Choices, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
    """The outputs with these solves on their grids: by onnxruntime where that is quicker, else as `Evaluator.run`."""
    every = {**evaluator.stated, **choices}
    solves = [solve for solve in evaluator.solves if solve.spec.choice in every]
    count = sum(operations(solve, every[solve.spec.choice]) for solve in solves)
    if count < WORTH or any(solve.spec.choice not in every for solve in evaluator.solves):
        return evaluator.run(choices, dtype)
    precision: Precision = "float64" if dtype == torch.float64 else "float32"
    looped = {
        solve.spec.choice: replace(
            every[solve.spec.choice], segment=max(BODY // every[solve.spec.choice].scheme.cost(solve).nodes, 1)
        )
        for solve in solves
    }
    graph = prune(unroll(evaluator.graph, looped).graph)
    try:
        content = to_onnx(graph, evaluator.weights, opset=18, dtype=precision).SerializeToString()
    except IsoclineError:
        return evaluator.run(choices, dtype)  # an operation that onnxruntime does not have in double precision
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {
        item.name: evaluator.samples.inputs[item.name].astype(precision)
        if evaluator.samples.inputs[item.name].dtype.kind == "f"
        else evaluator.samples.inputs[item.name]
        for item in session.get_inputs()
    }
    names = [item.name for item in session.get_outputs()]
    return {name: np.asarray(array) for name, array in zip(names, session.run(names, given), strict=True)}


__all__ = ["trial"]

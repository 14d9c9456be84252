"""Graphs without solves by onnxruntime, loaded once and run many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import onnxruntime

from isocline_compiler.backends.to_onnx import Precision, to_onnx
from isocline_compiler.graph import Array, Graph
from isocline_dsl.diagnostics import IsoclineError

Runner: TypeAlias = "Callable[[Mapping[str, Array]], dict[str, Array]]"


def runner(graph: Graph, weights: Mapping[str, Array], precision: Precision, threads: int = 0) -> Runner | None:
    """A graph without solves, loaded once: its outputs for inputs by name. None where it holds an operation that
    onnxruntime does not have in that precision. `threads`, if not 0, run an operation.
    """
    try:
        content = to_onnx(graph, weights, opset=18, dtype=precision).SerializeToString()
    except IsoclineError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # a thread that waits turns round and round: as much of the processor as the work itself, for nothing
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs, outputs = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))

    def run(arrays: Mapping[str, Array]) -> dict[str, Array]:
        given = {name: arrays[name] for name in inputs}
        given = {name: x.astype(precision, copy=False) if x.dtype.kind == "f" else x for name, x in given.items()}
        return {name: np.asarray(x) for name, x in zip(outputs, session.run(outputs, given), strict=True)}

    return run


__all__ = ["Runner", "runner"]

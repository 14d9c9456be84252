"""Our side of a comparison: the ONNX file under onnxruntime and the C, both on arrays that stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnxruntime

from benchmarks.works import Work
from isocline_compiler.artifact.native import native_info
from isocline_compiler.backends.to_c import to_c
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.prove import Proving
from isocline_compiler.graph import Array
from isocline_compiler.packing import deployed as packed
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.grid import Grid
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import with_forms
from isocline_runtime.bound import Bound, bound
from isocline_runtime.manifest import BATCH, Port
from isocline_runtime.native.building import Program, build
from isocline_runtime.native.calling import NativeModel
from isocline_runtime.native.compilers import find_compiler

Call = Callable[[], Array]


@dataclass(frozen=True)
class Deployed:
    """A work compiled: both engines, and in words what was chosen."""

    chosen: str
    session: Any
    native: NativeModel
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: int
    content: bytes

    def calls(self, starts: Array) -> Mapping[str, Call]:
        """By engine, calls on these samples; the raw engines, as `Session.bind` has them."""
        return {
            "onnxruntime": _call(bound(self.session, self.inputs, self.outputs, len(starts)), starts),
            "native": _call(bound(self.native, self.inputs, self.outputs, len(starts)), starts),
        }


def _call(made: Bound, starts: Array) -> Call:
    (given,), (found,) = made.inputs.values(), made.outputs.values()
    given[:] = starts

    def call() -> Array:
        made()
        return found

    return call


@cache
def deployed(work: Work, solver: str, batch: int = 1) -> Deployed:
    """The work by this scheme, or by what `auto(error=...)` chooses, in the form that is chosen for the batch."""
    model = work.model(solver)
    weights = work.weights(model)
    chosen, _ = Proving(model, weights, None, None).choose(lambda _: None)
    bound_graph = bind(model.graph, weights)

    onnx_graph = packed(bound_graph, chosen, model.deployment.unroll, batch).graph
    looped = optimise(unroll(optimise(bound_graph), with_forms(bound_graph, chosen, 1, batch)).graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    proto = to_onnx(onnx_graph, weights, opset=18).SerializeToString()
    session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    program = to_c(looped, weights, name=work.name, header="model.h")
    info = native_info(program, "model.onnx", "float32")
    library = build(Program(info, program.source.encode(), program.header.encode()), find_compiler())
    inputs = (Port("first", "float32", (BATCH, work.width)),)
    outputs = (Port(next(iter(onnx_graph.outputs)), "float32", (BATCH, work.width)),)
    (choice,) = chosen.values()
    steps = len(choice.grid.times) - 1 if isinstance(choice.grid, Grid) else 0
    words = f"{choice.scheme.name} x {steps}"
    return Deployed(
        words, session, NativeModel(library.path, info, outputs), inputs, outputs, len(onnx_graph.nodes()), proto
    )

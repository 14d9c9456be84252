"""The C back end: a graph without solves becomes one `.c` and one `.h`, C11 without libm, allocation or global state.

Two functions hold the same statements: one for a single sample, one for a block of `LANES` samples, whose entries lie
beside each other so that every instruction serves all of them. Loops over steps are loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod

from isocline_compiler.backends.to_c.kernels import Access
from isocline_compiler.backends.to_c.lowering import Lowering
from isocline_compiler.backends.to_c.printing import Types
from isocline_compiler.backends.to_c.program import LANES, CProgram, Frame, Port
from isocline_compiler.backends.to_c.pruning import prune, require_filled
from isocline_compiler.backends.to_c.storage import (
    Buffer,
    Element,
    NotInC,
    Small,
    depends_on_sample,
    row_major,
    sizes_of,
)
from isocline_compiler.graph import Array, Graph, Node


def to_c(
    graph: Graph,
    weights: Mapping[str, Array],
    *,
    dtype: str = "float32",
    name: str = "model",
    header: str | None = None,
) -> CProgram:
    """The program of a graph without solves; its source includes `header` (NAME.h).

    Raises NotInC where something of it has no form in C.
    """
    lowering = Lowering(weights)
    lowering.graph(graph)
    outputs = [_output(lowering, key, node) for key, node in graph.outputs.items()]
    kernels = lowering.builder.kernels
    prune(kernels, {buffer for buffer, _ in outputs})
    require_filled(kernels, set(lowering.inputs.values()))
    types = Types(dtype == "float64")
    inputs = [_port(buffer, buffer.name.removeprefix("in_")) for buffer in lowering.inputs.values()]
    name = _identifier(name)
    ends = list(lowering.inputs.values()), [buffer for buffer, _ in outputs]
    program = Frame(name, header or f"{name}.h", types, kernels, *ends)
    return program.text(inputs, [_port(b, key) for (b, _), key in zip(outputs, graph.outputs, strict=True)], graph)


def _port(buffer: Buffer, name: str) -> Port:
    if buffer.kind == "bool":
        raise NotInC("truth values as inputs or outputs")
    return Port(name, buffer.kind, buffer.count, buffer.batched)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _output(lowering: Lowering, name: str, node: Node) -> tuple[Buffer, Node]:
    value, sizes = lowering.values[node], sizes_of(node.shape)
    if any(isinstance(size, str) for size in node.shape[1:]):
        raise NotInC(f"the samples of `{name}` are not along its first axis")
    buffer = Buffer(
        f"out_{_identifier(name)}", node.type.kind, prod(sizes), depends_on_sample(node.shape), pointer="out"
    )
    if isinstance(value, Small):
        for i, atom in enumerate(value.atoms):
            lowering.builder.store(Element(buffer, i), "{0}", (atom,))
    else:
        read = Access(value.buffer, value.base, value.strides)
        place = Access(buffer, 0, row_major(sizes))
        lowering.builder.mapped(sizes, "{0}", (read,), node.type.kind, buffer.batched, place)
    return buffer, node


__all__ = ["LANES", "CProgram", "NotInC", "Port", "to_c"]

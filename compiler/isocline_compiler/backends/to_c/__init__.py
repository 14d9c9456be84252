"""The C back end: a graph without solves becomes one `.c` and one `.h`, C11 without libm, allocation or global state.

Two functions hold the same statements: one for a single sample, one for a block of `LANES` samples, whose entries lie
beside each other so that every instruction serves all of them. Loops over steps are loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod

from isocline_compiler.backends.to_c.kernels import (
    Access,
    Contraction,
    Kernel,
    Nest,
    Repeat,
    Straight,
    Text,
    read_by,
    walk,
    written_by,
)
from isocline_compiler.backends.to_c.lowering import Lowering
from isocline_compiler.backends.to_c.printing import Types
from isocline_compiler.backends.to_c.program import LANES, CProgram, Frame, Port
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
    _prune(kernels, {buffer for buffer, _ in outputs})
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


def _prune(kernels: list[Kernel], outputs: set[Buffer]) -> None:
    """Drop what nothing reads, until nothing changes."""
    while True:
        read = {buffer for kernel in walk(kernels) for buffer in read_by(kernel)}
        rows = {whole: row for kernel in walk(kernels) if isinstance(kernel, Repeat) for row, whole, _ in kernel.rows}
        outside = _read_outside(kernels) | outputs
        kept = read | outputs | {row for whole, row in rows.items() if whole in outside}
        if not _dropped(kernels, kept):
            return


def _read_outside(kernels: Sequence[Kernel]) -> set[Buffer]:
    """Buffers that something other than the loop that fills them reads."""
    found: set[Buffer] = set()
    for kernel in walk(kernels):
        if not isinstance(kernel, Repeat):
            found.update(read_by(kernel))
        else:
            filled = {buffer for inner in walk(kernel.body) for buffer in written_by(inner)}
            found.update(whole for row, whole, _ in kernel.rows if row not in filled)
    return found


def _dropped(kernels: list[Kernel], kept: set[Buffer]) -> bool:
    changed = False
    for kernel in list(kernels):
        if isinstance(kernel, Straight):
            alive = [item for item in kernel.statements if item.target.buffer in kept]
            changed |= len(alive) < len(kernel.statements)
            kernel.statements = alive
            empty = not alive
        elif isinstance(kernel, Nest):
            alive_at = [i for i, place in enumerate(kernel.places) if place.buffer in kept]
            changed |= len(alive_at) < len(kernel.places)
            kernel.statements = [kernel.statements[i] for i in alive_at]
            kernel.places = [kernel.places[i] for i in alive_at]
            empty = not alive_at
        elif isinstance(kernel, Contraction):
            empty = not any(target in kept for target in kernel.targets)
        elif isinstance(kernel, Text):
            empty = kernel.target not in kept
        else:
            changed |= _dropped(kernel.body, kept)
            used = {buffer for inner in walk(kernel.body) for buffer in (*read_by(inner), *written_by(inner))}
            kernel.rows = [item for item in kernel.rows if item[0] in used]
            empty = not kernel.body
        if empty:
            kernels.remove(kernel)
            changed = True
    return changed


__all__ = ["LANES", "CProgram", "NotInC", "Port", "to_c"]

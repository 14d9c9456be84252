"""The C back end: a graph without solves becomes one `.c` and one `.h`, C11 without libm, allocation or global state.

Two functions hold the same statements: one for a single sample, one for a block of `LANES` samples, whose entries lie
beside each other so that every instruction serves all of them. Loops over steps are loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

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
from isocline_compiler.backends.to_c.printing import Printer, Types
from isocline_compiler.backends.to_c.routines import library
from isocline_compiler.backends.to_c.storage import (
    Buffer,
    Element,
    NotInC,
    Small,
    depends_on_sample,
    row_major,
    sizes_of,
)
from isocline_compiler.backends.to_c.sums import print_contraction
from isocline_compiler.graph import Array, Graph, Node, everything

LANES = 16
"""Samples of a block: one register of 512 bits in single precision."""
ALONE = 4
"""Samples that are left over and computed one by one; more are a block of which a part is thrown away."""
ON_STACK = 16_384
"""Bytes of an array that may lie on the stack; a larger one lies in the caller's workspace."""


@dataclass(frozen=True)
class Port:
    """An array of the C function: `count` numbers a sample, or in all when it is not `batched`."""

    name: str
    kind: str
    count: int
    batched: bool


@dataclass(frozen=True)
class CProgram:
    """Source and header of a model in C, and what they ask for.

    `workspace` are the bytes that the caller gives, `stack` those that the function takes itself.
    """

    name: str
    source: str
    header: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    workspace: int
    stack: int
    contracted: bool
    """Whether products and sums may be one instruction: not where rounding itself is computed."""


def to_c(graph: Graph, weights: Mapping[str, Array], *, dtype: str = "float32", name: str = "model") -> CProgram:
    """The program of a graph without solves. Raises NotInC where something of it has no form in C."""
    lowering = Lowering(weights)
    lowering.graph(graph)
    outputs = [_output(lowering, key, node) for key, node in graph.outputs.items()]
    kernels = lowering.builder.kernels
    _prune(kernels, {buffer for buffer, _ in outputs})
    types = Types(dtype == "float64")
    inputs = [_port(buffer, buffer.name.removeprefix("in_")) for buffer in lowering.inputs.values()]
    program = _Program(_identifier(name), types, kernels, list(lowering.inputs.values()), [b for b, _ in outputs])
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
        kept = read | outputs | {row for whole, row in rows.items() if whole in _read_outside(kernels) | outputs}
        if not _dropped(kernels, kept):
            return


def _read_outside(kernels: Sequence[Kernel]) -> set[Buffer]:
    """Buffers that something other than the loop that fills them reads."""
    found: set[Buffer] = set()
    for kernel in walk(kernels):
        if not isinstance(kernel, Repeat):
            found.update(read_by(kernel))
        else:
            found.update(whole for row, whole, _ in kernel.rows if not _fills(kernel, row))
    return found


def _fills(loop: Repeat, row: Buffer) -> bool:
    return any(row in written_by(kernel) for kernel in walk(loop.body))


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


@dataclass
class _Program:
    """The text around the two functions."""

    name: str
    types: Types
    kernels: list[Kernel]
    inputs: list[Buffer]
    outputs: list[Buffer]

    def text(self, inputs: Sequence[Port], outputs: Sequence[Port], graph: Graph) -> CProgram:
        alone, block = (Printer(self.types, lanes, self.kernels, print_contraction) for lanes in (1, LANES))
        for printer in (alone, block):
            printer.print(self.kernels)
        buffers = self._buffers()
        large = [item for item in buffers if self._bytes(item, LANES) > ON_STACK]
        ends = [*self.inputs, *self.outputs]
        own = sum(self._bytes(item, LANES) for item in buffers if item not in large)
        shared = [item for item in ends if item.batched]
        workspace = sum(-(-self._bytes(item, LANES) // 64) * 64 for item in [*large, *shared])
        functions = [self._function("one", alone, buffers, large), self._function("block", block, buffers, large)]
        used = set(self.types.used)
        source = "\n\n".join(
            filter(None, [self._head(), library(used, self.types.wide), self._tables(), *functions, self._run(large)])
        )
        contracted = not any(node.op.name == "rounded_off" for node in _nodes(graph))
        return CProgram(
            self.name, source + "\n", self._header(large), tuple(inputs), tuple(outputs), workspace, own, contracted
        )

    # ------------------------------------------------------------------------------------------------ buffers

    def _buffers(self) -> list[Buffer]:
        """Arrays, and variables that several kernels share, in the order they are met."""
        found: dict[Buffer, None] = {}
        for kernel in walk(self.kernels):
            for buffer in (*read_by(kernel), *written_by(kernel)):
                if buffer.data is None and buffer.pointer is None and buffer not in self.inputs:
                    found[buffer] = None
        return list(found)

    def _bytes(self, buffer: Buffer, lanes: int) -> int:
        size = {"real": 8 if self.types.wide else 4, "int": 8, "bool": 4}[buffer.kind]
        return size * buffer.count * (lanes if buffer.batched else 1)

    def _tables(self) -> str:
        read = {buffer: None for kernel in walk(self.kernels) for buffer in read_by(kernel) if buffer.data is not None}
        return "\n".join(self._table(buffer) for buffer in read)

    def _table(self, buffer: Buffer) -> str:
        assert buffer.data is not None
        numbers = [self.types.literal(float(x), buffer.kind) for x in np.asarray(buffer.data).tolist()]
        lines, line = [], ""
        for number in numbers:
            if len(line) + len(number) > 110:
                lines.append(line)
                line = ""
            line += f"{number}, "
        body = "\n".join(f"    {item.rstrip()}" for item in [*lines, line])
        return f"static const {self.types.name(buffer.kind)} {buffer.name}[{buffer.count}] = {{\n{body}\n}};"

    # ------------------------------------------------------------------------------------------------ functions

    def _head(self) -> str:
        return (
            f"/* Generated by Isocline from the graph of {self.name}. C11; needs no library.\n"
            " * Compile with -fno-math-errno -fno-trapping-math, and without -ffast-math: sums are in their order. */\n"
            f'#include "{self.name}.h"'
        )

    def _parameters(self) -> str:
        arrays = [f"const {self.types.name(b.kind)} *{b.name}" for b in self.inputs]
        arrays += [f"{self.types.name(b.kind)} *{b.name}" for b in self.outputs]
        return ", ".join([*arrays, f"{self.name}_workspace *w"])

    def _function(self, name: str, printer: Printer, buffers: Sequence[Buffer], large: Sequence[Buffer]) -> str:
        lines = [f"static void {name}({self._restricted()}) {{"]
        for buffer in buffers:
            type_ = self.types.name(buffer.kind)
            count = buffer.count * printer.width(buffer)
            inner = len(printer.homes[buffer]) == 1 and not buffer.scalar and self._only_nest(buffer)
            if inner:
                continue
            if buffer in large:
                lines.append(f"    {type_} *const {buffer.name} = w->{buffer.name};")
            elif not buffer.scalar or (printer.width(buffer) > 1 and printer.shared(buffer)):
                lines.append(f"    {type_} {buffer.name}[{count}];")
        lines += [f"    (void){buffer.name};" for buffer in self.inputs]
        lines.append("    (void)w;")
        return "\n".join([*lines, *printer.lines, "}"])

    def _only_nest(self, buffer: Buffer) -> bool:
        """Whether the nest that computes an array is all that reads it: then it is a variable of its body."""
        users = [k for k in walk(self.kernels) if isinstance(k, Nest) and any(p.buffer is buffer for p in k.places)]
        writes = sum(p.buffer is buffer for k in users for p in k.places)
        return len(users) == 1 and writes == 1

    def _restricted(self) -> str:
        return re.sub(r"\*(?=in_|out_)", "*restrict ", self._parameters())

    def _run(self, large: Sequence[Buffer]) -> str:
        """Blocks of samples, and those that are left over."""
        lines = [f"void {self.name}_run(size_t batch, {self._parameters()}) {{", "    size_t b = 0;"]
        lines += [
            f"    while (batch - b > {ALONE}) {{",
            f"        const size_t n = batch - b < {LANES} ? batch - b : {LANES};",
        ]
        for buffer in self.inputs:
            if buffer.batched:
                lines.append(self._transposed(buffer, inward=True))
        arguments = [f"w->{b.name}" if b.batched else b.name for b in (*self.inputs, *self.outputs)]
        lines.append(f"        block({', '.join([*arguments, 'w'])});")
        for buffer in self.outputs:
            if buffer.batched:
                lines.append(self._transposed(buffer, inward=False))
        lines += ["        b += n;", "    }", "    for (; b < batch; ++b) {"]
        single = [f"{b.name} + b * {b.count}" if b.batched else b.name for b in (*self.inputs, *self.outputs)]
        lines += [f"        one({', '.join([*single, 'w'])});", "    }", "}"]
        return "\n".join(lines)

    def _transposed(self, buffer: Buffer, inward: bool) -> str:
        if inward:
            return (
                f"        for (size_t l = 0; l < {LANES}; ++l) {{\n"
                f"            const size_t row = b + (l < n ? l : n - 1);\n"
                f"            for (size_t k = 0; k < {buffer.count}; ++k) {{\n"
                f"                w->{buffer.name}[k * {LANES} + l] = {buffer.name}[row * {buffer.count} + k];\n"
                "            }\n        }"
            )
        return (
            f"        for (size_t l = 0; l < n; ++l) {{\n"
            f"            for (size_t k = 0; k < {buffer.count}; ++k) {{\n"
            f"                {buffer.name}[(b + l) * {buffer.count} + k] = w->{buffer.name}[k * {LANES} + l];\n"
            "            }\n        }"
        )

    def _header(self, large: Sequence[Buffer]) -> str:
        guard = f"{self.name.upper()}_H"
        members = [
            f"    {self.types.name(b.kind)} {b.name}[{b.count * (LANES if b.batched else 1)}];"
            for b in (*[x for x in (*self.inputs, *self.outputs) if x.batched], *large)
        ]
        if not members:
            members = ["    char unused;"]
        body = "\n".join(members)
        return (
            f"#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
            f"/* What a call writes to while it runs: one for each thread. */\n"
            f"typedef struct {{\n{body}\n}} {self.name}_workspace;\n\n"
            f"/* {self._said()} */\nvoid {self.name}_run(size_t batch, {self._parameters()});\n\n#endif\n"
        )

    def _said(self) -> str:
        """The arrays in words."""
        arrays = [f"{b.name}: {'batch x ' if b.batched else ''}{b.count}" for b in (*self.inputs, *self.outputs)]
        return "Arrays, samples one after another: " + "; ".join(arrays) + "."


def _nodes(graph: Graph) -> list[Node]:
    return list(everything(graph.outputs.values()))


__all__ = ["LANES", "CProgram", "NotInC", "Port", "to_c"]

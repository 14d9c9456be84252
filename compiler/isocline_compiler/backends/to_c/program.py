"""The frame of a program in C: head, tables, the two functions of the same statements, and what runs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.backends.to_c.accumulators import HEAD
from isocline_compiler.backends.to_c.kernels import Kernel, Nest, read_by, walk, written_by
from isocline_compiler.backends.to_c.printing import SIDE_BY_SIDE, Printer, Types
from isocline_compiler.backends.to_c.routines import library
from isocline_compiler.backends.to_c.storage import Buffer
from isocline_compiler.backends.to_c.sums import print_contraction
from isocline_compiler.graph import Graph, everything

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


@dataclass
class Frame:
    """The text around the two functions."""

    name: str
    include: str
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
        used = set(self.types.used) - {"lanes"}
        vectors = HEAD.replace("@real", self.types.name("real")) if "lanes" in self.types.used else ""
        parts = [self._head(), vectors, library(used, self.types.wide), self._tables(), *functions, self._run(large)]
        source = "\n\n".join(filter(None, parts))
        contracted = not any(node.op.name == "rounded_off" for node in everything(graph.outputs.values()))
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
            f'#include "{self.include}"\n\n'
            "/* In front of short loops whose rounds are computed at once: gcc would write them out first. */\n"
            "#if defined(__GNUC__) && !defined(__clang__)\n"
            f'#define {SIDE_BY_SIDE} _Pragma("GCC unroll 1")\n'
            f"#else\n#define {SIDE_BY_SIDE}\n#endif"
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
        require_declared([*lines, *printer.lines])
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
            '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
            f"/* What a call writes to while it runs: one for each thread. */\n"
            f"typedef struct {{\n{body}\n}} {self.name}_workspace;\n\n"
            f"/* {self._said()} */\nvoid {self.name}_run(size_t batch, {self._parameters()});\n\n"
            "#ifdef __cplusplus\n}\n#endif\n\n#endif\n"
        )

    def _said(self) -> str:
        """The arrays in words."""
        arrays = [f"{b.name}: {'batch x ' if b.batched else ''}{b.count}" for b in (*self.inputs, *self.outputs)]
        return "Arrays, samples one after another: " + "; ".join(arrays) + "."


def require_declared(lines: Sequence[str]) -> None:
    """Raises AssertionError for a variable or an array of a function that is used and declared nowhere in it.

    A compiler would say so too, on the machine of who loads the artifact.
    """
    text = "\n".join(lines)
    declared = set(re.findall(r"\b(?:float|double|int64_t|int32_t) (?:\*const )?([av]\d+)\b", text))
    missing = sorted(set(re.findall(r"(?<![\w>.])([av]\d+)\b", text)) - declared)
    if missing:
        raise AssertionError(f"C uses {', '.join(missing[:3])}, which nothing has declared")

"""The C of an artifact: source and header beside each ONNX file, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isocline_compiler.backends.to_c import CProgram, NotInC, Port, to_c
from isocline_compiler.graph import Array, Graph
from isocline_runtime.artifact import write_atomic
from isocline_runtime.manifest import NativeInfo
from isocline_runtime.native_info import NativeArray

LARGEST = 2**24
"""Bytes of a source: weights are written in full, and a compiler reads them all."""
MOST_OPERATIONS = 20_000
"""Operations that are written one after another: what is laid out is no loop in C either."""


MOST_STATEMENTS = 20_000
"""Statements of a source: gcc 12 takes 2 to 5 ms of each with -O3, so that of more it takes minutes."""


@dataclass
class NativeFiles:
    """What was written, and of other ONNX files why nothing was."""

    model: str
    dtype: str
    written: dict[str, NativeInfo] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def write(self, staging: Path, file: str, graph: Graph, weights: Mapping[str, Array]) -> None:
        """The C of the graph that the ONNX file `file` holds, or the reason why it has none."""
        stem = Path(file).stem
        name = self.model if stem == "model" else f"{self.model}_{stem}"
        try:
            if len(graph.nodes()) > MOST_OPERATIONS:
                raise NotInC(f"{len(graph.nodes())} operations one after another, more than {MOST_OPERATIONS}")
            program = to_c(graph, weights, dtype=self.dtype, name=name, header=f"{stem}.h")
            statements = program.source.count(";\n")
            if statements > MOST_STATEMENTS:
                raise NotInC(f"{statements} statements, more than {MOST_STATEMENTS}: a compiler would take minutes")
            if len(program.source) > LARGEST:
                raise NotInC(f"a source of {len(program.source) >> 20} MiB, more than {LARGEST >> 20}")
        except NotInC as reason:
            self.refused[file] = str(reason)
            return
        self.written[file] = info = native_info(program, file, self.dtype)
        write_atomic(staging / info.source, program.source.encode())
        write_atomic(staging / info.header, program.header.encode())


def native_info(program: CProgram, file: str, dtype: str) -> NativeInfo:
    """What a manifest says of a program."""
    stem = Path(file).stem

    def array(port: Port) -> NativeArray:
        return NativeArray(port.name, "int64" if port.kind == "int" else dtype, port.count, port.batched)

    return NativeInfo(
        file, program.name, f"{stem}.c", f"{stem}.h", tuple(map(array, program.inputs)),
        tuple(map(array, program.outputs)), program.workspace, program.stack, program.contracted,
    )  # fmt: skip


__all__ = ["NativeFiles", "native_info"]

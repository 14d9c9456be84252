"""The C of an artifact as engines: built by several compilers, for other processors too, and run, or emulated."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from benchmarks.outcome import Array, Arrays, NotThere
from isocline_runtime.artifact import read_artifact
from isocline_runtime.native.opening import program_of
from isocline_runtime.native_info import NativeInfo

OPTIONS = ("-std=c11", "-O2", "-fno-math-errno", "-fno-trapping-math")
TYPES = {"float32": "float", "float64": "double", "int64": "int64_t"}
WASI = """import { WASI } from 'node:wasi';
import { readFile } from 'node:fs/promises';
const wasi = new WASI({ version: 'preview1', args: [], env: {} });
const module = await WebAssembly.compile(await readFile(process.argv[2]));
process.exit(wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())));
"""


ZIG = "pip install ziglang"


@dataclass(frozen=True)
class Target:
    """A compiler, its options, and what runs its programs (nothing: this machine)."""

    name: str
    compiler: tuple[str, ...]
    runner: tuple[str, ...] = ()
    install: str = ZIG

    @property
    def version(self) -> str | None:
        """The compiler's, with the runner's name; None where one of both is missing."""
        if not self.compiler or any(shutil.which(part) is None for part in self.runner[:1]):
            return None
        done = subprocess.run([self.compiler[0], *self.compiler[1:-2], "--version"], capture_output=True, text=True)
        said = done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else None
        return said and f"{said}{', ' + Path(self.runner[0]).name if self.runner else ''}"


def targets() -> tuple[Target, ...]:
    """This machine by its own compiler and by zig's, aarch64 under qemu, WebAssembly in node."""
    found = shutil.which("cc")
    own = (found, *OPTIONS, "-o") if found else ()
    zig = (sys.executable, "-m", "ziglang", "cc") if importlib.util.find_spec("ziglang") else ()
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64") or "qemu-aarch64"
    return (
        Target("C", own, (), "a C compiler, such as gcc"),
        Target("C, zig", zig and (*zig, *OPTIONS, "-o")),
        Target(
            "C, aarch64",
            zig and (*zig, "-target", "aarch64-linux-musl", *OPTIONS, "-o"),
            (qemu,),
            f"{ZIG}, and qemu-user",
        ),
        Target(
            "C, wasm",
            zig and (*zig, "-target", "wasm32-wasi", *OPTIONS, "-o"),
            ("node", "--no-warnings"),
            f"{ZIG}, and node",
        ),
    )


def runner(target: Target) -> Callable[[Path, Arrays], dict[str, Array]]:
    """How a model is run by its C."""

    def run(model: Path, feeds: Arrays) -> dict[str, Array]:
        artifact = read_artifact(model.parent)
        manifest = artifact.manifest
        if manifest is None or not any(item.model == model.name for item in manifest.native):
            raise NotThere("no C" if manifest is None else manifest.not_native.get(model.name, "no C"))
        program = program_of(artifact, model.name)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / program.info.source).write_bytes(program.source)
            (place / program.info.header).write_bytes(program.header)
            (place / "main.c").write_text(_main(program.info))
            (place / "run.mjs").write_text(WASI)
            command = [*target.compiler, "program", "main.c", program.info.source]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
            script = ("run.mjs",) if target.runner[:1] == ("node",) else ()
            given = _packed(program.info, feeds)
            started = [*target.runner, *script, "./program"]
            done = subprocess.run(started, cwd=place, input=given, capture_output=True, check=True)
        return _unpacked(program.info, done.stdout, _batch(program.info, feeds), _shapes(model))

    return run


def _batch(info: NativeInfo, feeds: Arrays) -> int:
    return next((len(feeds[item.name]) for item in info.inputs if item.batched), 1)


def _packed(info: NativeInfo, feeds: Arrays) -> bytes:
    arrays = (np.ascontiguousarray(feeds[item.name], item.dtype).tobytes() for item in info.inputs)
    return np.int64(_batch(info, feeds)).tobytes() + b"".join(arrays)


def _unpacked(info: NativeInfo, content: bytes, batch: int, shapes: Sequence[Sequence[int]]) -> dict[str, Array]:
    found, place = {}, 0
    for item, shape in zip(info.outputs, shapes, strict=True):
        count = item.count * (batch if item.batched else 1)
        flat = np.frombuffer(content, item.dtype, count, place)
        place += flat.nbytes
        found[item.name] = flat.reshape([batch, *shape] if item.batched else shape)
    return found


def _shapes(model: Path) -> list[list[int]]:
    """The sizes of the outputs without that of the batch."""
    ports = onnx.load(model, load_external_data=False).graph.output
    return [[dim.dim_value for dim in port.type.tensor_type.shape.dim if not dim.dim_param] for port in ports]


def _main(info: NativeInfo) -> str:
    """A program that reads the number of samples and all inputs as bytes, and writes all outputs so."""
    lines = [
        f'#include "{info.header}"',
        "#include <stdio.h>",
        "#include <stdlib.h>",
        f"static {info.name}_workspace w;",
    ]
    lines += ["int main(void) {", "    int64_t batch;", "    if (fread(&batch, 8, 1, stdin) != 1) { return 1; }"]
    for kind, items in (("in", info.inputs), ("out", info.outputs)):
        for number, item in enumerate(items):
            size, name = f"{item.count}{' * (size_t)batch' if item.batched else ''}", f"{kind}{number}"
            lines.append(f"    {TYPES[item.dtype]} *{name} = malloc({size} * sizeof *{name} + 1);")
            if kind == "in":
                lines.append(f"    if (fread({name}, sizeof *{name}, {size}, stdin) != {size}) {{ return 1; }}")
    names = [f"in{i}" for i in range(len(info.inputs))] + [f"out{i}" for i in range(len(info.outputs))]
    lines.append(f"    {info.name}_run((size_t)batch, {', '.join(names)}, &w);")
    for number, item in enumerate(info.outputs):
        size = f"{item.count}{' * (size_t)batch' if item.batched else ''}"
        lines.append(f"    fwrite(out{number}, sizeof *out{number}, {size}, stdout);")
    return "\n".join([*lines, "    return 0;", "}", ""])

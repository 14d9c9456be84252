"""Generated C, built by a compiler that is found on the machine and called as it is."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.backends.to_c import CProgram

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")
STRICT = (
    "-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pedantic", "-fno-math-errno", "-fno-trapping-math",
    "-shared", "-fPIC",
)  # fmt: skip
SANITIZERS = os.environ.get("ISOCLINE_SANITIZE", "undefined")
"""`make sanitize` has that of addresses too, which must be loaded before Python is."""
CHECKED = ("-O1", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all")


def built(program: CProgram, folder: Path, *flags: str) -> ctypes.CDLL:
    """The library of a program; what the compiler warns of is an error."""
    assert COMPILER is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{program.name}.c").write_text(program.source)
    (folder / f"{program.name}.h").write_text(program.header)
    library = folder / "model.so"
    command = [COMPILER, *STRICT, *flags, "-o", str(library), str(folder / f"{program.name}.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return ctypes.CDLL(str(library))


def called(
    library: ctypes.CDLL, program: CProgram, given: Mapping[str, np.ndarray], batch: int, real: type = np.float32
) -> dict[str, np.ndarray]:
    """The outputs, flat for each sample; what was not written is not a number."""
    types = {"real": real, "int": np.int64}
    inputs = [np.ascontiguousarray(given[port.name], dtype=types[port.kind]) for port in program.inputs]
    outputs = [
        np.full((batch if port.batched else 1, port.count), np.nan if port.kind == "real" else -1, types[port.kind])
        for port in program.outputs
    ]
    space = np.zeros(program.workspace + 64, dtype=np.uint8)
    place = -(-space.ctypes.data // 64) * 64
    arrays = [ctypes.c_void_p(item.ctypes.data) for item in (*inputs, *outputs)]
    getattr(library, f"{program.name}_run")(ctypes.c_size_t(batch), *arrays, ctypes.c_void_p(place))
    return {port.name: item for port, item in zip(program.outputs, outputs, strict=True)}

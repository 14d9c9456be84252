"""What a manifest says of a model that is there in C too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from isocline_runtime.port import require

KINDS = {"float32": "f4", "float64": "f8", "int64": "i8"}
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True)
class NativeArray:
    """An array of the C function: `count` numbers a sample, one sample after another, or in all if not `batched`."""

    name: str
    dtype: str
    count: int
    batched: bool

    def __post_init__(self) -> None:
        require(self.dtype in KINDS, f"dtype {self.dtype!r}: expected one of {', '.join(KINDS)}")
        require(self.count >= 0, "counts are not negative")


@dataclass(frozen=True)
class NativeInfo:
    """A model in C: the same as the ONNX file `model`, in `source` and `header`.

    `name`_run(batch, inputs, outputs, workspace) computes any number of samples. `workspace` are the bytes that the
    caller gives it, `stack` those that it takes itself. `contracted`: a product and a sum may be one instruction.
    `libraries` are the files that hold it built, by the processor they are for.
    """

    model: str
    name: str
    source: str
    header: str
    inputs: tuple[NativeArray, ...]
    outputs: tuple[NativeArray, ...]
    workspace: int
    stack: int
    contracted: bool
    libraries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(IDENTIFIER.fullmatch(self.name) is not None, f"{self.name!r} is no name of C")
        require(0 <= self.workspace < 2**40 and 0 <= self.stack < 2**40, "bytes are not negative")
        require(bool(self.outputs), "a model has at least one output")

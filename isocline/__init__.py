"""Isocline compiles dynamic networks (neural, mechanistic or both) to proven, self-contained ONNX.

    isocline.build("pelts.dyn", out="build/pelts")          # train, compile, certify
    session = isocline.load("build/pelts")                  # numpy in, numpy out
    session.run({"first": [[30.0, 4.0]]})

Every command of the `isocline` program is one of these functions. Each loads what it needs when it is first used, so
that `import isocline` loads neither torch nor onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocline_compiler.driver import Compiled, TrainingResult, build, check, compile, show, train
    from isocline_compiler.model import Model
    from isocline_dsl.diagnostics import Diagnostic, IsoclineError
    from isocline_runtime import Session, load
    from isocline_runtime.errors import RuntimeFault

    from isocline.benchmark import bench
    from isocline.explanations import explain
    from isocline.layouts import format  # noqa: A004 - the command's name
    from isocline.pictures import plot
    from isocline.system import doctor

__version__ = "0.1.0"

_HOMES = {
    "check": "isocline_compiler.driver",
    "train": "isocline_compiler.driver",
    "compile": "isocline_compiler.driver",
    "build": "isocline_compiler.driver",
    "show": "isocline_compiler.driver",
    "Compiled": "isocline_compiler.driver",
    "TrainingResult": "isocline_compiler.driver",
    "Model": "isocline_compiler.model",
    "Diagnostic": "isocline_dsl.diagnostics",
    "IsoclineError": "isocline_dsl.diagnostics",
    "Session": "isocline_runtime",
    "load": "isocline_runtime",
    "RuntimeFault": "isocline_runtime.errors",
    "format": "isocline.layouts",
    "plot": "isocline.pictures",
    "bench": "isocline.benchmark",
    "explain": "isocline.explanations",
    "doctor": "isocline.system",
}

__all__ = [
    "Compiled",
    "Diagnostic",
    "IsoclineError",
    "Model",
    "RuntimeFault",
    "Session",
    "TrainingResult",
    "__version__",
    "bench",
    "build",
    "check",
    "compile",
    "doctor",
    "explain",
    "format",
    "load",
    "plot",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'isocline' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Isocline compiles dynamic networks (neural, mechanistic or both) to proven, self-contained ONNX.

    isocline.build("pelts.dyn", "build/pelts")              # train, compile, certify
    session = isocline.load("build/pelts")                  # numpy in, numpy out
    session.run({"first": [[30.0, 4.0]]})

Every command of the `isocline` program is one of these functions. Each loads what it needs when it is first used, so
that `import isocline` loads neither torch nor onnxruntime.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocline.attribution import Attribution as Attribution
    from isocline.attribution import attribute as attribute
    from isocline.benchmark import Benchmark as Benchmark
    from isocline.benchmark import bench as bench
    from isocline.comparison import Comparison as Comparison
    from isocline.comparison import compare as compare
    from isocline.explanations import explain as explain
    from isocline.layouts import Layout as Layout
    from isocline.layouts import format as format  # noqa: A004 - the command's name
    from isocline.packages import pack as pack
    from isocline.pictures import plot as plot
    from isocline.system import doctor as doctor
    from isocline.verification import Claim as Claim
    from isocline.verification import Verification as Verification
    from isocline.verification import verify as verify
    from isocline_compiler.driver import Compiled as Compiled
    from isocline_compiler.driver import TrainingResult as TrainingResult
    from isocline_compiler.driver import build as build
    from isocline_compiler.driver import compile as compile  # noqa: A004 - the command's name
    from isocline_compiler.driver import show as show
    from isocline_compiler.driver import train as train
    from isocline_compiler.lower.check import check as check
    from isocline_compiler.lower.check import model as model
    from isocline_compiler.model import Model as Model
    from isocline_dsl.diagnostics import Diagnostic as Diagnostic
    from isocline_dsl.diagnostics import IsoclineError as IsoclineError
    from isocline_runtime import Session as Session
    from isocline_runtime import load as load
    from isocline_runtime.errors import RuntimeFault as RuntimeFault

__version__ = "0.1.0"

_PUBLIC = {
    "isocline_compiler.driver": ("Compiled", "TrainingResult", "build", "compile", "show", "train"),
    "isocline_compiler.lower.check": ("check", "model"),
    "isocline_compiler.model": ("Model",),
    "isocline_dsl.diagnostics": ("Diagnostic", "IsoclineError"),
    "isocline_runtime": ("Session", "load"),
    "isocline_runtime.errors": ("RuntimeFault",),
    "isocline.attribution": ("Attribution", "attribute"),
    "isocline.benchmark": ("Benchmark", "bench"),
    "isocline.comparison": ("Comparison", "compare"),
    "isocline.explanations": ("explain",),
    "isocline.layouts": ("Layout", "format"),
    "isocline.packages": ("pack",),
    "isocline.pictures": ("plot",),
    "isocline.system": ("doctor",),
    "isocline.verification": ("Claim", "Verification", "verify"),
}
_HOME_OF = {name: home for home, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'isocline' has no attribute {name!r}")
    searching = gc.isenabled()
    gc.disable()  # modules are no garbage: a fifth of the time to load torch went into looking for it among them
    try:
        value = getattr(import_module(home), name)
    finally:
        if searching:
            gc.enable()
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Runs what Isocline compiled: numpy and onnxruntime, nothing of the compiler.

Names are resolved on first use, so that importing this package loads neither onnxruntime nor pyarrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocline_runtime.artifact import Artifact as Artifact
    from isocline_runtime.artifact import read_artifact as read_artifact
    from isocline_runtime.benchmark import Latency as Latency
    from isocline_runtime.benchmark import measure_latency as measure_latency
    from isocline_runtime.errors import ArtifactError as ArtifactError
    from isocline_runtime.errors import InputError as InputError
    from isocline_runtime.errors import ProviderError as ProviderError
    from isocline_runtime.errors import RunError as RunError
    from isocline_runtime.errors import RuntimeFault as RuntimeFault
    from isocline_runtime.loading import load as load
    from isocline_runtime.manifest import Manifest as Manifest
    from isocline_runtime.manifest import NoiseInfo as NoiseInfo
    from isocline_runtime.manifest import Port as Port
    from isocline_runtime.messages import CATALOGUE as CATALOGUE
    from isocline_runtime.session import Session as Session
    from isocline_runtime.stream import Stream as Stream
    from isocline_runtime.tables import read_inputs as read_inputs
    from isocline_runtime.tables import write_outputs as write_outputs

HOMES = {
    "artifact": ("Artifact", "read_artifact"),
    "benchmark": ("Latency", "measure_latency"),
    "errors": ("ArtifactError", "InputError", "ProviderError", "RunError", "RuntimeFault"),
    "manifest": ("Manifest", "NoiseInfo", "Port"),
    "messages": ("CATALOGUE",),
    "loading": ("load",),
    "session": ("Session",),
    "stream": ("Stream",),
    "tables": ("read_inputs", "write_outputs"),
}
_HOME_OF = {name: module for module, names in HOMES.items() for name in names}
__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})

"""Which engine a session runs on, and the native one made ready.

Loading an artifact runs none of its code. The native engine is asked for by name, which is consent to build what the
manifest lists; "auto" takes it only where that was done on this machine before, or where the artifact's signature was
checked. A library that comes with an artifact is run where its signature was checked, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from isocline_runtime import messages_artifact
from isocline_runtime import messages_native as messages
from isocline_runtime.artifact import Artifact, read_listed
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.manifest import MODEL_FILE, NativeInfo, Port
from isocline_runtime.native.building import (
    Library,
    Program,
    build,
    is_built,
    is_kept,
    keep_shipped,
    place_of_shipped,
)
from isocline_runtime.native.calling import NativeModel
from isocline_runtime.native.compilers import find_compiler
from isocline_runtime.native.targets import target_here
from isocline_runtime.provider import CPU, resolve_providers

Engine: TypeAlias = Literal["onnxruntime", "native", "auto"]
BARE = "it is a bare .onnx file"
ENGINES: tuple[Engine, ...] = ("onnxruntime", "native", "auto")


@dataclass(frozen=True)
class Asking:
    """What a session was loaded with, why it runs on what it does, and the function that loads it again."""

    providers: str | Sequence[str]
    engine: Engine
    reason: str
    again: Callable[..., Any]
    trusted: bool = False
    """Whether the artifact's signature was checked."""


@dataclass(frozen=True)
class Opened:
    """A model and what it was `built` as, which is new where nobody has compared its answers yet."""

    model: NativeModel
    built: Library


def check_engine(engine: Engine, providers: str | Sequence[str]) -> None:
    """Raises ProviderError E764, E765."""
    if engine not in ENGINES:
        raise messages.unknown_engine(engine, ENGINES)
    if engine == "native" and providers != (CPU,) and resolve_providers(providers) != (CPU,):
        raise messages.only_on_cpu(resolve_providers(providers)[0])


def taken(artifact: Artifact, engine: Engine, providers: str | Sequence[str], trusted: bool) -> tuple[bool, str]:
    """Whether the native engine is taken, and why."""
    if engine != "auto":
        return engine == "native", "asked for"
    if providers != (CPU,) and resolve_providers(providers) != (CPU,):
        return False, "it was asked to run elsewhere than on the processor"
    try:
        program = program_of(artifact, MODEL_FILE)
        if trusted and shipped(artifact, program) is not None:
            return True, "the artifact's signature was checked, and it brings a library for this processor"
        compiler = find_compiler()
    except RuntimeFault as fault:
        return False, fault.message
    if trusted:
        return True, "the artifact's signature was checked"
    if is_built(program, compiler):
        return True, "it was built on this machine before"
    return False, 'the artifact is not signed and was not built here: engine="native" builds it'


def program_of(artifact: Artifact, model: str) -> Program:
    """The C of one file of an artifact. Raises RunError E760 where there is none, ArtifactError."""
    manifest = artifact.manifest
    if manifest is None:
        raise messages.no_native(artifact.name, BARE)
    info = next((item for item in manifest.native if item.model == model), None)
    if info is None:
        raise messages.no_native(artifact.name, manifest.not_native.get(model, f"none was written for {model}"))
    source, header = (read_listed(artifact.path, name, manifest.files[name]) for name in (info.source, info.header))
    return Program(info, source, header)


def open_native(artifact: Artifact, model: str, outputs: Sequence[Port], threads: int, trusted: bool = False) -> Opened:
    """A file of an artifact: the library that came with it where it is `trusted`, else its C, built here.

    Raises RunError E760, E762, ProviderError E761, ArtifactError.
    """
    program = program_of(artifact, model)
    _check_outputs(artifact, program.info, outputs)
    content = shipped(artifact, program)
    if content is not None and (trusted or is_kept(place_of_shipped(program, content))):
        library = keep_shipped(program, content)
    else:
        library = build(program, find_compiler())
    return Opened(NativeModel(library.path, program.info, outputs, threads), library)


def shipped(artifact: Artifact, program: Program) -> bytes | None:
    """The library for this processor that came with an artifact, as its manifest has it. Raises ArtifactError."""
    here, manifest = target_here(), artifact.manifest
    name = program.info.libraries.get(here.name) if here is not None else None
    return None if name is None or manifest is None else read_listed(artifact.path, name, manifest.files[name])


def _check_outputs(artifact: Artifact, info: NativeInfo, outputs: Sequence[Port]) -> None:
    """The arrays that C fills are those that the manifest promises. Raises ArtifactError E716."""
    found = {item.name: (item.dtype, item.count) for item in info.outputs}
    batched = {item.name: item.batched for item in info.outputs}
    for port in outputs:
        sizes = [size for size in port.shape[batched.get(port.name, False) :] if isinstance(size, int)]
        if found.get(port.name) != (port.dtype, math.prod(sizes)):
            stated = str(found.get(port.name, "missing"))
            raise messages_artifact.other_signature(artifact.path / info.source, repr(port.name), stated, str(port))

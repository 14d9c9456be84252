"""An artifact from disk to a session: every byte checked, the model inspected, one of two engines opened."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from isocline_runtime import messages_artifact
from isocline_runtime.artifact import Artifact, Trust, read_artifact
from isocline_runtime.limits import NODE_LIMIT, OPERATION_LIMIT, SIZE_LIMIT, TIME_LIMIT, Limits
from isocline_runtime.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, Port
from isocline_runtime.messages_native import no_native
from isocline_runtime.model_facts import ModelFacts, check_operations, inspect_model
from isocline_runtime.native.building import discard
from isocline_runtime.native.checking import compare
from isocline_runtime.native.opening import BARE, Asking, Engine, check_engine, open_native, taken
from isocline_runtime.noises import Noises
from isocline_runtime.provider import CPU, open_session
from isocline_runtime.session import Session
from isocline_runtime.signature import check_signature, read_ports


def load(
    path: str | os.PathLike[str],
    providers: str | Sequence[str] = (CPU,),
    threads: int = 1,
    *,
    limit: int = SIZE_LIMIT,
    node_limit: int = NODE_LIMIT,
    operation_limit: int = OPERATION_LIMIT,
    seconds: float | None = TIME_LIMIT,
    memory: int | None = None,
    allow_nonfinite: bool = False,
    trust: Trust = None,
    engine: Engine = "onnxruntime",
) -> Session:
    """Load an artifact's folder, or one `.onnx` file, for running.

    Every file is checked against the manifest and the model is inspected before onnxruntime reads it.
    The model runs on the first of `providers` ("cpu" and "cuda" will do) or not at all.

    With `engine="native"` the C of the artifact is built here, once, its answers compared with those of the
    certificate's samples, and run in place of the ONNX file: E760 to E763 where that cannot be. With `trust`, a library
    that the artifact brings for this processor is run instead, and no compiler is needed. "auto" takes the native one
    where it was built here before, or with `trust`; `session.engine` says which and `session.engine_reason` why.

    A model that is loaded cannot take its host down: no file is larger than `limit` bytes, no graph has more nodes than
    `node_limit`, no run takes more operations than `operation_limit` (the steps of loops counted), more than `seconds`
    (None: no end) or more than `memory` bytes for its values (None: three quarters of the machine's). With `trust`, a
    public key, only what was signed with it is loaded. Raises ArtifactError and ProviderError.
    """
    start = time.perf_counter()
    artifact = read_artifact(path, limit, trust)
    limits = Limits(threads, limit, node_limit, operation_limit, seconds, memory, allow_nonfinite)
    facts = inspect_model(artifact.model, artifact.model_file, node_limit)
    check_operations(facts, artifact.manifest, artifact.model_file, limits)
    check_engine(engine, providers)
    natively, reason = taken(artifact, engine, providers, trust is not None)
    asking = Asking(providers, engine, reason, _load_again, trust is not None)
    if natively:
        return _load_native(artifact, facts, limits, asking, start)
    backend = open_session(artifact.model, artifact.model_file, providers, threads, memory)
    inputs = read_ports(backend.get_inputs(), artifact.model_file)
    outputs = read_ports(backend.get_outputs(), artifact.model_file)
    noises = Noises(artifact.name, (), ())
    if artifact.manifest is not None:
        noises = _noises(artifact, inputs)
        check_signature(artifact.model_file, inputs, (*artifact.manifest.inputs, *noises.ports))
        check_signature(artifact.model_file, outputs, artifact.manifest.outputs)
        inputs, outputs = artifact.manifest.inputs, artifact.manifest.outputs
    session = Session(artifact, facts, backend, inputs, outputs, limits, asking, noises)
    session.load_ms = 1e3 * (time.perf_counter() - start)
    return session


def _load_native(artifact: Artifact, facts: ModelFacts, limits: Limits, asking: Asking, start: float) -> Session:
    """A session on the C of an artifact, compared with the samples of the certificate when it was built anew."""
    manifest = artifact.manifest
    if manifest is None:
        raise no_native(artifact.name, BARE)
    opened = open_native(artifact, MODEL_FILE, manifest.outputs, limits.threads, asking.trusted)
    fixed = {item.name for item in opened.model.info.inputs if item.batched}
    sizes = [port.shape[0] for port in manifest.inputs if port.name in fixed and isinstance(port.shape[0], int)]
    noises = Noises(artifact.name, manifest.noises, tuple(info.port(*sizes[:1]) for info in manifest.noises))
    session = Session(artifact, facts, opened.model, manifest.inputs, manifest.outputs, limits, asking, noises)
    if opened.built.built:
        try:
            compare(session)
        except BaseException:
            discard(opened.built)
            raise
    session.load_ms = 1e3 * (time.perf_counter() - start)
    return session


def _noises(artifact: Artifact, inputs: tuple[Port, ...]) -> Noises:
    """The noises of the manifest, of the batch that the model has: a number where it was compiled for one."""
    infos = artifact.manifest.noises if artifact.manifest is not None else ()
    found = {port.name: port.shape[:1] for port in inputs}
    fixed = [size for info in infos for size in found.get(info.name, ()) if isinstance(size, int)]
    return Noises(artifact.name, infos, tuple(info.port(*fixed[:1]) for info in infos))


def _load_again(
    path: Path, providers: str | Sequence[str], engine: Engine, limits: Limits, manifest: Manifest | None
) -> Session:
    """What a copy of a session is made of. Raises E708 when the folder holds another artifact by now."""
    session = load(
        path, providers, limits.threads, engine=engine, limit=limits.limit, node_limit=limits.node_limit,
        operation_limit=limits.operation_limit, seconds=limits.seconds, memory=limits.memory,
        allow_nonfinite=limits.allow_nonfinite,
    )  # fmt: skip
    if session.manifest != manifest:
        raise messages_artifact.altered_file(path, MANIFEST_FILE, "content", "another", "what it was")
    return session

"""A loaded model: numpy in, numpy out, by name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_run
from isocline_runtime.artifact import SIZE_LIMIT, Artifact, read_artifact
from isocline_runtime.feeds import find_nonfinite, prepare_feed
from isocline_runtime.manifest import Manifest, Port
from isocline_runtime.model_facts import NODE_LIMIT, ModelFacts, inspect_model
from isocline_runtime.provider import CPU, failing_node, open_session, plain_reason
from isocline_runtime.signature import check_signature, read_ports


def load(
    path: str | os.PathLike[str],
    providers: str | Sequence[str] = (CPU,),
    threads: int = 1,
    *,
    limit: int = SIZE_LIMIT,
    node_limit: int = NODE_LIMIT,
    allow_nonfinite: bool = False,
) -> Session:
    """Load an artifact's folder, or one `.onnx` file, for running.

    Every file is checked against the manifest and the model is inspected before onnxruntime reads it.
    The model runs on the first of `providers` ("cpu" and "cuda" will do) or not at all. `limit` is in bytes.
    Raises ArtifactError and ProviderError.
    """
    start = time.perf_counter()
    artifact = read_artifact(path, limit)
    facts = inspect_model(artifact.model, artifact.model_file, node_limit)
    backend = open_session(artifact.model, artifact.model_file, providers, threads)
    inputs = read_ports(backend.get_inputs(), artifact.model_file)
    outputs = read_ports(backend.get_outputs(), artifact.model_file)
    if artifact.manifest is not None:
        check_signature(artifact.model_file, inputs, artifact.manifest.inputs)
        check_signature(artifact.model_file, outputs, artifact.manifest.outputs)
        inputs, outputs = artifact.manifest.inputs, artifact.manifest.outputs
    session = Session(artifact, facts, backend, inputs, outputs, allow_nonfinite)
    session.load_ms = 1e3 * (time.perf_counter() - start)
    return session


class Session:
    """A model ready to run; `load` makes it. Any number of threads may run it at once: nothing in it changes.

    `inputs` and `outputs` are its ports, `manifest` and `certificate` are None for a bare `.onnx` file,
    `facts` is what was read of the model, `load_ms` how long loading took in milliseconds.
    """

    load_ms = 0.0

    def __init__(
        self,
        artifact: Artifact,
        facts: ModelFacts,
        backend: Any,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        allow_nonfinite: bool = False,
    ) -> None:
        self.name = artifact.name
        self.path = artifact.path
        self.manifest: Manifest | None = artifact.manifest
        self.certificate: dict[str, Any] | None = artifact.certificate
        self.facts = facts
        self.inputs = inputs
        self.outputs = outputs
        self.providers: tuple[str, ...] = tuple(backend.get_providers())
        self._allow_nonfinite = allow_nonfinite
        self._backend = backend

    def run(self, inputs: Mapping[str, ArrayLike] | None = None, /, **named: ArrayLike) -> dict[str, NDArray[Any]]:
        """The outputs by name, for inputs given as a mapping, by keyword, or both.

        Inputs have a leading batch axis; when all of them leave it out, one sample is run and the
        outputs have none either. Raises InputError before anything runs, RunError when the model stops
        (E780) or an output is not finite (E781).
        """
        feed = prepare_feed(self.inputs, {**(inputs or {}), **named})
        try:
            values = self._backend.run([port.name for port in self.outputs], feed.arrays)
        except Exception as error:  # onnxruntime's exceptions have no base of their own
            raise messages_run.stopped(self.name, plain_reason(error), self._place_of(error)) from None
        outputs = {
            port.name: np.asarray(value)[0] if feed.single and port.batched else np.asarray(value)
            for port, value in zip(self.outputs, values, strict=True)
        }
        self._check_outputs(outputs)
        return outputs

    __call__ = run

    def __repr__(self) -> str:
        inputs = ", ".join(f"{port.name}: {port}" for port in self.inputs)
        outputs = ", ".join(f"{port.name}: {port}" for port in self.outputs)
        return f"<Session {self.name}: ({inputs}) -> ({outputs}) on {self.providers[0]}>"

    def _check_outputs(self, outputs: dict[str, NDArray[Any]]) -> None:
        wrong = None if self._allow_nonfinite else find_nonfinite(outputs)
        if wrong is not None:
            raise messages_run.output_not_finite(*wrong)

    def _place_of(self, error: Exception) -> str | None:
        """Where the operation that onnxruntime names stands; a fused one keeps a name as part of its own."""
        node = failing_node(error)
        if not node:
            return None
        parts = [node, *re.split(r"[\s/]+", node)]
        span = next((self.facts.spans[part] for part in parts if part in self.facts.spans), None)
        return f"line {span} of its .dyn file (node {node!r})" if span else f"node {node!r}"

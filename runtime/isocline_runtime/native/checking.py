"""What a built library answers to the samples of the certificate, against what the ONNX file answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_native as messages
from isocline_runtime.artifact import read_listed
from isocline_runtime.manifest import SAMPLES_FILE, AttributionInfo, Manifest
from isocline_runtime.named_arrays import read_npz
from isocline_runtime.parts import Arrays, Run, in_parts, kept, largest_error

APART = 2.0
"""How many times the bound on rounding two answers may be apart: each may be as far from the exact one as that."""
EXPLAINED = {"float32": 1e-3, "float64": 1e-6}
"""How far two explanations may be apart, by precision: the certificate holds them to as much."""
LEAST_SHARE = 1e-2
"""Explanations smaller than this part of the score are measured against that part: they are differences of scores."""


class Answering(Protocol):
    """A session, as far as it is asked here."""

    name: str
    path: Path
    manifest: Manifest | None
    certificate: Any
    noises: Any

    @property
    def batch(self) -> int | None: ...

    def run(self, inputs: Any, /, *, rows: Any = None) -> dict[str, NDArray[Any]]: ...


def compare(session: Answering) -> None:
    """Raises ArtifactError E763 where an answer differs; an artifact without samples has nothing to compare with."""
    stored, certificate = _stored(session), session.certificate
    if certificate is None or not stored:
        return

    def run(given: Arrays, rows: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
        return session.run(given, rows=rows)

    found = in_parts(run, session.batch, kept("input", stored), stored.get("rows"), bool(session.noises))
    bound = APART * float(certificate["parity_bound"])
    for name, expected in kept("output", stored).items():
        apart = largest_error(found[name], expected)
        if not apart <= bound:
            raise messages.answers_differ(session.name, name, f"{apart:.1e}", f"{bound:.1e}")


def compare_explanations(session: Answering, info: AttributionInfo, native: Run, plain: Run) -> None:
    """Raises ArtifactError E763 where C explains a sample of the certificate otherwise than onnxruntime does now."""
    stored = _stored(session)
    if not stored:
        return
    inputs, rows, noisy = kept("input", stored), stored.get("rows"), bool(session.noises)
    found, expected = (in_parts(run, session.batch, inputs, rows, noisy) for run in (native, plain))
    kinds = {item.name: item for item in info.results}
    scores = {item.explains: expected[item.name] for item in info.results if item.kind == "score"}
    for port in info.outputs:
        told = kinds.get(port.name)
        score = scores.get(told.explains) if told is not None and port.batched else None
        least = 0.0 if score is None else LEAST_SHARE * np.abs(np.asarray(score, np.float64)).reshape(-1)
        apart, bound = largest_error(found[port.name], expected[port.name], least), EXPLAINED.get(port.dtype, 0.0)
        if not apart <= bound:
            raise messages.answers_differ(session.name, port.name, f"{apart:.1e}", f"{bound:.1e}")


def _stored(session: Answering) -> dict[str, NDArray[Any]]:
    """The samples of an artifact; none where it has none."""
    manifest = session.manifest
    if manifest is None or SAMPLES_FILE not in manifest.files:
        return {}
    path = session.path / SAMPLES_FILE
    return read_npz(path, read_listed(session.path, SAMPLES_FILE, manifest.files[SAMPLES_FILE]))

"""A certificate measured again: here, with this onnxruntime, on the samples that the artifact carries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isocline.slopes import derivative_error, measured_slopes
from isocline_runtime import Session, load, measure_latency
from isocline_runtime.artifact import Trust, read_listed
from isocline_runtime.manifest import MODEL_FILE, SAMPLES_FILE, Manifest
from isocline_runtime.messages_run import no_certificate
from isocline_runtime.named_arrays import read_npz
from isocline_runtime.parts import Array, Arrays, in_parts, kept, largest_error, part_of
from isocline_runtime.replay import replayed
from isocline_runtime.stream import run_plainly

SLACK = 1.1
"""How much larger than stated an error may be found here: other processors round otherwise."""
COMPLETE = 1e-3
"""What other samples may leave of a complete attribution besides, relative to the change of the score."""
TIMED = 1.0
"""Seconds that timing may take."""
NOT_HERE = (
    "the order of the schemes",
    "halved steps",
    "stability",
    "the bound of the solution",
    "the author's checks",
    "standard errors",
)
"""What needs the training data, or the model in float64."""

OF_PATHS = ("strong and weak errors", "moments of the noise", "the spread from seed to seed")
"""Besides, of a model with noise."""


@dataclass(frozen=True)
class Claim:
    """One number of a certificate: as stated, as measured here, and at most what it may be (None: it is a fact)."""

    name: str
    stated: float | str
    measured: float | str
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """A text is the same; a number is within its limit, and is one."""
        if isinstance(self.measured, str):
            return self.measured == self.stated
        return self.limit is None or self.measured <= self.limit


@dataclass(frozen=True)
class Verification:
    """Every claim that was measured again, and the names of those that need more than the artifact."""

    name: str
    claims: tuple[Claim, ...]
    not_measured: tuple[str, ...] = NOT_HERE

    @property
    def holds(self) -> bool:
        """All of it."""
        return all(claim.holds for claim in self.claims)

    def __repr__(self) -> str:
        wrong = [claim.name for claim in self.claims if not claim.holds]
        said = f"{', '.join(wrong)} does not hold" if wrong else "holds"
        return f"<Verification of {self.name}: {len(self.claims)} claims, {said}>"


def verify(path: str | Path, *, trust: Trust = None) -> Verification:
    """Measure every number of an artifact's certificate that needs no training data, on this machine.

    Every file is compared with its sha256 in the manifest first; with `trust`, a public key, only a manifest that is
    signed with it will do. Raises ArtifactError, and RunError E785 where there is no certificate or no samples.
    """
    session = load(path, trust=trust)
    manifest, certificate = session.manifest, session.certificate
    if manifest is None or certificate is None:
        raise no_certificate(session.name, "certificate")
    if SAMPLES_FILE not in manifest.files:
        raise no_certificate(session.name, SAMPLES_FILE)
    content = read_listed(session.path, SAMPLES_FILE, manifest.files[SAMPLES_FILE])
    stored = read_npz(session.path / SAMPLES_FILE, content)
    inputs = kept("input", stored)
    claims = (
        *_facts(session, manifest, certificate),
        *_errors(certificate, run_in_parts(session, inputs, stored.get("rows")), stored),
        *_steps(session, certificate, inputs, stored.get("rows")),
        *_explanations(session, certificate, inputs),
        *_latency(session, certificate, inputs),
        *_in_c(path, certificate, inputs, stored, trust),
    )
    return Verification(session.name, claims, (*(OF_PATHS if session.noises else ()), *NOT_HERE))


def run_in_parts(session: Session, inputs: Arrays, rows: Array | None = None) -> dict[str, Array]:
    """The outputs for any number of samples, also of a model whose batch is fixed: the last part is filled up.

    The noise is that of the seed 0, of these rows or of rows counted from 0.
    """

    def run(given: Arrays, numbers: Array | None) -> dict[str, Array]:
        return session.run(given, rows=numbers)

    return in_parts(run, session.batch, inputs, rows, bool(session.noises))


def _facts(session: Session, manifest: Manifest, certificate: Mapping[str, Any]) -> Iterator[Claim]:
    """The model is the one that the certificate speaks of, and has the size that it says."""
    content = read_listed(session.path, MODEL_FILE, manifest.files[MODEL_FILE])
    graph = certificate["graph"]
    yield Claim("sha256 of the model", graph["sha256"], hashlib.sha256(content).hexdigest())
    found = {"nodes": session.facts.nodes, "opset": session.facts.opset, "bytes": len(content)}
    for name, value in found.items():
        yield Claim(name, str(graph[name]), str(value))


def _errors(certificate: Mapping[str, Any], found: Arrays, stored: Arrays) -> Iterator[Claim]:
    """The distance from what was answered at the build, from float64 on the same grid, and from the solution."""
    bound = certificate["parity_bound"]
    for name, expected in kept("output", stored).items():
        if expected.dtype.kind != "f":
            yield Claim(f"answers of {name}", "the same", _sameness(found[name], expected))
            continue
        yield Claim(f"answers of {name}", 0.0, largest_error(found[name], expected), 2 * bound)
        parity = largest_error(found[name], kept("exact", stored)[name])
        yield Claim(f"parity of {name}", _maximum(certificate["parity"], name), parity, bound)
    for name, reference in kept("reference", stored).items():
        if name in certificate["deployed"]:
            stated = _maximum(certificate["deployed"], name)
            yield Claim(f"error of {name}", stated, largest_error(found[name], reference), SLACK * stated + bound)


def _steps(session: Session, certificate: Mapping[str, Any], inputs: Arrays, rows: Array | None) -> Iterator[Claim]:
    """The steps one after another against the whole, on some of the samples."""
    stated = certificate["stream"]
    if stated is None:
        return
    count = min(int(stated["samples"]), max((len(array) for array in inputs.values()), default=int(stated["samples"])))
    some = part_of(inputs, 0, count)
    numbers = (np.arange(count) if rows is None else np.resize(rows, count)) if session.noises else None
    whole = session.run(some, rows=numbers)
    found = replayed(session.stepper(), run_plainly, some, None, numbers)
    for name, error in stated["errors"].items():
        yield Claim(f"steps of {name}", error, largest_error(found[name], whole[name]), stated["bounds"][name])


def _sameness(found: Array, expected: Array) -> str:
    return "the same" if np.array_equal(found, expected) else f"{int((found != expected).sum())} differ"


def _maximum(spreads: Mapping[str, Any], name: str) -> float:
    maximum = spreads[name]["maximum"]
    return float("inf") if maximum is None else float(maximum)


def _explanations(session: Session, certificate: Mapping[str, Any], inputs: Arrays) -> Iterator[Claim]:
    """Gradients against differences of what the deployed model itself answers."""
    proofs: Sequence[Mapping[str, Any]] = certificate["attribution"]

    def run(points: Arrays) -> Arrays:
        return run_in_parts(session, points)

    for proof in certificate["derivatives"] if inputs else ():
        found = derivative_error(session, proof["result"], inputs, run)
        yield Claim(proof["result"], float(proof["error"]), *found)
    if not proofs or not inputs:
        return
    slopes = measured_slopes(session, inputs, run)
    for proof in proofs:
        error = slopes.error(proof["result"], proof["method"])
        if error is not None:
            yield Claim(proof["result"], float(proof["error"] or 0.0), *error)
        if proof["completeness"] is not None:
            stated = float(proof["completeness"])
            yield Claim(proof["result"], stated, slopes.incompleteness(proof["result"]), SLACK * stated + COMPLETE)


def _in_c(
    path: str | Path, certificate: Mapping[str, Any], inputs: Arrays, stored: Arrays, trust: Trust
) -> Iterator[Claim]:
    """The model in C, built here, where the certificate speaks of it."""
    if certificate["native"] is None:
        return
    session = load(path, trust=trust, engine="native")
    found = run_in_parts(session, inputs, stored.get("rows"))
    for name, stated in certificate["native"]["parity"].items():
        parity = largest_error(found[name], kept("exact", stored)[name])
        yield Claim(f"parity of {name} in C", stated["maximum"], parity, certificate["parity_bound"])


def _latency(session: Session, certificate: Mapping[str, Any], inputs: Arrays) -> Iterator[Claim]:
    batch = int(certificate["latency"]["batch"])
    given = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in inputs.items()}
    measured = measure_latency(session, batch, inputs=given, seconds=TIMED)
    yield Claim("latency in µs", float(certificate["latency"]["p50_us"]), measured.p50_us)

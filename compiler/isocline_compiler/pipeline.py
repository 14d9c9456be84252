"""Compiling on one page: a typed model and its weights to a proven artifact.

keep        noise that regularizes, where an ensemble is asked for
choose      a scheme and a grid for every solve whose scheme is open
optimise    the passes, on equations once instead of at every step
unroll      solves to steps, each in its cheapest form
optimise    the passes again: times and widths are numbers now
pack        the same steps in fewer and larger operations, where that is predicted to be faster
emit        ONNX, checked
explain     the same steps and their derivatives, where the file asks for attributions
prove       what was emitted, against the reference, float64 and the author's checks
stream      one step as a graph of its own, where the file asks for it, run against the whole
in C        the same graphs as C, steps as loops; built and measured where the file asks for it
write       the files, the manifest last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from isocline_compiler.artifact.files import REPORT_FILE, manifest_of, noises_of
from isocline_compiler.artifact.folder import write_folder
from isocline_compiler.artifact.native import NativeFiles
from isocline_compiler.artifact.samples import stored_samples
from isocline_compiler.artifact.shipped import compiler_of, with_libraries
from isocline_compiler.artifact.streams import stepper_of, stream_info
from isocline_compiler.attribution.explain import StoredSamples, explain, sizes_of
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.attribution import missed_attributions, prove_attribution
from isocline_compiler.certify.bespoke.prove import LearnedProving, learns
from isocline_compiler.certify.certificate import AttributionProof, Certificate, NativeProof, StreamProof
from isocline_compiler.certify.derivatives import prove_derivative
from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.certify.native import missed_native, native_session, prove_native
from isocline_compiler.certify.prove import Proving
from isocline_compiler.certify.stochastic.kept import EnsembleProving, ensemble_of
from isocline_compiler.certify.stochastic.prove import StochasticProving
from isocline_compiler.certify.streamed import missed_steps, prove_stream
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.data import Dataset
from isocline_compiler.derivatives.files import SEEDED
from isocline_compiler.graph import Array, Fault, Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.model import FittedParameter, Model
from isocline_compiler.packing import PLAIN, Deployed, deployed
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.report.whole import report_of
from isocline_compiler.solvers.ensemble import EnsembleModel
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of, with_forms
from isocline_compiler.streaming.ensembles import Kept
from isocline_compiler.streaming.step import Asked, stream_graphs
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import operations
from isocline_runtime import Session, load
from isocline_runtime.artifact import write_atomic
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.manifest import (
    ATTRIBUTION_FILE,
    CERTIFICATE_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SAMPLES_FILE,
    SIGNATURE_FILE,
    START_FILE,
    STEP_FILE,
    Manifest,
    StreamInfo,
)
from isocline_runtime.native.building import Program
from isocline_runtime.native.targets import TARGETS, target_here
from isocline_runtime.seal import seal

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """An artifact on disk, and what was proved of it, as it stands in `certificate.json`."""

    folder: Path
    manifest: Manifest
    certificate: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Compiled {self.manifest.name} in {self.folder}>"


@dataclass(frozen=True)
class Trained:
    """What compiling needs of training: weights by name, parameters with their errors and their covariance, the file
    of metrics.
    """

    weights: Mapping[str, Array]
    parameters: tuple[FittedParameter, ...] = ()
    metrics: Path | None = None
    covariance: Array | None = None


def compile_model(
    model: Model,
    trained: Trained,
    dataset: Dataset | None,
    override: Called | None,
    progress: Progress,
    folder: Path,
    key: Any = None,
) -> Compiled:
    """The whole pipeline. Raises IsoclineError when a bound is missed; nothing is written then.

    With a private `key` the artifact is signed.
    """
    model = ensemble_of(_with_members(model, dataset), override)
    plan, weights = model.deployment, trained.weights
    proving = proving_of(model, weights, dataset, override)
    chosen, trials = proving.choose(progress)
    bound = bind(model.graph, weights)
    choices = with_forms(bound, chosen, plan.unroll, plan.batch or 1)
    explanations = explain(model, choices, weights, _background(dataset), trained.covariance)

    in_c = NativeFiles(model.name, plan.dtype)
    with write_folder(folder) as staging:
        in_c.write(staging, MODEL_FILE, looped(bound, chosen, plan.batch), weights)
        explainer, proofs = None, tuple[AttributionProof, ...]()
        if explanations is not None:
            progress(f"explaining with {len(explanations.graph.nodes())} operations")
            write_atomic(staging / ATTRIBUTION_FILE, emit(model, weights, explanations.graph))
            in_c.write(staging, ATTRIBUTION_FILE, explanations.graph, weights)
            explainer = load(staging / ATTRIBUTION_FILE, allow_nonfinite=True)
            trial = (weights, explainer, proving.samples, progress, proving.rare)
            proofs = prove_attribution(model, explanations, *trial)
            require(model, missed_attributions(model, proofs))

        found = Found(chosen, trials, trained.parameters, proofs)
        # a stream gives bit for bit what the whole gives; and the plain form rounds the least
        emitted, session, certificate = certified(proving, found, bound, staging, progress, plan.stream is not None)
        if emitted.form is not PLAIN and proving.missed(certificate):
            emitted, session, certificate = certified(
                proving, found, bound, staging, progress, True
            )  # rounds the least
        require(model, proving.missed(certificate))
        stepped = unroll(optimise(bound), choices).graph if plan.derivatives else bound
        derived = tuple(differentiated(kind, proving, stepped, staging, progress, in_c) for kind in plan.derivatives)
        stream, streamed = streaming(proving, choices, session, certificate, staging, progress)
        native = natively(proving, choices, session, certificate, staging, in_c, progress)
        certificate = replace(certificate, derivatives=derived, stream=streamed, native=native)

        write_atomic(staging / CERTIFICATE_FILE, certificate.to_json().encode())
        page = report_of(
            model, certificate, session, proving.samples, trained.metrics, explanations, explainer,
            proving.paths(session),
        )  # fmt: skip
        write_atomic(staging / REPORT_FILE, page.encode())
        write_atomic(staging / SAMPLES_FILE, stored_samples(proving, choices, certificate, session))
        columns = dataset.columns if dataset else {}
        manifest = manifest_of(model, emitted.choices, staging, explanations, columns, stream, in_c)
        if key is not None:
            write_atomic(staging / SIGNATURE_FILE, seal((staging / MANIFEST_FILE).read_bytes(), key))
    return Compiled(folder, manifest, json.loads(certificate.to_json()))


def _units(proving: Proving) -> float:
    """What a form may add to rounding: a quarter of the bound, in units of the precision."""
    unit = 2.0**-53 if proving.model.deployment.dtype == "float64" else 2.0**-24
    return proving.parity / unit / 4


def looped(bound: Graph, chosen: Choices, batch: int | None) -> Graph:
    """The graph with single steps in loops, as C has them."""
    return optimise(unroll(optimise(bound), with_forms(bound, chosen, 1, batch or 1)).graph)


def _background(dataset: Dataset | None) -> StoredSamples | None:
    return StoredSamples(dataset.train) if dataset else None


@dataclass(frozen=True)
class Found:
    """What a certificate says besides what it measures: the grids that were chosen, of which trials, the parameters and
    the proofs of explanations.
    """

    chosen: Choices
    trials: tuple[Trial, ...]
    parameters: tuple[FittedParameter, ...]
    explained: tuple[AttributionProof, ...]


def certified(
    proving: Proving, found: Found, bound: Graph, staging: Path, progress: Progress, plain: bool
) -> tuple[Deployed, Session, Certificate]:
    """Emit the model in a form, or in the `plain` one, and measure it."""
    model, plan = proving.model, proving.model.deployment
    form = PLAIN if plain else None
    emitted = deployed(bound, found.chosen, plan.unroll, plan.batch, form, _units(proving))
    progress(f"emitting {len(emitted.graph.nodes())} operations ({emitted.form.name})")
    file = staging / MODEL_FILE
    write_atomic(file, emit(model, proving.weights, emitted.graph))
    session = load(file, allow_nonfinite=True)  # what is not finite misses its bound
    progress("certifying")
    certificate = proving.certificate(
        session, emitted.choices, found.trials, file, found.parameters, found.explained, emitted.graph
    )
    return emitted, session, certificate


def _with_members(model: Model, dataset: Dataset | None) -> Model:
    """The model whose inputs know the names that the data give to the members of a group."""
    if dataset is None or not dataset.members:
        return model
    return replace(model, inputs=tuple(replace(p, members=dataset.members.get(p.name, ())) for p in model.inputs))


def proving_of(model: Model, weights: Mapping[str, Array], dataset: Dataset | None, override: Called | None) -> Proving:
    """What proves a model: a solve that noise drives has no solution to compare with, and is proved its own way; an
    ensemble is proved with its noise.
    """
    if isinstance(model, EnsembleModel):
        return EnsembleProving(model, weights, dataset, override)
    if learns(model, override):
        return LearnedProving(model, weights, dataset, override)
    driven = any(solve.spec.noises for solve in solves_of(model.graph))
    return (StochasticProving if driven else Proving)(model, weights, dataset, override)


def emit(model: Model, weights: Mapping[str, Array], graph: Graph) -> bytes:
    """The bytes of the ONNX file, checked by onnx itself."""
    plan = model.deployment
    proto = to_onnx(
        graph, weights, opset=plan.opset, dtype=plan.dtype, name=graph.name,
        metadata={"source_sha256": hashlib.sha256(model.source.text.encode()).hexdigest()},
        source=model.source, sizes=sizes_of(graph, plan.batch),
    )  # fmt: skip
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def differentiated(
    kind: str, proving: Proving, graph: Graph, staging: Path, progress: Progress, in_c: NativeFiles
) -> AttributionProof:
    """Write `adj_model.onnx` or `fwd_model.onnx`, run it and measure what it answers. Raises IsoclineError."""
    model = proving.model
    prefix, derive = SEEDED[kind]
    progress(f"differentiating: {kind}")
    try:
        held = {str(node.attrs["name"]) for node in graph.inputs} - {port.name for port in model.inputs}
        derived = optimise(derive(graph, held))
    except Fault as fault:
        raise IsoclineError([fault.make(model.deployment.span)], model.source) from None
    file = staging / f"{prefix}{MODEL_FILE}"
    write_atomic(file, emit(model, proving.weights, derived))
    in_c.write(staging, file.name, derived, proving.weights)
    proof = prove_derivative(model, kind, graph, load(file, allow_nonfinite=True), proving.samples)
    require(model, missed_attributions(model, (proof,)))
    return proof


def streaming(
    proving: Proving, choices: Choices, session: Session, certificate: Certificate, staging: Path, progress: Progress
) -> tuple[StreamInfo | None, StreamProof | None]:
    """Write `start.onnx` and `step.onnx` where the file asks for a stream, and run them. Raises IsoclineError."""
    model, plan = proving.model, proving.model.deployment.stream
    if plan is None:
        return None, None
    progress("streaming")
    kept: Kept | None = None
    if isinstance(model, EnsembleModel) and model.plain is not None:
        stepped = {solve.spec.choice: choice for solve, choice in model.stepped}
        kept = Kept(bind(model.plain, proving.weights), model.kept, stepped)
    rolled = optimise(bind(model.graph, proving.weights))
    graphs = stream_graphs(Asked(rolled, choices, plan.loop, plan.span, kept))
    emitted = {START_FILE: emit(model, {}, graphs.start), STEP_FILE: emit(model, {}, graphs.step)}
    for name, content in emitted.items():
        write_atomic(staging / name, content)
    info = stream_info(model, graphs)
    stepper = stepper_of(model, info, noises_of(model, choices), emitted)
    proof = prove_stream(proving, session, stepper, certificate, graphs.known)
    require(model, missed_steps(model, proof))
    return info, proof


def natively(
    proving: Proving, choices: Choices, session: Session, certificate: Certificate, staging: Path, in_c: NativeFiles,
    progress: Progress,
) -> NativeProof | None:  # fmt: skip
    """Build the model in C and measure it, where the file asks for that, with the libraries that it asks for.

    A library for this kind of processor is what is measured. Raises IsoclineError.
    """
    model, asked = proving.model, proving.model.deployment.native
    if asked is None:
        return None
    if MODEL_FILE in in_c.refused:
        raise IsoclineError([operations.not_in_c(asked.span, in_c.refused[MODEL_FILE])], model.source)
    progress("building the model in C")
    for file, written in in_c.written.items() if asked.targets else ():
        progress(f"building {written.source} for {', '.join(asked.targets)}")
        in_c.written[file] = with_libraries(model, written, staging, asked)
    info, here = in_c.written[MODEL_FILE], target_here()
    program = Program(info, *((staging / name).read_bytes() for name in (info.source, info.header)))
    measured = here.name if here is not None and here.name in info.libraries else None
    try:
        library = (staging / info.libraries[measured]).read_bytes() if measured else None
        compiler = compiler_of(TARGETS[measured] if measured else None)
        running = native_session(session, program, library)
        proof = prove_native(proving, choices, running, compiler, asked.targets, measured)
    except RuntimeFault as fault:
        raise IsoclineError([operations.native_not_measured(asked.span, fault.message)], model.source) from None
    require(model, missed_native(model, proof, certificate))
    return proof


def require(model: Model, missed: list[Diagnostic]) -> None:
    """Stop the build when anything was missed."""
    if missed:
        raise IsoclineError(missed, model.source)

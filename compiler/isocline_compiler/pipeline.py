"""Compiling on one page: a typed model and its weights to a proven artifact.

choose      a scheme and a grid for every solve whose scheme is open
unroll      solves to steps, laid out or in loops
optimise    the passes
emit        ONNX, checked
explain     the same steps and their derivatives, where the file asks for attributions
certify     what was emitted, against the reference, float64 and the author's checks
write       the files, the manifest last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from isocline_compiler.artifact.files import REPORT_FILE, attribution_info, manifest_of, write_folder
from isocline_compiler.attribution.explain import Explanations, StoredSamples, explain, sizes_of
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.attribution import missed_attributions, prove_attribution
from isocline_compiler.certify.certificate import AttributionProof, Certificate, DeployedSolve
from isocline_compiler.certify.choose import Trial, choose
from isocline_compiler.certify.deployed import (
    compare,
    evaluate_check,
    graph_facts,
    latency,
    missed_checks,
    run_deployed,
)
from isocline_compiler.certify.derivatives import prove_derivative
from isocline_compiler.certify.evaluation import Evaluator, reference_tolerance, scheme_steps
from isocline_compiler.certify.measures import Spread
from isocline_compiler.certify.samples import Samples, are_drawable, drawn, held_out
from isocline_compiler.certify.stability import stability
from isocline_compiler.certify.versions import versions
from isocline_compiler.data import Dataset
from isocline_compiler.derivatives.files import SEEDED
from isocline_compiler.graph import Array, Fault, Graph, Node
from isocline_compiler.graph.solve import SchemeChoice
from isocline_compiler.model import DeploymentPlan, FittedParameter, Model
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.report import write_report
from isocline_compiler.report.explanations import Explanations as ReportedExplanations
from isocline_compiler.report.explanations import explanations_of
from isocline_compiler.report.material import material_of
from isocline_compiler.solvers.grid import Discretisation, halved
from isocline_compiler.solvers.unroll import steps_of, unroll, with_segments
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_runtime import Session, load
from isocline_runtime.artifact import write_atomic
from isocline_runtime.manifest import ATTRIBUTION_FILE, CERTIFICATE_FILE, MODEL_FILE, Manifest

SWEPT = 512
"""Samples of the sweep: as many as are measured, or the worst of those measured could lie beyond the sweep's worst."""
MEASURED = 512
"""Samples on which discretisation and parity are measured."""

Progress = Callable[[str], None]


def silent(text: str) -> None:
    """No progress."""


@dataclass(frozen=True)
class Compiled:
    """An artifact on disk, and what was proved of it, as it stands in `certificate.json`."""

    folder: Path
    manifest: Manifest
    certificate: Mapping[str, Any]


@dataclass(frozen=True)
class Explainer:
    """`attribute.onnx`: its graph, and the file ready to run."""

    explanations: Explanations
    session: Session


@dataclass(frozen=True)
class Trained:
    """What compiling needs of training: weights by name, parameters with their errors and their covariance, the file
    of metrics.
    """

    weights: Mapping[str, Array]
    parameters: tuple[FittedParameter, ...] = ()
    metrics: Path | None = None
    covariance: Array | None = None


@dataclass
class Compilation:
    """One model on its way to an artifact."""

    model: Model
    trained: Trained
    dataset: Dataset | None
    override: SchemeChoice | None = None
    progress: Progress = silent
    plan: DeploymentPlan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = self.model.deployment

    def run(self, folder: Path) -> Compiled:
        """The whole pipeline. Raises IsoclineError when a bound is missed; nothing is written then."""
        samples = self.samples()
        chosen, trials = self.choose(samples)
        choices = with_segments(chosen, self.plan.unroll)
        stepped = self.stepped(choices)
        optimised = optimise(stepped)
        self.progress(f"emitting {len(optimised.nodes())} operations")
        model = self.emit(optimised)
        explanations = self.explanations(choices)
        with write_folder(folder) as staging:
            write_atomic(staging / MODEL_FILE, model)
            session = load(staging / MODEL_FILE)
            explainer = self.explainer(explanations, staging) if explanations is not None else None
            proofs = self.prove_attribution(explainer, samples) if explainer is not None else ()
            certificate = self.certify(session, samples, choices, trials, staging / MODEL_FILE, proofs)
            derived = tuple(self.prove_derivative(kind, stepped, samples, staging) for kind in self.plan.derivatives)
            certificate = replace(certificate, derivatives=derived)
            write_atomic(staging / CERTIFICATE_FILE, certificate.to_json().encode())
            write_atomic(staging / REPORT_FILE, self.report(session, certificate, samples, explainer).encode())
            manifest = manifest_of(self.model, choices, staging, explanations)
        return Compiled(folder, manifest, json.loads(certificate.to_json()))

    def samples(self) -> Samples:
        """Held-out data, or draws from the inputs' bounds, in the precision of the deployed model."""
        if self.dataset is None:
            found = drawn(self.model.inputs, self.model.source)
        else:
            found = held_out(self.dataset, self.model.inputs, self.model.targets)
        return found.rounded(self.plan.dtype)

    # ---------------------------------------------------------------------------------------------- the graph

    def choose(self, samples: Samples) -> tuple[dict[Node, Discretisation], tuple[Trial, ...]]:
        """A discretisation for every solve: the model's own, the author's, or the cheapest that meets the error."""
        evaluator = self.evaluator(samples.first(SWEPT))
        if self.override is not None:
            return {node: scheme_steps(node, self.override) for node in evaluator.solves}, ()
        if self.plan.solver is not None or not evaluator.open:
            named = self.plan.solver
            chosen = {node: scheme_steps(node, named) for node in evaluator.open if named is not None}
            return {**evaluator.stated, **chosen}, ()
        rounding = self.plan.parity if self.plan.dtype == "float32" else float("inf")
        found, trials = choose(evaluator, self.plan.error, self.plan.of, self.progress, rounding)
        return {**evaluator.stated, **found}, trials

    def evaluator(self, samples: Samples) -> Evaluator:
        """The float64 model on these samples."""
        return Evaluator(self.model, self.trained.weights, samples, self.plan.error)

    def stepped(self, choices: Mapping[Node, Discretisation]) -> Graph:
        """Solves as steps, weights bound."""
        return bind(unroll(self.model.graph, choices.__getitem__), self.trained.weights)

    def emit(self, graph: Graph) -> bytes:
        """The bytes of the ONNX file, checked by onnx itself."""
        model = to_onnx(
            graph, self.trained.weights, opset=self.plan.opset, dtype=self.plan.dtype, name=graph.name,
            metadata={"source_sha256": hashlib.sha256(self.model.source.text.encode()).hexdigest()},
            source=self.model.source, sizes=sizes_of(graph, self.plan.batch),
        )  # fmt: skip
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def explanations(self, choices: Mapping[Node, Discretisation]) -> Explanations | None:
        """What the file asks to be explained, on the same steps."""
        background = StoredSamples(self.dataset.train) if self.dataset else None
        return explain(self.model, choices, self.trained.weights, background, self.trained.covariance)

    # -------------------------------------------------------------------------------------------- the proof

    def explainer(self, explanations: Explanations, staging: Path) -> Explainer:
        """Write `attribute.onnx` and load it."""
        self.progress(f"explaining with {len(explanations.graph.nodes())} operations")
        write_atomic(staging / ATTRIBUTION_FILE, self.emit(explanations.graph))
        return Explainer(explanations, load(staging / ATTRIBUTION_FILE, allow_nonfinite=True))

    def prove_attribution(self, explainer: Explainer, samples: Samples) -> tuple[AttributionProof, ...]:
        """Measure what `attribute.onnx` answers. Raises IsoclineError."""
        weights = self.trained.weights
        explanations, session = explainer.explanations, explainer.session
        proofs = prove_attribution(self.model, explanations, weights, session, samples, self.progress)
        self.require(missed_attributions(self.model, proofs))
        return proofs

    def prove_derivative(self, kind: str, graph: Graph, samples: Samples, staging: Path) -> AttributionProof:
        """Write `adj_model.onnx` or `fwd_model.onnx`, run it and measure what it answers. Raises IsoclineError."""
        prefix, derive = SEEDED[kind]
        self.progress(f"differentiating: {kind}")
        try:
            derived = optimise(derive(graph))
        except Fault as fault:
            raise IsoclineError([fault.make(self.plan.span)], self.model.source) from None
        file = staging / f"{prefix}{MODEL_FILE}"
        write_atomic(file, self.emit(derived))
        proof = prove_derivative(self.model, kind, graph, load(file, allow_nonfinite=True), samples)
        self.require(missed_attributions(self.model, (proof,)))
        return proof

    def require(self, missed: list[Diagnostic]) -> None:
        """Stop the build when anything was missed."""
        if missed:
            raise IsoclineError(missed, self.model.source)

    def certify(
        self,
        session: Session,
        samples: Samples,
        choices: Mapping[Node, Discretisation],
        trials: tuple[Trial, ...],
        model_file: Path,
        explained: tuple[AttributionProof, ...] = (),
    ) -> Certificate:
        """Measure everything that is claimed. Raises IsoclineError with every bound that is missed."""
        self.progress("certifying")
        measured = samples.first(MEASURED)
        evaluator = self.evaluator(measured)
        exact = evaluator.run(choices)
        deployed = run_deployed(session, measured)
        checks = self.plan.checks
        everything = run_deployed(session, samples) if checks else {}
        certificate = Certificate(
            model=self.model.name,
            samples=samples.origin + ("" if measured is samples else f", {measured.count} of them measured"),
            parity=compare(deployed, exact, self.model.graph),
            parity_bound=self.plan.parity,
            dtype=self.plan.dtype,
            discretisation=compare(exact, evaluator.reference, self.model.graph) if evaluator.open else {},
            stated_error=self.plan.error,
            reference=f"dopri8, rtol = atol = {reference_tolerance(self.plan.error):.0e}",
            solves=tuple(_deployed(node, choice) for node, choice in choices.items()),
            work_precision=trials,
            step_halving=self._halving(evaluator, exact, choices),
            stability=stability(self.evaluator(samples.first(8)), choices),
            checks=tuple(evaluate_check(check, everything, samples) for check in checks),
            parameters=self.trained.parameters,
            data_notes=self.dataset.notes if self.dataset else (),
            graph=graph_facts(session, model_file),
            latency=latency(session, measured, self.plan.batch or 1),
            versions=versions(),
            attribution=explained,
            deployed=compare(deployed, evaluator.reference, self.model.graph) if evaluator.open else {},
            beyond=self._beyond(choices) if evaluator.open else {},
        )
        self.require(self._missed(certificate))
        return certificate

    def _halving(
        self, evaluator: Evaluator, exact: Mapping[str, Array], choices: Mapping[Node, Discretisation]
    ) -> dict[str, float]:
        """How far the outputs move when every step of an open solve is halved."""
        if not evaluator.open:
            return {}
        finer = evaluator.run({node: halved(choices[node]) for node in evaluator.open})
        return {name: item.maximum for name, item in compare(exact, finer, self.model.graph).items()}

    def _beyond(self, choices: Mapping[Node, Discretisation]) -> dict[str, Spread]:
        """The error of the grid on draws from the inputs' bounds: data may cover little of what a caller may give.

        Empty without data (then the samples are such draws already), without finite bounds, and where no reference
        solution can be had.
        """
        if self.dataset is None or not are_drawable(self.model.inputs):
            return {}
        evaluator = self.evaluator(drawn(self.model.inputs, self.model.source).rounded(self.plan.dtype))
        try:
            return compare(evaluator.run(choices), evaluator.reference, self.model.graph)
        except IsoclineError:
            return {}  # the bounds reach where the equations have no solution: nothing is claimed there

    def _missed(self, certificate: Certificate) -> list[Diagnostic]:
        spans = {port.name: port.span for port in self.model.outputs}
        missed = [
            messages.parity_missed(spans[name], name, f"{item.maximum:.1e}", f"{certificate.parity_bound:.0e}")
            for name, item in certificate.parity.items()
            if not item.maximum <= certificate.parity_bound
        ]
        bounded = self.plan.of or tuple(certificate.deployed)
        missed += [
            messages.error_bound_missed(spans[name], name, f"{item.maximum:.1e}", f"{certificate.stated_error:.0e}")
            for name, item in certificate.deployed.items()
            if name in bounded and self._is_bounded and not item.maximum <= certificate.stated_error
        ]
        return missed + missed_checks(self.plan.checks, certificate.checks)

    @property
    def _is_bounded(self) -> bool:
        """Whether the error of the grid is a promise; when the author names a grid, it is a fact that is stated."""
        return self.plan.solver is None and self.override is None

    def report(
        self, session: Session, certificate: Certificate, samples: Samples, explainer: Explainer | None = None
    ) -> str:
        """The page that shows all of this to a person."""
        shown = samples.first(6)
        outputs = run_deployed(session, shown)
        why = self.explained(explainer, shown, outputs) if explainer is not None else None
        return write_report(material_of(self.model, certificate, outputs, shown, self.trained.metrics, why))

    def explained(self, explainer: Explainer, shown: Samples, outputs: Mapping[str, Array]) -> ReportedExplanations:
        """Why the deployed model answered so."""
        info = attribution_info(self.model, explainer.explanations)
        return explanations_of(self.model, info, explainer.session, shown, outputs)


def _deployed(node: Node, choice: Discretisation) -> DeployedSolve:
    steps = steps_of(node, choice)
    declared = "continuous" if node.attrs["scheme"] is None else "discrete"
    scheme = choice.scheme
    return DeployedSolve(
        str(node.attrs["field"]), declared, scheme.name, scheme.order, steps, steps * scheme.evaluations, choice.segment
    )

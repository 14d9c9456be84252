"""The C of a model, built here and measured as the ONNX file is: both against float64."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.certify.certificate import Certificate, NativeProof
from isocline_compiler.certify.deployed import compare, latency, run_deployed
from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.certify.measures import figures
from isocline_compiler.certify.prove import Proving
from isocline_compiler.model import Model
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import operations as messages
from isocline_runtime import Session, load
from isocline_runtime.artifact import Artifact
from isocline_runtime.limits import Limits
from isocline_runtime.native.building import Program, build, keep_shipped
from isocline_runtime.native.calling import NativeModel
from isocline_runtime.native.compilers import find_compiler
from isocline_runtime.native.opening import Asking


def native_session(beside: Session, program: Program, library: bytes | None = None) -> Session:
    """The C of a model as a session with the ports of the ONNX file beside it: a library, or what is built here.

    Raises ProviderError E761 without a compiler, RunError E762.
    """
    built = build(program, find_compiler()) if library is None else keep_shipped(program, library)
    model = NativeModel(built.path, program.info, beside.outputs)
    limits = Limits(allow_nonfinite=True)
    asking = Asking(("cpu",), "native", "it is measured", load)
    return Session(Artifact(beside.path, b""), beside.facts, model, beside.inputs, beside.outputs, limits, asking)


def prove_native(
    proving: Proving, choices: Choices, session: Session, compiler: str, libraries: Sequence[str], measured: str | None
) -> NativeProof:
    """Errors against float64 on the samples on which the ONNX file is measured, and the time of a call."""
    samples, graph = proving.measuring.samples, proving.model.graph
    exact = proving.evaluator(samples).run(choices)
    errors = compare(run_deployed(session, samples), exact, graph)
    batch = proving.model.deployment.batch or 1
    return NativeProof(compiler, errors, latency(session, samples, batch), tuple(libraries), measured)


def missed_native(model: Model, proof: NativeProof, certificate: Certificate) -> list[Diagnostic]:
    """E655 for every output that rounding in C moves too far."""
    spans, bound = {port.name: port.span for port in model.outputs}, certificate.parity_bound
    return [
        messages.native_parity_missed(spans[name], name, proof.compiler, *figures(item.maximum, bound))
        for name, item in proof.parity.items()
        if not item.maximum <= bound
    ]


__all__ = ["missed_native", "native_session", "prove_native"]

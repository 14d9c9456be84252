"""The page that shows a compiled model to a person, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isocline_compiler.artifact.files import attribution_info
from isocline_compiler.attribution.explain import ExplanationGraph
from isocline_compiler.certify.certificate import Certificate
from isocline_compiler.certify.deployed import run_deployed
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_compiler.model import Model
from isocline_compiler.report import write_report
from isocline_compiler.report.explanations import explanations_of
from isocline_compiler.report.material import NO_PATHS, material_of
from isocline_runtime import Session

SHOWN = 6
"""Samples whose outputs and explanations are drawn."""


def report_of(
    model: Model,
    certificate: Certificate,
    session: Session,
    samples: Samples,
    metrics: Path | None,
    explanations: ExplanationGraph | None = None,
    explainer: Session | None = None,
    paths: Mapping[str, Array] = NO_PATHS,
) -> str:
    """The page as text; `explainer` runs `attribute.onnx`, `paths` are outputs of a stochastic model for one input."""
    shown = samples.first(SHOWN)
    outputs = run_deployed(session, shown)
    why = None
    if explanations is not None and explainer is not None:
        why = explanations_of(model, attribution_info(model, explanations), explainer, shown, outputs)
    return write_report(material_of(model, certificate, outputs, shown, metrics, why, paths))

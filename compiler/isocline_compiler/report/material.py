"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from isocline_compiler.certify.certificate import Certificate
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Node, topological
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.model import Model
from isocline_compiler.report.explanations import Explanations

NO_PATHS: Mapping[str, Array] = MappingProxyType({})


@dataclass(frozen=True)
class ReportMaterial:
    """Everything but the model and its certificate may be absent, and its part of the page is then left out.

    `history` is the `metrics.csv` of the training run. `trajectories` holds outputs of the deployed model by name,
    samples first; `targets` and `inputs` belong to the same samples. `times` gives an output the times of its leading
    axis. `explanations` are those of some samples. `paths` are outputs of a stochastic model for one input, paths
    first.
    """

    model: Model
    certificate: Certificate
    history: Path | None = None
    trajectories: Mapping[str, Array] = field(default_factory=dict)
    targets: Mapping[str, Array] = field(default_factory=dict)
    inputs: Mapping[str, Array] = field(default_factory=dict)
    times: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    explanations: Explanations | None = None
    paths: Mapping[str, Array] = field(default_factory=dict)


def material_of(
    model: Model,
    certificate: Certificate,
    outputs: Mapping[str, Array],
    samples: Samples,
    metrics: Path | None,
    explanations: Explanations | None = None,
    paths: Mapping[str, Array] = NO_PATHS,
) -> ReportMaterial:
    """The material of a compiled model: what it answered on some samples, and the training run if there was one.

    An output that does not depend on the inputs gets a sample axis of one.
    """
    batched = {port.name: port.batched for port in model.outputs}
    answers = {name: array if batched.get(name, True) else np.asarray(array)[None] for name, array in outputs.items()}
    history = metrics if metrics is not None and metrics.is_file() else None
    return ReportMaterial(
        model, certificate, history, answers, samples.targets, samples.inputs, times_of(model), explanations, paths
    )


def times_of(model: Model) -> dict[str, tuple[float, ...]]:
    """The times of each output's leading axis, where the one solve with so many times that it comes from knows them."""
    found = {}
    for port in model.outputs:
        length = port.shape[0] if port.shape else None
        known = {times for times in _solve_times(model.graph.outputs[port.name]) if len(times) == length}
        if len(known) == 1:
            found[port.name] = known.pop()
    return found


def _solve_times(output: Node) -> list[tuple[float, ...]]:
    intervals = [spec_of(node).interval for node in topological([output]) if node.op is SOLVE]
    return [item.times for item in intervals if item.everywhere and item.times is not None]

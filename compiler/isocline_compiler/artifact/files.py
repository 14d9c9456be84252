"""What stands in an artifact's manifest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from isocline_compiler.artifact.native import NativeFiles
from isocline_compiler.attribution.explain import ExplanationGraph
from isocline_compiler.certify.stochastic.seeded import SeededNoise, kept_noises, seeded_noises
from isocline_compiler.graph import Graph, Node
from isocline_compiler.graph.noise import Process
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.model import DeploymentPlan, Model, Port
from isocline_compiler.solvers.ensemble import EnsembleModel
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_runtime.artifact import describe_file, write_atomic
from isocline_runtime.manifest import (
    MANIFEST_FILE,
    AttributionInfo,
    Distribution,
    Manifest,
    NoiseInfo,
    SolveInfo,
    StreamInfo,
    to_json,
)
from isocline_runtime.manifest import Port as ManifestPort

REPORT_FILE = "report.html"
NO_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_DTYPES = {"class": "int64", "bool": "bool"}


def manifest_of(
    model: Model,
    choices: Mapping[str, Discretisation],
    folder: Path,
    explanations: ExplanationGraph | None = None,
    columns: Mapping[str, tuple[str, ...]] = NO_COLUMNS,
    stream: StreamInfo | None = None,
    in_c: NativeFiles | None = None,
) -> Manifest:
    """The manifest of the files in `folder`, written there too; `columns` are those that inputs were trained on."""
    deployment = model.deployment
    manifest = Manifest(
        name=model.name,
        description=model.description,
        inputs=tuple(_trained_on(port_of(port, deployment.dtype, deployment.batch), columns) for port in model.inputs),
        outputs=tuple(port_of(port, deployment.dtype, deployment.batch) for port in model.outputs),
        producer=f"isocline {version('isocline')}",
        opset=deployment.opset,
        dtype=deployment.dtype,
        solves=tuple(_solve(solve, choice) for solve, choice in (*_laid_out(model), *_chosen(model.graph, choices))),
        files={path.name: describe_file(path.read_bytes()) for path in sorted(folder.iterdir())},
        source_sha256=hashlib.sha256(model.source.text.encode()).hexdigest(),
        attribution=None if explanations is None else attribution_info(model, explanations),
        noises=noises_of(model, choices),
        stream=stream,
        native=tuple(in_c.written.values()) if in_c else (),
        not_native=in_c.refused if in_c else {},
    )
    write_atomic(folder / MANIFEST_FILE, to_json(manifest).encode())
    return manifest


def noises_of(model: Model, choices: Mapping[str, Discretisation]) -> tuple[NoiseInfo, ...]:
    """The inputs of noise, which the runtime draws."""
    driven = [solve for solve in solves_of(model.graph) if solve.spec.noises]
    kept = model.kept if isinstance(model, EnsembleModel) else ()
    return tuple(_noise(item, model.deployment.dtype) for item in (*seeded_noises(driven, choices), *kept_noises(kept)))


def _noise(item: SeededNoise, dtype: str) -> NoiseInfo:
    (samples, steps, channels), noise = item.shape, item.noise
    rates = () if item.rates is None else tuple(item.rates.tolist())
    return NoiseInfo(
        item.name, item.stream, DISTRIBUTION[noise.process], samples, steps, channels, noise.size, dtype,
        alpha=noise.parameter if noise.process == "stable" else None,
        rates=rates[:1] if len(set(rates)) == 1 else rates,
        ordering=item.ordering,
        probability=noise.parameter if noise.process == "bernoulli" else None,
    )  # fmt: skip


DISTRIBUTION: Mapping[Process, Distribution] = {
    "brownian": "normal", "poisson": "poisson", "stable": "stable", "uniform": "uniform", "bernoulli": "bernoulli",
}  # fmt: skip


def _trained_on(port: ManifestPort, columns: Mapping[str, tuple[str, ...]]) -> ManifestPort:
    """The port with the columns of its data, where there is one for each entry: a column twice is not bound by name."""
    found = columns.get(port.name, ())
    sizes = [size for size in port.sample_shape if isinstance(size, int)]
    fits = len(set(found)) == len(found) == math.prod(sizes) and len(sizes) == len(port.sample_shape)
    return replace(port, columns=found) if fits else port


def port_of(port: Port, dtype: str, batch: int | None) -> ManifestPort:
    """A port of the model as the manifest has it."""
    low, high = port.bounds or (None, None)
    return ManifestPort(
        name=port.name,
        dtype=_DTYPES.get(port.kind, dtype),
        shape=(batch or BATCH, *port.shape) if port.batched else port.shape,
        unit=port.unit,
        description=port.description,
        low=_finite(low),
        high=_finite(high),
        classes=port.classes,
        default=port.default * (batch if port.batched and batch else 1),
        members=port.members,
    )


def attribution_info(model: Model, explanations: ExplanationGraph) -> AttributionInfo:
    """What `attribute.onnx` takes and gives: the model's own inputs as they are, then indices and noise."""
    own = {port.name: port for port in model.inputs}
    deployment = model.deployment
    inputs = (
        port_of(own[name], deployment.dtype, deployment.batch) if name in own else value_port(name, node, deployment)
        for name, node in ((str(leaf.attrs["name"]), leaf) for leaf in explanations.graph.inputs)
    )
    outputs = (value_port(name, node, deployment) for name, node in explanations.graph.outputs.items())
    return AttributionInfo(
        tuple(inputs), tuple(outputs), explanations.explained, explanations.results, explanations.noise
    )


def value_port(name: str, node: Node, deployment: DeploymentPlan) -> ManifestPort:
    """The port of a value that the file does not declare."""
    shape = tuple((deployment.batch or BATCH) if size == BATCH else size for size in node.shape)
    return ManifestPort(name, "int64" if node.type.kind == "int" else deployment.dtype, shape)


def _finite(bound: float | None) -> float | None:
    return None if bound is None or abs(bound) == float("inf") else bound


def _laid_out(model: Model) -> Sequence[tuple[Solve, Discretisation]]:
    """The solves of an ensemble that have its noise in their fields: in its graph they are steps."""
    return model.stepped if isinstance(model, EnsembleModel) else ()


def _chosen(graph: Graph, choices: Mapping[str, Discretisation]) -> list[tuple[Solve, Discretisation]]:
    """The solves that have a choice of their own, in the order they are computed."""
    last = {solve.spec.choice: solve for solve in reversed(solves_of(graph))}
    return [(solve, choices[name]) for name, solve in last.items()][::-1]


def _solve(solve: Solve, choice: Discretisation) -> SolveInfo:
    steps, scheme = steps_of(solve, choice), choice.scheme
    grid = choice.grid.times if isinstance(choice.grid, Grid) else None
    return SolveInfo(solve.spec.field, scheme.name, steps, grid, steps * scheme.evaluations, segment=choice.segment)

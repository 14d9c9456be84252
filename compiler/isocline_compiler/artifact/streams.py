"""What a manifest says of a stream, and its files ready to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from isocline_compiler.artifact.files import port_of, value_port
from isocline_compiler.graph import Graph, Node
from isocline_compiler.model import Model
from isocline_compiler.streaming.step import Sequence, StreamGraphs
from isocline_runtime.limits import Limits
from isocline_runtime.manifest import NoiseInfo, StreamInfo
from isocline_runtime.manifest import Port as ManifestPort
from isocline_runtime.provider import CPU, open_session
from isocline_runtime.stream import Stepper
from isocline_runtime.stream_info import StatePair, StreamOutput, StreamSequence


def stream_info(model: Model, graphs: StreamGraphs) -> StreamInfo:
    """The signatures of start and step, the pairs of states, and what each step reads and answers."""
    return StreamInfo(
        graphs.loop,
        _inputs(model, graphs.start, graphs.sequences), _outputs(model, graphs.start),
        _inputs(model, graphs.step, graphs.sequences), _outputs(model, graphs.step),
        tuple(StatePair(pair.past, pair.present, pair.initial) for pair in graphs.pairs),
        graphs.held,
        tuple(_sequence(item) for item in graphs.sequences),
        tuple(StreamOutput(name, axis) for name, axis in graphs.along.items()),
        graphs.given, graphs.first, graphs.whole, graphs.steps, graphs.behind, graphs.per,
    )  # fmt: skip


def stepper_of(model: Model, info: StreamInfo, noises: Iterable[NoiseInfo], files: Mapping[str, bytes]) -> Stepper:
    """The files of a stream that is still being built, whose answers need not be finite."""

    def open_file(name: str, content: bytes) -> object:
        return open_session(content, name, (CPU,), 1)

    deployment = model.deployment
    inputs = tuple(port_of(port, deployment.dtype, deployment.batch) for port in model.inputs)
    return Stepper(model.name, info, inputs, tuple(noises), files, open_file, Limits(allow_nonfinite=True))


def _inputs(model: Model, graph: Graph, sequences: Iterable[Sequence]) -> tuple[ManifestPort, ...]:
    axes = {item.name: item.axis for item in sequences}
    return tuple(_port(model, name, item, axes.get(name)) for name, item in _named(graph.inputs))


def _named(nodes: Iterable[Node]) -> Iterable[tuple[str, Node]]:
    return ((str(node.attrs["name"]), node) for node in nodes)


def _outputs(model: Model, graph: Graph) -> tuple[ManifestPort, ...]:
    return tuple(_port(model, name, node) for name, node in graph.outputs.items())


def _port(model: Model, name: str, node: Node, axis: int | None = None) -> ManifestPort:
    """A port with what the model says of the whole of it: its unit, its bounds; its shape is that of the part, which
    lies along the `axis` of a sequence.
    """
    found = value_port(name, node, model.deployment)
    for port in (*model.inputs, *model.outputs):
        if port.name == name:
            own = port_of(port, model.deployment.dtype, model.deployment.batch)
            return replace(own, shape=found.shape, columns=(), default=_part_of_default(own, found, axis))
    return found


def _part_of_default(whole: ManifestPort, part: ManifestPort, axis: int | None) -> tuple[float, ...]:
    """The default of what a start or a step reads: of a sequence, that of every entry; none where they differ."""
    sample = whole.default_sample
    if sample is None or axis is None:
        return whole.default
    entries = np.moveaxis(sample, axis - whole.batched, 0)
    if (entries != entries[0]).any():
        return ()
    same = entries[0] if len(part.shape) < len(whole.shape) else np.expand_dims(entries[0], axis - whole.batched)
    shape = [int(size) for size in part.sample_shape]
    return tuple(np.broadcast_to(same, shape).astype(np.float64).ravel().tolist())


def _sequence(item: Sequence) -> StreamSequence:
    """Entries as the arithmetic row that they mostly are."""
    numbers, window = item.entries.numbers, 0 if item.single else item.entries.width
    if numbers is None:
        return StreamSequence(item.name, item.axis, window)
    begin, stride = int(numbers[0, 0]), int(numbers[1, 0] - numbers[0, 0]) if len(numbers) > 1 else 1
    steps, width = numbers.shape
    row = begin + stride * np.arange(steps)[:, None] + np.arange(width)
    if stride >= 0 and np.array_equal(row, numbers):
        return StreamSequence(item.name, item.axis, window, begin, stride)
    return StreamSequence(item.name, item.axis, window, entries=tuple(numbers.ravel().tolist()))

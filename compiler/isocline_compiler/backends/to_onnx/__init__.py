"""The ONNX back end: a graph without solves becomes a model, node by node, with standard operators only; loops are
`Scan`, which more engines have than `Loop`.

One initializer for each distinct array, however often it is used (`Emitter.apart` makes the one exception); short names
in topological order, so that the same graph gives the same bytes; symbolic sizes stay symbolic; every node carries its
place in the source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod

import numpy as np
import onnx

from isocline_compiler.backends.to_onnx.emitter import EmittedBody, ModelEmitter, Precision
from isocline_compiler.backends.to_onnx.protos import (
    IR_VERSIONS,
    Writing,
    empty_model,
    tensor_of,
    write_nodes,
    write_types,
)
from isocline_compiler.graph import CONSTANT, INPUT, WEIGHT, Array, Graph, Node, Region, topological
from isocline_compiler.graph.collecting import uncollected
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, parts
from isocline_compiler.graph.tensor_type import TensorType
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError, Source

MOST_HELD = 1024
"""Entries of a sample: a larger value that a loop reads is not copied in each iteration."""


@uncollected()
def to_onnx(
    graph: Graph,
    weights: Mapping[str, Array],
    *,
    opset: int = 18,
    dtype: Precision = "float32",
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    source: Source | None = None,
    sizes: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """The model of a graph without solves.

    `source` is the text that spans point into; `sizes` fixes named sizes that are not to stay symbolic. Raises
    IsoclineError for an operation that has no form in ONNX, or none in float64, for a weight without a value and for an
    opset that is not emitted.
    """
    _check_request(graph, weights, opset, source)
    emitter = ModelEmitter(dtype, opset, source, [*_input_names(graph), *graph.outputs])
    names: dict[Node, str] = {}
    _walk(emitter, graph.nodes(), names, weights)
    final = _final_names(emitter, {output: names[node] for output, node in graph.outputs.items()})
    model = empty_model(opset, name or graph.name, metadata or {})
    writing = Writing(emitter, final, sizes or {}, source)
    model.graph.input.extend(writing.value(item.attrs["name"], item.type) for item in graph.inputs)
    model.graph.output.extend(writing.value(key, node.type) for key, node in graph.outputs.items())
    model.graph.initializer.extend(tensor_of(key, value) for key, value in emitter.initializers.items())
    write_nodes(model.graph, emitter.nodes, writing)
    write_types(model.graph, {key: node.type for node, key in names.items()}, writing)
    return model


def _check_request(graph: Graph, weights: Mapping[str, Array], opset: int, source: Source | None) -> None:
    """The opset is one that is emitted, and every weight has its value."""
    mistakes = [
        messages.missing_weights(node.span, node.attrs["name"])
        for node in graph.weights()
        if node.attrs["name"] not in weights
    ]
    if opset not in IR_VERSIONS:
        mistakes.append(messages.opset_out_of_range(None, opset, min(IR_VERSIONS), max(IR_VERSIONS)))
    if mistakes:
        raise IsoclineError(mistakes, source)


def _input_names(graph: Graph) -> list[str]:
    return [node.attrs["name"] for node in graph.inputs]


def _walk(emitter: ModelEmitter, nodes: Iterable[Node], names: dict[Node, str], weights: Mapping[str, Array]) -> None:
    """Emit nodes in order; of a scan all results, by those that pick them."""
    results: dict[Node, tuple[str, ...]] = {}
    for node in nodes:
        emitter.span = node.span
        if node.op is SCAN:
            results[node] = _emit_scan(emitter, node, names, weights)
        elif node.op is PICK and node.inputs[0] in results:
            names[node] = results[node.inputs[0]][node.attrs["index"]]
        else:
            names[node] = _emit(emitter, node, names, weights)


def _emit_scan(
    emitter: ModelEmitter, node: Node, names: Mapping[Node, str], weights: Mapping[str, Array]
) -> tuple[str, ...]:
    """A Scan: the body reads what is captured where it is, or is given it as a state that stays."""
    region: Region = node.attrs["region"]
    roles = parts(node)
    first, last = len(roles.initial), len(roles.initial) + len(roles.captured)
    stacked = [names[item] for item in roles.stacked]
    captured = dict(zip(region.arguments[first:last], roles.captured, strict=True))
    held = [argument for argument, value in captured.items() if _held(value)]
    own = {item: emitter.fresh() for item in (*region.arguments[:first], *held, *region.arguments[last:])}
    inner = {argument: names[value] for argument, value in captured.items()} | own
    types = {name: item.type for item, name in own.items()}
    with emitter.inside() as inside:
        _walk(emitter, topological(region.results, region.arguments), inner, weights)
        found = [inner[item] for item in region.results]
        if not stacked:
            counter = emitter.fresh()
            stacked, types[counter] = [emitter.array(np.zeros(node.attrs["length"]))], TensorType("real")
            found[0] = _counted(emitter, found[0], counter)
        states = first + len(held)
        rows = {own[item] for item in region.arguments[last:]}
        found = [*(_row_kept(emitter, name, rows) for name in found[:first]), *found[first:]]
        results = _body_results(emitter, [*found[:first], *(own[item] for item in held), *found[first:]], states)
    given = list(types)
    of = (*region.results[:first], *held, *region.results[first:])
    types |= {name: item.type for name, item in zip(results, of, strict=True)}
    body = EmittedBody(inside, tuple(given), tuple(results), types)
    values = [*(names[item] for item in (*roles.initial, *map(captured.__getitem__, held))), *stacked]
    ends = emitter.loop(values, len(results), body, num_scan_inputs=len(stacked))
    return (*ends[:first], *ends[states:])


def _held(value: Node) -> bool:
    """Whether a loop is given a captured value as a state: it is computed, and an iteration copies little.

    OpenVINO 2026.4 takes every computed value that a body reads from outside for a further state of the loop, and
    refuses the file.
    """
    sizes = [size for size in value.type.sample if isinstance(size, int)]
    known = len(sizes) == len(value.type.sample)
    return value.op not in (WEIGHT, CONSTANT) and known and prod(sizes) <= MOST_HELD


def _counted(emitter: ModelEmitter, state: str, counter: str) -> str:
    """A state of a loop that is given nothing to count its iterations by but a column of zeros: these are added.

    What is not read tract 0.23 drops, and stops at the loop; OpenVINO 2026.4 makes a batch of nothing.
    """
    return emitter.node("Add", state, counter)


def _row_kept(emitter: ModelEmitter, state: str, rows: Collection[str]) -> str:
    """The next value of a state; where it is a row as it was given, the larger of the row and minus infinity.

    OpenVINO 2026.4 ends such a loop after its first iteration, without a word, and sees through operators that do
    nothing; this one it computes. At the larger of the row and itself tract 0.23 aborts.
    """
    return emitter.node("Max", state, emitter.array(np.array(-np.inf))) if state in rows else state


def _body_results(emitter: ModelEmitter, names: Sequence[str], states: int) -> list[str]:
    """Every result of a body is computed in it, by its own operator; one that is stacked is read by nothing in there.

    tract 0.23 puts an operation between a stacked result and all that reads it, the body's own operators included.
    """
    computed = {name for item in emitter.nodes for name in item.outputs}
    read = {name for item in emitter.nodes for name in item.inputs}
    found: list[str] = []
    for i, name in enumerate(names):
        alone = name in computed and name not in found and (i < states or name not in read)
        found.append(name if alone else emitter.node("Identity", name))
    return found


def _emit(emitter: ModelEmitter, node: Node, names: Mapping[Node, str], weights: Mapping[str, Array]) -> str:
    """The name of a node's result."""
    if node.op is INPUT:
        return str(node.attrs["name"])
    if node.op is WEIGHT:
        return emitter.array(np.asarray(weights[node.attrs["name"]], dtype=np.float64), node.attrs["name"])
    if node.op is CONSTANT:
        return emitter.array(node.attrs["value"], node.attrs.get("name"))
    if node.op.onnx is None:
        emitter.refuse(node)
    inputs = [names[item] for item in node.inputs]
    return (
        emitter.node(node.op.onnx, *inputs) if isinstance(node.op.onnx, str) else node.op.onnx(emitter, node, *inputs)
    )


def _final_names(emitter: ModelEmitter, outputs: Mapping[str, str]) -> dict[str, str]:
    """Results that are outputs get their names; an output that is an input, a literal or another output is copied."""
    computed = {name for item in emitter.nodes for name in item.outputs}
    final: dict[str, str] = {}
    emitter.span = None
    for output, name in outputs.items():
        if name not in computed or name in final:
            name = emitter.node("Identity", name)
        final[name] = output
    return final


__all__ = ["IR_VERSIONS", "Precision", "to_onnx"]

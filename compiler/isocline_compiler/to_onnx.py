"""The ONNX back end: a graph without solves becomes a model, node by node, with standard operators only; loops are
`Scan`, which more engines have than `Loop`.

One initializer for each distinct array, however often it is used (`Emitter.apart` makes the one exception); short names
in topological order, so that the same graph gives the same bytes; symbolic sizes stay symbolic; every node carries its
place in the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import onnx
from onnx import helper

from isocline_compiler.graph import CONSTANT, INPUT, WEIGHT, Array, Graph, Node, Region, topological, uncollected
from isocline_compiler.scan_node import SCAN
from isocline_compiler.solve_node import PICK, parts
from isocline_compiler.tensor_type import Kind, Size, TensorType
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.messages import operations
from isocline_dsl.tree import Span

Precision: TypeAlias = Literal["float32", "float64"]

IR_VERSIONS: Mapping[int, int] = {18: 8, 19: 9, 20: 9, 21: 10}
"""The opsets that are emitted, and the file format that came with each."""


@dataclass(frozen=True)
class Emitted:
    """One operator of the model, before it has its final names; that of a loop has a body."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: tuple[tuple[str, Any], ...]
    span: Span | None
    body: EmittedBody | None = None


@dataclass(frozen=True)
class EmittedBody:
    """The graph inside of an operator. It sees the names around it; `types` are those of its arguments and results."""

    nodes: Sequence[Emitted]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, TensorType]


class Emitter:
    """What the operations are given to write themselves: operators to add, literals to name.

    `wide` is true when reals are float64. Every method that adds something returns its name.
    """

    def __init__(self, dtype: Precision, opset: int, source: Source | None, reserved: Iterable[str]) -> None:
        self.wide = dtype == "float64"
        self.opset = opset
        self.nodes: list[Emitted] = []
        self.initializers: dict[str, Array] = {}
        self.span: Span | None = None
        self._source = source
        self._real = np.dtype(dtype)
        self._taken = set(reserved)
        self._numbers = {"n": count(1), "c": count(1)}
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._literals: dict[tuple[str, Any], str] = {}
        self._readers: dict[str, str] = {}
        self._copies: dict[tuple[str, str], str] = {}
        self._memo: dict[tuple[Any, ...], str] = {}

    def node(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """Add an operator with one result."""
        name = self._fresh("n")
        self.nodes.append(Emitted(operator, inputs, (name,), tuple(sorted(attrs.items())), self.span))
        return name

    def loop(self, inputs: Sequence[str], results: int, body: EmittedBody, **attrs: Any) -> tuple[str, ...]:
        """Add a `Scan`."""
        names = tuple(self._fresh("n") for _ in range(results))
        self.nodes.append(Emitted("Scan", tuple(inputs), names, tuple(sorted(attrs.items())), self.span, body))
        return names

    @contextmanager
    def inside(self) -> Iterator[list[Emitted]]:
        """Operators added inside go into the list that is handed out: they are those of a body."""
        outer, memo = self.nodes, self._memo
        self.nodes, self._memo = [], dict(memo)
        try:
            yield self.nodes
        finally:
            self.nodes, self._memo = outer, memo

    def fresh(self) -> str:
        """A name for an argument of a body."""
        return self._fresh("n")

    def once(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """The same, but not again for the same arguments."""
        key = (operator, inputs, tuple(sorted(attrs.items())))
        if key not in self._memo:
            self._memo[key] = self.node(operator, *inputs, **attrs)
        return self._memo[key]

    def ints(self, values: Sequence[int]) -> str:
        """A vector of int64."""
        return self._literal("ints", tuple(values), np.int64)

    def integer(self, value: int) -> str:
        """One int64."""
        return self._literal("int", int(value), np.int64)

    def real(self, value: float) -> str:
        """One real in the precision of the model."""
        return self._literal("real", float(value), np.float64)

    def number(self, value: float, kind: Kind) -> str:
        """One number of this kind."""
        return self.real(value) if kind == "real" else self.integer(int(value))

    def elements(self, kind: Kind) -> int:
        """The element type of a kind in this model."""
        real = onnx.TensorProto.DOUBLE if self.wide else onnx.TensorProto.FLOAT
        return int({"real": real, "int": onnx.TensorProto.INT64, "bool": onnx.TensorProto.BOOL}[kind])

    def refuse_wide(self, node: Node) -> NoReturn:
        """Stop: this operation has no float64 kernel, and no formula of full accuracy."""
        raise IsoclineError([operations.no_float64_kernel(node.span, node.op.name)], self._source)

    def refuse(self, node: Node) -> NoReturn:
        """Stop: this operation has no form in ONNX."""
        raise IsoclineError([operations.not_emitted(node.span, node.op.name)], self._source)

    def array(self, value: Array, name: str | None = None) -> str:
        """An initializer: the one that holds these very entries, or a new one, called `name` if that is free."""
        stored = np.ascontiguousarray(value, dtype=self._real if value.dtype.kind == "f" else value.dtype)
        key = (stored.dtype.str, value.shape, stored.tobytes())
        if key not in self._by_content:
            self._by_content[key] = self._free(name) if name else self._fresh("c")
            self.initializers[self._by_content[key]] = stored.reshape(value.shape)
        return self._by_content[key]

    def apart(self, name: str, operator: str) -> str:
        """An initializer that only this operator reads: a second one, of the same entries, where another does."""
        if name not in self.initializers or self._readers.setdefault(name, operator) == operator:
            return name
        key = (name, operator)
        if key not in self._copies:
            self._copies[key] = self._free(f"{name}.{operator}")
            self.initializers[self._copies[key]] = self.initializers[name]
        return self._copies[key]

    def _literal(self, sort: str, value: Any, dtype: type) -> str:
        key = (sort, value)
        if key not in self._literals:
            self._literals[key] = self.array(np.array(value, dtype=dtype))
        return self._literals[key]

    def _fresh(self, letter: str) -> str:
        return next(name for i in self._numbers[letter] if (name := f"{letter}{i}") not in self._taken)

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


# ---------------------------------------------------------------------------------------------------- the walk


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
    emitter = Emitter(dtype, opset, source, [*_input_names(graph), *graph.outputs])
    names: dict[Node, str] = {}
    _walk(emitter, graph.nodes(), names, weights)
    final = _final_names(emitter, {output: names[node] for output, node in graph.outputs.items()})
    model = _empty_model(opset, name or graph.name, metadata or {})
    fixed = sizes or {}
    model.graph.input.extend(_value(emitter, item.attrs["name"], item.type, fixed) for item in graph.inputs)
    model.graph.output.extend(_value(emitter, key, node.type, fixed) for key, node in graph.outputs.items())
    model.graph.initializer.extend(_tensor(key, value) for key, value in emitter.initializers.items())
    _write_nodes(model.graph, emitter.nodes, _Writing(emitter, final, fixed, source))
    _write_types(model.graph, emitter, {final.get(key, key): node for node, key in names.items()}, fixed)
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


def _walk(emitter: Emitter, nodes: Iterable[Node], names: dict[Node, str], weights: Mapping[str, Array]) -> None:
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
    emitter: Emitter, node: Node, names: Mapping[Node, str], weights: Mapping[str, Array]
) -> tuple[str, ...]:
    """A Scan: the body reads the captured values where they are."""
    region: Region = node.attrs["region"]
    roles = parts(node)
    first, last = len(roles.initial), len(roles.initial) + len(roles.captured)
    stacked = [names[item] for item in roles.stacked]
    own = {item: emitter.fresh() for item in (*region.arguments[:first], *region.arguments[last:])}
    inner = own | {a: names[v] for a, v in zip(region.arguments[first:last], roles.captured, strict=True)}
    types = {name: item.type for item, name in own.items()}
    with emitter.inside() as inside:
        _walk(emitter, topological(region.results, region.arguments), inner, weights)
        found = [inner[item] for item in region.results]
        if not stacked:
            counter = emitter.fresh()
            stacked, types[counter] = [emitter.array(np.zeros(node.attrs["length"]))], TensorType("real")
            found[0] = _counted(emitter, found[0], counter)
        results = _body_results(emitter, found, first)
    given = list(types)
    types |= {name: item.type for name, item in zip(results, region.results, strict=True)}
    body = EmittedBody(inside, tuple(given), tuple(results), types)
    values = [*(names[item] for item in roles.initial), *stacked]
    return emitter.loop(values, len(node.types), body, num_scan_inputs=len(stacked))


def _counted(emitter: Emitter, state: str, counter: str) -> str:
    """A state of a loop that is given nothing to count its iterations by but a column of zeros: these are added.

    What is not read tract 0.23 drops, and stops at the loop; OpenVINO 2026.4 makes a batch of nothing.
    """
    return emitter.node("Add", state, counter)


def _body_results(emitter: Emitter, names: Sequence[str], states: int) -> list[str]:
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


def _emit(emitter: Emitter, node: Node, names: Mapping[Node, str], weights: Mapping[str, Array]) -> str:
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


def _final_names(emitter: Emitter, outputs: Mapping[str, str]) -> dict[str, str]:
    """Results that are outputs get their names; an output that is an input, a literal or another output is copied."""
    computed = {name for item in emitter.nodes for name in item.outputs}
    final: dict[str, str] = {}
    emitter.span = None
    for output, name in outputs.items():
        if name not in computed or name in final:
            name = emitter.node("Identity", name)
        final[name] = output
    return final


# ---------------------------------------------------------------------------------------------------- protos


def _empty_model(opset: int, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=IR_VERSIONS[opset], producer_name="isocline", producer_version=_version())
    model.opset_import.append(helper.make_opsetid("", opset))
    model.graph.name = name
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])
    return model


def _version() -> str:
    try:
        return version("isocline")
    except PackageNotFoundError:
        return "0"


def _dimension(size: Size, fixed: Mapping[str, int]) -> Size:
    return fixed.get(size, size) if isinstance(size, str) else size


def _value(emitter: Emitter, name: str, type_: TensorType, fixed: Mapping[str, int]) -> onnx.ValueInfoProto:
    shape = [_dimension(size, fixed) for size in type_.shape]
    return helper.make_tensor_value_info(name, emitter.elements(type_.kind), shape)


def _tensor(name: str, value: Array) -> onnx.TensorProto:
    """Little-endian raw bytes, whatever the machine."""
    elements = helper.np_dtype_to_tensor_dtype(value.dtype)
    raw = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    return onnx.TensorProto(name=name, data_type=elements, dims=value.shape, raw_data=raw)


@dataclass(frozen=True)
class _Writing:
    """What the protos of a model share: final names, sizes that are not symbolic, the text that spans point into."""

    emitter: Emitter
    final: Mapping[str, str]
    fixed: Mapping[str, int]
    source: Source | None

    def value(self, name: str, type_: TensorType) -> onnx.ValueInfoProto:
        return _value(self.emitter, name, type_, self.fixed)


def _write_nodes(target: onnx.GraphProto, nodes: Sequence[Emitted], writing: _Writing) -> None:
    final, source = writing.final, writing.source
    attributes: dict[tuple[str, str], onnx.AttributeProto] = {}
    places: dict[Span, str] = {}
    for item in nodes:
        outputs = [final.get(name, name) for name in item.outputs]
        inputs = [final.get(name, name) for name in item.inputs]
        node = target.node.add(op_type=item.operator, name=outputs[0], input=inputs, output=outputs)
        for key, value in item.attrs:
            known = (key, repr(value))
            if known not in attributes:
                attributes[known] = helper.make_attribute(key, value)
            node.attribute.append(attributes[known])
        if item.body is not None:
            node.attribute.append(_body_attribute(item.body, outputs[0], writing))
        if item.span is not None and source is not None:
            if item.span not in places:
                places[item.span] = "{}:{}".format(*source.position(item.span.start))
            node.metadata_props.add(key="isocline.span", value=places[item.span])


def _body_attribute(body: EmittedBody, name: str, writing: _Writing) -> onnx.AttributeProto:
    attribute = onnx.AttributeProto(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.name = f"{name}_body"
    attribute.g.input.extend(writing.value(key, body.types[key]) for key in body.inputs)
    attribute.g.output.extend(writing.value(key, body.types[key]) for key in body.outputs)
    _write_nodes(attribute.g, body.nodes, writing)
    return attribute


def _write_types(
    target: onnx.GraphProto, emitter: Emitter, named: Mapping[str, Node], fixed: Mapping[str, int]
) -> None:
    """The types of all values that are results of the graph's own nodes, so that a reader need not infer them."""
    stated = {*emitter.initializers, *(value.name for value in (*target.input, *target.output))}
    types: dict[TensorType, onnx.TypeProto] = {}
    for name, node in named.items():
        if name in stated:
            continue
        if node.type not in types:
            types[node.type] = _value(emitter, "", node.type, fixed).type
        target.value_info.add(name=name, type=types[node.type])

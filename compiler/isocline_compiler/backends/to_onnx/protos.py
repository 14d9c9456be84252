"""What was emitted as the messages of an ONNX file, under the final names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import onnx
from onnx import helper

from isocline_compiler.backends.to_onnx.emitter import Emitted, EmittedBody, ModelEmitter
from isocline_compiler.graph import Array
from isocline_compiler.graph.tensor_type import TensorType
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import Span

IR_VERSIONS: Mapping[int, int] = {18: 8, 19: 9, 20: 9, 21: 10}
"""The opsets that are emitted, and the file format that came with each."""


def empty_model(opset: int, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
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


def tensor_of(name: str, value: Array) -> onnx.TensorProto:
    """Little-endian raw bytes, whatever the machine."""
    elements = helper.np_dtype_to_tensor_dtype(value.dtype)
    raw = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    return onnx.TensorProto(name=name, data_type=elements, dims=value.shape, raw_data=raw)


@dataclass(frozen=True)
class Writing:
    """What the protos of a model share: final names, sizes that are not symbolic, the text that spans point into."""

    emitter: ModelEmitter
    final: Mapping[str, str]
    fixed: Mapping[str, int]
    source: Source | None

    def value(self, name: str, type_: TensorType) -> onnx.ValueInfoProto:
        shape = [self.fixed.get(size, size) if isinstance(size, str) else size for size in type_.shape]
        return helper.make_tensor_value_info(name, self.emitter.elements(type_.kind), shape)


def write_nodes(target: onnx.GraphProto, nodes: Sequence[Emitted], writing: Writing) -> None:
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


def _body_attribute(body: EmittedBody, name: str, writing: Writing) -> onnx.AttributeProto:
    attribute = onnx.AttributeProto(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.name = f"{name}_body"
    attribute.g.input.extend(writing.value(key, body.types[key]) for key in body.inputs)
    attribute.g.output.extend(writing.value(key, body.types[key]) for key in body.outputs)
    write_nodes(attribute.g, body.nodes, writing)
    return attribute


def write_types(target: onnx.GraphProto, named: Mapping[str, TensorType], writing: Writing) -> None:
    """The types of all values that are results of the graph's own nodes, so that a reader need not infer them."""
    stated = {*writing.emitter.initializers, *(value.name for value in (*target.input, *target.output))}
    types: dict[TensorType, onnx.TypeProto] = {}
    for own, type_ in named.items():
        name = writing.final.get(own, own)
        if name in stated:
            continue
        if type_ not in types:
            types[type_] = writing.value("", type_).type
        target.value_info.add(name=name, type=types[type_])

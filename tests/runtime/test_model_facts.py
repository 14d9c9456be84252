"""The reader of ONNX bytes against the `onnx` package: what it finds and what it refuses."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from isocline_runtime.errors import ArtifactError
from isocline_runtime.model_facts import inspect_model
from isocline_runtime.wire import Slice, WireError, read_fields, read_varint


def refuse(model: onnx.ModelProto | bytes, code: str, text: str = "", **limits: int) -> None:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(ArtifactError) as caught:
        inspect_model(data, "m.onnx", **limits)
    assert caught.value.code == code
    assert text in caught.value.message


def outside_tensor(name: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), name)
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")
    return tensor


def branch(node: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    return helper.make_graph([node], "branch", [], [output], list(initializers))


def add_branch(model: onnx.ModelProto, graph: onnx.GraphProto) -> None:
    plain = branch(helper.make_node("Identity", ["first"], ["b"]))
    node = helper.make_node("If", ["c"], ["r"], name="choice", then_branch=plain, else_branch=graph)
    model.graph.node.append(node)


def test_facts_of_a_good_model(linear: onnx.ModelProto) -> None:
    helper.set_model_props(linear, {"dt": "0.1", "steps": "7"})
    entry = linear.graph.node[0].metadata_props.add()
    entry.key, entry.value = "isocline.span", "12:3"
    add_branch(linear, branch(helper.make_node("Tanh", ["first"], ["b"])))
    facts = inspect_model(linear.SerializeToString())
    assert (facts.opset, facts.nodes) == (18, 4)
    assert facts.metadata == {"dt": "0.1", "steps": "7"}
    assert facts.spans == {"product": "12:3"}


def test_the_empty_and_the_full_name_of_the_domain_are_one(linear: onnx.ModelProto) -> None:
    linear.graph.node[0].domain = "ai.onnx"
    linear.opset_import[0].domain = "ai.onnx"
    assert inspect_model(linear.SerializeToString()).opset == 18


def test_external_weights_are_refused(linear: onnx.ModelProto) -> None:
    linear.graph.initializer.append(outside_tensor("stolen"))
    refuse(linear, "E711", "'stolen'")


@pytest.mark.parametrize("field", ["data_location", "external_data"])
def test_either_mark_of_external_data_is_enough(linear: onnx.ModelProto, field: str) -> None:
    linear.graph.initializer.append(outside_tensor("stolen"))
    linear.graph.initializer[-1].ClearField(field)
    refuse(linear, "E711")


def test_a_location_beyond_32_bits_is_refused_too() -> None:
    """2^32 + 1 is EXTERNAL for a parser that keeps 32 bits of an enumeration."""
    location = bytes([14 << 3, 0x81, 0x80, 0x80, 0x80, 0x10])
    graph = bytes([5 << 3 | 2, len(location)]) + location
    refuse(bytes([7 << 3 | 2, len(graph)]) + graph, "E711")


def test_external_data_in_an_attribute_is_refused(linear: onnx.ModelProto) -> None:
    linear.graph.node.append(helper.make_node("Constant", [], ["k"], value=outside_tensor("k")))
    refuse(linear, "E711", "'k'")


def test_external_data_in_a_list_of_tensors_is_refused(linear: onnx.ModelProto) -> None:
    attribute = linear.graph.node[0].attribute.add(name="x", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(outside_tensor("listed"))
    refuse(linear, "E711", "'listed'")


def test_external_data_in_a_sparse_tensor_is_refused(linear: onnx.ModelProto) -> None:
    sparse = onnx.SparseTensorProto(values=outside_tensor("v"), dims=[2])
    in_attribute = onnx.ModelProto.FromString(linear.SerializeToString())
    attribute = in_attribute.graph.node[0].attribute.add(name="x", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.CopyFrom(sparse)
    linear.graph.sparse_initializer.append(sparse)
    refuse(linear, "E711", "'v'")
    refuse(in_attribute, "E711", "'v'")


def test_nested_graphs_are_read(linear: onnx.ModelProto) -> None:
    hidden = onnx.ModelProto.FromString(linear.SerializeToString())
    add_branch(hidden, branch(helper.make_node("Identity", ["k"], ["b"]), (outside_tensor("k"),)))
    refuse(hidden, "E711", "'k'")
    add_branch(linear, branch(helper.make_node("Gelu", ["first"], ["b"], domain="com.microsoft", name="own")))
    refuse(linear, "E712", "'own' is of the domain 'com.microsoft'")


def test_a_deep_nest_is_refused(linear: onnx.ModelProto) -> None:
    graph = branch(helper.make_node("Tanh", ["first"], ["b"]))
    for _ in range(17):
        graph = branch(helper.make_node("If", ["c"], ["b"], then_branch=graph))
    add_branch(linear, graph)
    refuse(linear, "E710", "nested deeper")


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.ml", "ai.onnx.preview.training", "mine"])
def test_other_domains_are_refused(linear: onnx.ModelProto, domain: str) -> None:
    imported = onnx.ModelProto.FromString(linear.SerializeToString())
    imported.opset_import.append(helper.make_opsetid(domain, 1))
    refuse(imported, "E712", repr(domain))
    linear.graph.node[0].domain = domain
    refuse(linear, "E712", repr(domain))


def test_functions_and_training_graphs_are_refused(linear: onnx.ModelProto) -> None:
    trained = onnx.ModelProto.FromString(linear.SerializeToString())
    trained.training_info.add()
    refuse(trained, "E713", "training")
    node = helper.make_node("Tanh", ["x"], ["y"])
    linear.functions.append(helper.make_function("", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 18)]))
    refuse(linear, "E713", "function")


@pytest.mark.parametrize("opset", [0, 7, 17, 22, 28])
def test_other_operator_sets_are_refused(linear: onnx.ModelProto, opset: int) -> None:
    linear.opset_import[0].version = opset
    refuse(linear, "E714", f"is {opset}, expected 18 to 21")


def test_a_model_must_state_its_operator_set(linear: onnx.ModelProto) -> None:
    del linear.opset_import[:]
    refuse(linear, "E714", "not stated")


def test_a_second_import_counts_as_well(linear: onnx.ModelProto) -> None:
    linear.opset_import.append(helper.make_opsetid("", 28))
    refuse(linear, "E714", "28")


def test_the_limit_of_nodes(linear: onnx.ModelProto) -> None:
    add_branch(linear, branch(helper.make_node("Tanh", ["first"], ["b"])))
    assert inspect_model(linear.SerializeToString(), node_limit=4).nodes == 4
    refuse(linear, "E715", "the limit is 3", node_limit=3)


@pytest.mark.parametrize("data", [b"", b"\x00", b"junk", b"\x3a\xff\xff\xff\xff\x0f", b"\x08", b"\x08" + b"\xff" * 11])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    refuse(data, "E710")


def test_a_tag_that_the_c_parser_would_truncate_is_refused(linear: onnx.ModelProto) -> None:
    """Field 25 (functions) with bit 32 set: parsers that keep 32 bits read it as field 25."""
    tag = (25 << 3 | 2) | 1 << 32
    encoded = bytes([tag & 0x7F | 0x80, tag >> 7 & 0x7F | 0x80, 0x80, 0x80, tag >> 28])
    assert read_varint(encoded, 0, 5) == (tag, 5)
    refuse(linear.SerializeToString() + encoded + b"\x00", "E710", "32 bits")


@given(st.binary(max_size=200))
def test_any_bytes_are_facts_or_our_error(data: bytes) -> None:
    with suppress(ArtifactError):
        inspect_model(data)


def rich_model() -> bytes:
    node = helper.make_node("If", ["c"], ["b"], then_branch=branch(helper.make_node("Tanh", ["first"], ["b"])))
    graph = helper.make_graph(
        [
            node,
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.zeros(3, np.float32), "k")),
        ],
        "g",
        [helper.make_tensor_value_info("first", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


RICH = rich_model()


@given(
    st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_damaged_models_are_facts_or_our_error(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(RICH)
    for position, value in edits:
        data[position] = value
    with suppress(ArtifactError):
        inspect_model(bytes(data[: len(data) - cut]))


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2**64 - 1) | st.binary(max_size=20)), max_size=9))
def test_fields_are_read_as_protobuf_writes_them(fields: list[tuple[int, int | bytes]]) -> None:
    def varint(value: int) -> bytes:
        low, rest = value & 0x7F, value >> 7
        return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])

    data = b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )
    found = [
        (item.number, data[item.body.start : item.body.end] if item.kind == 2 else item.value)
        for item in read_fields(data, Slice(0, len(data)))
    ]
    assert found == fields


def test_groups_are_malformed() -> None:
    with pytest.raises(WireError, match="unknown kind"):
        list(read_fields(b"\x0b", Slice(0, 1)))

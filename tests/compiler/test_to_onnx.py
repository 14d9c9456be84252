"""The ONNX back end: what is stored, what things are called, how it grows."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from isocline_compiler import driver
from isocline_compiler.backends.to_onnx import IR_VERSIONS, to_onnx
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Graph, Region, at, constant, leaf
from isocline_compiler.graph.solve import Interval
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.tree import Span
from isocline_runtime import load
from tests.solves import solve_node

X = leaf(INPUT, "x", real("batch", 3))


def chain(steps: int) -> tuple[Graph, dict[str, np.ndarray]]:
    """Euler steps of a small network that shares its weights."""
    w, b = leaf(WEIGHT, "f.w", real(3, 3)), leaf(WEIGHT, "f.b", real(3))
    x = X
    for _ in range(steps):
        x = x + OPS["tanh"](OPS["linear"](x, w, b)) * 0.01
    rng = np.random.default_rng(0)
    return Graph((X,), {"y": x}), {"f.w": rng.normal(size=(3, 3)), "f.b": rng.normal(size=3)}


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)


@pytest.mark.parametrize("opset", IR_VERSIONS)
def test_every_opset_is_checked_and_runs(opset):
    graph, weights = chain(5)
    model = to_onnx(graph, weights, opset=opset, metadata={"b": "2", "a": "1"}, source=Source("x"))
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert (model.opset_import[0].version, model.ir_version) == (opset, IR_VERSIONS[opset])
    assert [(item.domain) for item in model.opset_import] == [""]
    assert [(item.key, item.value) for item in model.metadata_props] == [("a", "1"), ("b", "2")]
    x = np.ones((4, 3), dtype=np.float32)
    expected = x.astype(float)
    for _ in range(5):
        expected = expected + 0.01 * np.tanh(expected @ weights["f.w"] + weights["f.b"])
    np.testing.assert_allclose(run(model, x=x)[0], expected, rtol=1e-6)


def test_weights_are_stored_once_under_their_names():
    graph, weights = chain(50)
    model = to_onnx(graph, weights)
    assert sorted(item.name for item in model.graph.initializer) == ["c1", "f.b", "f.w"]
    assert not model.functions
    assert all(item.data_location == onnx.TensorProto.DEFAULT for item in model.graph.initializer)


def test_equal_literals_are_one_initializer():
    y = OPS["reshape"](X + constant([1.0, 2.0, 3.0]), shape=("batch", 3, 1)) * constant(np.array([1.0, 2.0, 3.0]))
    model = to_onnx(Graph((X,), {"y": y + 0.5, "z": y * 0.5}), {})
    assert len(model.graph.initializer) == 3


def test_a_literal_that_was_a_weight_keeps_its_name():
    model = to_onnx(Graph((X,), {"y": X * constant([1.0, 2.0, 3.0], name="scale")}), {})
    assert [item.name for item in model.graph.initializer] == ["scale"]


def test_names_are_short_and_in_order_and_outputs_keep_theirs():
    graph, weights = chain(2)
    model = to_onnx(graph, weights)
    assert [node.output[0] for node in model.graph.node] == ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "y"]


def test_generated_names_never_meet_those_of_the_author():
    n1, c1 = leaf(INPUT, "n1", real("batch")), leaf(WEIGHT, "y", real())
    graph = Graph((n1,), {"y": n1 * c1 + 2.0, "c1": n1 + 3.0})
    model = to_onnx(graph, {"y": np.array(5.0)})
    onnx.checker.check_model(model, full_check=True)
    y, c = run(model, n1=np.array([1.0], dtype=np.float32))
    assert (y[0], c[0]) == (7.0, 4.0)


def test_an_output_may_be_an_input_a_literal_or_another_output():
    y = X + 1.0
    outputs = {"same": X, "y": y, "again": y, "literal": constant(2.0), "passed": OPS["stop_gradient"](X)}
    model = to_onnx(Graph((X,), outputs), {})
    onnx.checker.check_model(model, full_check=True)
    x = np.ones((1, 3), dtype=np.float32)
    same, plus, again, literal, passed = run(model, x=x)
    assert (same == x).all()
    assert (plus == 2).all()
    assert (again == 2).all()
    assert literal == 2
    assert (passed == x).all()


def test_an_unused_input_is_still_an_input():
    spare = leaf(INPUT, "spare", real("batch", 2))
    model = to_onnx(Graph((X, spare), {"y": X + 1.0}), {})
    assert [item.name for item in model.graph.input] == ["x", "spare"]


def test_the_same_graph_gives_the_same_bytes():
    first, second = (to_onnx(*chain(20), source=Source("")).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_named_sizes_stay_symbolic_unless_they_are_fixed():
    graph, weights = chain(1)

    def dims(model):
        return [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]

    assert dims(to_onnx(graph, weights)) == ["batch", 3]
    fixed = to_onnx(graph, weights, sizes={"batch": 4})
    assert dims(fixed) == [4, 3]
    onnx.checker.check_model(fixed, full_check=True)


def test_every_value_has_the_type_that_shape_inference_finds():
    graph, weights = chain(3)
    model = to_onnx(graph, weights)
    stated = {item.name: item for item in model.graph.value_info}
    assert set(stated) == {node.output[0] for node in model.graph.node} - {"y"}
    bare = onnx.ModelProto.FromString(model.SerializeToString())
    del bare.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
    assert {item.name: item for item in inferred.graph.value_info} == stated


def test_a_folded_batch_is_named_by_the_product_that_it_is():
    points = leaf(INPUT, "p", real("batch", 17, 3))
    model = to_onnx(Graph((points,), {"y": OPS["exp"](OPS["tanh"](OPS["merge_points"](points)))}), {})
    stated = [*model.graph.value_info, *model.graph.output]
    assert [item.type.tensor_type.shape.dim[0].dim_param for item in stated] == ["17*batch"] * 3


@pytest.mark.parametrize(("channels", "groups", "stored"), [(4, 1, 2), (4, 2, 2), (6, 1, 1)])
def test_a_square_kernel_is_stored_once_for_each_operator(channels, groups, stored):
    """Conv and ConvTranspose of one square kernel would share its packed form in OpenVINO."""
    x, w = leaf(INPUT, "x", real("batch", channels, 5)), leaf(WEIGHT, "w", real(4, channels // groups, 3))
    y = x
    for _ in range(2):
        y = OPS["conv_transpose"](OPS["conv"](y, w, groups=groups), w, groups=groups)
    model = to_onnx(Graph((x,), {"y": y}), {"w": np.ones((4, channels // groups, 3))})
    readers = {node.op_type: node.input[1] for node in model.graph.node}
    assert len(model.graph.initializer) == len(set(readers.values())) == stored
    assert readers["Conv"] == "w"


@pytest.mark.parametrize(("columns", "stored"), [(4, 2), (3, 1)])
def test_a_square_matrix_is_stored_once_for_each_way_it_is_read(columns, stored):
    """OpenVINO would take the packed form of one for the other."""
    x, w = leaf(INPUT, "x", real("batch", 4)), leaf(WEIGHT, "w", real(4, columns))
    y = x
    for _ in range(2):
        y = OPS["linear"](OPS["linear"](y, w), w, transposed=True)
    model = to_onnx(Graph((x,), {"y": y}), {"w": np.ones((4, columns))})
    ways = {(node.op_type == "Gemm", node.input[1]) for node in model.graph.node}
    assert len(model.graph.initializer) == len({name for _, name in ways}) == stored


def test_every_operator_carries_its_place_in_the_source():
    source = Source("model m\ny = tanh(x)\n")
    with at(Span(12, 19)):
        y = OPS["softplus"](OPS["tanh"](X))
    model = to_onnx(Graph((X,), {"y": y}), {}, source=source, dtype="float64")
    places = [{item.key: item.value for item in node.metadata_props} for node in model.graph.node]
    assert len(places) > 5
    assert all(place == {"isocline.span": "2:5"} for place in places)


def test_what_has_no_float64_kernel_is_refused_with_its_place():
    with at(Span(3, 9)):
        y = OPS["erf"](X)
    with pytest.raises(IsoclineError) as caught:
        to_onnx(Graph((X,), {"y": y}), {}, dtype="float64")
    assert caught.value.diagnostics[0].span == Span(3, 9)
    assert "erf" in caught.value.diagnostics[0].message


def test_a_solve_is_refused():
    t, state = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "s", real("batch", 3))
    interval = Interval((0.0, 1.0), everywhere=False)
    region = Region((t, state), (-state,))
    solve = solve_node(region, (X,), interval)
    with pytest.raises(IsoclineError, match="solve"):
        to_onnx(Graph((X,), {"y": solve}), {})


def test_reals_are_rounded_once_at_the_end():
    model = to_onnx(Graph((X,), {"y": X * (1.0 / 3.0)}), {})
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]) == np.float32(1.0 / 3.0)


def test_emission_is_linear_in_time_and_size():
    def measured(steps):
        graph, weights = chain(steps)
        start = time.process_time()
        size = len(to_onnx(graph, weights, source=Source("")).SerializeToString())
        return time.process_time() - start, size

    measured(100)
    (short, small), (long, large) = measured(2_500), measured(12_500)
    assert long < 5
    assert long < 12 * short
    assert large < 5.6 * small


def test_a_weight_without_a_value_and_an_unknown_opset_are_both_reported():
    graph, weights = chain(1)
    with pytest.raises(IsoclineError) as caught:
        to_onnx(graph, {"f.w": weights["f.w"]}, opset=17)
    first, second = (item.message for item in caught.value.diagnostics)
    assert "f.b" in first
    assert "17" in second


@pytest.mark.parametrize("expression", ["clip(relu(x), -1, 1)", "clip(relu(x), 0.25, 4)", "relu(clip(x, -1, 0.5))"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_beside_relu_runs_in_either_precision(expression: str, dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "m.dyn"
    path.write_text(
        f"dyn 1\nmodel m\ninput x: real[3] in (-2, 2)\noutput z = {expression}\ndeploy {{ dtype {dtype} }}\n"
    )
    x = np.array([[-1.5, 0.125, 1.75]], dtype=dtype)
    found = load(driver.compile(path, out=tmp_path / "out").folder).run({"x": x})["z"]
    words = {"relu": lambda a: np.maximum(a, 0), "clip": np.clip, "x": x}
    np.testing.assert_array_equal(found, eval(expression, words))


def test_two_matrices_are_transposed_apart():
    """What is emitted once for the same matrix is not taken for another one's."""
    x = leaf(INPUT, "x", real("batch", 2, 3))
    v, w = leaf(WEIGHT, "v", real(4, 3)), leaf(WEIGHT, "w", real(4, 3))
    first, second = (OPS["linear"](x, item, transposed=True) for item in (v, w))
    rng = np.random.default_rng(0)
    weights = {"v": rng.normal(size=(4, 3)), "w": rng.normal(size=(4, 3))}
    given = rng.normal(size=(5, 2, 3)).astype(np.float32)
    found = run(to_onnx(Graph((x,), {"a": first, "b": second}), weights), x=given)
    for name, value in zip(("v", "w"), found, strict=True):
        np.testing.assert_allclose(value, given @ weights[name].T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("axis", [1, 2])
def test_equal_keys_keep_their_order_whatever_an_engine_makes_of_ties(inverse, axis):
    """OpenVINO's TopK puts either of two equal entries first: no operator is asked that could."""
    x, key = leaf(INPUT, "x", real("batch", 12, 3)), leaf(INPUT, "key", real("batch", 12, 3))
    model = to_onnx(Graph((x, key), {"y": OPS["sort_by"](x, key, axis=axis, inverse=inverse)}), {})
    assert "TopK" not in {node.op_type for node in model.graph.node}
    random = np.random.default_rng(0)
    keys = random.integers(0, 3, (5, 12, 3)).astype(np.float32)
    values = random.normal(size=(5, 12, 3)).astype(np.float32)
    order = np.argsort(keys, axis=axis, kind="stable")
    expected = np.empty_like(values)
    if inverse:
        np.put_along_axis(expected, order, values, axis=axis)
    else:
        expected = np.take_along_axis(values, order, axis=axis)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"x": values, "key": keys})[0], expected)

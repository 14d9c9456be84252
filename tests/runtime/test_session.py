"""Loading and running: the numbers are numpy's, and every refusal says what was found and expected."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isocline_runtime import loading, provider
from isocline_runtime.errors import ArtifactError, InputError, ProviderError, RunError
from isocline_runtime.loading import load
from isocline_runtime.manifest import Port

WEIGHT = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
FIRST = Port("first", "float32", ("batch", 2))
SQUARE = Port("forecast", "float32", (2, 2))


def tensor(name: str, shape: list[int | str | None] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def graph_model(nodes, inputs, outputs, initializers=()) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_a_batch_is_the_product(write_artifact) -> None:
    model = load(write_artifact())
    batch = np.random.default_rng(0).uniform(1, 9, (5, 2)).astype(np.float32)
    np.testing.assert_allclose(model.run({"first": batch})["forecast"], batch @ WEIGHT, rtol=1e-6)


def test_one_sample_has_no_batch_axis_and_neither_have_its_outputs(write_artifact) -> None:
    model = load(write_artifact())
    forecast = model(first=[1, 2])["forecast"]
    assert forecast.shape == (2,)
    np.testing.assert_array_equal(forecast, [7, 10])


def test_an_output_without_batch_axis_is_whole_for_one_sample_too(tmp_path) -> None:
    nodes = [helper.make_node("Identity", ["w"], ["k"]), helper.make_node("Tanh", ["first"], ["y"])]
    outputs = [tensor("k", [2, 2]), tensor("y", ["batch", 2])]
    model = graph_model(nodes, [tensor("first", ["batch", 2])], outputs, [numpy_helper.from_array(WEIGHT, "w")])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    found = load(tmp_path / "m.onnx").run(first=[0, 0])
    assert found["k"].shape == (2, 2)
    assert found["y"].shape == (2,)


def test_what_a_session_tells(write_artifact) -> None:
    model = load(write_artifact(extra={"certificate.json": b'{"parity": 1}'}))
    assert [port.name for port in model.inputs] == ["first"]
    assert model.inputs[0].unit == "m"
    assert model.manifest is not None
    assert model.manifest.name == "hare"
    assert model.certificate == {"parity": 1}
    assert model.providers[0] == "CPUExecutionProvider"
    assert model.load_ms > 0
    assert "first: float32[batch, 2]" in repr(model)


def test_a_bare_file_takes_its_signature_from_the_model(write_artifact) -> None:
    model = load(write_artifact() / "model.onnx")
    assert model.inputs == (FIRST,)
    assert model.manifest is None
    assert model.certificate is None
    np.testing.assert_array_equal(model.run(first=[1.0, 2.0])["forecast"], [7, 10])


def test_open_sizes_of_a_bare_file_get_names(tmp_path) -> None:
    node = helper.make_node("Tanh", ["x"], ["y"])
    path = tmp_path / "m.onnx"
    path.write_bytes(graph_model([node], [tensor("x", [None, "T", 3])], [tensor("y", None)]).SerializeToString())
    model = load(path)
    assert model.inputs[0].shape == ("x_0", "T", 3)
    assert model.run(x=np.zeros((2, 4, 3)))["y"].shape == (2, 4, 3)


@pytest.mark.parametrize(
    "port",
    [
        replace(FIRST, name="second"),
        replace(FIRST, dtype="float64"),
        replace(FIRST, shape=("batch", 3)),
        replace(FIRST, shape=("batch", "T")),
        replace(FIRST, shape=(2,)),
    ],
)
def test_a_manifest_of_another_model_is_refused(write_artifact, port: Port) -> None:
    with pytest.raises(ArtifactError, match="E716"):
        load(write_artifact(inputs=(port,)))


def test_the_manifest_lists_the_models_outputs(write_artifact) -> None:
    with pytest.raises(ArtifactError, match=r"E716.*forecast in the model, other"):
        load(write_artifact(outputs=(replace(FIRST, name="other"),)))


def test_inputs_are_checked_before_the_model_runs(write_artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(write_artifact())
    monkeypatch.setattr(model, "_backend", None)
    with pytest.raises(InputError, match=r"E736.*first\[1\] is 11.0, expected a number strictly inside \(0, 10\) m"):
        model.run(first=[1, 11])


def test_an_invalid_model_is_refused_in_our_words(write_artifact) -> None:
    node = helper.make_node("NoSuchOperator", ["first"], ["forecast"])
    model = graph_model([node], [tensor("first", ["batch", 2])], [tensor("forecast", ["batch", 2])])
    with pytest.raises(ArtifactError, match=r"E717.*model.onnx.*NoSuchOperator"):
        load(write_artifact(model))


def test_a_model_of_strings_is_refused(tmp_path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    ports = [tensor(name, ["batch"], TensorProto.STRING) for name in "xy"]
    path = tmp_path / "m.onnx"
    path.write_bytes(graph_model([node], ports[:1], ports[1:]).SerializeToString())
    with pytest.raises(ArtifactError, match=r"E717.*'x' is tensor\(string\)"):
        load(path)


def failing_model() -> onnx.ModelProto:
    """A Reshape to (2, 2), which fails for other batches than 2; its node says where it was compiled from."""
    shape = numpy_helper.from_array(np.array([2, 2]), "s")
    nodes = [
        helper.make_node("Identity", ["s"], ["t"], name="hide"),
        helper.make_node("Reshape", ["first", "t"], ["forecast"], name="squash"),
    ]
    entry = nodes[1].metadata_props.add()
    entry.key, entry.value = "isocline.span", "12:3"
    inputs = [tensor("first", ["batch", 2])]
    return graph_model(nodes, inputs, [tensor("forecast", [None, None])], [shape])


def test_a_stop_names_the_line_of_the_source(write_artifact, capfd: pytest.CaptureFixture[str]) -> None:
    model = load(write_artifact(failing_model(), outputs=(SQUARE,)))
    with pytest.raises(RunError) as caught:
        model.run(first=[[1, 2]])
    assert caught.value.code == "E780"
    assert "hare stopped at line 12:3 of its .dyn file (node 'squash')" in caught.value.message
    assert "onnxruntime_src" not in caught.value.message
    assert capfd.readouterr().err == ""


def test_a_fused_node_keeps_its_line(write_artifact) -> None:
    model = load(write_artifact(failing_model(), outputs=(SQUARE,)))
    fault = RuntimeError("running FusedGemm node. Name:'fused squash/MatMulAddFusion' Status Message: x")
    assert "line 12:3" in (model._place_of(fault) or "")


def test_an_output_that_is_not_finite_is_an_error(write_artifact) -> None:
    node = helper.make_node("Log", ["first"], ["forecast"])
    folder = write_artifact(
        graph_model([node], [tensor("first", ["batch", 2])], [tensor("forecast", ["batch", 2])]),
        inputs=(FIRST,),
    )
    with pytest.raises(RunError, match=r"E781.*forecast\[2, 1\] is nan \(1 such value\)"):
        load(folder).run(first=[[1, 1], [1, 1], [1, -1], [1, 1]])
    outputs = load(folder, allow_nonfinite=True).run(first=[[1, 0]])
    assert np.isneginf(outputs["forecast"][0, 1])


def test_many_threads_get_their_own_answers(write_artifact) -> None:
    model = load(write_artifact())
    wrong: list[int] = []

    def ask(number: int) -> None:
        for step in range(50):
            first = np.array([[number + 1, step % 9 + 0.5]], np.float32)
            if not np.allclose(model.run(first=first)["forecast"], first @ WEIGHT):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_integers_and_truths(tmp_path) -> None:
    nodes = [
        helper.make_node("Where", ["flag", "label", "zero"], ["picked"]),
    ]
    model = graph_model(
        nodes,
        [tensor("flag", ["batch"], TensorProto.BOOL), tensor("label", ["batch"], TensorProto.INT64)],
        [tensor("picked", ["batch"], TensorProto.INT64)],
        [numpy_helper.from_array(np.array(0), "zero")],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    loaded = load(path)
    picked = loaded.run(flag=[True, 0, 1.0], label=[1.0, 2, 2**40])["picked"]
    assert picked.tolist() == [1, 0, 2**40]
    assert loaded.run(flag=True, label=3)["picked"] == 3


def test_a_provider_that_is_not_installed_is_an_error(write_artifact) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ProviderError, match=r"(?s)E771.*'CUDAExecutionProvider'.*isocline\[gpu\]"):
            load(write_artifact(), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    with pytest.raises(ProviderError, match="E771"):
        load(write_artifact(), providers=())


def test_short_names_of_providers(write_artifact) -> None:
    assert load(write_artifact(), providers="cpu").providers == ("CPUExecutionProvider",)


class FellBack:
    """Stands for an onnxruntime whose CUDA libraries are missing: it makes a CPU session without a word."""

    def __init__(self, real: object) -> None:
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        self.preloaded = True

    def InferenceSession(self, model: bytes, **options: object) -> object:
        self.options = options
        return self._real.InferenceSession(model, providers=["CPUExecutionProvider"])


def test_a_provider_that_fell_back_is_an_error(write_artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = FellBack(provider.require_onnxruntime())
    monkeypatch.setattr(provider, "require_onnxruntime", lambda: stand_in)
    with pytest.raises(ProviderError, match=r"E772.*asked for CUDAExecutionProvider, onnxruntime gives CPU"):
        load(write_artifact(), providers=["cuda"])
    assert stand_in.preloaded
    assert stand_in.options["providers"] == [("CUDAExecutionProvider", {"use_tf32": "0"})]
    assert stand_in.options["disabled_optimizers"] == ["CommonSubexpressionElimination"]
    assert stand_in.options["enable_fallback"] == 0
    entry = stand_in.options["sess_options"].get_session_config_entry("session.disable_cpu_ep_fallback")
    assert entry == "1"


@pytest.mark.skipif("AzureExecutionProvider" not in provider.available_providers(), reason="another wheel")
def test_a_provider_without_the_kernels_is_an_error(write_artifact) -> None:
    """The Azure provider of the CPU wheel runs no standard operator: onnxruntime itself would fall back."""
    with pytest.raises(ProviderError, match=r"E772.*no kernel there"):
        load(write_artifact(), providers=["azure"])


def test_session_options_suit_small_graphs() -> None:
    options = provider._session_options(provider.require_onnxruntime(), (provider.CPU,), 1)
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"


def test_without_onnxruntime_the_extra_is_named(write_artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ProviderError, match=r'(?s)E770.*pip install "isocline\[cpu\]"'):
        loading.load(write_artifact())

"""Small models built with the `onnx` package, and artifact folders around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isocline_runtime.artifact import describe_file
from isocline_runtime.manifest import Manifest, Port, SolveInfo, to_json

WEIGHT = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
INPUTS = (Port("first", "float32", ("batch", 2), unit="m", low=0.0, high=10.0),)
OUTPUTS = (Port("forecast", "float32", ("batch", 2)),)


def tensor(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def make_model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: tuple[onnx.TensorProto, ...] = (),
    opset: int = 18,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def make_linear() -> onnx.ModelProto:
    """forecast = first @ WEIGHT."""
    return make_model(
        [helper.make_node("MatMul", ["first", "w"], ["forecast"], name="product")],
        [tensor("first", ["batch", 2])],
        [tensor("forecast", ["batch", 2])],
        (numpy_helper.from_array(WEIGHT, "w"),),
    )


def make_manifest(files: dict[str, bytes], **fields: Any) -> Manifest:
    usual: dict[str, Any] = {
        "name": "hare", "description": "a test", "inputs": INPUTS, "outputs": OUTPUTS, "producer": "isocline 0.1.0",
        "opset": 18, "dtype": "float32", "solves": (SolveInfo("populations", "rk4", 2, (0.0, 0.5, 1.0), 8, 40),),
        "files": {name: describe_file(content) for name, content in files.items()}, "source_sha256": "0" * 64,
    }  # fmt: skip
    return Manifest(**{**usual, **fields})


WriteArtifact = Callable[..., Path]


@pytest.fixture
def write_artifact(tmp_path: Path) -> WriteArtifact:
    """Writes a folder: a model (forecast = first @ [[1, 2], [3, 4]] unless given) and manifest fields."""

    def write(model: onnx.ModelProto | None = None, extra: dict[str, bytes] | None = None, **fields: object) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        files = {"model.onnx": (model or make_linear()).SerializeToString(), **(extra or {})}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        manifest = make_manifest(files, **fields)
        (folder / "manifest.json").write_text(to_json(manifest), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def linear() -> onnx.ModelProto:
    return make_linear()


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest({"model.onnx": b"abc"})

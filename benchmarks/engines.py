"""The engines that an artifact is run on: each is a record that knows its version and how it runs a model."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_conv_transpose

from benchmarks.engine_c import runner, targets
from benchmarks.outcome import Array, Arrays, Failed

WEB_FOLDER = Path(os.environ.get("ONNXRUNTIME_WEB", "build/onnxruntime_web/node_modules/onnxruntime-web"))


@dataclass(frozen=True)
class Engine:
    """`version` is None where the engine is not installed; `run` gives the outputs by name, for a model in a file."""

    name: str
    version: str | None
    run: Callable[[Path, Arrays], dict[str, Array]]
    install: str = ""


def engines() -> tuple[Engine, ...]:
    """Every engine of the table, in its order."""
    onnxruntime = installed("onnxruntime")
    levels = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL")
    return (
        Engine("onnx reference", installed("onnx"), run_reference),
        *(Engine(f"onnxruntime {level}", onnxruntime, runner_at(f"ORT_{level}")) for level in levels),
        Engine("onnxruntime-web", web_version(), run_web, "make conformance (npm)"),
        Engine("OpenVINO", installed("openvino"), run_openvino, "pip install openvino"),
        Engine("tract", installed("tract"), run_tract, "pip install tract"),
        *(Engine(item.name, item.version, runner(item), item.install) for item in targets()),
    )


def installed(package: str) -> str | None:
    """The version of a Python package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class ConvTranspose(op_conv_transpose.ConvTranspose):
    """That of the onnx package, a group at a time.

    With groups, it takes the rows of a group's kernel by output channels, where the standard has input channels
    (onnx 1.23, op_conv_transpose.py), and stops with an error where the two differ.
    """

    op_domain = ""

    def _run(self, X: Array, W: Array, B: Array | None = None, *, group: int = 1, **rest: Any) -> tuple[Array]:
        parts = zip(np.split(X, group, axis=1), np.split(W, group, axis=0), strict=True)
        joined = np.concatenate([super(ConvTranspose, self)._run(x, w, group=1, **rest)[0] for x, w in parts], axis=1)
        return (joined if B is None else joined + B.reshape(-1, *(1,) * (joined.ndim - 2)),)


class GatherElements(OpRun):
    """That of the standard: the onnx package's own (1.23) stops where an axis has more than 64 entries."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        return (np.take_along_axis(data, np.where(indices < 0, indices + data.shape[axis], indices), axis),)


def run_reference(model: Path, feeds: Arrays) -> dict[str, Array]:
    """The evaluator of the onnx package, in numpy: what the standard says."""
    evaluator = ReferenceEvaluator(onnx.load(model), new_ops=[ConvTranspose, GatherElements])
    return dict(zip(evaluator.output_names, evaluator.run(None, dict(feeds)), strict=True))


def runner_at(level: str) -> Callable[[Path, Arrays], dict[str, Array]]:
    """onnxruntime at one level of graph optimisation."""

    def run(model: Path, feeds: Arrays) -> dict[str, Array]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return run


def run_openvino(model: Path, feeds: Arrays) -> dict[str, Array]:
    """OpenVINO on the CPU, asked for float32: without that it may choose bfloat16.

    Outputs are asked for by the names of the file: one that an operator was fused into has the names of both.
    """
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(str(model), "CPU", options)
    found = compiled(dict(feeds))
    return {name: np.array(found[name]) for name in outputs_of(model)}


def run_tract(model: Path, feeds: Arrays) -> dict[str, Array]:
    """tract, the engine in Rust. Inputs and outputs go by position."""
    import tract

    inference = tract.onnx().load(str(model))
    names = [inference.input_name(place) for place in range(inference.input_count())]
    found = inference.into_model().into_runnable().run([np.ascontiguousarray(feeds[name]) for name in names])
    return {name: tensor.to_numpy() for name, tensor in zip(outputs_of(model), found, strict=True)}


def outputs_of(model: Path) -> list[str]:
    """The names of the outputs that the file declares."""
    return [port.name for port in onnx.load(model, load_external_data=False).graph.output]


def web_version() -> str | None:
    """The version of onnxruntime-web, with that of node, or None where one of both is missing."""
    package = WEB_FOLDER / "package.json"
    if shutil.which("node") is None or not package.is_file():
        return None
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{json.loads(package.read_text())['version']} (wasm, node {node})"


def run_web(model: Path, feeds: Arrays) -> dict[str, Array]:
    """onnxruntime compiled to WebAssembly, as a browser has it, in node."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "feeds.json"
        given.write_text(json.dumps({name: _encoded(array) for name, array in feeds.items()}))
        script = Path(__file__).with_name("engine_web.mjs")
        command: Sequence[str] = ["node", str(script), str(WEB_FOLDER.resolve()), str(model), str(given)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(done.stderr.strip())
    return {name: _decoded(tensor) for name, tensor in json.loads(done.stdout).items()}


def _encoded(array: Array) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.name, "dims": list(array.shape), "data": data}


def _decoded(tensor: Mapping[str, Any]) -> Array:
    flat = np.frombuffer(base64.b64decode(tensor["data"]), dtype=tensor["type"])
    return flat.reshape([int(size) for size in tensor["dims"]])

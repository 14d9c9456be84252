"""`isocline run`, `attribute`, `bench` and `verify` of a model with noise: end = start + W over two steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline.verification import run_in_parts
from isocline_runtime.artifact import describe_file
from isocline_runtime.manifest import AttributionInfo, AttributionResult, Manifest, NoiseInfo, Port, to_json
from isocline_runtime.randomness import Draws, normals

runner = CliRunner()
W = NoiseInfo("W", 3, "normal", 1, 2, 1, 1, "float32")


def model(batch: str | int, output: str = "end") -> bytes:
    def value(name: str, *shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("ReduceSum", ["W", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["start", "sum"], [output]),
    ]
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    inputs = [value("start", batch), value("W", *W.port(batch).shape)]
    graph = helper.make_graph(nodes, "g", inputs, [value(output, batch)], [axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def artifact(folder: Path, batch: str | int = "batch") -> Path:
    """Its attribute.onnx answers the end itself."""
    folder.mkdir()
    files = {"model.onnx": model(batch), "attribute.onnx": model(batch, "score")}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    start, end, score = (Port(name, "float32", (batch,)) for name in ("start", "end", "score"))
    explained = AttributionInfo((start, W.port(batch)), (score,), (), (AttributionResult("score", "end", "", "score"),))
    listed = {name: describe_file(content) for name, content in files.items()}
    manifest = Manifest(
        "walk", None, (start,), (end,), "1", 18, "float32", (), listed, "0" * 64, noises=(W,), attribution=explained
    )
    (folder / "manifest.json").write_text(to_json(manifest))
    return folder


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    (tmp_path / "x.csv").write_text("start\n1\n2\n3\n")
    return artifact(tmp_path / "walk")


def ends(seed: int, rows: list[int], first: float = 1.0) -> Any:
    drawn = normals(Draws(seed, 3, 1, 2, 1), rows).sum(axis=(1, 2, 3))
    return pytest.approx(first + np.arange(len(rows)) + drawn, rel=1e-5, abs=1e-5)


def answer(command: str, folder: Path, *arguments: str | Path) -> Any:
    result = runner.invoke(app, [command, str(folder), *map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    return next(iter(json.loads(result.stdout).values()))


@pytest.mark.parametrize("command", ["run", "attribute"])
def test_a_seed_and_rows(walk: Path, command: str) -> None:
    given = "-i", walk.with_name("x.csv")
    assert answer(command, walk, *given) == ends(0, [0, 1, 2])
    assert answer(command, walk, *given, "--seed", "7") == ends(7, [0, 1, 2])
    assert answer(command, walk, *given, "--seed", "7", "--rows", "12,5,100") == ends(7, [12, 5, 100])
    assert answer(command, walk, *given, "--rows", "12:15") == ends(0, [12, 13, 14])
    assert answer(command, walk, *given, "--rows", "12:14,3") == ends(0, [12, 13, 3])
    walk.with_name("one.csv").write_text("start\n3\n")
    assert answer(command, walk, "-i", walk.with_name("one.csv"), "--seed", "7", "--rows", "2") == ends(7, [2], 3.0)


@pytest.mark.parametrize("command", ["run", "attribute"])
def test_noise_is_saved_and_given_again(walk: Path, command: str) -> None:
    given, kept = ("-i", walk.with_name("x.csv")), walk.with_name("w.npz")
    first = answer(command, walk, *given, "--seed", "7", "--rows", "4:7", "--save-noise", kept)
    assert first == ends(7, [4, 5, 6])
    assert np.load(kept)["W"].shape == (3, 1, 2, 1)
    assert answer(command, walk, *given, "--noise", kept) == first
    np.savez(kept, W=np.ones((3, 1, 2, 1)))
    assert answer(command, walk, *given, "--noise", kept, "--save-noise", kept) == [3, 4, 5]


@pytest.mark.parametrize("command", ["run", "attribute"])
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--rows", "12"], 1, "error[E745]"),
        (["--rows", "a:b"], 2, "--rows"),
        (["--rows", "0:1:2"], 2, "--rows"),
        (["--seed", "18446744073709551616"], 1, "error[E744]"),
        (["--noise", "w.csv"], 1, "error[E750]"),
        (["--noise", "absent.npz"], 1, "error[E751]"),
        (["--save-noise", "w.csv"], 2, "--save-noise"),
    ],
)
def test_mistakes(walk: Path, command: str, arguments: list[str], status: int, said: str) -> None:
    result = runner.invoke(app, [command, str(walk), "-i", str(walk.with_name("x.csv")), *arguments])
    assert result.exit_code == status
    assert said in result.stderr


def test_a_model_without_noise(tiny_artifact: Path) -> None:
    given = ["run", str(tiny_artifact), "--input", str(tiny_artifact.with_name("x.json"))]
    assert "error[E743]" in runner.invoke(app, [*given, "--seed", "3"]).stderr
    result = runner.invoke(app, [*given, "--save-noise", "w.npz"])
    assert (result.exit_code, "reads no noise" in result.stderr) == (2, True)
    assert "noise_us" not in runner.invoke(app, ["bench", str(tiny_artifact), "--json", "--repeats", "20"]).stdout


def test_bench_shows_what_is_drawn(walk: Path) -> None:
    facts = json.loads(runner.invoke(app, ["bench", str(walk), "--json", "--repeats", "20", "--batch", "100"]).stdout)
    assert facts["noises"] == ["W: normal float32[batch, 1, 2, 1]"]
    assert 0 < facts["noise_us"] < facts["p99_us"]
    assert (
        "noises              W: normal float32[batch, 1, 2, 1]\n"
        in runner.invoke(app, ["bench", str(walk), "--repeats", "20"]).stdout
    )


def test_parts_of_a_fixed_batch_have_the_noise_of_their_rows(tmp_path: Path) -> None:
    x = {"start": np.arange(5, dtype=np.float32)}
    fixed, open_ = isocline.load(artifact(tmp_path / "fixed", 2)), isocline.load(artifact(tmp_path / "open"))
    for rows in (None, np.array([3, 1, 4, 15, 9])):
        parts, whole = run_in_parts(fixed, x, rows)["end"], run_in_parts(open_, x, rows)["end"]
        np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(whole, open_.run(x, rows=rows)["end"], rtol=1e-6, atol=1e-6)

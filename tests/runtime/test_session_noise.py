"""Runs of a model with noise: a row is the same wherever it stands, noise that is given is taken, refusals are ours."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isocline_runtime.artifact import describe_file
from isocline_runtime.errors import ArtifactError, InputError, RunError
from isocline_runtime.loading import load
from isocline_runtime.manifest import AttributionInfo, AttributionResult, NoiseInfo, Port, to_json
from isocline_runtime.manifest_reader import read_manifest
from isocline_runtime.noises import draw_noise
from isocline_runtime.randomness import Draws, bernoulli, normals, poisson, stable, uniforms
from isocline_runtime.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "noise.md"
SCRIPT = Path(__file__).parents[2] / "runtime" / "isocline_runtime" / "noise.js"
W = NoiseInfo("W", 0, "normal", 4, 6, 2, 2, "float32")
N = NoiseInfo("N", 1, "poisson", 4, 6, 2, 2, "float32", rates=(0.5, 1.0, 2.0, 0.0, 3.0, 9.0), ordering="antithetic")
U = NoiseInfo("U", 2, "uniform", 4, 6, 2, 2, "float32")
B = NoiseInfo("B", 3, "bernoulli", 4, 6, 2, 2, "float32", probability=0.3)
START = Port("start", "float32", ("batch", 2))
PATH = Port("end", "float32", ("batch", 4, 2))
X = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def value(name: str, shape: tuple[Any, ...], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def driven(*noises: NoiseInfo, batch: int | str = "batch", start: bool = True) -> onnx.ModelProto:
    """end = start + sum over the steps of every noise, (batch, samples, channels)."""
    nodes = [
        helper.make_node("ReduceSum", [noise.name, "two"], [f"s{i}"], keepdims=0) for i, noise in enumerate(noises)
    ]
    last = "s0"
    for i in range(1, len(noises)):
        nodes.append(helper.make_node("Add", [last, f"s{i}"], [f"t{i}"]))
        last = f"t{i}"
    if start:
        nodes.append(helper.make_node("Unsqueeze", ["start", "one"], ["wide"]))
        nodes.append(helper.make_node("Add", ["wide", last], ["end"]))
    else:
        nodes.append(helper.make_node("Identity", [last], ["end"]))
    inputs = [value("start", (batch, 2))] if start else []
    inputs += [value(noise.name, noise.port(batch).shape) for noise in noises]
    axes = [numpy_helper.from_array(np.array([k]), name) for name, k in (("one", 1), ("two", 2))]
    graph = helper.make_graph(nodes, "g", inputs, [value("end", (batch, *PATH.shape[1:]))], axes)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def expected(x: Any, rows: Any, seed: int, *noises: NoiseInfo) -> Any:
    """The same in numpy, the noise drawn by the functions that docs/noise.md specifies."""
    total = np.float64(0)
    for info in noises:
        draws = Draws(seed, info.stream, info.samples, info.steps, info.channels, antithetic=info.antithetic)
        drawn = normals(draws, rows) if info is W else poisson(draws, rows, np.array(info.rates)[:, None])
        total = total + drawn.sum(axis=2)
    return np.asarray(x, float)[:, None] + total


@pytest.fixture
def session(write_artifact) -> Session:
    return load(write_artifact(driven(W, N), inputs=(START,), outputs=(PATH,), noises=(W, N)))


# ------------------------------------------------------------------------------- what a seed and rows mean


def test_the_noise_is_that_of_the_page(session: Session) -> None:
    assert session.noises == (W, N)
    assert [port.name for port in session.inputs] == ["start"]
    assert "with noise W, N" in repr(session)
    np.testing.assert_allclose(
        session.run(start=X, seed=7)["end"], expected(X, range(1000), 7, W, N), rtol=1e-5, atol=1e-5
    )
    assert (session.run(start=X)["end"] == session.run(start=X, seed=0, rows=range(1000))["end"]).all()
    assert (session.run(start=X)["end"] != session.run(start=X, seed=1)["end"]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("row", [0, 12, 517, 999])
def test_a_row_of_a_batch_is_replayed_alone_and_in_another_batch(session: Session, row: int) -> None:
    whole = session.run(start=X, seed=7)["end"][row]
    np.testing.assert_allclose(session.run(start=X[row : row + 1], seed=7, rows=[row])["end"][0], whole, **CLOSE)
    np.testing.assert_allclose(session.run(start=X[row], seed=7, rows=row)["end"], whole, **CLOSE)
    np.testing.assert_allclose(session.run(start=X[row], seed=7, rows=[row])["end"], whole, **CLOSE)
    other = [2**64 - 1, row, 3, row]
    again = session.run({"start": X[[5, row, 6, row]]}, seed=7, rows=np.array(other, np.uint64))["end"]
    np.testing.assert_allclose(again[[1, 3]], [whole, whole], **CLOSE)
    assert abs(session.run(start=X[row : row + 1], seed=7, rows=[row + 1])["end"][0] - whole).max() > 0.1


def test_a_row_is_replayed_from_javascript(session: Session) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so noise.js was not run")
    flight = replace(W, name="L", distribution="stable", alpha=0.1, samples=4096, ordering="antithetic")
    lattice = replace(W, name="Q", dtype="float64", ordering="antithetic_lattice")
    program = (
        'const { noises, script } = JSON.parse(require("fs").readFileSync(0, "utf8"));\n'
        "import(script).then(({ drawNoise }) => console.log(JSON.stringify(noises.map((noise) => {\n"
        "  const drawn = drawNoise(noise, 7, [517]);\n"
        "  return [drawn.constructor.name, Array.from(drawn)];\n"
        "}))));"
    )
    entries = [json.loads(json.dumps(vars(info))) for info in (W, N, flight, lattice, U, B)]
    given = json.dumps({"noises": entries, "script": SCRIPT.as_uri()})
    done = subprocess.run([node, "-e", program], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [kind for kind, _ in found] == [f"Float{bits}Array" for bits in (32, 32, 32, 64, 32, 32)]
    for info, (_, numbers) in zip((U, B), found[4:], strict=True):
        assert (np.array(numbers, np.float32) == draw_noise(info, 7, [517]).ravel()).all()
    noise = {info.name: np.reshape(numbers, (4, 6, 2)) for info, (_, numbers) in zip((W, N), found[:2], strict=True)}
    whole = session.run(start=X, seed=7)["end"][517]
    np.testing.assert_allclose(session.run(start=X[517], noise=noise)["end"], whole, **CLOSE)
    for info, (_, numbers) in zip((flight, lattice), found[2:4], strict=True):
        drawn = draw_noise(info, 7, [517])
        assert np.isfinite(drawn).all()
        assert (drawn == np.finfo(np.float32).max).any() == (info is flight)  # numbers that float32 cannot hold
        np.testing.assert_allclose(np.array(numbers, float).reshape(drawn.shape), drawn, rtol=2e-6)
    entries[0]["version"] = 2
    given = json.dumps({"noises": entries, "script": SCRIPT.as_uri()})
    done = subprocess.run([node, "-e", program], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert "version 2" in done.stderr


def test_what_a_manifest_says_is_what_is_drawn() -> None:
    draws = Draws(3, 5, 4, 6, 2, antithetic=True, lattice=True)
    lattice = replace(W, stream=5, ordering="antithetic_lattice")
    assert (draw_noise(lattice, 3, [1, 9]) == normals(draws, [1, 9], np.float32)).all()
    rates = replace(N, rates=(4.0,), dtype="float64", ordering="independent")
    assert (draw_noise(rates, 3, range(2)) == poisson(Draws(3, 1, 4, 6, 2), range(2), 4.0)).all()
    for step, rate in enumerate(N.rates):
        alone = poisson(Draws(3, 1, 4, 6, 2, antithetic=True), range(2), rate)
        assert (draw_noise(N, 3, range(2))[:, :, step] == alone[:, :, step]).all()
    flight = replace(W, distribution="stable", alpha=1.5)
    assert (draw_noise(flight, 3, [4]) == stable(Draws(3, 0, 4, 6, 2), [4], 1.5, np.float32)).all()
    assert draw_noise(flight, 3, [4]).dtype == np.float32
    assert (draw_noise(U, 3, [4]) == uniforms(Draws(3, 2, 4, 6, 2), [4], np.float32)).all()
    masks = draw_noise(B, 3, range(200))
    assert (masks == bernoulli(Draws(3, 3, 4, 6, 2), range(200), 0.3)).all()
    assert (masks == (uniforms(Draws(3, 3, 4, 6, 2), range(200)) < 0.3)).all()
    assert masks.dtype == np.float32


# ------------------------------------------------------------------------------- batches


def test_without_a_batch_the_rows_count_the_samples(write_artifact) -> None:
    session = load(write_artifact(driven(W, start=False), inputs=(), outputs=(PATH,), noises=(W,)))
    one, many = session.run(seed=3)["end"], session.run(seed=3, rows=range(5))["end"]
    assert (one.shape, many.shape) == ((4, 2), (5, 4, 2))
    np.testing.assert_allclose(many, expected(np.zeros((5, 2)), range(5), 3, W), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one, many[0], **CLOSE)
    np.testing.assert_allclose(session.run(seed=3, rows=4)["end"], many[4], **CLOSE)
    assert session.run(seed=3, rows=[4])["end"].shape == (1, 4, 2)
    given = session.noise(range(5), 3)["W"]
    np.testing.assert_allclose(session.run(noise={"W": given})["end"], many, **CLOSE)
    np.testing.assert_allclose(session.run(noise={"W": given[4]})["end"], many[4], **CLOSE)
    assert session.run(rows=range(5), noise={"W": given})["end"].shape == (5, 4, 2)


def test_a_fixed_batch_has_a_row_for_each_of_its_samples(write_artifact) -> None:
    ports = {"inputs": (replace(START, shape=(3, 2)),), "outputs": (replace(PATH, shape=(3, 4, 2)),)}
    session = load(write_artifact(driven(W, batch=3), noises=(W,), **ports))
    np.testing.assert_allclose(
        session.run(start=X[:3], seed=2)["end"], expected(X[:3], range(3), 2, W), rtol=1e-5, atol=1e-5
    )
    with pytest.raises(InputError, match="3 in all"):
        session.run(start=X[:3], rows=[1, 2])


def test_the_inputs_of_the_model_are_those_of_the_manifest(write_artifact) -> None:
    folder = write_artifact(driven(W, N), inputs=(START,), outputs=(PATH,), noises=(N, W))
    with pytest.raises(ArtifactError, match="E716"):
        load(folder)
    folder = write_artifact(driven(W, N), inputs=(START,), outputs=(PATH,), noises=(W, replace(N, channels=4)))
    with pytest.raises(ArtifactError, match="E716"):
        load(folder)


def test_of_a_bare_file_a_noise_is_an_input(write_artifact) -> None:
    session = load(write_artifact(driven(W), inputs=(START,), outputs=(PATH,), noises=(W,)) / "model.onnx")
    found = session.run(start=X[:2], W=normals(Draws(1, 0, 4, 6, 2), range(2)))
    np.testing.assert_allclose(found["end"], expected(X[:2], range(2), 1, W), rtol=1e-5, atol=1e-5)


def test_the_example_of_the_page(write_artifact, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_artifact(driven(W, N), inputs=(START,), outputs=(PATH,), noises=(W, N))
    (tmp_path / "build").mkdir()
    folder.rename(tmp_path / "build" / "walk")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r'^```python title="in a run"\n(.*?)^```', PAGE.read_text("utf-8"), re.S | re.M)
    found: dict[str, Any] = {"x": X}
    exec(code, found)
    whole = found["whole"]["end"]
    np.testing.assert_allclose(found["alone"]["end"][0], whole[12], **CLOSE)
    np.testing.assert_allclose(found["single"]["end"], whole[12], **CLOSE)
    assert (found["again"]["end"] == whole).all()
    np.testing.assert_allclose(found["quiet"]["end"], expected(X, range(1000), 0, N), rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------- noise that is given


def test_noise_that_is_given_is_used_as_it_is(session: Session) -> None:
    given = np.arange(2 * 48, dtype=float).reshape(2, 4, 6, 2)
    ones = np.ones((2, 4, 6, 2), int)
    found = session.run(start=X[:2], noise={"W": given, "N": ones})["end"]
    np.testing.assert_allclose(found, X[:2, None] + given.sum(axis=2) + 6, rtol=1e-6)
    alone = session.run(start=X[1], noise={"W": given[1], "N": ones[:1]})["end"]
    np.testing.assert_allclose(alone, found[1], rtol=1e-6)


def test_the_rest_is_drawn(session: Session) -> None:
    drawn = session.noise(range(9), 5)
    assert {name: array.shape for name, array in drawn.items()} == {"W": (9, 4, 6, 2), "N": (9, 4, 6, 2)}
    whole = session.run(start=X[:9], seed=5)["end"]
    for name in ("W", "N"):
        assert (session.run(start=X[:9], seed=5, noise={name: drawn[name]})["end"] == whole).all()
    half = session.noise_of(start=X[:9], seed=5, noise={"W": drawn["N"]})
    assert (half["W"] == drawn["N"]).all()
    assert (half["N"] == drawn["N"]).all()
    np.testing.assert_array_equal(session.noise(4, 5)["W"], drawn["W"][4], strict=True)
    np.testing.assert_array_equal(session.noise_of(start=X[4], seed=5, rows=4)["N"], drawn["N"][4], strict=True)


def test_a_copy_of_a_session_draws_the_same(session: Session) -> None:
    assert (copy.copy(session).run(start=X[:2])["end"] == session.run(start=X[:2])["end"]).all()


# ------------------------------------------------------------------------------- refusals


ONES = np.ones((1, 4, 6, 2))


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"seed": -1}, "E744", "the seed is -1"),
        ({"seed": 2**64}, "E744", "the seed is 18446744073709551616"),
        ({"seed": 0.0}, "E744", "the seed is 0.0"),
        ({"seed": True}, "E744", "the seed is True"),
        ({"rows": [1, 2]}, "E745", "rows are [1, 2], expected one number for each of the samples, 1 in all"),
        ({"rows": [-1]}, "E745", "rows are [-1], expected whole numbers"),
        ({"rows": [0.5]}, "E745", "rows are [0.5]"),
        ({"rows": -1}, "E745", "rows are -1"),
        ({"rows": "12"}, "E745", "rows are '12'"),
        ({"rows": [[1], [1, 2]]}, "E745", "rows are [[1], [1, 2]]"),
        ({"rows": []}, "E745", "rows are []"),
        ({"noise": {"w": ONES}}, "E746", "the model has no noise 'w'"),
        ({"noise": {"W": ONES[..., :1]}}, "E747", "the noise 'W' has the shape [1, 4, 6, 1], expected [1, 4, 6, 2]"),
        ({"noise": {"W": ONES[0, 0]}}, "E747", "the noise 'W' has the shape [6, 2]"),
        ({"noise": {"W": np.ones((2, 4, 6, 2))}}, "E747", "the noise 'W' has the shape [2, 4, 6, 2]"),
        ({"noise": {"W": np.full((1, 4, 6, 2), np.nan)}}, "E735", "W[0, 0, 0, 0] is nan"),
        ({"noise": {"W": [["a"]]}}, "E732", "'W' holds text"),
        ({"W": ONES}, "E748", "'W' is a noise of the model, not an input"),
    ],
)
def test_what_is_asked_wrongly_is_refused(session: Session, asked: dict[str, Any], code: str, said: str) -> None:
    for x in (X[:1], X[0]):
        with pytest.raises(InputError) as caught:
            session.run(start=x, **asked)
        assert caught.value.code == code
        assert said in caught.value.message


def test_an_axis_may_be_left_out_of_one_sample_alone(session: Session) -> None:
    with pytest.raises(InputError, match="E747"):
        session.run(start=X[:2], noise={"W": ONES[0]})


@pytest.mark.parametrize("word", ["seed", "rows", "noise"])
def test_a_model_without_noise_takes_no_seed(write_artifact, word: str) -> None:
    session = load(write_artifact())
    assert (session.noises, session.noise(range(3))) == ((), {})
    with pytest.raises(InputError, match=f"so `{word}` says nothing") as caught:
        session.run(first=[1, 2], **{word: {} if word == "noise" else 3})
    assert f"session.run({{'{word}': ...}})" in str(caught.value)


def test_an_input_that_is_called_seed_is_in_the_mapping(write_artifact) -> None:
    model = driven(W)
    model.graph.input[0].name = model.graph.node[1].input[0] = "seed"
    session = load(write_artifact(model, inputs=(replace(START, name="seed"),), outputs=(PATH,), noises=(W,)))
    found = session.run({"seed": X[:3]}, seed=4)["end"]
    np.testing.assert_allclose(found, expected(X[:3], range(3), 4, W), rtol=1e-5, atol=1e-5)


def test_noise_that_does_not_fit_into_memory_is_not_drawn(write_artifact) -> None:
    many = replace(W, samples=2**24, steps=2**20)
    session = load(
        write_artifact(
            driven(many), inputs=(START,), outputs=(replace(PATH, shape=("batch", 2**24, 2)),), noises=(many,)
        )
    )
    with pytest.raises(RunError, match="E784"):
        session.run(start=X[:1])


# ------------------------------------------------------------------------------- explanations


def test_explanations_have_the_noise_of_the_run(write_artifact) -> None:
    """The attribute.onnx of this test answers the end of a path, so that it can be compared with that of the run."""
    explained = driven(W)
    explained.graph.output[0].name = explained.graph.node[-1].output[0] = "end_score"
    content = explained.SerializeToString()
    folder = write_artifact(driven(W, N), inputs=(START,), outputs=(PATH,), noises=(W, N))
    manifest = read_manifest((folder / "manifest.json").read_bytes(), "manifest.json")
    score = replace(PATH, name="end_score")
    info = AttributionInfo((START, W.port()), (score,), (), (AttributionResult("end_score", "end", "", "score"),))
    files = {**manifest.files, "attribute.onnx": describe_file(content)}
    (folder / "attribute.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(to_json(replace(manifest, files=files, attribution=info)))
    session = load(folder)
    counts = np.zeros((4, 6, 2))
    cases: tuple[dict[str, Any], ...] = ({}, {"seed": 7}, {"seed": 7, "rows": [12]}, {"noise": {"W": 2 * ONES}})
    for asked in cases:
        noise = {"N": counts, **asked.get("noise", {})}
        found = session.attribute({"start": X[12:13]}, **{**asked, "noise": noise})["end_score"]
        np.testing.assert_allclose(found, session.run(start=X[12:13], **{**asked, "noise": noise})["end"], **CLOSE)
    with pytest.raises(InputError, match="E745"):
        session.attribute({"start": X[:2]}, rows=[1])
    with pytest.raises(InputError, match="E744"):
        session.attribute({"start": X[:2]}, seed=-1)

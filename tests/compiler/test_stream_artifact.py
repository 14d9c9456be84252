"""The artifact of a stream: its files by onnxruntime against the model's own, its proof, its manifest, its messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import isocline
from isocline.summary import certificate_lines
from isocline_compiler.certify.certificate import StreamProof
from isocline_compiler.certify.streamed import missed_steps
from isocline_compiler.driver import Compiled
from isocline_compiler.streaming import step as streaming
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load

SCAN = """dyn 1
model filter
input xs: real[30, 2] in (-1, 1); input gain: real in (0.5, 2)
param a: real = 0.6
h = scan (x) over (xs) from h = [0, gain] { h = tanh(a*h + gain*x) }
output each = 3*h
output last = h[-1]
output middle = mean(h, axes=[0])
deploy { stream }
"""
SOLVE = """dyn 1
model driven
input x0: real[2] in (-1, 1); input us: real[21] in (-1, 1)
control u = hold(us, step=0.1)
field f(t, x: real[2]) { x' = -x + u(t)*sin(t) }
path = solve f from x = x0 at 0..2 step 0.1
output path
deploy { solver %s; stream }
"""
NOISE = """dyn 1
model market
input s0: real in (0.5, 1.5)
field f(t, s: real) {
  noise W: brownian[1]
  ds = 0.1*s dt + 0.3*s dW[0]
}
path = solve f from s = s0 at 0..1 step 0.1 with euler_maruyama(steps=40) samples 6
output path
output price = mean(path, over=samples)
deploy { stream }
"""
BALL = """dyn 1
model ball
input start: real in (0.5, 2)
field fall(t, height, speed: real) {
  height' = speed
  speed' = -9.81
  when height < 0 { speed = -0.9*speed }
}
path = solve fall from height = start, speed = 0 at 0..2 step 0.1 with rk4(steps=40)
output height = path.height
deploy { stream }
"""
PAST = """dyn 1
model late
input start: real in (0.5, 2)
field f(t, x: real) { x' = -0.8*x(t - 0.47) }
path = solve f from x(s) = start*cos(s) at 0..2 step 0.1 with rk4(steps=40)
output x = path
deploy { stream }
"""
ENSEMBLE = """dyn 1
model kept
input x0: real[2] in (-1, 1); input us: real[11] in (-1, 1)
control u = linear(us, step=0.1)
field f(t, x: real[2]) { x' = u(t) - (x |> gaussian_noise(0.1) |> dropout(0.2)) }
path = solve f from x = x0 |> dropout(0.3) at 0..1 step 0.1
output y = path |> dropout(0.1)
output spread = std(path, over=samples)
output last = tanh(path[-1])
deploy { samples 6; solver %s; stream }
"""
MEMBERS = """dyn 1
model members
input xs: real[9, 2] in (-1, 1)
h = scan (x) over (xs) from h = zeros(2) { h = tanh(0.5*h + dropout(dropout(x, 0.2), 0.1)) }
output each = 3*h
output spread = std(h[-1], over=samples)
deploy { samples 5; stream }
"""
TEXTS = {
    "scan": SCAN, "rk4": SOLVE % "rk4(steps=40)", "ab3": SOLVE % "ab3(steps=40)", "auto": SOLVE % "auto(error=1e-3)",
    "noise": NOISE, "events": BALL, "past": PAST, "ensemble": ENSEMBLE % "rk4(steps=20)",
    "remembering ensemble": ENSEMBLE % "ab3(steps=20)", "members": MEMBERS,
}  # fmt: skip
EXACT = frozenset({"scan", "noise", "events", "past", "members"})
"""Whose steps are the operators that the model has, in the same order."""


@pytest.fixture(scope="module", params=TEXTS)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Compiled]:
    folder = tmp_path_factory.mktemp("streams") / request.param
    return request.param, isocline.compile(isocline.model(TEXTS[request.param]), folder)


def given(name: str, rows: int = 3) -> dict[str, Any]:
    draw = np.random.default_rng(5)
    return {
        "scan": {"xs": draw.uniform(-1, 1, (rows, 30, 2)), "gain": draw.uniform(0.6, 1.9, rows)},
        "noise": {"s0": draw.uniform(0.6, 1.4, rows)},
        "events": {"start": draw.uniform(0.6, 1.9, rows)},
        "past": {"start": draw.uniform(0.6, 1.9, rows)},
        "ensemble": {"x0": draw.uniform(-0.9, 0.9, (rows, 2)), "us": draw.uniform(-0.9, 0.9, (rows, 11))},
        "remembering ensemble": {"x0": draw.uniform(-0.9, 0.9, (rows, 2)), "us": draw.uniform(-0.9, 0.9, (rows, 11))},
        "members": {"xs": draw.uniform(-0.9, 0.9, (rows, 9, 2))},
    }.get(name, {"x0": draw.uniform(-0.9, 0.9, (rows, 2)), "us": draw.uniform(-0.9, 0.9, (rows, 21))})


def test_files_alone_are_the_model(compiled: tuple[str, Compiled]) -> None:
    """By plain onnxruntime, which knows no manifest: presents become pasts."""
    name, artifact = compiled
    info = artifact.manifest.stream
    assert info is not None
    start, step = (onnxruntime.InferenceSession(artifact.folder / file) for file in ("start.onnx", "step.onnx"))
    session = load(artifact.folder)
    inputs = {key: np.asarray(value, np.float32) for key, value in given(name).items()}
    noise = {"seed": 7, "rows": [3, 1, 4]} if session.noises else {}
    whole = session.run(inputs, **noise)
    if session.noises:
        inputs |= session.noise([3, 1, 4], seed=7)

    def taken(sequence: Any, i: int) -> Any:
        entries = sequence.at(i)
        part = np.take(inputs[sequence.name], entries, sequence.axis)
        return part if sequence.window else part.squeeze(sequence.axis)

    def first(item: Any) -> Any:
        axis = next((x.axis for x in info.sequences if x.name == item.name), None)
        value = inputs.get(item.name, np.zeros(3, np.float32))
        return value if axis is None else np.take(value, range(item.shape[axis]), axis)

    names = [item.name for item in start.get_outputs()]
    begun = dict(zip(names, start.run(None, {x.name: first(x) for x in start.get_inputs()}), strict=True))
    states = {pair.input: begun[pair.initial] for pair in info.states}
    answers: list[dict[str, Any]] = []
    assert info.steps is not None
    for i in range(info.steps):
        feed = {**inputs, **states, **{key: begun[key] for key in info.held}}
        feed |= {sequence.name: taken(sequence, i) for sequence in info.sequences}
        wanted = {item.name: feed[item.name] for item in step.get_inputs()}
        answers.append(dict(zip([x.name for x in step.get_outputs()], step.run(None, wanted), strict=True)))
        states = {pair.input: answers[-1][pair.output] for pair in info.states}
    for output in info.outputs:
        expected = whole[output.name]
        if output.axis is None:
            np.testing.assert_allclose(answers[-1][output.name], expected, rtol=1e-6, atol=1e-6)
            continue
        after = expected.shape[output.axis] - info.steps
        found = np.stack([answer[output.name] for answer in answers], output.axis)
        np.testing.assert_allclose(
            found, np.take(expected, range(after, expected.shape[output.axis]), output.axis), rtol=1e-6, atol=1e-6
        )


def test_a_session_streams_what_it_runs(compiled: tuple[str, Compiled], tmp_path: Path) -> None:
    """Saved in the middle, resumed in another session, with the noise of the same rows."""
    name, artifact = compiled
    session, info = load(artifact.folder), artifact.manifest.stream
    assert info is not None
    inputs = given(name)
    noise = {"seed": 7, "rows": [3, 1, 4]} if session.noises else {}
    whole = session.run(inputs, **noise)
    sequences = {x.name: x for x in info.sequences if x.name in inputs}
    fixed = {key: inputs[key] for key in inputs if key not in sequences or info.behind}
    stream = session.stream(fixed, **noise)
    parts = {key: [stream.first[key]] for key in info.first}
    for i in range(info.steps or 0):
        if i == 5:
            stream.save(tmp_path / "state.npz")
            stream = load(artifact.folder).resume(tmp_path / "state.npz")
            assert stream.position == 5 + info.behind
        read = {key: x.at(i) if x.window else x.at(i)[0] for key, x in sequences.items()}
        answer = stream.step({key: np.take(inputs[key], read[key], x.axis) for key, x in sequences.items()})
        for output in info.outputs:
            if output.axis is not None:
                parts.setdefault(output.name, []).append(np.expand_dims(answer[output.name], output.axis))
    assert stream.ended
    for output in info.outputs:
        found = answer[output.name] if output.axis is None else np.concatenate(parts[output.name], output.axis)
        if name in EXACT:
            np.testing.assert_array_equal(found, whole[output.name])
        else:
            np.testing.assert_allclose(found, whole[output.name], rtol=1e-6, atol=1e-6)


def test_the_proof_is_told_and_measured_again(compiled: tuple[str, Compiled]) -> None:
    name, artifact = compiled
    proof = artifact.certificate["stream"]
    info = artifact.manifest.stream
    assert info is not None
    assert proof["errors"].keys() == {x.name for x in info.outputs}
    assert max(proof["errors"].values()) <= 1e-6
    assert (proof["same"] == list(proof["errors"])) == (name in EXACT)
    assert any(line.startswith("stream ") for line in certificate_lines(artifact.certificate))
    found = isocline.verify(artifact.folder)
    again = {claim.name: claim for claim in found.claims if claim.name.startswith("steps of ")}
    assert again.keys() == {f"steps of {output}" for output in proof["errors"]}
    assert all(claim.holds for claim in again.values()), found
    assert "Step by step" in (artifact.folder / "report.html").read_text()


def test_a_step_that_differs_stops_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A state that is a thousandth too large after each step."""
    made = streaming.stream_graphs

    def wrong(asked: Any) -> Any:
        found = made(asked)
        outputs = {key: x * 1.001 if key == "present_h" else x for key, x in found.step.outputs.items()}
        return replace(found, step=found.step.with_outputs(outputs))

    monkeypatch.setattr("isocline_compiler.pipeline.stream_graphs", wrong)
    with pytest.raises(IsoclineError) as caught:
        isocline.compile(isocline.model(SCAN), tmp_path / "wrong")
    assert {fault.code for fault in caught.value.diagnostics} == {"E695"}
    assert "in steps differs from the model by" in str(caught.value)
    assert not (tmp_path / "wrong").exists()


def test_a_bound_is_missed_by_what_is_larger() -> None:
    model = isocline.model(SCAN)
    proof = StreamProof("h", 30, 8, {"each": 3e-6, "last": 1e-6}, {"each": 1e-6, "last": 1e-6}, (), ())
    (fault,) = missed_steps(model, proof)
    assert fault.message == "`each` in steps differs from the model by 3.0e-06; the bound is 1e-06"
    assert not missed_steps(model, replace(proof, errors={"each": 1e-6}))


def test_the_manifest_says_what_goes_round(compiled: tuple[str, Compiled]) -> None:
    name, artifact = compiled
    stream = json.loads((artifact.folder / "manifest.json").read_text())["stream"]
    pairs = {(pair["input"], pair["output"], pair["initial"]) for pair in stream["states"]}
    assert all(a[5:] == b[8:] == c[8:] for a, b, c in pairs)
    counts = {"scan": (30, 0), "rk4": (20, 0), "ab3": (19, 1), "noise": (10, 0)}
    if name in counts:
        assert (stream["steps"], stream["behind"]) == counts[name]
    assert stream["whole"] == (["middle"] if name == "scan" else [])


def test_a_fixed_batch_streams(tmp_path: Path) -> None:
    text = SCAN.replace("deploy {", "deploy { batch 4;")
    artifact = isocline.compile(isocline.model(text), tmp_path / "four")
    session, inputs = load(artifact.folder), given("scan", 4)
    whole = session.run(inputs)
    stream = session.stream(gain=inputs["gain"])
    for i in range(30):
        answer = stream.step(xs=inputs["xs"][:, i])
        np.testing.assert_array_equal(answer["each"], whole["each"][:, i])

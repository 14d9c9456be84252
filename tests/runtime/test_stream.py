"""Streams by models that are not ours: a running sum, h + x from `start`, of any number of steps or of three."""

from __future__ import annotations

import io
import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from isocline_runtime import load
from isocline_runtime.csv_rows import read_csv_rows
from isocline_runtime.errors import InputError, RunError
from isocline_runtime.manifest import Port, StreamInfo
from isocline_runtime.stream_info import StatePair, StreamOutput, StreamSequence
from tests.runtime.conftest import WriteArtifact, make_model, tensor

VALUE, SERIES = Port("x", "float32", ("batch",)), Port("x", "float32", ("batch", "T"), high=100.0)
FIRST, PAST = Port("start", "float32", ("batch",)), Port("past_h", "float32", ("batch",))


def info(steps: int | None) -> StreamInfo:
    return StreamInfo(
        "h", (FIRST,), (Port("initial_h", "float32", ("batch",)),), (replace(VALUE, high=100.0), PAST),
        (Port("total", "float32", ("batch",)), Port("present_h", "float32", ("batch",))),
        (StatePair("past_h", "present_h", "initial_h"),), (), (StreamSequence("x", 1, 0),),
        (StreamOutput("total", 1),), (), (), (), steps, 0, 1,
    )  # fmt: skip


def summing(write_artifact: WriteArtifact, steps: int | None = None) -> Path:
    axis = numpy_helper.from_array(np.array(1, np.int64), "one")
    column = numpy_helper.from_array(np.array([1], np.int64), "column")
    whole = make_model(
        [
            helper.make_node("CumSum", ["x", "one"], ["sums"]),
            helper.make_node("Unsqueeze", ["start", "column"], ["first"]),
            helper.make_node("Add", ["sums", "first"], ["total"]),
        ],
        [tensor("x", ["batch", "T"]), tensor("start", ["batch"])],
        [tensor("total", ["batch", "T"])],
        (axis, column),
    )
    step = make_model(
        [
            helper.make_node("Add", ["past_h", "x"], ["present_h"]),
            helper.make_node("Identity", ["present_h"], ["total"]),
        ],
        [tensor("x", ["batch"]), tensor("past_h", ["batch"])],
        [tensor("total", ["batch"]), tensor("present_h", ["batch"])],
    )
    begin = make_model(
        [helper.make_node("Identity", ["start"], ["initial_h"])],
        [tensor("start", ["batch"])],
        [tensor("initial_h", ["batch"])],
    )
    extra = {"step.onnx": step.SerializeToString(), "start.onnx": begin.SerializeToString()}
    return write_artifact(
        whole, extra, inputs=(SERIES, FIRST), outputs=(Port("total", "float32", ("batch", "T")),), stream=info(steps)
    )


def test_steps_add_up_for_one_sample_and_for_many(write_artifact: WriteArtifact) -> None:
    session = load(summing(write_artifact))
    draw = np.random.default_rng(0)
    x, start = draw.normal(size=(4, 9)), draw.normal(size=4)
    whole = session.run(x=x, start=start)["total"]
    stream = session.stream(start=start)
    found = [stream.step(x=x[:, i])["total"] for i in range(9)]
    np.testing.assert_allclose(np.stack(found, 1), whole, rtol=1e-6)
    assert stream.position == 9
    np.testing.assert_array_equal(stream.state["past_h"], found[-1])
    single = session.stream(start=start[1])
    np.testing.assert_array_equal([single.step({"x": value})["total"] for value in x[1]], np.stack(found, 1)[1])


def test_a_stream_begins_again(write_artifact: WriteArtifact) -> None:
    stream = load(summing(write_artifact, 3)).stream(start=1.0)
    first = [float(stream.step(x=2.0)["total"]) for _ in range(3)]
    assert stream.ended
    with pytest.raises(RunError) as caught:
        stream.step(x=2.0)
    assert str(caught.value).splitlines()[0] == "error[E791]: hare: `h` ends after 3 steps, and the stream is there"
    stream.restart()
    assert [float(stream(x=2.0)["total"]) for _ in range(3)] == first == [3.0, 5.0, 7.0]


def test_a_refused_step_leaves_the_state_as_it_was(write_artifact: WriteArtifact) -> None:
    stream = load(summing(write_artifact)).stream(start=[1.0, 2.0])
    stream.step(x=[1.0, 1.0])
    wrong: dict[str, Any] = {"E733": [[1.0]], "E735": [np.nan, 0.0], "E736": [100.0, 0.0], "E793": [1.0, 2.0, 3.0]}
    for code, value in wrong.items():
        with pytest.raises(InputError) as caught:
            stream.step(x=value)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        stream.step(y=[1.0, 2.0])
    assert caught.value.code == "E730"
    assert (stream.position, stream.state["past_h"].tolist()) == (1, [2.0, 3.0])


def test_a_saved_stream_goes_on(write_artifact: WriteArtifact, tmp_path: Path) -> None:
    folder, place = summing(write_artifact), tmp_path / "state.npz"
    stream = load(folder).stream(start=[0.1, 0.2])
    draw = np.random.default_rng(1).normal(size=(20, 2))
    for value in draw[:10]:
        stream.step(x=value)
    stream.save(place)
    again = load(folder).resume(place)
    for value in draw[10:]:
        np.testing.assert_array_equal(again.step(x=value)["total"], stream.step(x=value)["total"])
    again.restart()
    assert (again.position, again.state["past_h"].tolist()) == (0, np.float32([0.1, 0.2]).tolist())


def altered(content: bytes, **changed: Any) -> bytes:
    """A saved state with arrays replaced, or with other words about itself."""
    arrays = dict(np.load(io.BytesIO(content)))
    about = json.loads(bytes(arrays["about"]))
    for key, value in changed.items():
        if key in about:
            about[key] = value
        else:
            arrays[key.replace("__", "/")] = value
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    sink = io.BytesIO()
    np.savez(sink, **{key: value for key, value in arrays.items() if value is not None})
    return sink.getvalue()


STATES = [
    ({"step": "0" * 64}, "it is of the step 000000000000..., not "),
    ({"about": None}, "what it says about itself cannot be read"),
    ({"batch": "x"}, "what it says about itself cannot be read"),
    ({"state__past_h": None}, "`past_h` is missing"),
    ({"state__past_h": np.zeros(3, np.float32)}, "`past_h` is float32[3], expected float32[2]"),
    ({"state__past_h": np.zeros(2)}, "`past_h` is float64[2], expected float32[2]"),
    ({"state__past_h": np.array([1, np.inf], np.float32)}, "`past_h` is not finite"),
    ({"position": 4}, "it has done 4 steps"),
]


@pytest.mark.parametrize(("changed", "said"), STATES)
def test_what_is_no_state_is_refused(
    write_artifact: WriteArtifact, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    session, place = load(summing(write_artifact, 3)), tmp_path / "state.npz"
    session.stream(start=[0.1, 0.2]).save(place)
    content = place.read_bytes()
    if "about" in changed:
        sink = io.BytesIO()
        np.savez(sink, x=np.zeros(1))
        place.write_bytes(sink.getvalue())
    else:
        place.write_bytes(altered(content, **changed))
    with pytest.raises(InputError) as caught:
        session.resume(place)
    assert caught.value.code == "E792"
    assert caught.value.message.startswith(f"{place} is no state of this stream: {said}")


def test_a_model_without_steps_says_so(write_artifact: WriteArtifact) -> None:
    with pytest.raises(RunError) as caught:
        load(write_artifact()).stream()
    assert str(caught.value) == (
        "error[E790]: hare cannot be run step by step\n  hint: write `stream` into its `deploy` block and compile"
    )


def test_a_start_with_the_wrong_inputs_is_refused(write_artifact: WriteArtifact) -> None:
    session = load(summing(write_artifact))
    for given, code in (({}, "E730"), ({"start": 1.0, "z": 1.0}, "E731"), ({"start": np.inf}, "E735")):
        with pytest.raises(InputError) as caught:
            session.stream(given)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        session.stream(start=[1.0, 2.0], batch=3)
    assert caught.value.code == "E793"
    with pytest.raises(InputError) as caught:
        session.stream(start=1.0, seed=3)
    assert caught.value.code == "E743"


def test_memory_does_not_grow_with_the_steps(write_artifact: WriteArtifact) -> None:
    stream = load(summing(write_artifact)).stream(start=0.0)
    for _ in range(500):
        stream.step(x=1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5000):
        stream.step(x=1.0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096, "kilobytes"


def test_rows_of_a_csv_come_one_by_one() -> None:
    ports = (Port("x", "float32", ("batch",)), Port("u", "float32", ("batch", 2)))
    lines = iter(["# sensors\n", "\n", "u[0];u[1];x;other\n", "1;2;3;a\n", "\n", "4;5;6;b\n", "7;8\n"])
    rows = read_csv_rows(Path("f.csv"), lines, ports)
    first = next(rows)
    assert (first["x"].tolist(), first["u"].tolist()) == ([3.0], [[1.0, 2.0]])
    assert next(lines) == "\n", "nothing is read ahead"
    assert next(rows)["x"].tolist() == [6.0]
    with pytest.raises(InputError, match=r"f\.csv.*line 6"):
        next(rows)


def test_the_manifest_describes_both_files_or_neither(write_artifact: WriteArtifact) -> None:
    with pytest.raises(ValueError, match=r"step\.onnx and start\.onnx are described"):
        write_artifact(extra={"step.onnx": onnx.ModelProto().SerializeToString()})

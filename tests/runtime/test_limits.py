"""A loaded model cannot take its host down: what is too large, too long or without an end is refused or stopped."""

from __future__ import annotations

import os
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isocline_runtime import limits, tables
from isocline_runtime.errors import ArtifactError, InputError, RunError
from isocline_runtime.loading import load
from isocline_runtime.manifest import Port, SolveInfo
from tests.runtime.conftest import make_model, tensor


def endless() -> onnx.ModelProto:
    """y = x + 10^12 times 0, one at a time."""
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "zero"], ["w"]), helper.make_node("Identity", ["go"], ["still"])],
        "body",
        [tensor("i", [], TensorProto.INT64), tensor("go", [], TensorProto.BOOL), tensor("v", ["batch", 2])],
        [tensor("still", [], TensorProto.BOOL), tensor("w", ["batch", 2])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "zero")],
    )
    count = numpy_helper.from_array(np.array(10**12, np.int64), "count")
    node = helper.make_node("Loop", ["count", "", "first"], ["forecast"], body=body)
    return make_model([node], [tensor("first", ["batch", 2])], [tensor("forecast", ["batch", 2])], (count,))


def swollen(entries: int) -> onnx.ModelProto:
    """A few bytes of a file that ask for `entries` numbers."""
    shape = numpy_helper.from_array(np.array([entries, 1, 2], np.int64), "shape")
    axes = numpy_helper.from_array(np.array([0], np.int64), "axes")
    nodes = [
        helper.make_node("Expand", ["first", "shape"], ["wide"]),
        helper.make_node("ReduceMean", ["wide", "axes"], ["forecast"], keepdims=0),
    ]
    return make_model(nodes, [tensor("first", ["batch", 2])], [tensor("forecast", ["batch", 2])], (shape, axes))


def test_a_loop_without_an_end_is_ended(write_artifact: Any) -> None:
    session = load(write_artifact(endless()), seconds=0.3)
    begun = time.monotonic()
    with pytest.raises(RunError, match=r"E783.*stopped after 0\.3 s"):
        session.run(first=[[1.0, 2.0]])
    assert time.monotonic() - begun < 3


def test_every_run_has_its_own_time(write_artifact: Any) -> None:
    """Short runs beside a long one, and after it, are not ended with it."""
    long, short = load(write_artifact(endless()), seconds=0.5), load(write_artifact(), seconds=60)
    ended: list[str] = []

    def run_long() -> None:
        with pytest.raises(RunError) as caught:
            long.run(first=[[1.0, 2.0]])
        ended.append(caught.value.code)

    threads = [threading.Thread(target=run_long) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        np.testing.assert_array_equal(short.run(first=[[1.0, 2.0]])["forecast"], [[7, 10]])
    assert ended == ["E783"] * 3


def test_a_run_that_is_shorter_than_one_before_is_ended_first(write_artifact: Any) -> None:
    folder = write_artifact(endless())
    slow, quick = load(folder, seconds=3), load(folder, seconds=0.2)

    def run_slow() -> None:
        with pytest.raises(RunError):
            slow.run(first=[[1.0, 2.0]])

    thread = threading.Thread(target=run_slow)
    thread.start()
    time.sleep(0.1)
    begun = time.monotonic()
    with pytest.raises(RunError, match="E783"):
        quick.run(first=[[1.0, 2.0]])
    assert time.monotonic() - begun < 1.5
    thread.join()


def test_no_end_is_possible_too(write_artifact: Any) -> None:
    found = load(write_artifact(), seconds=None).run(first=[[1.0, 2.0]])
    np.testing.assert_array_equal(found["forecast"], [[7, 10]])


def test_a_run_in_a_child_is_watched_too(write_artifact: Any) -> None:
    """A fork keeps no threads: the watchdog is started anew."""
    folder = write_artifact(endless())
    with pytest.raises(RunError):
        load(folder, seconds=0.1).run(first=[[1.0, 2.0]])
    child = os.fork()
    if child == 0:
        try:
            load(folder, seconds=0.1).run(first=[[1.0, 2.0]])
        except RunError as error:
            os._exit(0 if error.code == "E783" else 1)
        os._exit(2)
    deadline = time.monotonic() + 20
    status = None
    while status is None and time.monotonic() < deadline:
        found, code = os.waitpid(child, os.WNOHANG)
        status = code if found else None
        time.sleep(0.02)
    if status is None:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert status == 0


@pytest.mark.parametrize("entries", [10**8, 10**12, 2**60])
def test_a_tensor_beyond_the_memory_is_refused(write_artifact: Any, entries: int) -> None:
    session = load(write_artifact(swollen(entries)), memory=64 * 2**20)
    with pytest.raises(RunError) as caught:
        session.run(first=[[1.0, 2.0]])
    assert caught.value.code in ("E784", "E780")
    assert entries != 10**8 or "more than 67108864 bytes" in str(caught.value)


def test_each_session_has_its_own_memory(write_artifact: Any) -> None:
    folder = write_artifact(swollen(10**7))  # 80 MB
    sessions = [load(folder, memory=size * 2**20) for size in (64, 512, 64)]
    with pytest.raises(RunError, match="E784"):
        sessions[0].run(first=[[1.0, 2.0]])
    np.testing.assert_allclose(sessions[1].run(first=[[1.0, 2.0]])["forecast"], [[1, 2]])
    with pytest.raises(RunError, match="E784"):
        sessions[2].run(first=[[1.0, 2.0]])


def test_the_default_is_most_of_the_machine() -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.5 * whole < limits.memory_limit(None) < 0.9 * whole


def test_loops_count_by_the_steps_of_the_manifest(write_artifact: Any) -> None:
    """Three nodes, two of them in a body: 1 + 2 * 10^12/5."""
    solve = SolveInfo("f", "rk4", 10**12, None, 4 * 10**12, segment=5)
    folder = write_artifact(endless(), solves=(solve,))
    with pytest.raises(ArtifactError, match=r"E719.*400000000001 operations"):
        load(folder)
    load(folder, operation_limit=10**13)


def test_a_manifest_of_absurd_size_is_not_read(write_artifact: Any) -> None:
    """It is sparse: to read it would take a terabyte."""
    folder = write_artifact()
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ArtifactError, match=r"E709.*1000000000000 bytes"):
        load(folder)


def test_a_certificate_of_absurd_size_is_not_read(write_artifact: Any) -> None:
    folder = write_artifact(extra={"certificate.json": b"{}"})
    with (folder / "certificate.json").open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ArtifactError, match="E709"):
        load(folder)


@pytest.mark.parametrize("name", ["x.npz", "x.csv", "x.json", "x.parquet"])
def test_inputs_of_absurd_size_are_not_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match=r"E751.*1000000000000 bytes"):
        tables.read_inputs(tmp_path / name, (Port("k", "float64", ("batch",)),))


def test_an_npz_that_unpacks_to_absurd_size_is_not_unpacked(tmp_path: Path) -> None:
    """Ten megabytes of zeros in a few kilobytes, against a limit of one."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("k.npy", bytes(10 * 2**20))
    before = tables.INPUT_LIMIT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isocline_runtime.named_arrays.INPUT_LIMIT", 2**20)
        with pytest.raises(InputError, match=r"E751.*unpacks to"):
            tables.read_inputs(tmp_path / "x.npz", (Port("k", "float64", ("batch",)),))
    assert before == 4 * 2**30

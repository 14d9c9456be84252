"""Isocline from Python, as it is typed: positions, texts, tables in memory, errors with places, copies of sessions."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isocline
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime.errors import ArtifactError
from tests.conftest import DECAY
from tests.runtime.test_frames import Frame

LINE = """dyn 1
model line
data { x = column(dose); y = column(effect) }
input x: real
target y: real
param k: real = 1
output z = k*x
train { loss mse(z, y); epochs 400; optimizer adam(lr=0.05) }
"""
DOSE, EFFECT = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 6.0, 9.0, 12.0])
TABLES: list[Callable[..., Any]] = [dict, Frame, lambda **columns: pa.table(columns)]


def answers(folder: Path) -> None:
    found = isocline.load(folder).run(start=[0.5])["remaining"]
    np.testing.assert_allclose(found, [0.5 * np.exp(-np.arange(5) / 4)], rtol=1e-4)


def test_the_folder_may_stand_second(dyn_file: Path, tmp_path: Path) -> None:
    compiled = isocline.compile(str(dyn_file), str(tmp_path / "a"))
    answers(compiled.folder)
    answers(isocline.build(dyn_file, tmp_path / "b").folder)
    assert repr(compiled) == f"<Compiled decay in {tmp_path / 'a'}>"


def test_a_model_from_text(tmp_path: Path) -> None:
    model = isocline.model(DECAY)
    assert repr(model) == "<Model decay: (start: real) -> (remaining: real[5])>"
    answers(isocline.compile(model, tmp_path / "a").folder)
    assert isocline.check(model) is model
    assert "model decay" in isocline.show(model, "tree")


def test_a_text_with_a_mistake_says_where() -> None:
    with pytest.raises(IsoclineError) as caught:
        isocline.model(DECAY.replace("-rate*x", "-rat*x"))
    assert str(caught.value) == (
        "error[E201]: nothing is called `rat` here\n"
        "  --> <text>:9:9\n"
        "   9 |   x' = -rat*x\n"
        "     |         ^^^\n"
        "  hint: did you mean `rate`?"
    )


def test_an_error_is_short_in_a_list_and_survives_a_pickle() -> None:
    with pytest.raises(IsoclineError) as caught:
        isocline.model("dyn 1\nmodel m\noutput y = z\n")
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.diagnostics == error.diagnostics
    assert repr(error).startswith("IsoclineError(E")
    assert "\n" not in repr(error)


@pytest.mark.parametrize("make", TABLES)
def test_training_on_a_table_in_memory(tmp_path: Path, make: Callable[..., Any]) -> None:
    """effect = 3 dose; columns that are not used may hold anything."""
    data = make(name=np.array(["a", "b", "c", "d"]), effect=EFFECT, dose=DOSE)
    result = isocline.train(isocline.model(LINE), tmp_path / "run", data=data, device="cpu")
    np.testing.assert_allclose(result.weights["k"], 3, atol=1e-3)
    assert repr(result) == f"<TrainingResult in {tmp_path / 'run'}: 400 epochs>"
    compiled = isocline.build(isocline.model(LINE), tmp_path / "out", data=data, run=tmp_path / "other", device="cpu")
    found = isocline.load(compiled.folder).run(make(dose=np.array([10.0, 20.0])))
    np.testing.assert_allclose(found["z"], [30, 60], rtol=1e-3)


def test_a_table_of_lists_and_of_integers(tmp_path: Path) -> None:
    data = {"dose": [1, 2, 3, 4], "effect": [3, 6, 9, 12]}
    result = isocline.train(isocline.model(LINE), tmp_path, data=data, device="cpu")
    np.testing.assert_allclose(result.weights["k"], 3, atol=1e-3)


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        ({"dose": DOSE}, "E509", "no column `effect`"),
        ({"dose": DOSE, "effect": [3.0, None, 9.0, 12.0]}, "E513", "column `effect`"),
        ({"dose": DOSE, "effect": ["a", "b", "c", "d"]}, "E511", "`a` is not a number"),
        ({"dose": DOSE, "effect": EFFECT[:2]}, "E518", "`x` has 4 samples"),
        (Frame(dose=DOSE, effect=np.array(["2014-01-01"] * 4, "M8[D]")), "E512", "2014-01-01"),
        ({}, "E505", "no rows"),
        ([1.0, 2.0], "E504", "a list has no columns"),
        (np.ones((4, 2)), "E504", "a ndarray has no columns"),
    ],
)
def test_a_table_that_does_not_fit_is_told_as_a_file_is(tmp_path: Path, data: Any, code: str, part: str) -> None:
    with pytest.raises(IsoclineError) as caught:
        isocline.train(isocline.model(LINE), tmp_path, data=data, device="cpu")
    assert caught.value.diagnostics[0].code == code
    assert part in str(caught.value)


def test_a_session_is_its_folder(dyn_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy loads it again, with the same limits, from another working directory too."""
    monkeypatch.chdir(tmp_path)
    isocline.compile(dyn_file, "art")
    session = isocline.load("art", threads=2, seconds=5)
    content = pickle.dumps(session)
    assert len(content) < 5000
    monkeypatch.chdir(tmp_path.parent)
    for again in (pickle.loads(content), copy.deepcopy(session)):
        assert again._limits == session._limits
        np.testing.assert_array_equal(again.run(start=[0.5])["remaining"], session.run(start=[0.5])["remaining"])
    child = "import pickle, sys; print(pickle.load(sys.stdin.buffer).run(start=[0.5])['remaining'].shape)"
    done = subprocess.run([sys.executable, "-c", child], input=content, capture_output=True, check=True)
    assert done.stdout == b"(1, 5)\n"


def test_a_copy_of_a_session_whose_folder_was_built_anew_is_refused(dyn_file: Path, tmp_path: Path) -> None:
    isocline.compile(dyn_file, tmp_path / "a")
    content = pickle.dumps(isocline.load(tmp_path / "a"))
    dyn_file.write_text(dyn_file.read_text().replace("0.5 unit", "0.7 unit"))
    isocline.compile(dyn_file, tmp_path / "a")
    with pytest.raises(ArtifactError, match="E708"):
        pickle.loads(content)


def test_a_session_with_many_inputs_is_short(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(40)]
    inputs = "\n".join(f"input {name}: real in (0, 1)" for name in names)
    model = isocline.model(f"dyn 1\nmodel wide\n{inputs}\noutput y = {' + '.join(names)}\n")
    assert repr(model).endswith("x5: real, ... 34 more) -> (y: real)>")
    session = isocline.load(isocline.compile(model, tmp_path / "a").folder)
    assert len(repr(session)) < 250
    assert "... 34 more" in repr(session)

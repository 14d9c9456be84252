"""Panels around the likelihood: what is deployed, rows kept apart, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.data import Dataset
from isocline_compiler.driver import dataset_of
from isocline_compiler.lower.check import model
from isocline_compiler.training.fit import train
from isocline_dsl import IsoclineError
from tests.training.test_panels import DECAY, FIT, INTERCEPTS, balanced, decays

# ------------------------------------------------------------------------------------------------ deployment


def test_the_artifact_holds_each_members_value_and_the_populations_for_whoever_is_none(tmp_path: Path) -> None:
    text = DECAY.replace("{count}", "10")
    decay = decays()
    (tmp_path / "d.csv").write_text(
        "id,t,y\n" + "".join(f"{a},{b},{c}\n" for a, b, c in zip(*decay.values(), strict=True))
    )
    data = 'data { source "d.csv"; subject = column(id); t = column(t); y = column(y) }\n'
    data += "deploy { attribute mean wrt t by saliency, parameter_sensitivity }\n"
    fit = FIT.replace("{loss}", "gaussian_nll(mean, y, noise)").replace("{epochs}", "6")
    (tmp_path / "d.dyn").write_text(f"dyn 1\nmodel d\n{data}{text}{fit}")
    built = isocline.build(tmp_path / "d.dyn", tmp_path / "artifact", run=tmp_path / "run")
    values = {item["name"]: np.array(item["value"]) for item in built.certificate["parameters"]}
    answer = isocline.load(tmp_path / "artifact").run({"subject": np.arange(11), "t": np.full(11, 1.5)})["mean"]
    np.testing.assert_allclose(answer[:10], np.exp(-values["own"] * 1.5), rtol=1e-5)
    np.testing.assert_allclose(answer[10], np.exp(-values["k"] * 1.5), rtol=1e-5)
    named = isocline.load(tmp_path / "artifact").run({"subject": ["9", "nobody"], "t": [1.5, 1.5]})["mean"]
    np.testing.assert_allclose(named, answer[[9, 10]])
    frame = pyarrow.table({"id": [3, 77], "t": [1.5, 1.5]})  # a table names them as the data do, not by their places
    np.testing.assert_allclose(isocline.load(tmp_path / "artifact").run(frame)["mean"], answer[[3, 10]])
    told = isocline.attribute(tmp_path / "artifact", {"subject": ["9", "nobody"], "t": [1.5, 1.5]}).results
    own, middle = (-1.5 * np.exp(-1.5 * values[name]) for name in ("own", "k"))
    np.testing.assert_allclose(told["parameter_sensitivity_own"], np.diag(own)[[9, 9]] * [[1], [0]], atol=1e-6)
    np.testing.assert_allclose(told["parameter_sensitivity_k"], [0, middle], rtol=1e-4, atol=1e-6)
    (tmp_path / "asked.csv").write_text("t,id\n1.5,3\n1.5,3.0\n1.5,x\n")
    found = CliRunner().invoke(app, ["run", str(tmp_path / "artifact"), "-i", str(tmp_path / "asked.csv")])
    np.testing.assert_allclose(json.loads(found.stdout)["mean"], answer[[3, 3, 10]])
    assert "1 of 3 samples are of a `subject` that is none of the 10 known" in found.stderr
    assert isocline.verify(tmp_path / "artifact").holds
    report = (tmp_path / "artifact" / "report.html").read_text(encoding="utf-8")
    assert "Parameters of each subject" in report


# ------------------------------------------------------------------------------------------------ rows kept apart

WINDOWS = """dyn 1
model w
data {
  subject = column(id)
  week = past(2, x)
  next = future(1, x)
  SETTING
}
input subject: group[3]
input week: real[2]
target next: real[1]
param m: real
param s: positive
param b[subject]: real ~ normal(m, s)
output ahead = [b + week[1]]
train { loss gaussian_nll(ahead, next, s) }
"""
SERIES = {"id": ["a", "a", "a", "a", "b", "b", "b", "c", "c", "c", "c"], "x": np.arange(11.0)}


def loaded(text: str, columns: dict[str, Any]) -> Dataset:
    made = model(text)
    found = dataset_of(made, Path(), columns)
    assert found is not None
    return found


def test_windows_never_cross_from_one_subject_into_the_next() -> None:
    train = loaded(WINDOWS.replace("SETTING", ""), SERIES).train.arrays
    np.testing.assert_array_equal(train["week"], [[0, 1], [1, 2], [4, 5], [7, 8], [8, 9]])
    np.testing.assert_array_equal(train["next"][:, 0], [2, 3, 6, 9, 10])
    np.testing.assert_array_equal(train["subject"], [0, 0, 1, 2, 2])


def test_a_stride_begins_anew_with_each_subject() -> None:
    train = loaded(WINDOWS.replace("SETTING", "stride 2"), SERIES).train.arrays
    np.testing.assert_array_equal(train["week"], [[0, 1], [4, 5], [7, 8]])


def test_times_increase_within_subjects_and_begin_again_with_the_next() -> None:
    columns = {**SERIES, "hour": np.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3])}
    assert loaded(WINDOWS.replace("SETTING", "time hour"), columns).train.count == 5
    columns["hour"][1] = 5
    with pytest.raises(IsoclineError, match="E526"):
        loaded(WINDOWS.replace("SETTING", "time hour"), columns)


def test_a_column_may_keep_windows_apart_without_parameters_of_its_own() -> None:
    text = "dyn 1\nmodel w\ndata { week = past(2, x); next = future(1, x); group id }\n"
    text += "input week: real[2]\ntarget next: real[1]\nparam k: real\n"
    text += "output ahead = [k*week[1]]\ntrain { loss mse(ahead, next) }\n"
    np.testing.assert_array_equal(loaded(text, SERIES).train.arrays["next"][:, 0], [2, 3, 6, 9, 10])


@pytest.mark.parametrize("split", ["fraction(train=0.6, seed=4)", "tail(test=1)"])
def test_a_subject_is_in_one_part_of_a_split(split: str) -> None:
    found = loaded(WINDOWS.replace("SETTING", f"split {split}"), SERIES)
    assert found.test is not None
    assert not set(found.train.arrays["subject"]) & set(found.test.arrays["subject"])
    assert found.train.count + found.test.count == 5


WHOLE = """dyn 1
model w
data { subject = column(id); first = row(0, x); seen = rows(x) }
input subject: group[3]
input first: real
target seen: real[3]
param m: real
param s: positive
param b[subject]: real ~ normal(m, s)
output ahead = b + first
train { loss gaussian_nll(mean(seen) + ahead, first, s) }
"""


def test_all_rows_of_a_subject_are_one_sample() -> None:
    columns = {"id": [7, 7, 7, 3, 3, 3, 5, 5, 5], "x": np.arange(9.0)}
    found = loaded(WHOLE, columns)
    np.testing.assert_array_equal(found.train.arrays["seen"], [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(found.train.arrays["first"], [0, 3, 6])
    np.testing.assert_array_equal(found.train.arrays["subject"], [0, 1, 2])
    assert found.members == {"subject": ("7", "3", "5")}


# -------------------------------------------------------------------------------------------------- what is refused


def code(text: str, columns: dict[str, Any]) -> str:
    with pytest.raises(IsoclineError) as found:
        loaded(text, columns)
    (diagnostic,) = found.value.diagnostics
    return f"{diagnostic.code}: {diagnostic.message}"


def test_data_that_are_no_panel_are_refused() -> None:
    nine = {"id": [7, 7, 7, 3, 3, 3, 5, 5, 5], "x": np.arange(9.0)}
    windows = WINDOWS.replace("SETTING", "")
    assert code(WHOLE, {**nine, "id": [1, 1, 1, 2, 2, 2, 2, 2, 2]}) == (
        "E534: the column of `subject` names 2 members, and its type 3"
    )
    assert code(WHOLE.replace("column(id)", "row(0, id)"), nine).startswith("E535: `subject` says whose rows they are")
    assert code(WHOLE, {**nine, "id": [7, 7, 3, 3, 3, 3, 5, 5, 5]}) == (
        "E536: `seen` takes all rows of a subject, and 7 has 2, 3 4"
    )
    apart = {"id": ["a", "b", "a", "c"] * 3, "x": np.arange(12.0)}
    assert code(windows, apart) == "E537: the data that were given, line 3: `id` is a again, after rows of others"
    short = {"id": ["a", "a", "b", "b", "c", "c"], "x": np.arange(6.0)}
    assert (
        code(windows, short)
        == "E538: the data that were given: a window needs 3 rows of one subject, and none has more than 2"
    )


def test_a_row_of_nobody_and_a_column_that_is_not_there_are_told() -> None:
    windows = WINDOWS.replace("SETTING", "")
    assert code(windows, {**SERIES, "id": [*SERIES["id"][:-1], None]}).startswith("E513")
    text = "dyn 1\nmodel w\ndata { week = past(2, x); next = future(1, x); group idd }\n"
    text += "input week: real[2]\ntarget next: real[1]\nparam k: real\n"
    text += "output ahead = [k*week[1]]\ntrain { loss mse(ahead, next) }\n"
    assert code(text, SERIES).startswith("E509")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("gaussian_nll(mean, y, noise)", "mse(mean, y) + 0*noise"), "E438.* need a loss that is a log density"),
        (("precision float64", "precision float32"), "E439.* with `precision float64`, found `float32`"),
        (("epochs 8", "epochs 8\n  batch 4"), "E439.* with `batch unset, so that all samples are in each update`"),
        (("epochs 8", "epochs 8\n  gradient adjoint"), "E439.* with `gradient backprop`, found `adjoint`"),
    ],
)
def test_training_that_is_of_no_population_is_refused(change: tuple[str, str], expected: str, tmp_path: Path) -> None:
    _, columns = balanced()
    text = INTERCEPTS.replace("{count}", "12") + FIT.replace("{loss}", "gaussian_nll(mean, y, noise)")
    text = text.replace("{epochs}", "8").replace(*change)
    made = model(f"dyn 1\nmodel panel\ndata {{ subject = column(id); y = column(y) }}\n{text}")
    dataset = dataset_of(made, Path(), columns)
    assert dataset is not None
    with pytest.raises(IsoclineError, match=expected):
        train(made, dataset, tmp_path / "run")


def test_values_of_parameters_are_a_row_of_the_table() -> None:
    """In the graph a name is the number of the sample's member; the last row is the population's."""
    fit = FIT.replace("{loss}", "gaussian_nll(mean, y, noise)").replace("{epochs}", "1")
    made = model("dyn 1\nmodel m\n" + DECAY.replace("{count}", "3") + fit)
    own = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    given = {"own": own.log(), "k": torch.tensor(2.0, dtype=torch.float64).log(), "s": torch.zeros(())}
    given |= {"subject": torch.tensor([2, 0, 3]), "t": torch.ones(3, dtype=torch.float64)}
    (found,) = evaluate([made.graph.outputs["mean"]], given)
    np.testing.assert_allclose(found.numpy(), np.exp([-0.3, -0.1, -2.0]))

"""Defaults of inputs, from the file to a run: leaving an input out is giving its default."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_compiler.certify.samples import drawn
from isocline_compiler.data import load_data
from isocline_compiler.model import default_text
from isocline_runtime import InputError, load, read_inputs
from isocline_runtime.manifest import Port

DOSING = """dyn 1
model dosing
const usual = 10^2
input weight: real in (40, 120) unit "kg"
input dose: real in (0, 500) = usual unit "mg"
input rate: real[2] in (0, 1) = [0.25, 0.5]
input kind: class[3] = 1
input fed: bool = true
field leave(t, a: real[2]) { a' = -rate*a }
path = solve leave from a = [dose/weight, where(fed, 2, 0) + 4*one_hot(kind, 3)[1]] at 0..2 step 1
output a = path.a
deploy { solver dopri5(steps=64); stream; attribute a wrt dose by saliency }
"""
DEFAULTS: dict[str, Any] = {"dose": 100.0, "rate": [0.25, 0.5], "kind": 1, "fed": True}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("defaults") / "dosing"
    isocline.compile(isocline.model(DOSING), folder)
    return folder


def solution(weight: Any, dose: Any = 100.0) -> Any:
    """a(t) = a(0) exp(-rate t), (rows, times, 2)."""
    weight, dose = np.broadcast_arrays(np.asarray(weight, np.float64), dose)
    start = np.stack([dose / weight, np.full(weight.shape, 6.0)], -1)
    return start[..., None, :] * np.exp(-np.outer(np.arange(3), [0.25, 0.5]))


def test_an_input_that_is_left_out_is_its_default(artifact: Path) -> None:
    session = load(artifact)
    weight = np.array([50.0, 70.0, 90.0])
    rows = {name: np.repeat(np.array(value)[None], 3, axis=0) for name, value in DEFAULTS.items()}
    without, given = session.run(weight=weight)["a"], session.run({"weight": weight, **rows})["a"]
    np.testing.assert_array_equal(without, given)
    np.testing.assert_allclose(without, solution(weight), rtol=1e-5)
    np.testing.assert_allclose(session.run(weight=70.0)["a"], solution(70.0), rtol=1e-5)
    np.testing.assert_allclose(
        session.run(weight=weight, dose=rows["dose"] / 2)["a"], solution(weight, 50.0), rtol=1e-5
    )


def test_a_misspelt_input_and_one_without_a_default_are_still_refused(artifact: Path) -> None:
    with pytest.raises(InputError, match=r"E731.*'dos'"):
        load(artifact).run(weight=70.0, dos=3.0)
    with pytest.raises(InputError, match=r"E730.*'weight'"):
        load(artifact).run()


def test_a_table_without_the_columns_is_one_with_the_defaults_in_every_row(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "without.csv").write_text("weight\n50\n70\n")
    (tmp_path / "with.csv").write_text(
        "weight,dose,rate[0],rate[1],kind,fed\n50,100,0.25,0.5,1,true\n70,100,0.25,0.5,1,true\n"
    )
    answers = [run(artifact, tmp_path / name) for name in ("without.csv", "with.csv")]
    assert answers[0] == answers[1]
    np.testing.assert_allclose(answers[0]["a"], solution([50.0, 70.0]), rtol=1e-5)
    (tmp_path / "part.csv").write_text("weight,rate[0]\n50,0.3\n")
    refused = CliRunner().invoke(app, ["run", str(artifact), "-i", str(tmp_path / "part.csv")])
    assert refused.exit_code != 0
    assert "rate[1]" in str(refused.output) + str(refused.exception)


def test_a_column_that_is_almost_the_input_is_not_passed_over(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "almost.csv").write_text("weight,Dose\n50,30\n")
    with pytest.raises(InputError, match=r"E752.*'dose'"):
        read_inputs(tmp_path / "almost.csv", load(artifact).inputs)


def run(artifact: Path, table: Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["run", str(artifact), "-i", str(table)])
    assert done.exit_code == 0, done.output
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_a_stream_begins_with_the_defaults(artifact: Path) -> None:
    stream = load(artifact).stream(weight=50.0)
    steps = [stream.step()["a"] for _ in range(2)]
    np.testing.assert_allclose(np.stack(steps), solution(50.0)[1:], rtol=1e-5)


def test_an_explanation_is_of_the_defaults(artifact: Path) -> None:
    """The sum of all entries has the slope sum_t exp(-t/4) / weight in the dose."""
    found = isocline.attribute(artifact, {"weight": [50.0, 100.0]})
    (name,) = (item.name for item in found.info.results if item.kind == "attribution")
    slope = found.results[name]
    np.testing.assert_allclose(slope, np.exp(-np.arange(3) / 4).sum() / np.array([50.0, 100.0]), rtol=1e-4)
    assert np.shape(found.inputs["dose"]) == (2,)


def test_the_manifest_the_table_and_the_report_show_the_default(artifact: Path) -> None:
    listed = {item["name"]: item for item in json.loads((artifact / "manifest.json").read_text())["inputs"]}
    assert "default" not in listed["weight"]
    assert listed["dose"]["default"] == [100.0]
    assert listed["rate"]["default"] == [0.25, 0.5]
    report = (artifact / "report.html").read_text()
    assert '<td class="kept">[0.25, 0.5]</td>' in report
    assert '<td class="kept">true</td>' in report


def test_check_shows_the_default_behind_the_bounds(tmp_path: Path) -> None:
    (tmp_path / "m.dyn").write_text(DOSING)
    shown = CliRunner().invoke(app, ["check", str(tmp_path / "m.dyn")]).stdout
    assert "dose    real      in (0, 500)   = 100" in shown


SCAN = """dyn 1
model filter
input xs: real[4, 2] in (-1, 1) = 0.5
input ramp: real[4] in (-1, 1) = [0, 0.1, 0.2, 0.3]
input start: real[2] in (-2, 2) = [0, 1]
h = scan (x, r) over (xs, ramp) from h = start { h = 0.5*h + x + r }
output h
deploy { stream }
"""


def test_steps_have_a_default_that_is_the_same_at_all_of_them(tmp_path: Path) -> None:
    isocline.compile(isocline.model(SCAN), tmp_path / "filter")
    session = load(tmp_path / "filter")
    whole = session.run()["h"]
    state, expected = np.array([0.0, 1.0]), []
    for ramp in (0.0, 0.1, 0.2, 0.3):
        state = 0.5 * state + 0.5 + ramp
        expected.append(state)
    np.testing.assert_allclose(whole[-4:], expected, rtol=1e-5)
    stream = session.stream()
    np.testing.assert_allclose([stream.step(ramp=r)["h"] for r in (0.0, 0.1, 0.2, 0.3)], expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"E730.*'ramp'"):
        session.stream().step()
    (tmp_path / "rows.csv").write_text("ramp\n0\n0.1\n0.2\n0.3\n")
    printed = CliRunner().invoke(app, ["stream", str(tmp_path / "filter"), "-i", str(tmp_path / "rows.csv")]).stdout
    rows = [[float(cell) for cell in line.split(",")] for line in printed.splitlines()[1:]]
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    two = session.stream(batch=2)
    assert two.step(ramp=[0.0, 0.1])["h"].shape == (2, 2)


NOISE = """dyn 1
model market
input s0: real in (0.5, 1.5) = 1
field f(t, s: real) {
  noise W: brownian[1]
  ds = 0.1*s dt + 0.3*s dW[0]
}
path = solve f from s = s0 over 0..1 with euler_maruyama(steps=8) samples 4
output s = path
"""


def test_rows_say_how_many_samples_there_are_where_no_input_is_given(tmp_path: Path) -> None:
    isocline.compile(isocline.model(NOISE), tmp_path / "m")
    session = load(tmp_path / "m")
    found = session.run(seed=3, rows=[4, 5, 6])["s"]
    np.testing.assert_array_equal(found, session.run(s0=[1.0, 1.0, 1.0], seed=3, rows=[4, 5, 6])["s"])
    np.testing.assert_array_equal(session.run(noise=session.noise([4, 5, 6], seed=3))["s"], found)
    assert session.run(seed=3)["s"].shape == found.shape[1:]


def test_a_fixed_batch_has_the_default_in_every_row(tmp_path: Path) -> None:
    text = "dyn 1\nmodel m\ninput x: real[2] in (0, 9) = [1, 2]\noutput y = 2*x\ndeploy { batch 3 }\n"
    isocline.compile(isocline.model(text), tmp_path / "m")
    assert load(tmp_path / "m").run()["y"].tolist() == [[2, 4]] * 3


DATA = """dyn 1
model fit
input x: real in (-9, 9)
input scale: real in (0, 9) = 3
target y: real
param k: real = 1
output forecast = k*scale*x
data { source "d.csv"; x = column(x); y = column(y)%s }
train { loss mse(forecast, y); optimizer lbfgs; epochs 20 }
"""


def test_what_no_data_bind_is_trained_and_proved_at_its_default(tmp_path: Path) -> None:
    """y = 6 x, so k = 2 at scale 3."""
    (tmp_path / "d.csv").write_text("x,y,s\n" + "".join(f"{x},{6 * x},6\n" for x in range(1, 9)))
    (tmp_path / "m.dyn").write_text(DATA % "")
    made = isocline.build(tmp_path / "m.dyn", tmp_path / "out", run=tmp_path / "run")
    (fitted,) = made.certificate["parameters"]
    assert fitted["value"] == pytest.approx(2.0)
    assert any(
        "`scale` is not bound: it is its default, 3, in every sample" in x for x in made.certificate["data_notes"]
    )
    np.testing.assert_allclose(load(tmp_path / "out").run(x=[1.0, 2.0])["forecast"], [6, 12], rtol=1e-5)


def test_data_win_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y,s\n1,6,6\n2,12,6\n")
    (tmp_path / "m.dyn").write_text(DATA % "; scale = column(s)")
    model = isocline.check(tmp_path / "m.dyn")
    assert model.data is not None
    data = load_data(model.data, model.inputs, model.targets, tmp_path)
    assert data.train.arrays["scale"].tolist() == [6, 6]
    assert not any("default" in note for note in data.notes)


def test_the_defaults_are_among_the_samples_from_the_bounds() -> None:
    model = isocline.model(DOSING)
    samples = drawn(model.inputs, model.source)
    assert samples.origin.endswith("and the defaults")
    last = {name: array[-1].tolist() for name, array in samples.inputs.items()}
    assert {name: last[name] for name in DEFAULTS} == DEFAULTS
    plain = drawn([replace(port, default=()) for port in model.inputs], model.source)
    assert samples.count == plain.count + 1
    np.testing.assert_array_equal(samples.inputs["dose"][:-1], plain.inputs["dose"])


@pytest.mark.parametrize(
    ("type_", "value", "said"),
    [
        ("real[2, 2]", "[[1, 2], [3, 4]]", "[[1, 2], [3, 4]]"),
        ("real[3]", "0.5", "0.5"),
        ("real[9]", "[1, 2, 3, 4, 5, 6, 7, 8, 9]", "9 numbers"),
        ("bool[2]", "[true, false]", "[true, false]"),
        ("class[4]", "3", "3"),
        ("time[2]", "[0, 2.5]", "[0, 2.5]"),
        ("positive", "2*pi", "6.28319"),
    ],
)
def test_a_default_is_shown_as_it_may_be_written(type_: str, value: str, said: str) -> None:
    model = isocline.model(f"dyn 1\nmodel m\ninput x: {type_} = {value}\ninput z: real\noutput y = z\noutput w = x\n")
    assert default_text(model.inputs[0]) == said


def test_numbers_of_another_kind_are_no_default_in_a_manifest() -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"default": (1.0, 2.0)}, {"default": (3.0,), "high": 3.0}, {"dtype": "int64", "default": (0.5,)},
        {"dtype": "int64", "classes": 2, "default": (2.0,)}, {"dtype": "bool", "default": (2.0,)},
        {"shape": ("batch", "T"), "default": (1.0,)},
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match="default"):
            Port(**{"name": "x", "dtype": "float32", "shape": ("batch",), **wrong})

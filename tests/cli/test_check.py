"""`isocline check`: what it prints of a right file and of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from tests.example_models import MODELS

runner = CliRunner()

TABLE = """decay: exponential decay
  (start: real) -> (remaining: real[5])
inputs
  start  real  in (0, 1)  mol  how much there is
outputs
  remaining  real[5]
parameters
  rate  real  in (0, inf)  1/s
fields
  fall  x  real
solves
  solve fall from x = start at 0..2 step 0.5
1 number to train
"""


@pytest.fixture
def wrong_file(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.dyn"
    path.write_text("dyn 1\nmodel wrong\ninput x: real[2]\noutput y = x + nowhere\noutput z = x[5]\n")
    return path


def test_a_right_file(dyn_file: Path) -> None:
    result = runner.invoke(app, ["check", str(dyn_file)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, TABLE, "")


def test_every_error_of_every_file(dyn_file: Path, wrong_file: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["check", str(wrong_file), str(tmp_path / "absent.dyn"), str(dyn_file)])
    assert result.exit_code == 1
    assert result.stdout == TABLE
    assert result.stderr.count("error[") == 3
    assert f"{wrong_file}:4:16" in result.stderr
    assert f"{wrong_file}:5:" in result.stderr


def test_json_of_a_right_file(dyn_file: Path) -> None:
    result = runner.invoke(app, ["check", "--json", str(dyn_file)])
    (facts,) = json.loads(result.stdout)
    assert facts["ok"] is True
    model = facts["model"]
    assert model["inputs"] == [
        {
            "name": "start",
            "type": "real",
            "bounds": [0, 1],
            "default": None,
            "unit": "mol",
            "description": "how much there is",
        }
    ]
    assert model["parameters"][0]["bounds"] == [0, None]
    (fall,) = model["fields"]
    assert fall == {
        "name": "fall", "states": [{"name": "x", "type": "real"}], "weights_per_step": False, "noise": None,
        "jumps": [],
        "delays": [],
    }  # fmt: skip
    assert model["trained_numbers"] == 1


def test_json_of_a_wrong_file(wrong_file: Path) -> None:
    result = runner.invoke(app, ["check", "--json", str(wrong_file)])
    assert result.exit_code == 1
    (facts,) = json.loads(result.stdout)
    assert facts["ok"] is False
    first = facts["diagnostics"][0]
    assert (first["line"], first["column"], first["end_column"]) == (4, 16, 23)
    assert isocline.explain(first["code"])


def test_the_function_returns_the_model(dyn_file: Path) -> None:
    model = isocline.check(dyn_file)
    assert [port.name for port in model.outputs] == ["remaining"]


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_the_examples_are_right(file: Path) -> None:
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 0, result.stderr


NOISY = """noise
  heston  general Ito noise W[2], poisson(2) noise N
          schemes that converge with strong order 1/2, weak 1: euler_maruyama
  drift   additive diagonal scalar Stratonovich noise B
"""


def test_noise_is_shown_with_the_schemes_that_converge(tmp_path: Path) -> None:
    path = tmp_path / "noisy.dyn"
    path.write_text(
        "dyn 1\nmodel noisy\nfield heston(t, s: real, v: real) {\n  noise W: brownian[2]\n  noise N: poisson(2)\n"
        "  ds = s*v dW[0] - 0.1*s dN\n  dv = (1 - v) dt + v*s dW[1]\n}\n"
        "field drift(t, x: real) {\n  noise B: brownian stratonovich\n  dx = -x dt + 0.5 dB\n}\n"
        "p = solve heston from s = 1, v = 1 over 0..1 samples 4\nq = solve drift from x = 1 over 0..1\n"
        "output y = p.s\noutput z = q.x\n"
    )
    result = runner.invoke(app, ["check", str(path)])
    assert NOISY in result.stdout
    assert "          schemes that converge with strong order 3/2, weak 2: srk, " in result.stdout
    (facts,) = json.loads(runner.invoke(app, ["check", "--json", str(path)]).stdout)
    first, second = (field["noise"] for field in facts["model"]["fields"])
    assert first["kinds"] == ["general"]
    assert first["noises"][1] == {"name": "N", "process": "poisson", "entries": 1, "parameter": 2.0}
    assert first["schemes"][0] == {"name": "euler_maruyama", "strong_order": 0.5, "weak_order": 1.0}
    assert {"name": "stratonovich_heun", "strong_order": 1.0, "weak_order": 2.0} in second["schemes"]


def test_jumps_are_told_with_their_times_and_states(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\ninput x: real\ninput doses: time[3]\n"
        "field f(t, a, b: real) { a' = -a; b' = a - b; at doses { b = 0; a = a + x } }\n"
        "y = solve f from a = 0, b = 0 over 0..9\noutput b = y.b\n"
    )
    assert "jumps\n  f  at doses  a, b\n" in CliRunner().invoke(app, ["check", str(file)]).stdout


def test_delays_are_told_each_once(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\nparam tau: real = 2\nfield f(t, x, y: real) { x' = -x(t - tau) + y(t - 1)\n"
        "  y' = -y(t - 1)*x }\nh = solve f from x = 1, y = 0 over 0..4\noutput y = h.y\n"
    )
    told = CliRunner().invoke(app, ["check", str(file)]).stdout
    assert "delays\n  f  x(t - tau), y(t - 1)\n" in told

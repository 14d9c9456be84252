"""`isocline stream`: a csv row in, a csv row out, and the state in a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_runtime import load

TEXT = """dyn 1
model filter
input xs: real[12] in (-1, 1); input gain: real in (0.5, 2)
h = scan (x) over (xs) from h = [0, gain] { h = tanh(0.6*h + gain*x) }
output each = 3*h
output last = h[-1, 0]
deploy { stream }
"""
NOISE = """dyn 1
model walk
field f(t, s: real) { noise W: brownian[1]
  ds = -s dt + dW[0] }
path = solve f from s = 1 at 0..1 step 0.25 with euler_maruyama(steps=8)
output path
deploy { stream }
"""
runner = CliRunner()
XS = [f"{x:.2f}" for x in np.linspace(-0.9, 0.9, 12)]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return isocline.compile(isocline.model(TEXT), tmp_path_factory.mktemp("cli") / "filter").folder


@pytest.fixture
def start(tmp_path: Path) -> Path:
    (tmp_path / "start.csv").write_text("gain\n1.5\n")
    return tmp_path / "start.csv"


def rows(values: list[str]) -> str:
    return "xs\n" + "\n".join(values) + "\n"


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_in_and_rows_out(artifact: Path, start: Path) -> None:
    result = runner.invoke(app, ["stream", str(artifact), "--start", str(start)], input=rows(XS))
    assert result.exit_code == 0, result.stderr
    whole = load(artifact).run(xs=[float(x) for x in XS], gain=1.5)
    found = table(result.stdout)
    assert list(found[0]) == ["each[0]", "each[1]", "last"]
    np.testing.assert_array_equal([np.float32(row["each[1]"]) for row in found], whole["each"][:, 1])
    assert np.float32(found[-1]["last"]) == whole["last"]


def test_a_state_in_a_file_goes_on(artifact: Path, start: Path, tmp_path: Path) -> None:
    state, given = tmp_path / "state.npz", tmp_path / "rows.csv"
    once = runner.invoke(app, ["stream", str(artifact), "--start", str(start)], input=rows(XS)).stdout
    given.write_text(rows(XS[:5]))
    first = runner.invoke(
        app, ["stream", str(artifact), "-i", str(given), "--start", str(start), "--state", str(state)]
    )
    second = runner.invoke(app, ["stream", str(artifact), "--state", str(state)], input=rows(XS[5:]))
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert table(first.stdout) + table(second.stdout) == table(once)
    third = runner.invoke(app, ["stream", str(artifact), "--state", str(state)], input=rows(XS[:1]))
    assert third.exit_code == 1
    assert "error[E791]" in third.stderr
    begun = runner.invoke(app, ["stream", str(artifact), "--state", str(state), "--start", str(start)])
    assert begun.exit_code == 2
    assert "how the stream began" in begun.stderr


def test_what_was_done_before_a_wrong_row_is_kept(artifact: Path, start: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    given = ["stream", str(artifact), "--start", str(start), "--state", str(state)]
    result = runner.invoke(app, given, input=rows([*XS[:3], "soup"]))
    assert result.exit_code == 1
    assert "error[E754]" in result.stderr
    assert "line 5" in result.stderr
    assert len(table(result.stdout)) == 3
    assert load(artifact).resume(state).position == 3


def test_a_model_of_noise_runs_to_its_end(tmp_path: Path) -> None:
    folder = isocline.compile(isocline.model(NOISE), tmp_path / "walk").folder
    result = runner.invoke(app, ["stream", str(folder), "--seed", "3", "--row", "5"])
    assert result.exit_code == 0, result.stderr
    whole = load(folder).run(seed=3, rows=5)["path"]
    np.testing.assert_array_equal([np.float32(row["path"]) for row in table(result.stdout)], whole[1:])
    some = runner.invoke(app, ["stream", str(folder), "--seed", "3", "--row", "5", "--steps", "2"])
    assert table(some.stdout) == table(result.stdout)[:2]


def test_a_start_of_several_rows_is_refused(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("gain\n1.5\n1.6\n")
    result = runner.invoke(app, ["stream", str(artifact), "--start", str(tmp_path / "two.csv")])
    assert result.exit_code == 2
    assert "a stream begins with one" in result.stderr

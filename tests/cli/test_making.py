"""From a file to an artifact and back to numbers, all by commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from isocline import summary
from isocline.cli import app

runner = CliRunner()


def ran(*arguments: object) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture
def artifact(dyn_file: Path) -> Path:
    folder = dyn_file.parent / "decay"
    told = ran("compile", dyn_file, "-o", folder)
    assert f"artifact  {folder}" in told
    assert "rk4 of order 4" in told
    return folder


def test_the_artifact_decays(artifact: Path) -> None:
    (artifact.parent / "x.csv").write_text("start\n0.25\n0.75\n")
    ran("run", artifact, "--input", artifact.parent / "x.csv", "-o", artifact.parent / "y.csv")
    rows = list(csv.reader((artifact.parent / "y.csv").open()))
    found = np.array([[float(cell) for cell in row] for row in rows[1:]])
    times = np.arange(5) / 2
    np.testing.assert_allclose(found[:, -5:], np.outer([0.25, 0.75], np.exp(-0.5 * times)), rtol=1e-4)


def test_pictures_are_written_beside_the_artifact(artifact: Path) -> None:
    before = sorted(artifact.iterdir())
    paths = [Path(line) for line in ran("plot", artifact).splitlines()]
    assert paths
    assert all(path.read_text().startswith("<svg xmlns=") for path in paths)
    assert sorted(artifact.iterdir()) == before
    assert runner.invoke(app, ["plot", str(artifact.parent / "absent")]).exit_code == 1


def test_json_of_build(dyn_file: Path) -> None:
    facts = json.loads(ran("build", dyn_file, "--json", "-o", dyn_file.parent / "built"))
    assert facts["certificate"]["model"] == "decay"
    assert Path(facts["folder"], "manifest.json").is_file()


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("tree", "model decay"),
        ("graph", "solve"),
        ("optimised", "mul"),
        ("onnx", "opset_import"),
        ("c", "decay_run(size_t batch"),
    ],
)
def test_show(dyn_file: Path, stage: str, said: str) -> None:
    assert said in ran("show", dyn_file, "--stage", stage)


def test_show_draws(dyn_file: Path) -> None:
    picture = dyn_file.with_name("graph.svg")
    ran("show", dyn_file, "-o", picture)
    assert "<svg" in picture.read_text()


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    file = tmp_path / "net.dyn"
    file.write_text("dyn 1\nmodel net\ninput x: real[2] in (0, 1)\noutput y = x |> dense(3)\n")
    result = runner.invoke(app, ["compile", str(file)])
    assert result.exit_code == 1
    assert "error[E605]" in result.stderr


def test_a_scheme_beside_the_file_takes_the_place_of_its_own(dyn_file: Path, tmp_path: Path) -> None:
    assert "heun of order 2, 40 steps" in ran("compile", dyn_file, "-o", tmp_path / "a", "--solver", "heun(steps=40)")
    refused = runner.invoke(app, ["compile", str(dyn_file), "-o", str(tmp_path / "b"), "--solver", "heum(steps=40)"])
    assert refused.exit_code == 1
    assert "did you mean `heun`?" in refused.stderr


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(0.400225, 0.00167, "0.4002 ± 0.0017"), (1234.5, 21.0, "1234 ± 21"), (-2.0, 0.5, "-2.00 ± 0.50"),
     (3.2e-9, 1.4e-10, "3.2e-09 ± 1.4e-10"), (2.5e7, 1e5, "2.5e+07 ± 1e+05"), (1.0, None, "1")],
)  # fmt: skip
def test_a_value_has_the_digits_that_its_error_leaves(value: float, error: float | None, text: str) -> None:
    certificate = {"name": "k", "value": value, "standard_error": error}
    assert summary._parameter(certificate) == f"k {text}"

"""`isocline attribute`: arrays and a picture, or our message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from tests.conftest import DECAY


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x' = -0.5 x from `start`, whose gradient is known."""
    folder = tmp_path_factory.mktemp("explained")
    text = DECAY.replace("rk4(steps=8)\n", "rk4(steps=8)\n  attribute remaining wrt start by saliency\n")
    (folder / "decay.dyn").write_text(text)
    (folder / "x.json").write_text('{"start": [0.5, 0.25]}')
    isocline.compile(folder / "decay.dyn", out=folder / "out")
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["attribute", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_the_gradient_of_a_decay_is_that_of_the_exponential(explained: Path) -> None:
    code, text = run(explained / "out", "-i", explained / "x.json", "--index", "4")
    assert code == 0
    assert json.loads(text)["saliency_start"] == pytest.approx([np.exp(-1.0)] * 2, rel=1e-4)


@pytest.mark.parametrize("ending", ["csv", "json", "npz", "parquet"])
def test_arrays_and_a_picture_are_written(explained: Path, tmp_path: Path, ending: str) -> None:
    out, picture = tmp_path / f"why.{ending}", tmp_path / "why.svg"
    code, _ = run(explained / "out", "-i", explained / "x.json", "-o", out, "--picture", picture)
    assert code == 0
    assert out.stat().st_size
    assert "saliency" in picture.read_text()


def test_mistakes_have_their_exit_status(explained: Path) -> None:
    artifact, given = explained / "out", explained / "x.json"
    assert run(artifact, "-i", given, "--index", "5")[0] == 1
    assert run(artifact, "-i", given, "--picture", "why.png")[0] == 2
    assert run(artifact)[0] == 2

"""`isocline compare`: means, spreads and paired differences beside numpy and scipy, runs that are not made twice."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import isocline
from examples.build_all import foreign_warnings
from isocline.cli import app
from isocline.comparison.one import measure_of
from isocline.comparison.outcome import Outcome
from isocline.comparison.summary import Comparison

runner = CliRunner()
MODEL = """dyn 1
model {name}
data {{ source "points.csv"
  x = columns("a", "b")
  y = column("y")
  split tail(test=20) }}
input x: real[2] in (-3, 3)
target y: real
field f(t, h: real[2]) {{ h' = h |> dense({width}) |> tanh |> dense(2) }}
h = solve f from h = x over 0..1 with rk4(steps=2)
output z = h |> dense(1) |> sum
train {{ loss mse(z, y); optimizer adam(lr=1e-2); epochs {epochs} }}
deploy {{ check {measure} < 1e-9 }}
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two models that differ in width, and their data: the last 20 of 60 points are held out."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-2, 2, (60, 2))
    y = np.sin(x[:, 0]) * x[:, 1]
    with (tmp_path / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "y"])
        writer.writerows(np.column_stack([x, y]).tolist())
    return [written(tmp_path, name, width) for name, width in (("narrow", 2), ("wide", 8))]


def written(folder: Path, name: str, width: int = 2, epochs: int = 3, measure: str = "rmse(z, y)") -> Path:
    file = folder / f"{name}.dyn"
    file.write_text(MODEL.format(name=name, width=width, epochs=epochs, measure=measure))
    return file


def points(folder: Path) -> np.ndarray:
    return np.loadtxt(folder / "points.csv", delimiter=",", skiprows=1)


def test_models_are_measured_on_held_out_data_and_compared_seed_by_seed(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = runner.invoke(app, ["compare", *map(str, files), "--seeds", "2", "-o", str(out), "--processes", "2"])
    assert result.exit_code == 0, result.stderr
    held = points(tmp_path)[-20:]
    measured: dict[str, list[float]] = {}
    for name in ("narrow", "wide"):
        for seed in range(2):
            assert not foreign_warnings((out / name / f"seed-{seed}" / "log.txt").read_text())
            session = isocline.load(out / name / f"seed-{seed}" / "artifact")
            answer = session.run(x=held[:, :2].astype(np.float32))["z"]
            measured.setdefault(name, []).append(float(np.sqrt(np.mean((answer - held[:, 2]) ** 2))))
    with (out / "comparison.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "rmse(z, y)"]
    for row in rows:
        assert float(row["value"]) == pytest.approx(measured[row["model"]][int(row["seed"])], rel=1e-5)
    assert len({row["value"] for row in rows}) == 4  # every seed is another training
    apart = np.subtract(measured["wide"], measured["narrow"])
    for text in (
        f"narrow  {np.mean(measured['narrow']):.4g} ± {np.std(measured['narrow'], ddof=1):.2g}",
        f"{apart.mean():+.2g} ± {stats.sem(apart):.1g} (standard error, 2 pairs)",
    ):
        assert text in result.stdout
        assert text in (out / "comparison.html").read_text()
    assert "numbers trained" in result.stdout

    begun = time.monotonic()
    again = runner.invoke(app, ["compare", *map(str, files), "--seeds", "2", "-o", str(out)])
    assert again.stdout == result.stdout
    assert again.stderr.count("(known)") == 4
    assert time.monotonic() - begun < 60
    written(tmp_path, "wide", 9)
    third = runner.invoke(app, ["compare", *map(str, files), "--seeds", "2", "-o", str(out), "--processes", "2"])
    assert third.stderr.count("(known)") == 2
    assert third.stdout != result.stdout


def test_a_model_that_fails_is_told_and_the_others_are_compared(files: list[Path], tmp_path: Path) -> None:
    broken = files[1]
    broken.write_text(broken.read_text().replace("|> sum", "|> sum |> log"))
    result = runner.invoke(app, ["compare", *map(str, files), "--seeds", "1", "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "wide, seed 0 failed: E" in result.stdout
    assert "narrow" in result.stdout


def test_what_cannot_be_compared_is_told_before_anything_is_trained(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    same = written(tmp_path / "other", "narrow")
    result = runner.invoke(app, ["compare", str(files[0]), str(same), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "E487" in result.stderr
    bare = files[1]
    bare.write_text(bare.read_text().partition("deploy")[0])
    result = runner.invoke(app, ["compare", *map(str, files), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "E488" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_comparison_that_was_interrupted_goes_on(tmp_path: Path, files: list[Path]) -> None:
    """What a run has trained when Ctrl-C comes is kept: the second time goes on from there, and arrives where an
    uninterrupted one does."""
    written(tmp_path, "narrow", epochs=4000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "isocline", "compare", str(files[0]), "--seeds", "1", "-o", str(out)]
    metrics = out / "narrow" / "seed-0" / "run" / "metrics.csv"
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=listening
    ) as child:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (not metrics.exists() or metrics.read_text().count("\n") < 20):
            time.sleep(0.2)
        signal_group(child)
        _, told = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "the same command goes on" in told
    trained = metrics.read_text().count("\n")
    assert 20 <= trained < 4000
    found = isocline.compare([files[0]], out, seeds=1)
    assert not found.failures
    assert metrics.read_text().count("\n") == 4001
    assert found.outcomes[0].facts["epochs"] == 4000


def listening() -> None:
    """Ctrl-C is heard, also where the tests themselves run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def signal_group(child: subprocess.Popen[str]) -> None:
    """Ctrl-C reaches every process of a terminal."""
    import os

    os.killpg(child.pid, signal.SIGINT)


def test_statistics_beside_scipy() -> None:
    generator = np.random.default_rng(1)
    values = {model: generator.normal(size=5) for model in ("a", "b")}
    outcomes = [Outcome(model, i, "", {"m": float(x)}) for model, row in values.items() for i, x in enumerate(row)]
    found = Comparison(("a", "b"), tuple(outcomes), {})
    spread, apart = found.spread("b", "m"), found.difference("b", "m")
    assert spread is not None
    assert apart is not None
    assert spread.mean == pytest.approx(np.mean(values["b"]))
    assert spread.deviation == pytest.approx(np.std(values["b"], ddof=1))
    assert apart.mean == pytest.approx(np.mean(values["b"] - values["a"]))
    assert apart.error == pytest.approx(stats.sem(values["b"] - values["a"]))
    assert found.difference("a", "m") is None
    lost = Comparison(("a", "b"), tuple(item for item in outcomes if (item.model, item.seed) != ("a", 2)), {})
    paired = lost.difference("b", "m")
    assert paired is not None
    assert paired.count == 4
    assert paired.mean == pytest.approx(np.delete(values["b"] - values["a"], 2).mean())


def test_budgets_that_differ_are_told() -> None:
    found = Comparison(("a", "b"), (), {"a": 10, "b": 20})
    assert any("budgets differ: a 10, b 20 epochs" in line for line in found.lines())
    same = Comparison(("a", "b"), (), {"a": 10, "b": 10})
    assert not any("budgets" in line for line in same.lines())


def test_a_measure_is_what_stands_left_of_the_sign() -> None:
    assert measure_of("rmse(y, z) < 0.4") == "rmse(y, z)"
    assert measure_of("accuracy(logits, label) >= 0.97") == "accuracy(logits, label)"
    inside = "mean(where(low < y and y < high, 1, 0))"
    assert measure_of(f"{inside} > 0.8") == inside
    assert measure_of(f"mae(x, y) <= {inside}") == "mae(x, y)"

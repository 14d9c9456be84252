"""A column keeps its name from the file that a model was trained on to the file that it is run on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from isocline.cli import app

runner = CliRunner()
MODEL = """dyn 1
model pairs
data {
  source "%s"
  x = columns(%s)
  y = column(target)
}
input x: real[2]
target y: real
param a: real[2] = [1, 10]
output told = sum(a*x)
train { loss mse(told, y); epochs 1; optimizer sgd(lr=1e-12) }
"""


@pytest.mark.parametrize(("source", "columns"), [("pairs.csv", "left, right"), ("pairs.npz", '"le*", right')])
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
@pytest.mark.parametrize("names", [("left", "right"), ("right", "left")])
def test_swapped_columns_give_the_same_answer(
    tmp_path: Path, source: str, columns: str, suffix: str, names: tuple[str, str]
) -> None:
    """1 left + 10 right, whatever the order."""
    table = {"left": np.array([1.0, 2.0, 3.0]), "right": np.array([4.0, 5.0, 6.0])}
    _write(tmp_path / source, {**table, "target": table["left"] + 10 * table["right"]})
    _write(tmp_path / f"new{suffix}", {name: table[name] for name in names})
    (tmp_path / "pairs.dyn").write_text(MODEL % (source, columns))
    out = tmp_path / "out"
    arguments = ["build", str(tmp_path / "pairs.dyn"), "-o", str(out), "--run", str(tmp_path / "run"), "-q"]
    built = runner.invoke(app, arguments)
    assert built.exit_code == 0, built.stderr
    assert json.loads((out / "manifest.json").read_text())["inputs"][0]["columns"] == ["left", "right"]
    ran = runner.invoke(app, ["run", str(out), "-i", str(tmp_path / f"new{suffix}")])
    assert ran.exit_code == 0, ran.stderr
    np.testing.assert_allclose(json.loads(ran.stdout)["told"], [41, 52, 63], rtol=1e-5)


def _write(path: Path, table: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npz":
        np.savez(path, **table)
    else:
        rows = zip(*table.values(), strict=True)
        path.write_text("\n".join([",".join(table), *(",".join(map(str, row)) for row in rows)]) + "\n")

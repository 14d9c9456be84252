"""From a file to an artifact, or to a message and no artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocline_compiler import driver, pipeline
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.prove import Proving
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load

MODEL = """dyn 1
model spring
input start: real[2] in (-1, 1)
field swing(t, x, v: real) {{ x' = v; v' = -9*x }}
path = solve swing from x = start[0], v = start[1] over 0..2
output place = path.x + 20
output state = stack(path.x, path.v)
deploy {{ {deploy} }}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(deploy: str, text: str = MODEL) -> Path:
        file = tmp_path / "spring.dyn"
        file.write_text(text.format(deploy=deploy))
        return file

    return written


@pytest.fixture(autouse=True)
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has tests of its own, and drawing it takes as long as all else."""
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")


def codes(file: Path, **options: Any) -> list[str]:
    with pytest.raises(IsoclineError) as caught:
        driver.compile(file, **options)
    return [item.code for item in caught.value.diagnostics]


def test_the_same_file_gives_the_same_bytes(write: Write, tmp_path: Path) -> None:
    file = write("solver auto(error=1e-3, of=state)")
    one, two = (driver.compile(file, out=tmp_path / name) for name in "ab")
    assert (one.folder / "model.onnx").read_bytes() == (two.folder / "model.onnx").read_bytes()
    assert {**one.certificate, "latency": 0} == {**two.certificate, "latency": 0}


def test_the_manifest_names_every_file_by_its_hash(write: Write, tmp_path: Path) -> None:
    file = write("solver rk4(steps=20)")
    folder = driver.compile(file, out=tmp_path / "out").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    present = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del present["manifest.json"]
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == present
    written = {"model.onnx", "model.c", "model.h", "certificate.json", "report.html", "samples.npz"}
    assert set(present) == written
    assert manifest["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads((folder / "certificate.json").read_text())["solves"][0]["steps"] == 20


@pytest.mark.parametrize(
    ("deploy", "code"),
    [
        ("solver auto(error=1e-3, of=state); parity 1e-9", "E632"),
        ("solver rk4(steps=20); parity 1e-9", "E602"),
        ("solver rk4(steps=20); check max(abs(state)) < 0.1", "E419"),
        ("solver dopri5(rtol=1e-6)", "E411"),
        ("solver dopri5", "E411"),
    ],
)
def test_a_missed_bound_stops_the_build_and_leaves_the_older_artifact(
    write: Write, tmp_path: Path, deploy: str, code: str
) -> None:
    out = tmp_path / "out"
    driver.compile(write("solver rk4(steps=20)"), out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert code in codes(write(deploy), out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert np.isfinite(load(out).run(start=np.full((1, 2), 0.5, np.float32))["state"]).all()
    assert codes(write(deploy), out=tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "spring.dyn"], "nothing is left behind"


def test_a_grid_that_has_not_converged_is_e601_and_e631(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep sees fewer samples than the proof; here its choice is made worse on the way."""
    choose = Proving.choose

    def coarser(self: Proving, progress: Any) -> Any:
        _, trials = choose(self, progress)
        (solve,) = self.evaluator(self.samples).open
        return {"path": discretisation(solve, "euler", 4)}, trials

    monkeypatch.setattr(Proving, "choose", coarser)
    assert codes(write("solver auto(error=1e-3, of=state)"), out=tmp_path / "out") == ["E601", "E631"]
    assert not (tmp_path / "out").exists()


def test_inputs_without_data_or_bounds_are_e607(write: Write) -> None:
    assert codes(write("solver auto(error=1e-3)", MODEL.replace(" in (-1, 1)", ""))) == ["E607"]
    half = MODEL.replace(" in (-1, 1)", " in (0, inf)")
    assert codes(write("solver auto(error=1e-3)", half)) == ["E607"]


def test_a_named_scheme_states_its_error_and_is_not_held_to_one(write: Write, tmp_path: Path) -> None:
    """Euler's 8 steps of 1/4 multiply |state| by sqrt(1 + 9/16) each: far off, and the certificate says how far."""
    compiled = driver.compile(write("solver euler(steps=8)"), out=tmp_path / "out")
    assert compiled.certificate["discretisation"]["state"]["maximum"] > 1
    assert compiled.certificate["work_precision"] == []
    assert compiled.certificate["stability"][0]["largest"] == pytest.approx(1.25)


def test_a_scheme_beside_the_file_takes_the_place_of_its_own(write: Write, tmp_path: Path) -> None:
    compiled = driver.compile(write("solver auto(error=1e-3)"), out=tmp_path / "out", solver="rk38(steps=7)")
    (solve,) = compiled.certificate["solves"]
    assert (solve["scheme"], solve["steps"]) == ("rk38", 7)


def test_only_the_outputs_named_by_of_are_bounded(write: Write, tmp_path: Path) -> None:
    """The same difference is twenty times smaller beside 20."""
    compiled = driver.compile(write("solver auto(error=1e-3, of=place)"), out=tmp_path / "out")
    found = compiled.certificate["discretisation"]
    assert found["place"]["maximum"] <= 1e-3
    assert found["state"]["maximum"] > 1e-3


def test_layers_without_weights_must_be_trained_first(write: Write) -> None:
    layered = MODEL.replace("output place", "y = start |> dense(1)\noutput y\noutput place")
    assert codes(write("solver rk4(steps=4)", layered)) == ["E605"]

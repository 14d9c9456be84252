"""`isocline verify`: the numbers are measured anew, and what was exchanged behind the certificate's back is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline.verification import Claim, largest_error
from isocline_runtime.errors import RunError

runner = CliRunner()
MODEL = """dyn 1
model decline
input start: real[2] in (0.1, 1)
input k: real in (0, 1)
param rate: positive = {rate}
field fall(t, x: real[2]) {{ x' = -rate*k*x^2 }}
path = solve fall from x = start over 0..2
output left = path.x
output total = sum(path.x)
deploy {{
  solver auto(error=1e-4)
  attribute total wrt start, k by saliency, input_x_gradient, integrated_gradients(steps=8)
  {more}
}}
"""


def built(folder: Path, rate: float = 0.5, more: str = "") -> Path:
    return isocline.compile(isocline.model(MODEL.format(rate=rate, more=more)), folder).folder


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("honest") / "a")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with another rate."""
    return built(tmp_path_factory.mktemp("other") / "a", rate=0.55)


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "copy"))


def solution(start: np.ndarray, k: np.ndarray, rate: float = 0.5) -> np.ndarray:
    """x' = -c x^2 has x(2) = x(0)/(1 + 2 c x(0))."""
    return start / (1 + 2 * rate * k[:, None] * start)


def rehashed(folder: Path) -> None:
    """Make the manifest agree with whatever lies in the folder, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, info in manifest["files"].items():
        content = (folder / name).read_bytes()
        info.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edited(folder: Path, *path: str, to: Any) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    place = certificate
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    (folder / "certificate.json").write_text(json.dumps(certificate))
    rehashed(folder)


def wrong(folder: Path) -> set[str]:
    found = isocline.verify(folder)
    names = {claim.name for claim in found.claims if not claim.holds}
    assert found.holds == (not names)
    return names


def test_what_was_built_holds(honest: Path) -> None:
    found = isocline.verify(honest)
    assert found.holds
    names = {claim.name for claim in found.claims}
    assert {"sha256 of the model", "parity of left", "error of left", "error of total", "answers of total"} <= names
    assert {"total_saliency_start", "total_saliency_k"} <= names or {"saliency_start", "saliency_k"} <= names
    assert repr(found) == f"<Verification of decline: {len(found.claims)} claims, holds>"


def test_the_numbers_are_those_of_the_closed_form(honest: Path) -> None:
    """The samples that are stored hold the worst: the error measured on them is the one that is stated."""
    stored = np.load(honest / "samples.npz")
    start, k = stored["input/start"], stored["input/k"]
    truth = solution(start, k)
    np.testing.assert_allclose(stored["reference/left"], truth, rtol=1e-6)
    answers = isocline.load(honest).run(start=start, k=k)["left"]
    (claim,) = (claim for claim in isocline.verify(honest).claims if claim.name == "error of left")
    assert claim.measured == pytest.approx(largest_error(answers, truth), rel=0.02)
    assert claim.measured == pytest.approx(claim.stated, rel=1e-3)


def test_the_certificate_names_its_model(honest: Path) -> None:
    certificate = json.loads((honest / "certificate.json").read_text())
    assert certificate["graph"]["sha256"] == hashlib.sha256((honest / "model.onnx").read_bytes()).hexdigest()


def test_another_model_behind_the_certificate(copy: Path, other: Path) -> None:
    shutil.copy(other / "model.onnx", copy)
    rehashed(copy)
    assert {"sha256 of the model", "answers of left", "parity of left", "error of left"} <= wrong(copy)


def test_another_model_with_its_hash_in_the_certificate(copy: Path, other: Path) -> None:
    shutil.copy(other / "model.onnx", copy)
    edited(copy, "graph", "sha256", to=hashlib.sha256((copy / "model.onnx").read_bytes()).hexdigest())
    assert {"answers of left", "parity of left", "error of left"} <= wrong(copy)


def test_explanations_of_another_model(copy: Path, other: Path) -> None:
    shutil.copy(other / "attribute.onnx", copy)
    rehashed(copy)
    names = wrong(copy)
    assert names
    assert all("saliency" in name or "gradient" in name for name in names)


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("graph", "nodes"), 7, "nodes"),
        (("graph", "bytes"), 7, "bytes"),
        (("deployed", "left", "maximum"), 1e-9, "error of left"),
        (("parity_bound",), 1e-12, "parity of left"),
    ],
)
def test_a_number_that_was_made_better(copy: Path, path: tuple[str, ...], value: Any, name: str) -> None:
    edited(copy, *path, to=value)
    assert name in wrong(copy)


def test_a_number_that_is_none_does_not_hold() -> None:
    assert not Claim("error", 1e-3, float("nan"), 1e-3).holds
    assert not Claim("error", 1e-3, float("inf"), 1e-3).holds


@pytest.mark.parametrize("more", ["batch 5", "dtype float64", "unroll 1"])
def test_other_forms_of_an_artifact(tmp_path: Path, more: str) -> None:
    assert wrong(built(tmp_path / "a", more=more)) == set()


@pytest.mark.parametrize("more", ["derivatives adjoint, forward", "derivatives adjoint, forward; batch 3"])
def test_derivatives_beside_the_model(tmp_path: Path, more: str) -> None:
    """Those of the model hold; those of a model with another rate do not."""
    folder = built(tmp_path / "a", more=more)
    found = {claim.name: claim for claim in isocline.verify(folder).claims}
    assert found["adj_model.onnx"].holds
    assert found["fwd_model.onnx"].holds
    second = built(tmp_path / "b", rate=2, more=more)
    for name in ("adj_model.onnx", "fwd_model.onnx"):
        shutil.copy(second / name, folder)
    rehashed(folder)
    assert wrong(folder) == {"adj_model.onnx", "fwd_model.onnx"}


def test_a_model_without_inputs(tmp_path: Path) -> None:
    text = "dyn 1\nmodel alone\nfield f(t, x: real) { x' = -x }\np = solve f from x = 1 over 0..1\noutput y = p.x\n"
    folder = isocline.compile(isocline.model(text), tmp_path / "a").folder
    assert wrong(folder) == set()
    np.testing.assert_allclose(np.load(folder / "samples.npz")["reference/y"], np.exp(-1), rtol=1e-6)


def test_the_command(copy: Path, other: Path) -> None:
    result = runner.invoke(app, ["verify", str(copy)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.rstrip().endswith("the certificate holds")
    shutil.copy(other / "model.onnx", copy)
    rehashed(copy)
    result = runner.invoke(app, ["verify", str(copy), "--json"])
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["holds"] is False
    assert [claim["holds"] for claim in facts["claims"] if claim["name"] == "sha256 of the model"] == [False]
    assert "does not hold" in runner.invoke(app, ["verify", str(copy)]).stdout


def test_what_has_no_certificate(copy: Path) -> None:
    with pytest.raises(RunError, match=r"E785.*certificate"):
        isocline.verify(copy / "model.onnx")
    (copy / "samples.npz").unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["samples.npz"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"E785.*samples\.npz"):
        isocline.verify(copy)


def test_the_same_source_makes_the_same_samples(honest: Path, tmp_path: Path) -> None:
    again = built(tmp_path / "again")
    assert (again / "samples.npz").read_bytes() == (honest / "samples.npz").read_bytes()


def test_a_model_of_noise_alone_is_verified_in_batches_of_its_size(tmp_path: Path) -> None:
    text = (
        "dyn 1\nmodel m\nfield f(t, x: real) {\n  noise W: brownian\n  dx = -x dt + 0.1 dW\n}\n"
        "h = solve f from x = 1 over 0..1 with euler_maruyama(steps=8)\noutput y = h\ndeploy { batch 4 }\n"
    )
    folder = isocline.compile(isocline.model(text), tmp_path / "a").folder
    assert isocline.load(folder).batch == 4
    assert isocline.verify(folder).holds

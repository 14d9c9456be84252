"""The artifact of a stochastic model: explanations hold its noise, verify draws it again, the report shows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline.summary import certificate_lines
from isocline_compiler.driver import Compiled
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load, noises

TEXT = """dyn 1
model geometric
input s0: real in (0.5, 1.5)
input k: real in (0.2, 0.8)
field f(t, s: real, v: real) {{
  noise W: brownian[2]
  ds = 0.1*s dt + 0.3*s dW[0]
  dv = k*(1 - v) dt + 0.1*v dW[1]
}}
path = solve f from s = s0, v = k at 0..1 step 0.25 with euler_maruyama(steps={steps}) samples 6
output price = mean(path.s[:, 4], axis=0)
output paths = path.s
output square = mean(path.v^2, axis=0)
deploy {{
  attribute price wrt s0 by saliency, integrated_gradients(steps=4), smoothgrad(samples=2), adjoint_path, occlusion
  derivatives adjoint, forward
}}
"""
SEED = 11


def written(steps: int) -> str:
    return TEXT.format(steps=steps)


@pytest.fixture(scope="module", params=[8, 120], ids=["laid out", "loop"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("artifact") / str(request.param)
    return isocline.compile(isocline.model(written(request.param)), folder)


X = {"s0": np.array([0.7, 1.1, 1.4]), "k": np.array([0.3, 0.5, 0.7])}


def test_a_gradient_is_that_along_the_paths(compiled: Compiled) -> None:
    """The price is linear in s0 on every path: its derivative is price / s0, for the same noise alone."""
    session = load(compiled.folder)
    price = session.run(X, seed=SEED)["price"]
    found = session.attribute(X, seed=SEED)
    np.testing.assert_allclose(found["saliency_s0"], price / X["s0"], rtol=1e-5)
    np.testing.assert_allclose(found["integrated_gradients_s0"], price, rtol=1e-5)
    np.testing.assert_allclose(found["occlusion_s0"], price, rtol=1e-5)
    np.testing.assert_allclose(found["smoothgrad_s0"], price / X["s0"], rtol=1e-5)
    other = session.attribute(X, seed=SEED + 1)["saliency_s0"]
    assert np.abs(other - found["saliency_s0"]).min() > 1e-3


def test_the_adjoint_of_all_paths_begins_with_the_gradient_and_ends_with_the_mean(compiled: Compiled) -> None:
    found = load(compiled.folder).attribute(X, seed=SEED)
    adjoint = found["adjoint_path_path_s"]
    np.testing.assert_allclose(adjoint[:, 0], found["saliency_s0"], rtol=1e-5)
    np.testing.assert_allclose(adjoint[:, -1], 1.0, rtol=1e-5)


def test_derivative_files_take_no_direction_of_the_noise(compiled: Compiled) -> None:
    session, noise = load(compiled.folder), load(compiled.folder).noise(range(3), SEED)
    forward = load(compiled.folder / "fwd_model.onnx")
    names = {port.name for port in forward.inputs}
    assert names == {"s0", "k", "W", "fwd_s0", "fwd_k"}
    seeds = {"fwd_s0": np.ones((3, 1)), "fwd_k": np.zeros((3, 1))}
    found = forward.run({**X, **noise, **seeds})
    price = session.run(X, seed=SEED)["price"]
    np.testing.assert_allclose(found["fwd_price"].ravel(), price / X["s0"], rtol=1e-5)


def test_verify_draws_the_noise_again(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    found = isocline.verify(compiled.folder)
    assert found.holds, found
    assert "strong and weak errors" in found.not_measured
    with np.load(compiled.folder / "samples.npz") as stored:
        assert {name for name in stored if name.startswith("input/")} == {"input/s0", "input/k"}
        assert stored["rows"].dtype.kind == "i"
    normals = noises.normals
    monkeypatch.setattr(noises, "normals", lambda draws, rows, dtype: 1.001 * normals(draws, rows, dtype))
    wrong = [claim.name for claim in isocline.verify(compiled.folder).claims if not claim.holds]
    assert {"answers of price", "parity of price", "answers of paths"} <= set(wrong)


def test_the_summary_and_the_report_name_every_number(compiled: Compiled) -> None:
    lines = {line.split()[0]: line for line in certificate_lines(compiled.certificate)}
    certificate = json.loads((compiled.folder / "certificate.json").read_text())
    errors = certificate["stochastic"]["errors"]["price"]
    assert f"price {errors['strong']:.1e} ± {1.96 * errors['strong_error']:.1e}" in lines["strong"]
    assert f"price {errors['weak']:.1e} ± {errors['weak_interval']:.1e}" in lines["weak"]
    assert "stated" not in lines["strong"]
    assert "diagonal Ito noise, 6 samples" in lines["noise"]
    assert {"halving", "walk", "samples", "moments"} <= lines.keys()
    page = (compiled.folder / "report.html").read_text()
    for words in ("<h2>Noise</h2>", "90 % of the paths", "one standard deviation", "declared order 0.5",
                  "From seed to seed", "With twice the samples"):  # fmt: skip
        assert words in page, words


def test_a_path_that_is_another_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fine grid on a path of its own: what the coarse grid is compared with is a stranger."""
    from isocline_compiler.certify.stochastic import errors

    rng, true = np.random.default_rng(5), errors.coarsened
    monkeypatch.setattr(
        errors, "coarsened",
        lambda fine, noise, factor: true(fine, noise, factor) if factor == 1 else rng.standard_normal(
            true(fine, noise, factor).shape
        ),
    )  # fmt: skip
    text = written(8).split("deploy")[0]
    with pytest.raises(IsoclineError) as refused:
        isocline.compile(isocline.model(text), tmp_path / "artifact")
    assert "E628" in {fault.code for fault in refused.value.diagnostics}
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize("most", [1 << 24, 70])
def test_a_check_is_of_the_whole_split_however_much_noise_that_takes(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deployed model answers row by row; with room for the noise of three rows at a time, and for all."""
    monkeypatch.setattr("isocline_compiler.certify.stochastic.prove.LARGEST", most)
    rng = np.random.default_rng(0)
    s0, y = rng.uniform(0.5, 1.5, 20), rng.standard_normal(20)
    np.savez(tmp_path / "d.npz", s0=s0, y=y)
    text = """dyn 1
model m
data { source "d.npz"; s0 = array(s0); y = array(y) }
input s0: real in (0.5, 1.5)
target y: real
field f(t, s: real) { noise W: brownian; ds = -s dt + 0.3*s dW }
path = solve f from s = s0 over 0..1 with euler_maruyama(steps=4) samples 5
output mean_path = mean(path, over=samples)
deploy { check mse(mean_path, y) < 100 }
"""
    done = isocline.compile(isocline.model(text), tmp_path / "out", data=tmp_path / "d.npz")
    certificate = json.loads((done.folder / "certificate.json").read_text())
    answered = load(done.folder).run(s0=s0, seed=0)["mean_path"]
    assert certificate["checks"][0]["left"] == pytest.approx(np.mean((answered - y) ** 2), rel=1e-6)
    rows = "20 training samples" if most > 100 else "3 of 20 training samples"
    assert certificate["samples"].startswith(rows)

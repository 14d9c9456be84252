"""The specification's programs, run whole: trained for a moment, compiled, certified, and run by onnxruntime alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

from isocline_compiler import driver
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.pipeline import Compiled
from isocline_runtime import load

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs beside the data they name: scikit-learn's digits enlarged, points and a series from formulas."""
    place: Path = tmp_path_factory.mktemp("programs")
    for file in PROGRAMS.glob("*.dyn"):
        text = file.read_text().replace("../../../examples/hare_lynx/pelts.csv", "pelts.csv")
        (place / file.name).write_text(text)
    shutil.copy(PROGRAMS.parents[2] / "examples/hare_lynx/pelts.csv", place)
    digits = load_digits()
    small = torch.tensor(digits.images[:200, None])
    images = torch.nn.functional.interpolate(small, (28, 28), mode="bilinear").numpy()
    np.savez(place / "images.npz", images=images, labels=digits.target[:200])
    x = np.random.default_rng(0).normal(size=(32, 2))
    np.savez(place / "points.npz", x=x, y=x[:, 0] * np.cos(2.0) + x[:, 1] * np.sin(2.0))
    hours = np.arange(24 * 40)
    kw = 100 + 20 * np.sin(2 * np.pi * hours / 24) + 5 * np.cos(2 * np.pi * hours / 168)
    (place / "series.csv").write_text("kw\n" + "\n".join(f"{value:.6f}" for value in kw) + "\n")
    return place


BUILT: dict[Path, Compiled] = {}


def built(folder: Path, name: str) -> Compiled:
    """The artifact of a program; built once."""
    if folder / name not in BUILT:
        BUILT[folder / name] = driver.build(folder / f"{name}.dyn", out=folder / name, run=folder / f"{name}_run")
    return BUILT[folder / name]


@pytest.mark.parametrize("name", ["grey_box", "neural_ode", "residual", "structures", "forecast"])
def test_the_program_trains_deploys_and_keeps_its_bounds(folder: Path, name: str) -> None:
    compiled = built(folder, name)
    certificate = compiled.certificate
    for parity in certificate["parity"].values():
        assert parity["maximum"] <= certificate["parity_bound"]
    is_open = any(solve["declared"] == "continuous" for solve in certificate["solves"])
    assert certificate["parity_bound"] == pytest.approx(certificate["stated_error"] / 10 if is_open else 1e-5)
    bounded = {"neural_ode": ["probability"]}.get(name, list(certificate["discretisation"]))
    for output in bounded:
        assert certificate["discretisation"][output]["maximum"] <= certificate["stated_error"]
    session = load(compiled.folder)
    inputs = {port.name: np.zeros((3, *port.sample_shape), np.float32) + 1.5 for port in session.inputs}
    for values in session.run(inputs).values():
        assert np.isfinite(values).all()
        assert len(values) == 3


def test_the_companion_state_is_the_velocity(folder: Path) -> None:
    """x'' = -k x - c x' against its closed solution at the trained k and c."""
    compiled = built(folder, "structures")
    fitted = {item["name"]: item["value"] for item in compiled.certificate["parameters"]}
    k, c = fitted["k"], fitted["c"]
    x = np.random.default_rng(1).normal(size=(16, 2))
    damping, omega, t = c / 2, np.sqrt(k - c * c / 4), 2.0
    a, b = x[:, 0], (x[:, 1] + damping * x[:, 0]) / omega
    speed = np.exp(-damping * t) * (
        -damping * (a * np.cos(omega * t) + b * np.sin(omega * t))
        + omega * (b * np.cos(omega * t) - a * np.sin(omega * t))
    )
    found = load(compiled.folder).run(x=x.astype(np.float32))["speed"]
    assert relative_errors(found, speed, batched=False).max() <= 1e-4


def test_standardize_is_fitted_on_the_training_windows_and_baked_in(folder: Path) -> None:
    """The stored mean is that of the training windows, and the first hour, one dense layer away, is in kW."""
    compiled = built(folder, "forecast")
    stored = load_file(folder / "forecast_run" / "weights.safetensors")
    kw = np.loadtxt(folder / "series.csv", skiprows=1)
    windows = np.stack([kw[start : start + 168] for start in range(0, len(kw) - 191, 24)])
    training = windows[: len(windows) - round(0.25 * len(windows))]
    assert stored["load.mean"] == pytest.approx(training.mean(), rel=1e-12)
    assert stored["load.deviation"] == pytest.approx(training.std(), rel=1e-12)
    first_hour = load(compiled.folder).run(load=windows.astype(np.float32))["forecast"][:, 0, 0]
    assert abs(first_hour - 100).max() < 60

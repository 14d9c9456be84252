"""`explain`, `doctor` and `--version`."""

from __future__ import annotations

import json
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline.explanations import words
from isocline.system import TINY_MODEL

runner = CliRunner()


@pytest.mark.parametrize("word", sorted(words()))
def test_every_word_has_an_explanation(word: str) -> None:
    assert len(isocline.explain(word).splitlines()) >= 3


@pytest.mark.parametrize(
    ("word", "said"), [("e214", "joins"), ("E701", "manifest.json"), ("dense", "units"), ("rk4", "order 4")]
)
def test_explain(word: str, said: str) -> None:
    result = runner.invoke(app, ["explain", word])
    assert result.exit_code == 0
    assert said in result.stdout


@pytest.mark.parametrize(("word", "said"), [("E999", "no message E999"), ("dens", "did you mean dense")])
def test_what_is_not_known(word: str, said: str) -> None:
    result = runner.invoke(app, ["explain", word])
    assert result.exit_code == 1
    assert said in result.stderr


def test_doctor_finds_the_cpu() -> None:
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    versions = {package["name"]: package["version"] for package in report["packages"]}
    assert versions["onnxruntime"] == onnxruntime.__version__
    works = {provider["name"]: provider["works"] for provider in report["providers"]}
    assert works["CPUExecutionProvider"] is True


def test_doctor_names_the_compiler_of_the_native_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCLINE_CC", "/nowhere/cc")
    assert isocline.doctor().compiler is None
    assert "isocline[native]" in runner.invoke(app, ["doctor"]).output


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocline.system._version", lambda name: None if name in ("torch", "onnx") else "1")
    assert isocline.doctor().advice == ("missing: onnx, torch; install with: pip install 'isocline[compiler]'",)


def test_doctor_reports_a_provider_that_answers_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def run(self, *_: object) -> list[np.ndarray]:
            return [np.zeros(1)]

    monkeypatch.setattr("isocline_runtime.provider.open_session", lambda *_: Wrong())
    report = isocline.doctor()
    assert not report.can_run
    assert report.providers[0].reason == "1 + 1 = 0.0"


def test_the_tiny_model_is_a_model() -> None:
    model = onnx.load_from_string(TINY_MODEL)
    onnx.checker.check_model(model, full_check=True)
    (doubled,) = ReferenceEvaluator(model).run(None, {"x": np.array([3], np.float32)})
    assert doubled == 6


def test_version() -> None:
    assert runner.invoke(app, ["--version"]).stdout == f"isocline {version('isocline')}\n"

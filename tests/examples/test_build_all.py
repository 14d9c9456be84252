"""A build of an example fails where another package's warning reaches the screen."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from examples import build_all
from examples.build_all import Example, build, foreign_warnings
from tests.example_models import MODELS

RAISED = {
    "numpy": "import numpy; numpy.log(numpy.zeros(2))",
    "python": "import warnings; warnings.warn('late')",
    "deprecated": "import warnings; warnings.warn('old', FutureWarning)",
    "torch": "import torch; torch.tensor([1.0]).to_sparse().to_dense(); torch.zeros(2, 3).T.H; "
    "torch.nn.LSTM(2, 2, dropout=0.5)",
}


@pytest.mark.parametrize("code", RAISED.values(), ids=RAISED)
def test_a_warning_as_its_package_prints_it_is_found(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert foreign_warnings(done.stderr), done.stderr


def test_what_isocline_prints_is_no_warning() -> None:
    printed = "epoch 3/100  loss 1.2\n1 warning of the reader, 0 warnings\nnote     training has not converged\n"
    assert foreign_warnings(printed) == []


def test_a_build_that_warns_has_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", RAISED["numpy"]]
    monkeypatch.setattr(Example, "commands", lambda self: [command])
    assert not build(Example("hare_lynx"))
    assert "RuntimeWarning: divide by zero" in capsys.readouterr().out
    monkeypatch.setattr(Example, "commands", lambda self: [[sys.executable, "-c", "print('fine')"]])
    assert build(Example("hare_lynx"))


def test_every_file_of_the_examples_that_names_a_model_is_built() -> None:
    """But for those of the zoo, which builds them itself."""
    models = {file for file in MODELS if file.parent.name != "zoo"}
    assert {item.file for item in build_all.EXAMPLES} == models
    assert np.unique([item.name for item in build_all.EXAMPLES]).size == len(build_all.EXAMPLES)

"""What the tests of several parts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline.system import TINY_MODEL

DECAY = """dyn 1
model decay "exponential decay"

input start: real in (0, 1) unit "mol" "how much there is"

param rate: positive = 0.5 unit "1/s"

field fall(t, x: real) {
  x' = -rate*x
}

path = solve fall from x = start at 0..2 step 0.5
output remaining = path

deploy {
  solver rk4(steps=8)
}
"""


@pytest.fixture
def dyn_file(tmp_path: Path) -> Path:
    """A small correct program."""
    path = tmp_path / "decay.dyn"
    path.write_text(DECAY)
    return path


@pytest.fixture
def tiny_artifact(tmp_path: Path) -> Path:
    """A bare model, y = x + x for x: float32[1], with an input for it beside it in x.json."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(TINY_MODEL)
    (tmp_path / "x.json").write_text('{"x": [3.0]}')
    return path

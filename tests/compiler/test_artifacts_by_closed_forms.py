"""Artifacts against closed-form solutions: kept times of long loops both ways, and what is left after whole bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocline_compiler import driver, pipeline
from isocline_runtime import load

TURN = """dyn 1
model turn
input start: real[2] in (-1, 1)
field circle(t, x, v: real) {{ x' = v; v' = -x + 0*t }}
path = solve circle from x = start[0], v = start[1] at {times}
output place = path.x
deploy {{ solver rk4(steps={steps}); unroll {unroll}; dtype float64 }}
"""

DRIVEN = """dyn 1
model driven
input start: real in (-1, 1)
field f(t, x: real) {{ x' = 3*t^2 - 2*t }}
path = solve f from x = start at {times}
output place = path.x
deploy {{ solver rk4(steps={steps}); unroll {unroll}; dtype float64 }}
"""


@pytest.fixture(autouse=True)
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")


def answers(folder: Path, text: str, start: np.ndarray) -> np.ndarray:
    file = folder / "model.dyn"
    file.write_text(text)
    compiled = driver.compile(file, out=folder / "out")
    return np.asarray(load(compiled.folder).run(start=start)["place"])


FORWARDS, BACKWARDS = ("0..10 step 0.5", np.arange(21) * 0.5), ("10..0 step -0.5", 10 - np.arange(21) * 0.5)


@pytest.mark.parametrize("unroll", ["1", "7", "all"])
@pytest.mark.parametrize(("times", "at"), [FORWARDS, BACKWARDS], ids=["forwards", "backwards"])
def test_every_kept_time_of_a_long_loop_is_where_it_belongs(
    times: str, at: np.ndarray, unroll: str, tmp_path: Path
) -> None:
    """x'' = -x: x(t) = x0 cos(t - t0) + v0 sin(t - t0); 160 steps are no multiple of 7."""
    start = np.array([[0.9, 0.0], [0.3, -0.7]])
    found = answers(tmp_path, TURN.format(times=times, steps=160, unroll=unroll), start)
    since = at - at[0]
    expected = start[:, :1] * np.cos(since) + start[:, 1:] * np.sin(since)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("unroll", ["1", "7", "all"])
@pytest.mark.parametrize(("times", "at"), [FORWARDS, BACKWARDS], ids=["forwards", "backwards"])
def test_the_clock_of_a_long_loop_goes_on_after_whole_bodies(
    times: str, at: np.ndarray, unroll: str, tmp_path: Path
) -> None:
    """x' = 3 t^2 - 2 t, which steps of order four solve exactly: x = x0 + [t^3 - t^2]; 20 and 40 steps, bodies of 7."""
    start = np.array([0.5, -0.5])
    found = answers(tmp_path, DRIVEN.format(times=times, steps=40, unroll=unroll), start)
    expected = start[:, None] + (at**3 - at**2) - (at[0] ** 3 - at[0] ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-9)

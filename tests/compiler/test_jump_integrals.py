"""Integrals along solutions that jump, against scipy from jump to jump, and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll import unroll
from isocline_runtime import load
from tests.stated import stated

DOSES = """dyn 1
model m
input x: real in (0.1, 1)
input amounts: real[2] in (0.5, 1)
INPUTS
param k: real = 1.3
field pk(t, gut, blood: real) {
  gut' = -k*gut
  blood' = k*gut - 0.5*blood
  at (tau, a) over (TAU, amounts) { gut = gut + a; blood = 0.9*blood }
}
path = solve pk from gut = x, blood = 0 TIMES
output area = integral(blood, over=path)
output both = integral([gut^2, blood*t]/x, over=path)
output moved = integral(blood', over=path)
output ahead = integral((gut - path.blood[-1])^2, over=path)
output blood = path.blood
"""
X, AMOUNTS = np.array([0.4, 0.9, 0.2]), np.array([[0.6, 0.9], [0.5, 0.7], [0.8, 0.55]])
WHEN = np.array([[0.5, 1.25], [1.1, 0.3], [0.7, 5.0]])


def evaluated(text: str, **given: Array) -> dict[str, Array]:
    """The outputs, and the `slope` of each area by k."""
    graph = model(text).graph
    stepped = unroll(graph, stated(graph)).graph
    bound = {name: torch.tensor(x) for name, x in given.items() if f"input {name}" in text}
    k = torch.full((), 1.3, dtype=torch.float64, requires_grad=True)
    found = TorchProgram(stepped)({**bound, "k": k})
    slopes = [torch.autograd.grad(area, k, retain_graph=True)[0] for area in found["area"]]
    return {**{name: x.detach().numpy() for name, x in found.items()}, "slope": torch.stack(slopes).numpy()}


def by_scipy(x: float, amounts: Array, when: Array, k: float = 1.3) -> Array:
    """gut, blood, and the integrals of blood, gut^2/x, blood t/x, gut, at 2."""
    z, t = np.array([x, 0, 0, 0, 0, 0]), 0.0

    def slope(t: float, z: Array) -> list[float]:
        gut, blood = z[:2]
        return [-k * gut, k * gut - 0.5 * blood, blood, gut**2 / x, blood * t / x, gut]

    for tau, a in [*sorted(zip(when, amounts, strict=True)), (2.0, 0.0)]:
        if tau > 2:
            continue
        z = solve_ivp(slope, (t, tau), z, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1] if tau > t else z
        if a:
            z = z + np.array([a, -0.1 * z[1], 0, 0, 0, 0])
        t = tau
    return z


KNOWN = ("", "[0.5, 1.25]", np.repeat(WHEN[:1], 3, 0))
GIVEN = ("input when: real[2] in (0, 5)", "when", WHEN)


@pytest.mark.parametrize("times", ["at 0..2 step 0.25 with rk4(steps=160)", "over 0..2 with rk4(steps=80)"])
@pytest.mark.parametrize("jumps", [KNOWN, GIVEN], ids=["known", "given"])
def test_it_is_the_sum_over_the_stretches(jumps: tuple[str, str, Array], times: str) -> None:
    inputs, tau, when = jumps
    text = DOSES.replace("INPUTS", inputs).replace("TAU", tau).replace("TIMES", times)
    text = text if times.startswith("at") else text.replace("blood[-1]", "blood")
    found = evaluated(text, x=X, amounts=AMOUNTS, when=WHEN)
    for row, x in enumerate(X):
        z = by_scipy(x, AMOUNTS[row], when[row])
        np.testing.assert_allclose(found["area"][row], z[2], rtol=1e-7)
        np.testing.assert_allclose(found["both"][row], z[3:5], rtol=1e-7)
        apart = z[3] * x - 2 * z[1] * z[5] + 2 * z[1] ** 2
        np.testing.assert_allclose(found["ahead"][row], apart, rtol=1e-6)
        end = found["blood"][row] if found["blood"].ndim == 1 else found["blood"][row, -1]
        np.testing.assert_allclose(end, z[1], rtol=1e-7)
        assert abs(found["moved"][row] - z[1]) > 1e-3, "jumps are no part of how a state moves"
        high, low = (by_scipy(x, AMOUNTS[row], when[row], 1.3 + h)[2] for h in (1e-4, -1e-4))
        np.testing.assert_allclose(found["slope"][row], (high - low) / 2e-4, rtol=1e-5)


def test_its_layers_stand_where_the_call_does() -> None:
    """Two layers of an output are two, whichever of them is integrated."""
    text = """dyn 1
model m
input x: real in (0, 1)
field f(t, v: real) {
  v' = -v
  at [1] { v = v + 1 }
}
path = solve f from v = x over 0..2 with rk4(steps=8)
output y = integral(dense([v, t], 3), over=path) |> dense(2)
"""
    lowered = model(text)
    shapes = {weight.name: weight.shape for weight in lowered.weights}
    assert shapes == {
        "y.dense.weight": (2, 3), "y.dense.bias": (3,), "y.dense_2.weight": (3, 2), "y.dense_2.bias": (2,)
    }  # fmt: skip


BALL = """dyn 1
model ball
input start: real in (0.5, 2)
field fall(t, height, speed: real) {
  height' = speed
  speed' = -9.81
  when height < 0 { speed = -0.9*speed }
}
path = solve fall from height = start, speed = 0 at 0..2 step 0.1 with rk4(steps=40)
output height = path.height
output area = integral(height, over=path)
output squared = integral(speed^2, over=path)
"""


def flights(start: float) -> tuple[float, float]:
    """Integrals of the height and the squared speed of a bouncing ball: each flight is a parabola."""
    t, x, v, area, squared = 0.0, start, 0.0, 0.0, 0.0
    while t < 2:
        flight = (v + np.sqrt(v * v + 2 * 9.81 * x)) / 9.81
        s = min(flight, 2 - t)
        area += x * s + v * s**2 / 2 - 9.81 * s**3 / 6
        squared += (v**3 - (v - 9.81 * s) ** 3) / (3 * 9.81)
        t, x, v = t + flight, 0.0, 0.9 * (9.81 * flight - v)
    return area, squared


def test_a_bouncing_ball_deployed(tmp_path: Path) -> None:
    """One solve for the path and its integrals, proved with its events."""
    compiled = isocline.compile(isocline.model(BALL), tmp_path / "ball")
    assert [item["name"] for item in compiled.certificate["solves"]] == ["path"]
    starts = np.array([0.6, 1.0, 1.7], np.float32)
    found = load(compiled.folder).run(start=starts)
    for row, start in enumerate(starts):
        area, squared = flights(float(start))
        np.testing.assert_allclose(found["area"][row], area, rtol=2e-6)
        np.testing.assert_allclose(found["squared"][row], squared, rtol=2e-6)

"""`u'(t)`, the slope of a control, against scipy's derivatives; in fields, their gradients, and streams."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline, CubicSpline, make_interp_spline

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll import unroll
from isocline_runtime import load
from tests.stated import stated

KNOTS = np.array([0.0, 0.3, 0.5, 1.2, 2.0, 3.1])
RNG = np.random.default_rng(8)
VALUES = RNG.normal(size=(3, 6, 2))
OWN_KNOTS = np.sort(RNG.uniform(0, 3, (3, 6)), axis=1)


def backward_hermite(knots: Array, values: Array) -> Any:
    slopes = np.diff(values, axis=0) / np.diff(knots).reshape(-1, *(1,) * (values.ndim - 1))
    return CubicHermiteSpline(knots, values, np.concatenate([slopes[:1], slopes]))


PEERS: dict[str, Any] = {
    "linear": lambda knots, values: make_interp_spline(knots, values, k=1),
    "hermite": backward_hermite,
    "cubic": lambda knots, values: CubicSpline(knots, values, bc_type="natural"),
}


def evaluated(text: str, **given: Array) -> dict[str, Array]:
    graph = model(text).graph
    stepped = unroll(graph, stated(graph)).graph
    found = TorchProgram(stepped)({name: torch.tensor(x) for name, x in given.items()})
    return {name: x.numpy() for name, x in found.items()}


@pytest.mark.parametrize("kind", PEERS)
def test_a_slope_is_that_of_scipy(kind: str) -> None:
    """Between knots, and at a knot that of the piece which begins there."""
    text = "dyn 1\nmodel m\ninput xs: real[6, 2]\ninput s: real\n"
    text += f"control u = {kind}(xs, at={KNOTS.tolist()})\noutput y = u'(s)\n"
    for t in (*np.linspace(0.001, 3.09, 37), *KNOTS[:-1]):
        found = evaluated(text, xs=VALUES, s=np.full(3, t))["y"]
        expected = [PEERS[kind](KNOTS, row).derivative()(t) for row in VALUES]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ["linear", "hermite"])
def test_each_sample_may_have_times_of_its_own(kind: str) -> None:
    text = "dyn 1\nmodel m\ninput xs: real[6, 2]\ninput ts: time[6]\ninput s: real\n"
    text += f"control u = {kind}(xs, at=ts)\noutput y = u'(s)\n"
    for part in np.linspace(0.0, 0.999, 23):
        s = OWN_KNOTS[:, 0] + part * (OWN_KNOTS[:, -1] - OWN_KNOTS[:, 0])
        found = evaluated(text, xs=VALUES, ts=OWN_KNOTS, s=s)["y"]
        peers = zip(OWN_KNOTS, VALUES, s, strict=True)
        expected = [PEERS[kind](knots, row).derivative()(t) for knots, row, t in peers]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


DRIVEN = """dyn 1
model driven
input x0: real in (-1, 1)
input us: real[6] in (-1, 1)
control u = KIND(us, step=0.5)
field f(t, x: real) {
  push = u'(t)*cos(x)
  x' = -x + push*u(t)
}
path = solve f from x = x0 at 0..2.5 step 0.5 with rk4(steps=100)
output x = path
output push = path.push
"""


def by_scipy(kind: str, x0: float, us: Array) -> Array:
    """From knot to knot: the slope may jump there."""
    knots = 0.5 * np.arange(6)
    u = PEERS[kind](knots, us)
    found = [x0]
    for a, b in pairwise(knots):

        def slope(t: float, x: Array, a: float = a, b: float = b) -> Array:
            inside = min(max(t, a), b - 1e-12)
            return -x + u.derivative()(inside) * u(t) * np.cos(x)

        found.append(solve_ivp(slope, (a, b), [found[-1]], "DOP853", rtol=1e-11, atol=1e-12).y[0, -1])
    return np.array(found)


@pytest.mark.parametrize("kind", PEERS)
def test_an_equation_reads_it(kind: str) -> None:
    us, x0 = RNG.uniform(-1, 1, (2, 6)), np.array([0.3, -0.6])
    found = evaluated(DRIVEN.replace("KIND", kind).replace("100", "400"), x0=x0, us=us)
    knots = 0.5 * np.arange(6)
    for row in range(2):
        np.testing.assert_allclose(found["x"][row], by_scipy(kind, x0[row], us[row]), atol=1e-8)
        u = PEERS[kind](knots, us[row])
        np.testing.assert_allclose(
            found["push"][row, :-1], (u.derivative()(knots) * np.cos(found["x"][row]))[:-1], atol=1e-12
        )


@pytest.mark.parametrize("kind", PEERS)
def test_gradients_are_difference_quotients(kind: str) -> None:
    text = DRIVEN.replace("KIND", kind).replace("rk4(steps=100)", "rk4(steps=40)")
    graph = model(text).graph
    program = TorchProgram(unroll(graph, stated(graph)).graph)
    x0, us = torch.tensor([0.3], dtype=torch.float64), torch.tensor(RNG.uniform(-1, 1, (1, 6)), requires_grad=True)
    (found,) = torch.autograd.grad(program({"x0": x0, "us": us})["x"][0, -1], us)
    for i in range(6):
        moved = [us.detach().clone() for _ in range(2)]
        moved[0][0, i] += 1e-5
        moved[1][0, i] -= 1e-5
        high, low = (float(program({"x0": x0, "us": x})["x"][0, -1]) for x in moved)
        np.testing.assert_allclose(float(found[0, i]), (high - low) / 2e-5, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["linear", "hermite"])
def test_deployed_and_in_steps(kind: str, tmp_path: Path) -> None:
    text = DRIVEN.replace("KIND", kind) + "deploy { stream }\n"
    artifact = isocline.compile(isocline.model(text), tmp_path / "driven")
    session, info = load(artifact.folder), artifact.manifest.stream
    assert info is not None
    assert info.whole == ()
    us, x0 = RNG.uniform(-0.9, 0.9, (2, 6)), np.array([0.3, -0.6])
    found = session.run(x0=x0, us=us)["x"]
    for row in range(2):
        np.testing.assert_allclose(found[row], by_scipy(kind, x0[row], us[row]), atol=1e-6)
    assert max(artifact.certificate["stream"]["errors"].values()) <= 1e-6

"""Control paths against numpy and scipy's interpolation, and equations that they drive against what is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import scipy.interpolate
import torch
from scipy.integrate import solve_ivp

import isocline
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Array, Graph, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.ops import OPS
from isocline_compiler.ops.lookup import LOOKUPS
from isocline_compiler.passes import bind, optimise
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse
from tests.solves import unrolled

KNOTS = np.array([0.0, 0.3, 0.5, 1.2, 2.0, 3.1])
RNG = np.random.default_rng(5)
VALUES = RNG.normal(size=(4, 6, 2))
OWN_KNOTS = np.sort(RNG.uniform(0, 3, (4, 6)), axis=1)
TIMES = np.linspace(0.001, 3.09, 37)


def lowered(text: str) -> Model:
    source = Source(f"dyn 1\nmodel m\n{text}")
    return lower(parse(source), source)


def outputs(model: Model, steps: int = 1, **inputs: Array) -> dict[str, Array]:
    graph = unrolled(model.graph, lambda solve: discretisation(solve, "rk4", steps))
    weights = initial_weights(model.weights, 0)
    bound = {name: torch.tensor(value) for name, value in {**weights, **inputs}.items()}
    with torch.no_grad():
        found = evaluate(tuple(graph.outputs.values()), bound)
    return {name: value.numpy() for name, value in zip(graph.outputs, found, strict=True)}


def held(knots: Array, values: Array, t: float) -> Array:
    return values[max(np.searchsorted(knots, t, side="right") - 1, 0)]


def backward_hermite(knots: Array, values: Array) -> Any:
    slopes = np.diff(values, axis=0) / np.diff(knots)[:, None]
    return scipy.interpolate.CubicHermiteSpline(knots, values, np.concatenate([slopes[:1], slopes]))


PEERS: dict[str, Any] = {
    "hold": lambda knots, values: lambda t: held(knots, values, t),
    "linear": lambda knots, values: scipy.interpolate.make_interp_spline(knots, values, k=1),
    "hermite": backward_hermite,
    "cubic": lambda knots, values: scipy.interpolate.CubicSpline(knots, values, bc_type="natural"),
}


@pytest.mark.parametrize("kind", PEERS)
def test_a_path_is_that_of_scipy(kind: str) -> None:
    times = KNOTS.tolist()
    model = lowered(f"input xs: real[6, 2]\ninput s: real\ncontrol u = {kind}(xs, at={times})\noutput y = u(s)\n")
    for t in TIMES:
        found = outputs(model, xs=VALUES, s=np.full(4, t))["y"]
        expected = [PEERS[kind](KNOTS, row)(t) for row in VALUES]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["hold", "linear", "hermite"])
def test_each_sample_may_have_times_of_its_own(kind: str) -> None:
    model = lowered(
        f"input xs: real[6, 2]\ninput ts: time[6]\ninput s: real\ncontrol u = {kind}(xs, at=ts)\noutput y = u(s)\n"
    )
    for part in np.linspace(0.0, 0.999, 23):
        t = OWN_KNOTS[:, 0] + part * (OWN_KNOTS[:, -1] - OWN_KNOTS[:, 0])
        found = outputs(model, xs=VALUES, ts=OWN_KNOTS, s=t)["y"]
        expected = [PEERS[kind](knots, row)(at) for knots, row, at in zip(OWN_KNOTS, VALUES, t, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


SEEN = np.array(
    [
        [[1, 0], [0, 1], [1, 0], [0, 0], [1, 1], [1, 1]],
        [[0, 1], [0, 1], [1, 0], [0, 0], [0, 1], [0, 0]],
        [[1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]],
        [[0, 0], [0, 0], [0, 0], [1, 0], [0, 0], [0, 1]],
    ],
    dtype=np.float64,
)
"""Gaps within, before the first and behind the last observation, everywhere but once, and nowhere."""


def between(kind: str, knots: Array, row: Array, seen: Array) -> Array:
    """The rows that a path goes through, by numpy: from observation to observation, channel by channel."""
    found = []
    for x, kept in zip(row.T, seen.T > 0.5, strict=True):
        if kind == "hold":
            last = [max(0, np.searchsorted(knots[kept], t, side="right") - 1) for t in knots]
            found.append(x[kept][last])
        else:
            found.append(np.interp(knots, knots[kept], x[kept]))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("form", ["real", "bool"])
@pytest.mark.parametrize("kind", ["hold", "linear", "hermite"])
def test_gaps_are_filled_between_what_was_observed(kind: str, form: str) -> None:
    """What stands in a gap is read by nothing, not even where it is not a number."""
    model = lowered(
        f"input xs: real[6, 2]\ninput ts: time[6]\ninput m: {form}[6, 2]\ninput s: real\n"
        f"control u = {kind}(xs, at=ts, seen=m)\noutput y = u(s)\n"
    )
    gaps = np.where(SEEN > 0.5, VALUES, np.nan)
    told = SEEN if form == "real" else SEEN > 0.5
    for part in np.linspace(0.0, 0.999, 23):
        t = OWN_KNOTS[:, 0] + part * (OWN_KNOTS[:, -1] - OWN_KNOTS[:, 0])
        found = outputs(model, xs=gaps, ts=OWN_KNOTS, m=told, s=t)["y"]
        rows = [between(kind, *item) for item in zip(OWN_KNOTS, VALUES, SEEN, strict=True)]
        expected = [PEERS[kind](knots, row)(at) for knots, row, at in zip(OWN_KNOTS, rows, t, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_a_time_may_be_seen_or_not_as_a_whole_and_channels_never_seen_are_zero() -> None:
    times = KNOTS.tolist()
    model = lowered(
        f"input xs: real[6, 2]\ninput m: real[6]\ninput s: real\ncontrol u = linear(xs, at={times}, seen=m)\n"
        "output y = u(s)\n"
    )
    rows = np.array([[0, 1, 0, 0, 1, 0.0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    for t in TIMES[::4]:
        found = outputs(model, xs=VALUES, m=rows, s=np.full(4, t))["y"]
        for i in (0, 1, 3):
            kept = rows[i] > 0.5
            expected = [np.interp(t, KNOTS[kept], x[kept]) for x in VALUES[i].T]
            np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-13)
        assert not found[2].any()


def test_gradients_of_gaps_reach_what_was_observed_alone() -> None:
    """Against differences; in a gap the slope is zero, though the value there is none."""
    model = lowered(
        "input xs: real[6, 2]\ninput ts: time[6]\ninput m: real[6, 2]\ncontrol X = hermite(xs, at=ts, seen=m)\n"
        "field f(t, z: real[2]) { dz = (-0.4*z + sin(t)) dX }\n"
        "path = solve f from z = ones(2) at ts\noutput z = sum(path.z[-1]^2)\n"
    )
    graph = unrolled(model.graph, lambda solve: discretisation(solve, "rk4", 10))
    given = {"ts": torch.tensor(OWN_KNOTS), "m": torch.tensor(SEEN)}

    def score(xs: torch.Tensor) -> torch.Tensor:
        return evaluate(tuple(graph.outputs.values()), {"xs": xs, **given})[0].sum()

    xs = torch.tensor(VALUES, requires_grad=True)
    (slope,) = torch.autograd.grad(score(xs), xs)
    assert not slope.numpy()[SEEN < 0.5].any()
    for place in [(0, 2, 0), (1, 0, 1), (3, 5, 1), (2, 3, 0)]:
        step = torch.zeros_like(xs)
        step[place] = 1e-5
        with torch.no_grad():
            difference = (score(xs + step) - score(xs - step)) / 2e-5
        assert abs(float(slope[place] - difference)) < 1e-7


def test_a_path_of_a_named_length() -> None:
    text = "input us: real[T]\ninput ts: time[T]\ninput s: real\ncontrol u = linear(us, at=ts)\noutput y = u(s)\n"
    model = lowered(text)
    for count in (2, 5):
        us, ts = RNG.normal(size=(3, count)), np.sort(RNG.uniform(0, 3, (3, count)), axis=1)
        s = ts.mean(axis=1)
        found = outputs(model, us=us, ts=ts, s=s)["y"]
        np.testing.assert_allclose(found, [np.interp(*row) for row in zip(s, ts, us, strict=True)], rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- differentials


@pytest.mark.parametrize("kind", ["linear", "hermite", "cubic"])
@pytest.mark.parametrize("product", ["", "@ "])
def test_a_controlled_equation_follows_the_path(kind: str, product: str) -> None:
    """dz = A dX with a constant A has the solution z0 + A (X(t) - X(t0))."""
    times = KNOTS.tolist()
    model = lowered(
        "const A: real[3, 2] = [[1, 2], [-1, 0.5], [0, 3]]\n"
        f"input xs: real[6, 2]\ncontrol X = {kind}(xs, at={times})\n"
        f"field f(t, z: real[3]) {{ dz = A {product}dX }}\n"
        f"path = solve f from z = zeros(3) at {times}\noutput z = path.z\n"
    )
    found = outputs(model, steps=len(KNOTS) - 1, xs=VALUES)["z"]
    matrix = np.array([[1, 2], [-1, 0.5], [0, 3]])
    np.testing.assert_allclose(found, (VALUES - VALUES[:, :1]) @ matrix.T, rtol=1e-11, atol=1e-12)


def test_a_linear_controlled_equation_has_its_exponential() -> None:
    """dz = a z dX along one channel: z exp(a (X(t) - X(0)))."""
    model = lowered(
        "input xs: real[6] \ninput ts: time[6]\ncontrol X = linear(xs, at=ts)\n"
        "field f(t, z: real) { dz = 0.7*z dX }\npath = solve f from z = 1 at ts\noutput z = path.z\n"
    )
    graph_inputs = {"xs": VALUES[..., 0], "ts": OWN_KNOTS}
    found = outputs(model, steps=5 * 40, **graph_inputs)["z"]
    np.testing.assert_allclose(found, np.exp(0.7 * (VALUES[..., 0] - VALUES[:, :1, 0])), rtol=1e-7)


def test_a_linear_controlled_equation_with_gaps_has_the_exponential_of_what_was_observed() -> None:
    """The same along the line between observations; every step stays on one piece."""
    model = lowered(
        "input xs: real[6, 2]\ninput ts: time[6]\ninput m: real[6, 2]\ncontrol X = linear(xs, at=ts, seen=m)\n"
        "const A: real[1, 2] = [[0.7, -0.4]]\nfield f(t, z: real[1]) { dz = (A*z[0]) dX }\n"
        "path = solve f from z = [1] at ts\noutput z = path.z[:, 0]\n"
    )
    found = outputs(model, steps=5 * 40, xs=np.where(SEEN > 0.5, VALUES, 7.0), ts=OWN_KNOTS, m=SEEN)["z"]
    rows = np.stack([between("linear", *item) for item in zip(OWN_KNOTS, VALUES, SEEN, strict=True)])
    np.testing.assert_allclose(found, np.exp((rows - rows[:, :1]) @ [0.7, -0.4]), rtol=1e-7)


def test_log_signatures_are_increments_and_areas() -> None:
    model = lowered(
        "input xs: real[7, 3]\ncontrol X = log_signature(xs, step=1, window=3)\n"
        "field f(t, z: real[6]) { dz = dX }\npath = solve f from z = zeros(6) at [0, 3, 6]\noutput z = path.z\n"
    )
    xs = RNG.normal(size=(2, 7, 3))
    found = outputs(model, steps=2, xs=xs)["z"]
    for row, walked in zip(xs, found, strict=True):
        for window, begin in enumerate((0, 3)):
            part = row[begin : begin + 4]
            area = np.zeros((3, 3))
            for k in range(3):  # int (x - x_begin) dx^T over straight lines, by its definition
                x0, dx = part[k] - part[0], part[k + 1] - part[k]
                area += np.outer(x0, dx) + 0.5 * np.outer(dx, dx)
            levy = 0.5 * (area - area.T)
            expected = [*(part[-1] - part[0]), levy[0, 1], levy[0, 2], levy[1, 2]]
            np.testing.assert_allclose(walked[window + 1] - walked[window], expected, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- measured inputs


def test_a_held_input_against_the_pieces_of_its_exact_solution() -> None:
    """x' = -k x + u on each piece: x goes to u/k exponentially."""
    model = lowered(
        "input us: real[5]\ncontrol u = hold(us, step=0.5)\nfield f(t, x: real) { x' = -2*x + u(t) }\n"
        "path = solve f from x = 1 at 0..2.5 step 0.5\noutput x = path.x\n"
    )
    us = RNG.normal(size=(3, 5))
    found = outputs(model, steps=5 * 20, us=us)["x"]
    for row, given in zip(found, us, strict=True):
        x = 1.0
        for i, u in enumerate(given):
            assert row[i] == pytest.approx(x, abs=2e-7)
            x = u / 2 + (x - u / 2) * np.exp(-1.0)


def test_a_model_driven_by_a_spline_against_scipy() -> None:
    times = KNOTS.tolist()
    model = lowered(
        f"input us: real[6]\ncontrol u = cubic(us, at={times})\n"
        "field f(t, x: real, v: real) { x' = v\n v' = -4*x - 0.3*v + u(t) }\n"
        "path = solve f from x = 1, v = 0 at [0, 1, 2, 3]\noutput x = path.x\n"
    )
    found = outputs(model, steps=3 * 200, us=VALUES[..., 0])["x"]
    for row, values in zip(found, VALUES[..., 0], strict=True):
        u = PEERS["cubic"](KNOTS, values)
        exact = solve_ivp(
            lambda t, z, u=u: [z[1], -4 * z[0] - 0.3 * z[1] + u(t)], (0, 3), [1, 0], t_eval=[0, 1, 2, 3],
            rtol=1e-11, atol=1e-12, max_step=0.02, method="DOP853",
        ).y[0]  # fmt: skip
        np.testing.assert_allclose(row, exact, atol=2e-8)


# ---------------------------------------------------------------------------------------------------- artifacts


def controlled_model() -> Model:
    """A factor that reads the state, with an axis for the channels of the path."""
    return lowered(
        "input xs: real[9, 2] in (-2, 2)\ninput ts: time[9] in (0, 4)\nparam dial: positive = 1\n"
        "control X = hermite(xs, at=ts)\n"
        "field g(t, z: real[3]) { dz = stack(tanh(z)*dial, z[0]*ones(3), axis=-1) dX - 0.2*z dt }\n"
        "path = solve g from z = [1, 0, -1] at ts\noutput z = path.z[-1]\n"
    )


@pytest.mark.parametrize("segment", [None, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_onnx_values_and_gradients_are_those_of_torch(segment: int | None, dtype: str) -> None:
    """Laid out and in a loop; the gradient of all outputs with respect to the values that were measured."""
    model = controlled_model()
    graph = unrolled(model.graph, lambda solve: replace(discretisation(solve, "rk4", 16), segment=segment))
    (z,) = graph.outputs.values()
    xs = next(node for node in graph.inputs if node.attrs["name"] == "xs")
    (slope,) = gradient(OPS["reduce_sum"](z, axes=(1,)), [xs])
    weights = initial_weights(model.weights, 0)
    both = optimise(bind(Graph(graph.inputs, {"z": z, "slope": slope}), weights))
    rng = np.random.default_rng(7)
    steps = rng.uniform(0.2, 0.5, (3, 9))
    drawn = {"xs": 0.4 * rng.normal(size=(3, 9, 2)), "ts": np.cumsum(steps, axis=1)}
    given = {name: value.astype(dtype).astype("float64") for name, value in drawn.items()}
    leaves = {name: torch.tensor(value, requires_grad=name == "xs") for name, value in given.items()}
    (expected,) = evaluate([z], {**{k: torch.tensor(v) for k, v in weights.items()}, **leaves})
    (slopes,) = torch.autograd.grad(expected.sum(), [leaves["xs"]])
    content = to_onnx(both, {}, dtype=dtype).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.astype(dtype) for name, value in given.items()})
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(found[0], expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found[1], slopes.numpy(), rtol=20 * tolerance, atol=20 * tolerance)


def test_a_step_looks_up_its_piece_before_the_first_step() -> None:
    """In the loop of a measured input nothing grows with the number of its values."""
    model = lowered(
        "input us: real[400] in (-1, 1)\ncontrol u = hold(us, step=0.01)\n"
        "field f(t, x: real) { x' = -x + u(t) }\npath = solve f from x = 0 over 0..4\noutput x = path.x\n"
    )
    graph = unrolled(model.graph, lambda solve: replace(discretisation(solve, "rk4", 400), segment=4))
    body = next(node.attrs["region"] for node in graph.nodes() if node.op is SCAN)
    assert not any(node.op in LOOKUPS for node in topological(body.results))
    assert sum(node.op in LOOKUPS for node in graph.nodes()) == 1
    content = to_onnx(optimise(graph), {}).SerializeToString()
    assert len(content) < 60_000
    us = RNG.uniform(-1, 1, (2, 400))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"us": us.astype("float32")})
    for row, value in zip(us, found, strict=True):
        x = 0.0
        for u in row:
            x = u + (x - u) * np.exp(-0.01)
        assert value == pytest.approx(x, abs=1e-6)


def test_an_artifact_with_a_control_is_proved(tmp_path: Path) -> None:
    """Heating that is held: the pieces of the exact solution at fresh inputs, within the stated error."""
    text = (
        "dyn 1\nmodel room\ninput us: real[6] in (0, 5)\ninput x0: real in (5, 20)\ncontrol u = hold(us, step=10)\n"
        "field room(t, x: real) { x' = -0.03*(x - 10) + 0.2*u(t) }\n"
        "path = solve room from x = x0 at 0..60 step 10\noutput x = path.x\ndeploy { solver auto(error=1e-4) }\n"
    )
    (tmp_path / "room.dyn").write_text(text)
    isocline.compile(tmp_path / "room.dyn", tmp_path / "out")
    us, x0 = RNG.uniform(0, 5, (20, 6)), RNG.uniform(5, 20, 20)
    found = isocline.load(tmp_path / "out").run(us=us, x0=x0)["x"]
    x, exact = x0, [x0]
    for i in range(6):
        rest = 10 + us[:, i] * 0.2 / 0.03
        x = rest + (x - rest) * np.exp(-0.3)
        exact.append(x)
    expected = np.stack(exact, axis=1)
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-4

"""Sums of schemes in products, and states side by side: against numpy by hand, and against the plain ONNX file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isocline_compiler.certify.enclosure import finite
from isocline_compiler.graph.interval import Interval, precision_of
from isocline_compiler.packing.columns import COLUMNS
from isocline_compiler.packing.recovered import RECOVERED
from isocline_compiler.solvers.schemes.tableau import Tableau
from tests.packed import (
    ACTIVATIONS,
    HAMILTON,
    QUICK,
    SCALAR_HAMILTON,
    SCHEMES,
    SUMS,
    Trial,
    close,
    fields_in,
    hamilton_by_hand,
    net_by_hand,
    net_model,
    nodes,
)  # fmt: skip
from tests.steppers import runge_kutta


@QUICK
@given(
    widths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    scheme=st.sampled_from(sorted(SCHEMES)),
    sums=st.sampled_from(SUMS),
    unrolling=st.sampled_from(["all", 1, 2]),
)
def test_networks_with_absorbed_sums_are_those_by_hand(widths, activation, scheme, sums, unrolling):
    trial = Trial(net_model(widths, activation, scheme, 4))
    expected = {"y": net_by_hand(trial, activation, scheme, 4)}
    assume(np.abs(expected["y"]).max() < 1e3)
    found = trial.graph(None, sums, unrolling)
    close(trial.exact(found), expected, 1e-12)
    close(trial.single(found), expected, 2e-5)


ENTRYWISE_FIRST = """dyn 1
model first
input start: real[3] in (-1, 1)
field f(t, x: real[3]) { x' = (x |> tanh |> dense(3)) - x / 3.0 }
s = solve f from x = start over 0..1 with rk4(steps=4)
output y = s.x
"""


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("damped", [True, False])
def test_a_bias_that_no_layer_takes_is_added(sums, damped):
    """Stages are read by an activation, and slopes are differences."""
    trial = Trial(ENTRYWISE_FIRST if damped else ENTRYWISE_FIRST.replace(" - x / 3.0", ""))
    w, b = trial.weights.values()

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        return np.tanh(x) @ w + b - (x / 3 if damped else 0.0)

    rk4 = SCHEMES["rk4"]
    path = runge_kutta(rk4.matrix, rk4.weights, rk4.nodes, slopes, trial.inputs["start"], np.linspace(0, 1, 5))
    close(trial.exact(trial.graph(None, sums)), {"y": path[-1]}, 1e-12)


SCALED = """dyn 1
model scaled
input q0: real[2] in (-1, 1)
input p0: real[2] in (-1, 1)
field f(t, q, p: real[2]) {
  h = 2.0 * (concat(q, p) |> dense(5) |> tanh) + 0.5
  u = h |> dense(4)
  q' = u[2:]
  p' = -u[:2]
}
s = solve f from q = q0, p = p0 over 0..1 with rk4(steps=4)
output q = s.q
output p = s.p
"""


@pytest.mark.parametrize("sums", SUMS)
def test_what_scales_and_turns_a_layer_moves_into_its_matrix(sums):
    trial = Trial(SCALED)
    first, bias, last, end = trial.weights.values()

    def slopes(t: float, z: np.ndarray) -> np.ndarray:
        s = (2 * np.tanh(z @ first + bias) + 0.5) @ last + end
        return np.concatenate([s[:, 2:], -s[:, :2]], axis=1)

    rk4 = SCHEMES["rk4"]
    start = np.concatenate([trial.inputs["q0"], trial.inputs["p0"]], axis=1)
    path = runge_kutta(rk4.matrix, rk4.weights, rk4.nodes, slopes, start, np.linspace(0, 1, 5))[-1]
    close(trial.exact(trial.graph(COLUMNS, sums)), {"q": path[:, :2], "p": path[:, 2:]}, 1e-12)
    (field,) = fields_in(trial, COLUMNS)
    assert sorted(node.op.name for node in field if node.inputs) == ["linear", "linear", "tanh"]


def test_a_step_of_the_classic_scheme_is_thirteen_operations():
    """Four times two layers, three stages, and the sum of the slopes as one product beside a concatenation; where more
    than 128 terms are summed, they are added to the state on their own, and rounded once.
    """
    counts = {sums: [nodes(Trial(net_model([2, 64], "tanh", "rk4", n)).graph(None, sums)) for n in (4, 8)]
              for sums in SUMS}  # fmt: skip
    each = {sums: (many - few) / 4 for sums, (few, many) in counts.items()}
    assert each == {"plain": 26, "absorbed": 14, "absorbed from stages": 13}


def test_products_are_read_off_stages_only_where_rounding_leaves_the_state_as_it_is():
    """The numbers before y, Y_2, Y_3, Y_4 add up to 1 in float32: else a long solve would grow by 1 + 3e-8 a step."""
    graph = Trial(net_model([2, 9], "tanh", "rk4", 2)).graph(None, "absorbed from stages")
    ends = [node for node in graph.nodes() if node.op is RECOVERED]
    assert len(ends) == 2
    for node in ends:
        ones, layer, *_ = node.inputs[0].inputs
        assert (int(ones.size(1)), int(layer.size(1))) == (1, 9)  # the last slope's layer is left
        rows = node.inputs[1].attrs["value"].astype(np.float32).astype(np.float64)
        states = [rows[10 + 2 * i : 12 + 2 * i] for i in range(4)]
        assert np.array_equal(sum(states), np.zeros((2, 2)))


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("scheme", ["rk4", "heun", "ralston2"])
def test_what_is_proved_of_plain_steps_is_proved_of_others(sums, scheme):
    """Between which numbers an output lies: in single precision, from corners of the box on, and hardly wider."""
    trial = Trial(net_model([2, 16], "tanh", scheme, 40))
    bounds = [finite(trial.graph(None, item, 1), trial.lowered.inputs, "float32", trial.lowered.source)
              for item in ("plain", sums)]  # fmt: skip
    (low, high), (lowest, highest) = (item.ranges["y"] for item in bounds)
    assert low - 0.01 < lowest < highest < high + 0.01
    trial.inputs["start"] = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0.3, 1)], dtype=np.float64)
    found = trial.single(trial.graph(None, sums, 1))["y"]
    assert lowest <= found.min() <= found.max() <= highest


OWN = {
    "read": ((0.5, 0.0), (0.25, 0.375, 0.375), True),
    "numbers that do not cancel in single precision": ((0.3, 0.7), (0.1, 0.37, 0.53), False),
    "a stage that would be taken four times": ((0.1, 0.0), (0.4, 0.0, 0.6), False),
}
"""Schemes of three stages: a_21 and a_32 (0: a third stage of both others), the weights, whether products are read."""


@pytest.mark.parametrize("name", OWN)
def test_products_are_read_only_where_that_rounds_little(name):
    (first, second), weights, read = OWN[name]
    last = (0.0, second) if second else (0.25, 0.25)
    nodes_ = (0.0, first, sum(last))
    scheme = Tableau(name="own", order=1, a=((), (first,), last), b=weights, c=nodes_, reference="made for this test")
    trial = Trial(net_model([2, 9], "tanh", "rk4", 4))
    trial.choices = {key: replace(choice, scheme=scheme) for key, choice in trial.choices.items()}
    graph = trial.graph(None, "absorbed from stages")
    assert any(node.op is RECOVERED for node in graph.nodes()) == read
    close(trial.exact(graph), trial.exact(trial.graph(None, "plain")), 1e-12)


def test_a_recovered_sum_lies_in_its_enclosure():
    """Of single samples, whose box is a point: what float32 makes of it is as far away as rounding may take it."""
    trial = Trial(net_model([2, 9], "tanh", "rk4", 1))
    (node,) = [item for item in trial.graph(None, "absorbed from stages").nodes() if item.op is RECOVERED]
    precision = precision_of("float32")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y, ts = rng.normal(size=(1, 2)), [np.tanh(rng.normal(size=(1, 9))) for _ in range(4)]
        reads = node.attrs["reads"]
        stages = [y + t @ read.matrix for t, read in zip(ts, reads, strict=False)]
        x = np.concatenate([np.ones((1, 1)), ts[3], y, *stages], axis=1).astype(np.float32)
        w = node.inputs[1].attrs["value"]
        points = [Interval(item, item) for item in (x.astype(float), w, y.astype(np.float32).astype(float), *ts[:3])]
        box = RECOVERED.enclose(precision, *points, **node.attrs)
        found = x @ w.astype(np.float32) + y.astype(np.float32)
        assert (box.low <= found).all()
        assert (found <= box.high).all()
        assert (box.high - box.low < 3e-4).all()


@pytest.mark.parametrize("width", [16, 64])
def test_a_long_solve_keeps_its_digits(width):
    """What is added to a state is rounded once at its size, its bias too: errors do not go in one direction."""
    trial = Trial(net_model([2, width], "tanh", "rk4", 1000))
    expected = {"y": net_by_hand(trial, "tanh", "rk4", 1000)}
    found = trial.single(trial.graph(None, "absorbed", 4))
    close(found, expected, 6e-6)


@pytest.mark.parametrize("text", [HAMILTON, SCALAR_HAMILTON], ids=["vectors", "numbers"])
@pytest.mark.parametrize("scheme", ["rk4", "midpoint", "tsit5"])
@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("unrolling", ["all", 1])
def test_a_gradient_field_is_two_products(text, scheme, sums, unrolling):
    trial = Trial(text % scheme)
    found = trial.graph(COLUMNS, sums, unrolling)
    close(trial.exact(found), hamilton_by_hand(trial, scheme), 1e-12)
    close(trial.single(found), hamilton_by_hand(trial, scheme), 2e-5)
    if sums == "plain":
        (field,) = fields_in(trial, COLUMNS)
        assert sorted(node.op.name for node in field if node.inputs) == ["linear", "linear", "mul", "tanh"]

"""Steps in fewer operations give what the plain ones give: against numpy by hand, and against the plain ONNX file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.enclosure import finite
from isocline_compiler.graph import Graph, Node, everything
from isocline_compiler.graph.interval import Interval, precision_of
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.packing import PLAIN, ROUNDED, Packed, deployed, forms
from isocline_compiler.packing.columns import COLUMNS
from isocline_compiler.packing.layouts import Layout, packed
from isocline_compiler.packing.recovered import RECOVERED
from isocline_compiler.packing.rows import ROWS
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.schemes.explicit import EXPLICIT
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_compiler.training.initial import initial_weights
from tests.stated import stated
from tests.steppers import adams_bashforth_2, runge_kutta

BATCH = 3
SUMS = tuple(ROUNDED)
SCHEMES = {scheme.name: scheme for scheme in EXPLICIT}
QUICK = settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Trial:
    """A model whose solves name their schemes, its weights drawn, and what it gives in each form."""

    def __init__(self, text: str, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.lowered = lowered = model(text)
        drawn = initial_weights(lowered.weights, seed)
        self.weights = {name: value + 0.3 * rng.normal(size=value.shape) for name, value in drawn.items()}
        self.bound = bind(lowered.graph, self.weights)
        self.choices = stated(self.bound)
        self.inputs = {
            node.attrs["name"]: rng.uniform(0.2, 1.0, [BATCH if isinstance(n, str) else n for n in node.shape])
            for node in self.bound.inputs
        }

    def graph(self, layout: Layout | None, sums: str, unrolling: int | str = "all") -> Graph:
        form = Packed(layout, sums, 0.0)
        found = deployed(self.bound, self.choices, unrolling, form=form).graph
        verify(found)
        return found

    def exact(self, graph: Graph) -> dict[str, np.ndarray]:
        """In float64, by torch."""
        fed = {name: torch.tensor(value) for name, value in self.inputs.items()}
        return {
            key: value.numpy()
            for key, value in zip(graph.outputs, evaluate(tuple(graph.outputs.values()), fed), strict=True)
        }

    def single(self, graph: Graph) -> dict[str, np.ndarray]:
        """In float32, by onnxruntime."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        content = to_onnx(graph, {}).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        fed = {name: value.astype(np.float32) for name, value in self.inputs.items()}
        return dict(zip(graph.outputs, session.run(None, fed), strict=True))


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], bound: float) -> None:
    for name, array in expected.items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(found[name], array, rtol=0, atol=bound * scale, err_msg=name)


def nodes(graph: Graph) -> int:
    return sum(1 for node in everything(graph.outputs.values()) if node.inputs)


# ---------------------------------------------------------------------------------------------------- scalar equations

FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "tanh": np.tanh, "sin": np.sin, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "sqrt": np.sqrt, "where": np.where,
    "max": np.maximum,
}  # fmt: skip


@st.composite
def expressions(draw, names: list[str], depth: int = 3) -> str:
    """A formula that the language and Python read alike."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*names, *names, "t", "p", "0.7", "1.3", "2.0"]))
    inner = [draw(expressions(names, depth - 1)) for _ in range(2)]
    kinds = [
        "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} * {1})", "({0} / (1.5 + {1} * {1}))", "tanh({0})",
        "sin({0})", "sigmoid({0} - {1})", "(-{0})", "(0.4 * {0})", "({0} / 4.0)", "max({0}, {1})",
        "sqrt(1.0 + {0} * {0})",
    ]  # fmt: skip
    return draw(st.sampled_from(kinds)).format(*inner)


def scalar_model(equations: list[str], scheme: str, steps: int) -> str:
    states = [f"x{i}" for i in range(len(equations))]
    read = [re.findall(r"\bp\b", item) for item in equations]
    return "\n".join([
        "dyn 1", "model scalars", *(["input p: real in (0, 1)"] if any("p" in item for item in read) else []),
        *(f"input s{i}: real in (0, 1)" for i in range(len(states))),
        f"field f(t, {', '.join(f'{x}: real' for x in states)}) {{",
        *(f"  {x}' = {e}" for x, e in zip(states, equations, strict=True)), "}",
        f"s = solve f from {', '.join(f'{x} = s{i}' for i, x in enumerate(states))} at [0, 0.2, 0.6] "
        f"with {scheme}(steps={steps})",
        *(f"output {x} = s.{x}" for x in states),
    ]) + "\n"  # fmt: skip


def by_hand(equations: list[str], scheme: str, steps: int, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tableau = SCHEMES[scheme]
    compiled = [compile(item.replace("^", "**"), "equation", "eval") for item in equations]

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        known = {f"x{i}": row for i, row in enumerate(x)} | {"t": t, "p": inputs.get("p"), **FUNCTIONS}
        return np.array([eval(item, known) * np.ones(BATCH) for item in compiled])

    start = np.array([inputs[f"s{i}"] for i in range(len(equations))])
    half = steps // 2
    times = np.concatenate([np.linspace(0, 0.2, half + 1), np.linspace(0.2, 0.6, half + 1)[1:]])
    with np.errstate(all="ignore"):
        path = runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, start, times)
    kept = path[[0, half, steps]]
    return {f"x{i}": kept[:, i].T for i in range(len(equations))}


@QUICK
@given(data=st.data(), count=st.integers(2, 5), scheme=st.sampled_from(sorted(SCHEMES)), sums=st.sampled_from(SUMS))
def test_scalar_equations_in_rows_are_those_by_hand(data, count, scheme, sums):
    equations = [data.draw(expressions([f"x{i}" for i in range(count)])) for _ in range(count)]
    trial = Trial(scalar_model(equations, scheme, 4))
    expected = by_hand(equations, scheme, 4, trial.inputs)
    assume(all(np.isfinite(item).all() and np.abs(item).max() < 1e3 for item in expected.values()))
    unrolling = data.draw(st.sampled_from(["all", 1]))
    found = trial.graph(ROWS, sums, unrolling)
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, trial.choices) is not ready
    close(trial.exact(found), expected, 1e-12)
    plain = trial.graph(None, "plain", unrolling)
    close(trial.single(found), trial.single(plain), 2e-5)


CHAINS = {
    "lotka_volterra": ["1.1 * x0 - 0.4 * x0 * x1", "0.1 * x0 * x1 - 0.4 * x1"],
    "lorenz": ["10.0 * (x1 - x0)", "x0 * (28.0 - x2) - x1", "x0 * x1 - 2.6 * x2"],
    "sir": ["-p * x0 * x1", "p * x0 * x1 - 0.3 * x1", "0.3 * x1"],
    "squares": ["0.3 * x1^2 - x0", "x0 - 0.2 * x1^2"],
    "logistic": ["x0 * (1.5 - x1) - 0.2 * x0 * x0", "x1 * (0.7 - x0) - 0.1 * x1 * x1"],
    "decays": ["1.0 - tanh(x0)", "0.5 - tanh(x1)"],
    "michaelis": [
        f"{1 + 0.1 * i} * x{(i - 1) % 6} / ({0.5 + 0.1 * i} + x{(i - 1) % 6}) - 1.2 * x{i} / (0.7 + x{i})"
        for i in range(6)
    ],
}
"""Equations of a kind, and how many operations a step of the classic scheme may have."""
MOST = {"lotka_volterra": 13, "lorenz": 20, "sir": 25, "decays": 13, "squares": 22, "logistic": 14, "michaelis": 17}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("sums", SUMS)
def test_equations_of_one_kind_share_operations(name, sums):
    trial = Trial(scalar_model(CHAINS[name], "rk4", 8))
    expected = by_hand(CHAINS[name], "rk4", 8, trial.inputs)
    found = trial.graph(ROWS, sums)
    close(trial.exact(found), expected, 1e-12)
    close(trial.single(found), expected, 2e-5)
    if sums == "absorbed":
        longer = Trial(scalar_model(CHAINS[name], "rk4", 16)).graph(ROWS, sums)
        assert (nodes(longer) - nodes(found)) / 8 <= MOST[name]


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("unrolling", ["all", 1, 2])
def test_slopes_that_are_remembered_are_rows_too(sums, unrolling):
    equations = CHAINS["lotka_volterra"]
    text = scalar_model(equations, "ab2", 8).replace("at [0, 0.2, 0.6]", "at [0, 0.3, 0.6]")
    trial = Trial(text)

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([1.1 * x[0] - 0.4 * x[0] * x[1], 0.1 * x[0] * x[1] - 0.4 * x[1]])

    start = np.array([trial.inputs["s0"], trial.inputs["s1"]])
    path = adams_bashforth_2(slopes, start, np.linspace(0, 0.6, 9))[[0, 4, 8]]
    found = trial.exact(trial.graph(ROWS, sums, unrolling))
    close(found, {f"x{i}": path[:, i].T for i in range(2)}, 1e-12)
    assert any(node.op.name in ("gemm", "matmul") for node in everything(trial.graph(ROWS, sums).outputs.values()))


# ---------------------------------------------------------------------------------------------------- networks

ACTIVATIONS = {"tanh": np.tanh, "sigmoid": FUNCTIONS["sigmoid"], "relu": lambda x: np.maximum(x, 0)}


def net_model(widths: list[int], activation: str, scheme: str, steps: int) -> str:
    hidden = " ".join(f"|> dense({width}) |> {activation}" for width in widths[1:])
    return (
        f"dyn 1\nmodel net\ninput start: real[{widths[0]}] in (-1, 1)\n"
        f"field f(t, x: real[{widths[0]}]) {{ x' = x {hidden} |> dense({widths[0]}) }}\n"
        f"s = solve f from x = start over 0..1 with {scheme}(steps={steps})\noutput y = s.x\n"
    )


def net_by_hand(trial: Trial, activation: str, scheme: str, steps: int) -> np.ndarray:
    arrays = list(trial.weights.values())

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        for w, b in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            x = ACTIVATIONS[activation](x @ w + b)
        return x @ arrays[-2] + arrays[-1]

    tableau = SCHEMES[scheme]
    times = np.linspace(0, 1, steps + 1)
    return runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, trial.inputs["start"], times)[-1]


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
    (field,) = _fields(trial, COLUMNS)
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


# ---------------------------------------------------------------------------------------------------- gradients

HAMILTON = """dyn 1
model ham
input q0: real[2] in (-1, 1)
input p0: real[2] in (-1, 1)
net energy(q, p: real[2]) -> real = concat(q, p) |> dense(8) |> tanh |> dense(1, bias=false) |> squeeze(-1)
field f(t, q, p: real[2]) {
  H = energy(q, p)
  q' = grad(H, p)
  p' = -grad(H, q)
}
s = solve f from q = q0, p = p0 at [0, 0.5, 1] with %s(steps=6)
output q = s.q
output p = s.p
"""
SCALAR_HAMILTON = HAMILTON.replace("real[2]", "real").replace("concat(", "stack(")


def hamilton_by_hand(trial: Trial, scheme: str) -> dict[str, np.ndarray]:
    first, bias, last = trial.weights.values()
    start = [item.reshape(BATCH, -1) for item in (trial.inputs["q0"], trial.inputs["p0"])]
    half = start[0].shape[1]

    def slopes(t: float, z: np.ndarray) -> np.ndarray:
        gradient = ((1 - np.tanh(z @ first + bias) ** 2) * last[:, 0]) @ first.T
        return np.concatenate([gradient[:, half:], -gradient[:, :half]], axis=1)

    tableau = SCHEMES[scheme]
    times = np.linspace(0, 1, 7)
    path = runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, np.concatenate(start, axis=1), times)
    kept = path[[0, 3, 6]].transpose(1, 0, 2)
    shape = (BATCH, 3, *trial.inputs["q0"].shape[1:])
    return {"q": kept[:, :, :half].reshape(shape), "p": kept[:, :, half:].reshape(shape)}


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
        (field,) = _fields(trial, COLUMNS)
        assert sorted(node.op.name for node in field if node.inputs) == ["linear", "linear", "mul", "tanh"]


def _fields(trial: Trial, layout: Layout) -> list[list[Node]]:
    from isocline_compiler.packing import _laid

    laid = _laid(optimise(trial.bound), layout, trial.choices)
    return [
        list(Graph((), {str(i): item for i, item in enumerate(Solve.of(node).region.results)}).nodes())
        for node in laid.nodes() if node.op is SOLVE
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- which form


def chosen(text: str, samples: int | None) -> str:
    trial = Trial(text)
    return deployed(trial.bound, trial.choices, samples=samples).form.name


def test_the_form_follows_the_batch():
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), 1) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), None) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), 4096) == "plain"
    assert chosen(scalar_model(CHAINS["lotka_volterra"], "rk4", 100), 1) == "rows, absorbed"
    assert chosen(HAMILTON % "rk4", 1).startswith("columns, absorbed")


def test_many_steps_and_tight_bounds_read_nothing_off_stages():
    """It rounds at the size of the state, in one direction: half a unit a step may be 80 steps, or what is allowed."""
    assert chosen(net_model([2, 64], "tanh", "rk4", 80), 1) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 81), 1) == "absorbed"
    trial = Trial(net_model([2, 64], "tanh", "rk4", 20))
    assert deployed(trial.bound, trial.choices, samples=1, tolerance=9.0).form.name == "absorbed"


def test_plain_is_among_the_forms_and_the_least_predicted_is_taken():
    trial = Trial(scalar_model(CHAINS["michaelis"], "rk4", 20))
    found = forms(optimise(trial.bound), trial.choices, 1)
    assert found[0].name == "plain"
    assert {"rows", "rows, absorbed"} < {item.name for item in found}
    assert len({item.name for item in found}) == len(found)
    least = min(found, key=lambda item: item.predicted)
    assert deployed(trial.bound, trial.choices, samples=1).form == least
    assert deployed(trial.bound, trial.choices, form=PLAIN).form is PLAIN
    assert all(math.isfinite(item.predicted) for item in found)


NOT_IN_ROWS = {
    "a vector beside a number": HAMILTON.replace("q, p: real[2]) {", "q: real[2], p: real[2]) {") % "rk4",
    "one state": scalar_model(["-x0"], "rk4", 4),
    "a scheme that moves states in turn": scalar_model(["x1", "-sin(x0)"], "symplectic_euler", 4),
}


@pytest.mark.parametrize("name", NOT_IN_ROWS)
def test_what_fits_no_rows_stays_as_it_is(name):
    trial = Trial(NOT_IN_ROWS[name])
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, trial.choices) is ready


def test_solves_without_a_choice_stay():
    trial = Trial(scalar_model(CHAINS["sir"], "rk4", 4))
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, {}) is ready
    scheme = replace(next(iter(trial.choices.values())), segment=2)
    assert packed(ready, ROWS, dict.fromkeys(trial.choices, scheme)) is not ready

"""One step as a graph: step after step it gives what the whole graph gives, and what the equations say by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower import lower
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of, with_forms
from isocline_compiler.streaming.outputs import outputs_of_steps
from isocline_compiler.streaming.step import Asked, StreamGraphs, stream_graphs
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import IsoclineError, Source, parse

BATCH, LENGTH = 3, 7


@dataclass(frozen=True)
class Case:
    """A model, the scheme of its solves with the steps of an interval, and the loop that is streamed."""

    text: str
    scheme: str = "rk4"
    steps: int = 2
    loop: str | None = None


def driven(control: str, scheme: str = "rk4", steps: int = 2) -> Case:
    return Case(
        f"""
input x0: real[2], us: real[21], w: real[21], p: real
control u = {control}(us, step=0.1)
field f(t, x: real[2]) {{ x' = -exp(p)*x + u(t) + sin(t) }}
path = solve f from x = x0 at 0..2 step 0.1
output path
output scaled = path*p
output weighted = path*reshape(w, 21, 1)
""",
        scheme, steps,
    )  # fmt: skip


TWO = """
input xs: real[T, 2]
h = scan (x) over (xs) from h = zeros(3) { h = gru_cell(h, x) }
field f(t, z: real[3]) { z' = tanh(z |> dense(3)) }
path = solve f from z = h[-1] at 0..2 step 0.1
output y = path |> dense(1)
output all = h
"""

CASES = {
    "scan": Case("""
input xs: real[T, 3]
h = scan (x) over (xs) from h = zeros(5) { h = gru_cell(h, x) }
output all = softmax(h |> dense(2))
output last = h[-1] |> dense(1)
output beside = stack(h[:, 0], xs[:, 1], axis=-1)
"""),
    "scan of known length": Case("""
input xs: real[7, 3], w: real[7]
h = scan (x) over (xs |> standardize) from h = zeros(5) { h = tanh(h + sum(x)) }
output all = concat(h, w |> reshape(7, 1), axis=-1)
"""),
    "backwards": Case("""
input xs: real[7, 3]
h = scan (x) over (reverse(xs)) from h = zeros(3) { h = gru_cell(h, x) }
output all = h
"""),
    "scan between times": Case("""
input ts: time[T], xs: real[T, 2]
field f(t, h: real[3]) { h' = tanh(h |> dense(3)) + sin(t) }
h = scan (t0, t1, x) over (ts, xs) from h = zeros(3) {
  h = solve f from h = h over t0..t1
  h = gru_cell(h, x)
}
output y = h |> dense(1)
"""),
    "where the path ends": Case("""
input x0: real[2]
field f(t, x: real[2]) { x' = -x + t }
x = solve f from x = x0 over 0..2
output y = x |> dense(3)
""", steps=12),
    "weights per step": Case("""
input x0: real[4]
field f(t, x: real[4]) weights per step { x' = tanh(x |> dense(4)) }
x = solve f from x = x0 over 0..8 with euler(steps=8)
output y = x |> dense(3)
""", "euler", 8),
    "held": driven("hold"),
    "linear": driven("linear"),
    "hermite": driven("hermite", "dopri5"),
    "spline": driven("cubic"),
    "remembering": driven("linear", "ab3", 1),
    "remembering longer than an interval": driven("hold", "ab4", 2),
    "backwards in time": Case("""
input x0: real[2]
field f(t, x: real[2]) { x' = -x*t }
path = solve f from x = x0 at 2..0 step -0.25
output path
"""),
    "momentum": Case("""
input q0: real
field f(t, q: real) { q'' = -sin(q) }
path = solve f from q = q0, q' = 0 at 0..2 step 0.1
output q = path.q
output energy = 0.5*path.q'^2 - cos(path.q)
""", "leapfrog"),
    "implicit": Case("""
input x0: real[2]
field f(t, x: real[2]) { x' = -x^3 + t }
path = solve f from x = x0 at 0..2 step 0.25
output path
""", "radau5", 2),
    "delay": Case("""
input x0: real[2], tau: real
field f(t, x: real[2]) { x' = 0.5*x(t - 0.5) - x + sin(t) }
path = solve f from x = x0 at 0..4 step 0.25
output path
output shifted = path + tau
""", "rk4", 5),
    "noise": Case("""
input s0: real[2]
field f(t, s: real[2]) { noise W: brownian[2]
 ds = 0.1*s dt + 0.2*s dW }
path = solve f from s = s0 at 0..1 step 0.1 samples 4
output path
output middle = mean(path, over=samples)
""", "euler_maruyama", 3),
    "noise alone": Case("""
field f(t, s: real[2]) { noise W: brownian[2]
 ds = -s dt + dW }
path = solve f from s = [1, 2] at 0..1 step 0.1
output path
""", "srk", 2),
    "along it": Case("""
input x0: real[2], us: real[21], g: real
control u = linear(us, step=0.1)
control w = hold(us, step=0.1)
field f(t, x: real[2]) {
  pull = g*(x |> dense(3) |> tanh) + u(t)*sin(t)
  push = w(t)*x
  x' = pull[0:2] - push
}
path = solve f from x = x0 at 0..2 step 0.1
output path
output pull = path.pull
output push = exp(path.push)
output last = path.pull[-1]
"""),
    "along each path": Case("""
input s0: real[2]
field f(t, s: real[2]) { noise W: brownian[2]
 pull = t*s
 ds = 0.1*pull dt + 0.2*s dW }
path = solve f from s = s0 at 0..1 step 0.1 samples 4
output pull = path.pull
output middle = mean(path.pull, over=samples)
""", "euler_maruyama", 3),
    "what comes before a solve": Case(TWO, loop="path"),
    "what comes after a scan": Case(TWO, loop="h"),
}  # fmt: skip


def made(case: Case) -> tuple[Graph, StreamGraphs]:
    """The whole, stepped, and its stream."""
    source = Source(f"dyn 1\nmodel m\n{case.text}")
    model = lower(parse(source), source)
    choices = {solve.spec.choice: discretisation(solve, case.scheme, case.steps) for solve in solves_of(model.graph)}
    rolled = optimise(bind(model.graph, initial_weights(model.weights, 0)))
    whole = unroll(rolled, with_forms(rolled, choices, "auto")).graph
    found = stream_graphs(Asked(rolled, choices, case.loop))
    for graph in (found.start, found.step):
        verify(graph)
    return whole, found


def drawn(graph: Graph) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    found = {}
    for item in graph.inputs:
        shape = [BATCH if size == "batch" else LENGTH if isinstance(size, str) else size for size in item.shape]
        values = generator.normal(size=shape)
        found[str(item.attrs["name"])] = np.abs(values).cumsum(1) if item.attrs["name"] == "ts" else values
    return found


def run(graph: Graph, given: dict[str, Array]) -> dict[str, Array]:
    names = [str(item.attrs["name"]) for item in graph.inputs]
    bound: dict[Any, Any] = {name: torch.tensor(given[name]) for name in names}
    return {
        name: np.asarray(value)
        for name, value in zip(graph.outputs, evaluate(tuple(graph.outputs.values()), bound), strict=True)
    }


def in_steps(found: StreamGraphs, data: dict[str, Array]) -> dict[str, Array]:
    """The outputs of all steps, put together as the whole has them."""
    given = {**data, "batch.rows": np.zeros(BATCH)}
    prefixes = {str(item.attrs["name"]): item for item in found.start.inputs}
    for item in found.sequences:
        if item.name in prefixes:
            given[item.name] = np.take(data[item.name], range(int(prefixes[item.name].size(item.axis))), item.axis)
    start = run(found.start, given)
    states = {pair.past: start[pair.initial] for pair in found.pairs}
    parts: dict[str, list[Array]] = {
        name: [np.take(start[name], i, found.along[name]) for i in range(found.behind + 1)] for name in found.first
    }
    for i in range(found.steps or LENGTH):
        feed = {**data, "batch.rows": np.zeros(BATCH), **states, **{name: start[name] for name in found.held}}
        for item in found.sequences:
            entries = [i] if item.entries.numbers is None else item.entries.numbers[i]
            part = np.take(data[item.name], entries, item.axis)
            feed[item.name] = part.squeeze(item.axis) if item.single else part
        answer = run(found.step, feed)
        states = {pair.past: answer[pair.present] for pair in found.pairs}
        for name in found.along:
            parts.setdefault(name, []).append(answer[name])
    return {name: start[name] for name in found.given} | {
        name: np.stack(parts[name], axis) if axis is not None else parts[name][-1] for name, axis in found.along.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_steps_give_what_the_whole_gives(name: str) -> None:
    whole, found = made(CASES[name])
    data = drawn(whole)
    expected, steps = run(whole, data), in_steps(found, data)
    assert not found.whole, "every output of these models has steps"
    assert set(steps) == set(expected)
    for output, value in steps.items():
        assert np.ptp(expected[output]) > 0
        np.testing.assert_allclose(value, expected[output], rtol=1e-12, atol=1e-12, err_msg=output)


def test_a_step_takes_what_it_needs_and_no_more() -> None:
    """A scan takes an observation; a held control its value, a linear one both ends of the piece; a spline is known
    whole before the first step, and every step picks its piece by its number.
    """
    takes = {name: {str(x.attrs["name"]): str(x.type) for x in made(CASES[name])[1].step.inputs} for name in CASES}
    assert takes["scan"] == {"xs": "real[batch, 3]", "past_h": "real[batch, 5]"}
    assert takes["scan between times"] == {
        "ts": "real[batch]", "xs": "real[batch, 2]", "past_h": "real[batch, 3]", "past_t0": "real[batch]",
    }  # fmt: skip
    assert takes["held"]["us"] == "real[batch]"
    assert takes["spline"]["us"] == "real[batch, 21]"
    assert {name: made(CASES[name])[1].known for name in ("held", "spline")} == {"held": (), "spline": ("us",)}
    assert takes["noise"] == {"W": "real[batch, 4, 3, 2]", "past_s": "real[batch, 4, 2]"}
    assert "past_step" in takes["linear"]
    assert "past_step" not in takes["noise"]


WHOLE = {
    "scan": ("""
input xs: real[T, 3], p: real
h = scan (x) over (xs) from h = zeros(5) { h = gru_cell(h, x) }
output each = h |> dense(2)
output middle = mean(h, axes=[0])
output centred = h - mean(h, axes=[0], keep=true)
output summed = cumsum(h, axis=0)
output beside = h[:, 0] + mean(xs)
output alone = mean(xs, axes=[0])
output doubled = 2*p
""", ("each",), ("doubled",), ("middle", "centred", "summed", "beside", "alone")),
    "control": ("""
input x0: real[2], us: real[21]
control u = hold(us, step=0.1)
field f(t, x: real[2]) { x' = -x + u(t) }
path = solve f from x = x0 at 0..2 step 0.1
output path
output early = path[3]
output late = path + us[20]
output first = 2*x0
""", ("path",), ("first",), ("early", "late")),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_an_output_that_needs_the_whole_path_has_no_steps(name: str) -> None:
    """Of the path itself, or of an input that comes step by step; `check` says so before there are steps."""
    text, along, given, whole = WHOLE[name]
    _, found = made(Case(text))
    assert (tuple(found.along), found.given, found.whole) == (along, given, whole)
    assert all(item.single for item in found.sequences)
    source = Source(f"dyn 1\nmodel m\n{text}")
    told = outputs_of_steps(lower(parse(source), source).graph, None, None)
    assert (told.along, told.ends, told.given, told.whole) == (along, (), given, whole)


def test_a_gated_recurrence_by_hand() -> None:
    """The cell of Cho et al. (2014) in numpy, an observation at a time."""
    case = Case("""
input xs: real[T, 2]
h = scan (x) over (xs) from h = zeros(3) { h = gru_cell(h, x) }
output h
""")
    source = Source(f"dyn 1\nmodel m\n{case.text}")
    weights = initial_weights(lower(parse(source), source).weights, 0)
    w, u, b, c = (weights[f"h.gru_cell.{name}"] for name in (
        "input_weight", "hidden_weight", "input_bias", "hidden_bias"))  # fmt: skip
    whole, found = made(case)
    data = drawn(whole)
    h = np.zeros((BATCH, 3))
    for i, answer in enumerate(np.moveaxis(in_steps(found, data)["h"], 1, 0)):
        entry, hidden = data["xs"][:, i] @ w + b, h @ u + c
        (r, z, n), (hr, hz, hn) = np.split(entry, 3, 1), np.split(hidden, 3, 1)
        r, z = 1 / (1 + np.exp(-r - hr)), 1 / (1 + np.exp(-z - hz))
        h = (1 - z) * np.tanh(n + r * hn) + z * h
        np.testing.assert_allclose(answer, h, rtol=1e-12)


def test_a_driven_equation_by_hand() -> None:
    """The classical Runge-Kutta scheme in numpy, two steps an interval, under a held control."""
    whole, found = made(driven("hold"))
    data = drawn(whole)
    x, p, answers = data["x0"], data["p"][:, None], in_steps(found, data)["path"]
    for i in range(20):
        u = data["us"][:, i, None]

        def f(t: float, x: Array, u: Array = u) -> Array:
            return -np.exp(p) * x + u + np.sin(t)

        for j in range(2):
            t, h = 0.1 * i + 0.05 * j, 0.05
            a = f(t, x)
            b = f(t + h / 2, x + h / 2 * a)
            c = f(t + h / 2, x + h / 2 * b)
            x = x + h / 6 * (a + 2 * b + 2 * c + f(t + h, x + h * c))
        np.testing.assert_allclose(answers[:, i + 1], x, rtol=1e-12)


def test_adams_by_hand() -> None:
    """Two-step Adams-Bashforth in numpy: its memory is the slope before."""
    case = Case("""
input x0: real[2]
field f(t, x: real[2]) { x' = -x^2 + t }
path = solve f from x = x0 at 0..2 step 0.1
output path
""", "ab2", 1)  # fmt: skip
    whole, found = made(case)
    assert [pair.name for pair in found.pairs] == ["x", "memory_0", "step"]
    assert (found.steps, found.behind) == (19, 1)
    data = drawn(whole)
    data["x0"] = np.abs(data["x0"])
    answers = in_steps(found, data)["path"]
    before = -(data["x0"] ** 2)
    x = answers[:, 1]
    for i in range(1, 20):
        slope = -(x**2) + 0.1 * i
        x, before = x + 0.1 * (1.5 * slope - 0.5 * before), slope
        np.testing.assert_allclose(answers[:, i + 1], x, rtol=1e-12)


def test_maruyama_by_hand() -> None:
    """Euler and Maruyama's scheme in numpy, three steps an interval, on the same standard numbers."""
    whole, found = made(CASES["noise"])
    data = drawn(whole)
    answers, s, h = in_steps(found, data)["path"], np.repeat(data["s0"][:, None], 4, 1), 0.1 / 3
    for i in range(30):
        s = s + 0.1 * s * h + 0.2 * s * np.sqrt(h) * data["W"][:, :, i]
        if i % 3 == 2:
            np.testing.assert_allclose(answers[:, :, i // 3 + 1], s, rtol=1e-12)


LINEAR = """
input x0: real[2]
field f(t, x: real[2]) {{ x' = -x + t }}
path = solve f from x = x0 at [0, 1, 2]
output {outputs}
"""
REFUSED = {
    "E693 uneven": (
        "path", Grid((0.0, 0.5, 1.0, 2.0), (0, 2, 3)),
        "`path` cannot be taken step by step: from one output time to the next it takes between 1 and 2 steps",
    ),
    "E693 short": (
        "e = path[-1]", Grid((0.0, 1.0, 2.0), (0, 2)),
        "`path` cannot be taken step by step: it is a single step",
    ),
    "E694 whole": (
        "y = mean(path, axes=[0])", Grid((0.0, 0.5, 1.0, 1.5, 2.0), (0, 2, 4)), "`y` needs the whole path of `path`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_steps_is_refused(name: str) -> None:
    outputs, grid, said = REFUSED[name]
    source = Source(f"dyn 1\nmodel m\n{LINEAR.format(outputs=outputs)}")
    graph = lower(parse(source), source).graph
    with pytest.raises(IsoclineError) as caught:
        stream_graphs(Asked(optimise(graph), {"path": Discretisation(SCHEMES["rk4"], grid)}))
    (found,) = caught.value.diagnostics
    assert found.code == name[:4]
    assert found.message == said

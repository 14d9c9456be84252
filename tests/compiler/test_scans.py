"""Recurrences over observations: rows, times, states and their gradients against torch and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.remembered import Remembered
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph, everything
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse
from tests.scans import gru_cell, observations, rk4
from tests.solves import unrolled

GIVEN = {key: torch.tensor(x) for key, x in observations(4, 7).items()}


def lowered(text: str) -> Model:
    source = Source(f"dyn 1\nmodel m\n{text}")
    model = lower(parse(source), source)
    verify(model.graph)
    return model


def stepped(model: Model, scheme: str = "rk4", steps: int = 2) -> Graph:
    graph = unrolled(model.graph, lambda solve: discretisation(solve, scheme, steps))
    verify(graph)
    return graph


def weights_of(model: Model) -> dict[str, Tensor]:
    return {name: torch.tensor(x, dtype=torch.float64) for name, x in initial_weights(model.weights, 0).items()}


def outputs(model: Model, graph: Graph | None = None, **given: Tensor) -> dict[str, Tensor]:
    roots = (graph or stepped(model)).outputs
    values: dict[Any, Tensor] = {**weights_of(model), **given}
    return dict(zip(roots, evaluate(tuple(roots.values()), values), strict=True))


@pytest.mark.parametrize("length", ["T", "7"])
@pytest.mark.parametrize(
    ("cell", "state", "module"),
    [("rnn_cell", 5, torch.nn.RNN), ("gru_cell", 5, torch.nn.GRU), ("lstm_cell", 10, torch.nn.LSTM)],
)
def test_cells_are_the_recurrent_layers_of_torch(cell: str, state: int, module: Any, length: str) -> None:
    model = lowered(f"""
input xs: real[{length}, 3]
h = scan (x) over (xs) from h = zeros({state}) {{ h = {cell}(h, x) }}
output all = h
output last = h[-1]
""")
    weights = weights_of(model)
    layer = module(3, 5, batch_first=True).double()
    names = {"weight_ih_l0": "input_weight", "weight_hh_l0": "hidden_weight", "bias_ih_l0": "input_bias",
             "bias_hh_l0": "hidden_bias"}  # fmt: skip
    layer.load_state_dict({ours: weights[f"h.{cell}.{theirs}"].T for ours, theirs in names.items()})
    expected, _ = layer(GIVEN["xs"])
    found = outputs(model, xs=GIVEN["xs"])
    torch.testing.assert_close(found["all"][..., :5], expected)
    torch.testing.assert_close(found["last"][..., :5], expected[:, -1])


def test_a_decay_between_jumps_has_a_closed_form() -> None:
    """h <- h exp(-(t1 - t0)) + x, so h_n = sum_i x_i exp(-(t_n - t_i)): the first interval has no length."""
    model = lowered("""
input ts: time[T], xs: real[T]
field decay(t, h: real) { h' = -h }
h = scan (t0, t1, x) over (ts, xs) from h = 0 {
  h = solve decay from h = h over t0..t1
  h = h + x
}
output h
""")
    ts, xs = GIVEN["ts"], GIVEN["xs"][..., 0]
    apart = (ts[:, :, None] - ts[:, None]).clamp(min=0)
    expected = (torch.exp(-apart) * xs[:, None] * torch.ones(7, 7).tril()).sum(-1)
    found = outputs(model, stepped(model, "dopri5", 40), ts=ts, xs=xs)["h"]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("reference", [AdaptiveExplicit(1e-10), Multistep(1e-10), AdaptiveImplicit(1e-10)])
def test_references_solve_every_iteration_on_its_own(reference: Any) -> None:
    """The first rests at zero for no time, where no error is small; what is found of its states holds for none after.

    x' = sin(30 t) - x between observations that multiply by 1000, in closed form.
    """
    model = lowered("""
input ts: time[T]
field f(t, x: real) { x' = sin(30*t) - x }
x = scan (t0, t1) over (ts) from x = 0 {
  x = solve f from x = x over t0..t1
  x = 1000*x
}
output x
""")

    def particular(t: Any) -> Any:
        return (np.sin(30 * t) - 30 * np.cos(30 * t)) / 901

    ts, x, every = GIVEN["ts"][:, :4].numpy(), np.zeros(4), []
    for t0, t1 in zip(np.hstack([ts[:, :1], ts[:, :-1]]).T, ts.T, strict=True):
        x = 1000 * (particular(t1) + (x - particular(t0)) * np.exp(t0 - t1))
        every.append(x)
    solver = Remembered(reference.integrator)
    bound: dict[Any, Tensor] = {"ts": torch.tensor(ts)}
    for _ in range(2):  # what is remembered is the same
        (found,) = evaluate(tuple(model.graph.outputs.values()), bound, integrator=solver)
        np.testing.assert_allclose(found, np.stack(every, 1), rtol=1e-7)
    assert sorted(solver.solved) == [f"x.x[{i}]" for i in range(4)]


FIELDS = {"plain": "h' = -k*h + sin(h)", "marked": "h' = stiff(-k*h) + sin(h)"}


def resting(field: str) -> Model:
    """A solve in every interval, and nothing at the observations."""
    return lowered(f"""
input ts: time[3], h0: real[2]
param k: real = 0.7
field f(t, h: real[2]) {{ {FIELDS[field]} }}
h = scan (t0, t1) over (ts) from h = h0 {{ h = solve f from h = h over t0..t1 }}
output h
""")


FITTING = [
    (name, field)
    for field in FIELDS
    for solve in solves_of(resting(field).graph)
    for name, scheme in SCHEMES.items()
    if scheme.fits(solve) is None
]


@pytest.mark.parametrize(("name", "field"), FITTING)
def test_a_step_of_no_length_changes_nothing(name: str, field: str) -> None:
    """Of every scheme: times between which nothing passes leave the state, and its gradient, as they are."""
    model = resting(field)
    h0 = torch.tensor([[0.3, -2.0], [1.5, 0.1]], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
    found = outputs(model, stepped(model, name, 4), ts=ts, h0=h0)["h"]
    torch.testing.assert_close(found, h0[:, None].expand(2, 3, 2), rtol=1e-14, atol=1e-14)
    (slope,) = torch.autograd.grad(found[:, -1].sum(), [h0])
    torch.testing.assert_close(slope, torch.ones_like(h0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", ["T", "7"])
def test_backwards_in_time_is_a_scan_over_what_is_reversed(length: str) -> None:
    model = lowered(f"""
input ts: time[{length}], xs: real[{length}, 3]
field f(t, h: real[4]) {{ h' = t*tanh(h |> dense(4)) }}
h = scan (t1, t0, x) over (reverse(ts), reverse(xs)) from h = ones(4) {{
  h = solve f from h = h over t1..t0
  h = gru_cell(h, x)
}}
output first = h[-1]
""")
    w, ts = weights_of(model), GIVEN["ts"]
    h, later = torch.ones(4, 4, dtype=torch.float64), ts[:, -1]
    for i in reversed(range(7)):
        time = torch.cat([h, later[:, None]], 1)
        h = rk4(lambda x: _timed(x, w), time, later, ts[:, i], 2)[:, :4]
        h, later = gru_cell(h, GIVEN["xs"][:, i], w, "h.gru_cell"), ts[:, i]
    torch.testing.assert_close(outputs(model, ts=ts, xs=GIVEN["xs"])["first"], h)


def _timed(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    """t tanh(W h + b) of (h, t), and t' = 1."""
    slope = x[:, 4:] * torch.tanh(x[:, :4] @ w["f.h.dense.weight"] + w["f.h.dense.bias"])
    return torch.cat([slope, torch.ones(len(x), 1, dtype=torch.float64)], 1)


def test_rows_may_be_classes_conditions_and_arrays_and_states_several() -> None:
    """A count of each class that was seen, and a decaying mean of the matrices: names and locals in their order."""
    model = lowered("""
input kinds: class[7, 3], seen: bool[7], ms: real[7, 2, 2]
path = scan (k, s, m) over (kinds, seen, ms) from count = zeros(3), mean = zeros(2, 2) {
  one   = one_hot(k, 3)
  count = count + where(s, 1, 0)*one
  mean  = 0.5*mean
  mean  = mean + m
}
output count = path.count[-1]
output mean  = path.mean
output last  = path.mean[-1]
""")
    draw = np.random.default_rng(1)
    kinds, seen = torch.tensor(draw.integers(0, 3, (4, 7))), torch.tensor(draw.random((4, 7)) < 0.5)
    ms = torch.tensor(draw.normal(size=(4, 7, 2, 2)))
    found = outputs(model, kinds=kinds, seen=seen, ms=ms)
    counted = torch.stack([((kinds == k) & seen).sum(1) for k in range(3)], 1).double()
    torch.testing.assert_close(found["count"], counted)
    powers = torch.stack([torch.stack([ms[:, i] * 0.5 ** (j - i) for i in range(j + 1)]).sum(0) for j in range(7)], 1)
    torch.testing.assert_close(found["mean"], powers)
    torch.testing.assert_close(found["last"], powers[:, -1])


def test_times_may_be_numbers_of_the_file_and_scaled_inputs() -> None:
    """A solve reads parameters, inputs and controls as it does outside; hours are turned into days on the way."""
    body = "h = solve f from h = h over t0..t1\n  h = h + x"
    text = """
input {ts}xs: real[3], u: real
param k: real = 0.4
field f(t, h: real) {{ h' = k*u + 0*t }}
h = scan (t0, t1, x) over ({over}, xs) from h = u {{ {body} }}
output h
"""
    xs, u = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]]).double(), torch.tensor([2.0, -1.0]).double()
    expected = u[:, None] * (1 + 0.4 * torch.tensor([0.0, 0.5, 2.0])) + xs.cumsum(1)
    shared = lowered(text.format(ts="", over="[1, 1.5, 3]", body=body))
    torch.testing.assert_close(outputs(shared, xs=xs, u=u)["h"], expected)
    scaled = lowered(text.format(ts="hours: time[3], ", over="hours/24", body=body))
    hours = torch.tensor([[24.0, 36.0, 72.0], [0.0, 12.0, 48.0]]).double()
    torch.testing.assert_close(outputs(scaled, hours=hours, xs=xs, u=u)["h"], expected)


def test_two_solves_of_one_name_have_a_choice_each_and_nothing_needs_a_batch() -> None:
    model = lowered("""
input c: real
field f(t, h: real) { h' = -h + 0*c }
field g(t, h: real) { h' = 1 }
n = scan (v) over ([1, 2, 4]) from n = 0 { n = n + v }
h = scan (t0, t1) over ([0, 1, 3]) from h = 1 {
  h = solve f from h = h over t0..t1
  h = solve g from h = h over 0..1
}
output k = n + 0*c
output h
""")
    assert [solve.spec.choice for solve in solves_of(model.graph)] == ["h.h", "h.h_2"]
    found = outputs(model, stepped(model, "dopri5", 30), c=torch.zeros(2, dtype=torch.float64))
    e = np.exp(-1.0)
    expected = [2.0, 2 * e + 1, (2 * e + 1) * e**2 + 1]
    torch.testing.assert_close(
        found["h"], torch.tensor([expected, expected], dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(found["k"], torch.tensor([[1.0, 3.0, 7.0]] * 2, dtype=torch.float64))


@pytest.mark.parametrize("length", ["T", "7"])
@pytest.mark.parametrize("segment", [None, 1])
def test_the_gradient_as_a_graph_is_that_of_torch(length: str, segment: int | None) -> None:
    """By the observations and by their times, through the loop, and through the loop of steps in it."""
    model = lowered(f"""
input ts: time[{length}], xs: real[{length}, 3], seen: bool[{length}, 1]
field f(t, h: real[4]) {{ h' = tanh(h |> dense(4)) }}
h = scan (t0, t1, x, m) over (ts, xs, seen) from h = zeros(4) {{
  h = solve f from h = h over t0..t1
  h = where(m, gru_cell(h, x), h)
}}
output last = h[-1]
""")
    weights = weights_of(model)
    bound = bind(model.graph, {key: x.numpy() for key, x in weights.items()})

    def choose(solve: Any) -> Any:
        choice = discretisation(solve, "rk4", 2)
        return type(choice)(choice.scheme, choice.grid, segment)

    graph = unrolled(optimise(bound, check=True), choose)
    score = REDUCE_SUM(graph.outputs["last"], axes=(1,), keepdims=False)
    inputs = {node.attrs["name"]: node for node in graph.inputs}
    names = ("xs", "ts")
    slopes = gradient(score, [inputs[name] for name in names])
    found = optimise(Graph(graph.inputs, dict(zip(names, slopes, strict=True))), check=True)
    verify(found)
    given = {key: GIVEN[key].clone() for key in ("ts", "xs", "seen")}
    ours = evaluate(tuple(found.outputs.values()), given)
    given["xs"].requires_grad_()
    given["ts"].requires_grad_()
    total = outputs(model, stepped(model), **given)["last"].sum()
    for mine, theirs in zip(ours, torch.autograd.grad(total, [given[name] for name in names]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_rows_that_nothing_reads_still_count() -> None:
    model = lowered("""
input xs: real[T, 3]
h = scan (x) over (xs) from h = 1 { h = 2*h + 0*x[0] }
output last = h[-1]
""")
    graph = optimise(model.graph, check=True)
    (loop,) = (node for node in everything(graph.outputs.values()) if node.op is SCAN)
    assert loop.attrs["stacked"] == 1
    found = outputs(model, graph, xs=GIVEN["xs"])["last"]
    torch.testing.assert_close(found, torch.full((4,), 2.0**7, dtype=torch.float64))


def test_a_state_that_is_the_row_before_is_no_row_as_it_was_given() -> None:
    """OpenVINO ends such a loop after one iteration, and sees through operators that do nothing."""
    model = lowered("""
input xs: real[9]
s = scan (x) over (xs) from s = 0, p = 0 { s = s + (x - p)^2; p = x }
output moved = s.s[-1]
""")
    rows = np.random.default_rng(3).standard_normal((4, 9)).astype(np.float32)
    graph = optimise(bind(stepped(model), {}))
    file = to_onnx(graph, {})
    (loop,) = (node for node in file.graph.node if node.op_type == "Scan")
    body = next(item.g for item in loop.attribute if item.name == "body")
    states = len(loop.input) - next(item.i for item in loop.attribute if item.name == "num_scan_inputs")
    made = {name: node for node in body.node for name in node.output}
    given = {port.name for port in body.input[states:]}
    for port in body.output[:states]:
        source = port.name
        while source in made and len(set(made[source].input)) == 1 and made[source].op_type != "Max":
            source = made[source].input[0]
        assert source not in given
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["moved"], {"xs": rows})
    padded = np.concatenate([np.zeros((4, 1)), rows], axis=1)
    np.testing.assert_allclose(found, np.square(np.diff(padded, axis=1)).sum(axis=1), rtol=1e-6)

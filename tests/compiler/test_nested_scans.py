"""Scans within scans: hours within days against double loops in numpy and torch, in every form that is emitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from isocline_compiler import driver
from isocline_compiler.backends.to_c import LANES, to_c
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.enclosure import finite
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.remembered import Remembered
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower import lower
from isocline_compiler.lower.check import model as model_of
from isocline_compiler.model import Model
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.passes import bind, optimise
from isocline_compiler.pipeline import Trained, compile_model
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load
from tests.native.in_c import CHECKED, built, called, needs_compiler
from tests.scans import Weights, dense, gru_cell, rk4
from tests.solves import unrolled

DRAW = np.random.default_rng(2)
DAYS, HOURS, STEPS = 3, 4, 2
TIMES = np.cumsum(0.3 * DRAW.exponential(size=(5, DAYS * HOURS)), axis=1).reshape(5, DAYS, HOURS)
READINGS = DRAW.normal(size=(5, DAYS, HOURS, 2))

NETWORK = """
input ts: time[{days}, {hours}], xs: real[{days}, {hours}, 2]
field f(t, h: real[4]) {{ h' = tanh(h |> dense(4)) }}
field rest(t, h: real[4]) {{ h' = h |> dense(4) |> sin }}
h = scan (times, rows) over (ts, xs) from h = zeros(4) {{
  day = scan (t0, t1, x) over (times, rows) from c = h {{
    c = solve f from h = c over t0..t1
    c = gru_cell(c, x)
  }}
  h = gru_cell(h, day[-1])
  h = solve rest from h = h over 0..0.5
}}
output states = h
output score = h[-1] |> dense(1)
"""


def lowered(text: str) -> Model:
    source = Source(f"dyn 1\nmodel m\n{text}")
    model = lower(parse(source), source)
    verify(model.graph)
    return model


def network(days: str = "D", hours: str = "H") -> Model:
    return lowered(NETWORK.format(days=days, hours=hours))


def weights_of(model: Model) -> dict[str, Tensor]:
    return {name: torch.tensor(x, dtype=torch.float64) for name, x in initial_weights(model.weights, 3).items()}


def stepped(graph: Graph, segment: int | None = None) -> Graph:
    def choose(solve: Any) -> Any:
        choice = discretisation(solve, "rk4", STEPS)
        return type(choice)(choice.scheme, choice.grid, segment)

    found = unrolled(graph, choose)
    verify(found)
    return found


def emitted(model: Model, segment: int | None) -> Graph:
    """The graph that a file is made of, its weights bound."""
    arrays = {key: x.numpy() for key, x in weights_of(model).items()}
    graph = optimise(stepped(optimise(bind(model.graph, arrays), check=True), segment), check=True)
    verify(graph)
    return graph


def outputs(text: str, **given: Any) -> dict[str, np.ndarray]:
    graph = unrolled(lowered(text).graph, lambda solve: discretisation(solve, "dopri5", 30))
    found = TorchProgram(graph)({key: torch.tensor(np.asarray(x)) for key, x in given.items()})
    return {key: x.numpy() for key, x in found.items()}


def by_hand(w: Weights, ts: Tensor, xs: Tensor, steps: int = STEPS) -> dict[str, Tensor]:
    h, every = torch.zeros(len(ts), 4, dtype=torch.float64), []
    for day in range(ts.shape[1]):
        c, before = h, ts[:, day, 0]
        for hour in range(ts.shape[2]):
            c = rk4(lambda x: torch.tanh(dense(x, w, "f.h.dense")), c, before, ts[:, day, hour], steps)
            c, before = gru_cell(c, xs[:, day, hour], w, "h.day.gru_cell"), ts[:, day, hour]
        h = gru_cell(h, c, w, "h.gru_cell")
        begin = torch.zeros(len(ts), dtype=torch.float64)
        h = rk4(lambda x: torch.sin(dense(x, w, "rest.h.dense")), h, begin, begin + 0.5, steps)
        every.append(h)
    return {"states": torch.stack(every, 1), "score": dense(h, w, "score.dense")}


def given() -> tuple[Tensor, Tensor]:
    return torch.tensor(TIMES), torch.tensor(READINGS)


@pytest.mark.parametrize("segment", [None, 1])
@pytest.mark.parametrize("sizes", [("D", "H"), ("3", "4"), ("D", "4")])
def test_values_and_the_gradients_of_weights_are_those_of_a_double_loop(
    sizes: tuple[str, str], segment: int | None
) -> None:
    model = network(*sizes)
    weights, (ts, xs) = weights_of(model), given()
    for item in weights.values():
        item.requires_grad_()
    found = TorchProgram(stepped(model.graph, segment))({**weights, "ts": ts, "xs": xs})
    wanted = by_hand(weights, ts, xs)
    for name, expected in wanted.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-13)
    ours, theirs = (
        torch.autograd.grad(x["states"].square().sum() + x["score"].sum(), list(weights.values()))
        for x in (found, wanted)
    )
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("segment", [None, 1])
@pytest.mark.parametrize("sizes", [("D", "H"), ("3", "4")])
def test_the_gradient_as_a_graph_is_that_of_torch(sizes: tuple[str, str], segment: int | None) -> None:
    """By observations and by their times: the reverse of a loop of loops, what it needs stored or computed again."""
    model = network(*sizes)
    graph = emitted(model, segment)
    inputs = {node.attrs["name"]: node for node in graph.inputs}
    slopes = gradient(REDUCE_SUM(graph.outputs["score"], axes=(1,), keepdims=False), [inputs["ts"], inputs["xs"]])
    backwards = optimise(Graph(graph.inputs, dict(zip(("d_ts", "d_xs"), slopes, strict=True))), check=True)
    verify(backwards)
    ts, xs = (x.requires_grad_() for x in given())
    wanted = torch.autograd.grad(by_hand(weights_of(model), ts, xs)["score"].sum(), [ts, xs])
    with torch.no_grad():
        found = evaluate(tuple(backwards.outputs.values()), {"ts": ts, "xs": xs})
    for mine, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
    session = onnxruntime.InferenceSession(to_onnx(backwards, {}).SerializeToString())
    feeds = {"ts": TIMES.astype(np.float32), "xs": READINGS.astype(np.float32)}
    for name, expected in zip(("d_ts", "d_xs"), wanted, strict=True):
        (emitted_value,) = session.run([name], feeds)
        np.testing.assert_allclose(emitted_value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("segment", [None, 1])
def test_the_file_answers_for_any_number_of_days_and_hours(segment: int | None, optimised: bool) -> None:
    model = network()
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    arrays = {key: x.numpy() for key, x in weights_of(model).items()}
    session = onnxruntime.InferenceSession(to_onnx(emitted(model, segment), arrays).SerializeToString(), options)
    for days, hours in ((1, 1), (1, 4), (3, 2), (3, 4)):
        ts, xs = TIMES[:, :days, :hours], READINGS[:, :days, :hours]
        wanted = by_hand(weights_of(model), torch.tensor(ts), torch.tensor(xs))
        for name, expected in wanted.items():
            (found,) = session.run([name], {"ts": ts.astype(np.float32), "xs": xs.astype(np.float32)})
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("segment", [None, 1])
def test_the_same_in_c(segment: int | None, tmp_path: Path) -> None:
    model = network(str(DAYS), str(HOURS))
    program = to_c(emitted(model, segment), {}, name="m", dtype="float64")
    library = built(program, tmp_path, *CHECKED)
    for batch in (1, LANES + 5):
        places = np.arange(batch) % len(TIMES)
        fed = {"ts": TIMES[places], "xs": READINGS[places]}
        wanted = by_hand(weights_of(model), torch.tensor(fed["ts"]), torch.tensor(fed["xs"]))
        for name, found in called(library, program, fed, batch, np.float64).items():
            np.testing.assert_allclose(found, wanted[name].reshape(found.shape), rtol=1e-11, atol=1e-12)


def test_a_reference_solves_every_iteration_of_both_loops_on_its_own() -> None:
    """What is remembered of one hour of one day is that of no other: a second run gives the same from memory."""
    model = network()
    weights, (ts, xs) = weights_of(model), given()
    solver = Remembered(AdaptiveExplicit(1e-10).integrator)
    wanted = by_hand(weights, ts, xs, steps=60)
    for _ in range(2):
        found = TorchProgram(model.graph)({**weights, "ts": ts, "xs": xs}, integrator=solver)
        for name, expected in wanted.items():
            torch.testing.assert_close(found[name], expected, rtol=1e-7, atol=1e-8)
    hours = {f"h.day.c[{day},{hour}]" for day in range(DAYS) for hour in range(HOURS)}
    assert set(solver.solved) == hours | {f"h.h[{day}]" for day in range(DAYS)}


def test_a_decay_through_three_levels_has_a_closed_form() -> None:
    """x <- x e^(t0 - t1) + row, weeks of days of hours: sum_i x_i exp(-(t_n - t_i)) over those of one day; a day begins
    with a half of the day before, a week with a third of the week before.
    """
    shape = (2, 2, 3, 4)
    ts, xs = np.cumsum(DRAW.exponential(size=(2, 24)), axis=1).reshape(shape), DRAW.normal(size=shape)
    found = outputs(
        """
input ts: time[2, 3, 4], xs: real[2, 3, 4]
field decay(t, c: real) { c' = -c }
w = scan (tw, xw) over (ts, xs) from w = 1 {
  days = scan (td, xd) over (tw, xw) from d = w/3 {
    hours = scan (t0, t1, x) over (td, xd) from c = d/2 {
      c = solve decay from c = c over t0..t1
      c = c + x
    }
    d = hours[-1]
  }
  w = days[-1]
}
output w
""",
        ts=ts,
        xs=xs,
    )["w"]
    value, every = np.ones(2), []
    for week in range(2):
        value = value / 3
        for day in range(3):
            t = ts[:, week, day]
            apart = np.exp(t - t[:, -1:])
            value = value / 2 * apart[:, 0] + (xs[:, week, day] * apart).sum(1)
        every.append(value)
    np.testing.assert_allclose(found, np.stack(every, 1), rtol=1e-8)


def test_times_may_be_moved_by_a_number_of_the_outer_scan() -> None:
    """Hours of a day are the day's time and known hours; a solve within both loops may end at a time of the outer."""
    found = outputs(
        """
input days: time[D], xs: real[D, 3]
field one(t, c: real) { c' = t }
h = scan (d0, d1, rows) over (days, xs) from h = 0 {
  hours = scan (t0, t1, x) over (d1 + [0, 0.25, 0.5], rows) from c = h {
    c = solve one from c = c over t0..t1
    c = solve one from c = c over d0..d1
    c = c + x
  }
  h = hours[-1]
}
output h
""",
        days=TIMES[:, 0],
        xs=READINGS[:, 0, :, :1].repeat(3, 2),
    )["h"]
    h, before, every = np.zeros(5), TIMES[:, 0, 0], []
    for day in range(HOURS):
        t = TIMES[:, 0, day]
        h = h + ((t + 0.5) ** 2 - t**2) / 2 + 3 * (t**2 - before**2) / 2 + 3 * READINGS[:, 0, day, 0]
        before = t
        every.append(h)
    np.testing.assert_allclose(found, np.stack(every, 1), rtol=1e-10)


@pytest.mark.parametrize(
    ("over", "names"),
    [("ts - ts[0]", 2), ("ts + shift", 2), ("2*ts - 1", 2), ("ts[1:] - ts[:-1]", 1), ("ts*ts", 1), ("ts*shift", 1)],
)
def test_what_is_moved_is_a_time_and_a_difference_is_none(over: str, names: int) -> None:
    text = f"""
input ts: time[4], shift: real
s = scan ({", ".join("ab"[:names])}) over ({over}) from s = 0*shift {{ s = s + {"b - a" if names == 2 else "a"} }}
output s
"""
    ts, shift = TIMES[:, 0], DRAW.normal(size=5)
    rows = {"ts[1:] - ts[:-1]": ts[:, 1:] - ts[:, :-1], "ts*ts": ts**2, "ts*shift": ts * shift[:, None]}
    expected = rows[over].cumsum(1) if names == 1 else (ts - ts[:, :1]) * (2 if over[0] == "2" else 1)
    np.testing.assert_allclose(outputs(text, ts=ts, shift=shift)["s"], expected, rtol=1e-12)
    with pytest.raises(IsoclineError, match="E381"):
        lowered(text.replace("scan (a, b)", "scan (b)") if names == 2 else text.replace("scan (a)", "scan (a, b)"))


def test_both_readers_of_a_line_may_run_at_every_outer_row() -> None:
    """Forwards and backwards over each row, in numpy: scans beside one another have names and weights of their own."""
    model = lowered("""
input xs: real[D, H, 2]
h = scan (row) over (xs) from h = zeros(6) {
  there = scan (x) over (row) from a = zeros(3) { a = rnn_cell(a, x) }
  back = scan (x) over (reverse(row)) from a = zeros(3) { a = rnn_cell(a, x) }
  h = 0.5*h + concat(there[-1], back[-1])
}
output h
""")
    w = weights_of(model)

    def read(rows: Tensor, name: str) -> Tensor:
        a = torch.zeros(len(rows), 3, dtype=torch.float64)
        for i in range(rows.shape[1]):
            weights = [w[f"h.{name}.rnn_cell.{key}"] for key in ("input_weight", "hidden_weight")]
            biases = [w[f"h.{name}.rnn_cell.{key}"] for key in ("input_bias", "hidden_bias")]
            a = torch.rnn_tanh_cell(rows[:, i], a, weights[0].T, weights[1].T, *biases)
        return a

    xs, h, every = torch.tensor(READINGS), torch.zeros(5, 6, dtype=torch.float64), []
    for day in range(DAYS):
        h = 0.5 * h + torch.cat([read(xs[:, day], "there"), read(xs[:, day].flip(1), "back")], 1)
        every.append(h)
    found = TorchProgram(model.graph)({**w, "xs": xs})["h"]
    torch.testing.assert_close(found, torch.stack(every, 1))


@pytest.mark.parametrize(("start", "read"), [("0", "u"), ("u", "h"), ("0", "(h + u)")])
def test_a_batch_that_only_the_innermost_body_reads_reaches_all_states(start: str, read: str) -> None:
    """It comes from an input, or from a state of the outer scan."""
    text = f"""
input u: real
h = scan (v) over ([1, 2, 4]) from h = {start} {{
  inner = scan (w) over ([1, 10]) from c = 0 {{ c = c + w*{read} }}
  h = h + v*inner[-1]
}}
output h
"""
    u, every = np.array([1.0, -2.0]), []
    h = u if start == "u" else 0 * u
    for v in (1, 2, 4):
        h = h + 11 * v * {"u": u, "h": h, "(h + u)": h + u}[read]
        every.append(h)
    np.testing.assert_allclose(outputs(text, u=u)["h"], np.stack(every, 1))


def test_the_outputs_are_bounded_where_the_inputs_are() -> None:
    """Interval arithmetic walks the inner loop in every iteration of the outer one: |c| <= 1 each day."""
    model = lowered("""
input xs: real[3, 4] in (-1, 1)
h = scan (row) over (xs) from h = 0 {
  day = scan (x) over (row) from c = h { c = 0.5*c + 0.5*x }
  h = 2*day[-1]
}
output h
""")
    found = finite(optimise(model.graph, check=True), model.inputs, "float32", Source(""))
    assert found.proved
    low, high = found.ranges["h"]
    c = 0.0
    for _ in range(3):
        c = 2 * (1 - (1 - c) * 0.5**4)
    assert c <= high < c + 1e-5
    assert -c >= low > -c - 1e-5


DROPPED = """dyn 1
model nested
input xs: real[3, 4] in (-1, 1)
h = scan (row) over (xs) from h = 0 {{
  day = scan (x) over (row) from c = h {{ c = 0.5*c + 0.5*x{noise} }}
  h = 2*day[-1]
}}
output y = h
deploy {{ {deploy} }}
"""


def test_an_outer_row_is_a_step_of_a_stream(tmp_path: Path) -> None:
    found = model_of(DROPPED.format(noise="", deploy="stream"))
    compiled = compile_model(found, Trained({}), None, None, lambda _: None, tmp_path)
    stream = load(compiled.folder).stream()
    rows, c = DRAW.uniform(-1, 1, (3, 4)), 0.0
    for row in rows:
        for x in row:
            c = 0.5 * c + 0.5 * x
        c = 2 * c
        assert abs(stream.step(xs=row[None].astype(np.float32))["y"].item() - c) < 1e-6


def test_dropout_of_an_ensemble_is_drawn_in_every_iteration_of_both_loops(tmp_path: Path) -> None:
    found = model_of(DROPPED.format(noise=" |> dropout(0.3)", deploy="samples 8; parity 1e-4"))
    compiled = compile_model(found, Trained({}), None, None, lambda _: None, tmp_path)
    kept, xs = (DRAW.random((5, 8, 12, 1)) < 0.7).astype(np.float32), DRAW.uniform(-1, 1, (5, 3, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(compiled.folder / "model.onnx")
    (y,) = session.run(["y"], {"xs": xs, "dropout": kept})
    c, every = np.zeros((5, 8)), []
    for day in range(3):
        for hour in range(4):
            c = (0.5 * c + 0.5 * xs[:, day, hour, None]) * kept[:, :, 4 * day + hour, 0] / 0.7
        c = 2 * c
        every.append(c.mean(1))
    np.testing.assert_allclose(y, np.stack(every, 1), atol=1e-6)


def test_its_certificate_and_its_adjoint_file(tmp_path: Path) -> None:
    """Trained, deployed to a bound, and differentiated: the answers and `adj_model.onnx` against the double loop."""
    deploy = "deploy { solver rk4(steps=2); derivatives adjoint }"
    train = "train { loss mean((score[0] - y)^2); solver rk4(steps=2); epochs 1; batch 16 }"
    data = 'data { source "observed.npz"; ts = array(ts); xs = array(xs); y = array(y) }\ntarget y: real\n'
    body = NETWORK.format(days=DAYS, hours=HOURS)
    (tmp_path / "m.dyn").write_text(f"dyn 1\nmodel m\n{data}{body}{train}\n{deploy}\n")
    times, readings = np.tile(TIMES, (5, 1, 1)), DRAW.normal(size=(25, DAYS, HOURS, 2))
    np.savez(tmp_path / "observed.npz", ts=times, xs=readings, y=np.tanh(readings.sum((1, 2, 3))))
    compiled = driver.build(tmp_path / "m.dyn", out=tmp_path / "out", run=tmp_path / "run")
    assert compiled.certificate["parity"]["score"]["maximum"] < 1e-5
    weights = {name: torch.tensor(x).double() for name, x in load_file(tmp_path / "run/weights.safetensors").items()}
    ts, xs = (x.requires_grad_() for x in given())
    wanted = by_hand(weights, ts, xs)
    fed = {"ts": TIMES.astype(np.float32), "xs": READINGS.astype(np.float32)}
    answers = load(compiled.folder).run(fed)
    for name, expected in wanted.items():
        np.testing.assert_allclose(answers[name], expected.detach(), atol=1e-5)
    slopes = torch.autograd.grad(wanted["score"].sum(), [ts, xs])
    seeds = {"adj_score": np.ones((5, 1), np.float32), "adj_states": np.zeros((5 * DAYS * 4, 1), np.float32)}
    session = onnxruntime.InferenceSession(compiled.folder / "adj_model.onnx")
    for name, expected in zip(("adj_ts", "adj_xs"), slopes, strict=True):
        (found,) = session.run([name], {**fed, **seeds})
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-4, atol=2e-6)


KNOWN = {
    "[0, 1, 2]": [0, 1, 2], "range(3)": [0, 1, 2], "range(3) - 7": [-7, -6, -5], "reverse(range(3))": [2, 1, 0],
    "[4, 5, 6]/2": [2, 2.5, 3],
}  # fmt: skip


@pytest.mark.parametrize("times", KNOWN)
def test_numbers_of_the_file_are_times_where_they_are_named_as_times(times: str) -> None:
    """Also those that are computed. x' = t between neighbours; with one name a row is a number."""
    known = np.array(KNOWN[times])
    lines = "input u: real\nx = scan {head} over ({times}) from x = u {{ {body} }}\noutput x\n"
    flow = "field f(t, x: real) { x' = t }\n"
    text = lines.format(head="(a, b)", times=times, body="x = solve f from x = x over a..b")
    found = outputs(flow + text, u=np.zeros(2))["x"]
    np.testing.assert_allclose(found[0], (known**2 - known[0] ** 2) / 2, rtol=1e-12, atol=1e-14)
    plain = outputs(lines.format(head="(a)", times=times, body="x = x + a"), u=np.zeros(2))["x"]
    np.testing.assert_allclose(plain[1], known.cumsum(), rtol=1e-12)

"""Networks over irregular observations against loops written by hand in torch, and their artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from isocline_compiler import driver
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import check
from isocline_compiler.model import Model
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_runtime import load
from tests.scans import Weights, dense, gru_cell, observations, rk4

PROGRAMS = Path(__file__).parent / "programs"
NAMES = ("ode_rnn", "gru_ode_bayes", "latent_ode", "cfc", "ltc")
STEPS = 3
LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)

Outputs = dict[str, Tensor]
Given = Mapping[str, Tensor]


def ode_rnn(w: Weights, given: Given, steps: int) -> Outputs:
    ts, xs, seen = given["ts"], given["xs"], given["seen"]
    h, before, every = torch.zeros(len(ts), 8, dtype=torch.float64), ts[:, 0], []
    for i in range(ts.shape[1]):
        h = rk4(lambda x: dense(torch.tanh(dense(x, w, "f.h.dense")), w, "f.h.dense_2"), h, before, ts[:, i], steps)
        before = ts[:, i]
        h = torch.where(seen[:, i], gru_cell(h, xs[:, i], w, "h.gru_cell"), h)
        every.append(h)
    return {"score": dense(h, w, "score.dense"), "states": torch.stack(every, 1)}


def gru_ode_bayes(w: Weights, given: Given, steps: int) -> Outputs:
    ts, xs, seen = given["ts"], given["xs"], given["seen"]

    def flow(h: Tensor) -> Tensor:
        z, r = torch.sigmoid(dense(h, w, "flow.z.dense")), torch.sigmoid(dense(h, w, "flow.r.dense"))
        return (1 - z) * (torch.tanh(dense(r * h, w, "flow.g.dense")) - h)

    h, before = torch.zeros(len(ts), 8, dtype=torch.float64), ts[:, 0]
    every, means, deviations = [], [], []
    for i in range(ts.shape[1]):
        h = rk4(flow, h, before, ts[:, i], steps)
        before = ts[:, i]
        mean, log_deviation = dense(h, w, "predicted.dense").chunk(2, 1)
        error = (xs[:, i] - mean) / log_deviation.exp()
        told = torch.where(seen[:, i], error, torch.zeros_like(error))
        h = torch.where(seen[:, i].any(1, keepdim=True), gru_cell(h, told, w, "path.gru_cell"), h)
        every.append(h)
        means.append(mean)
        deviations.append(log_deviation.exp())
    return {"mean": torch.stack(means, 1), "deviation": torch.stack(deviations, 1), "states": torch.stack(every, 1)}


def latent_ode(w: Weights, given: Given, steps: int) -> Outputs:
    ts, xs = given["ts"], given["xs"]
    e, later = torch.zeros(len(ts), 8, dtype=torch.float64), ts[:, -1]
    for i in reversed(range(6)):
        e = rk4(
            lambda x: dense(torch.tanh(dense(x, w, "past.e.dense")), w, "past.e.dense_2"), e, later, ts[:, i], steps
        )
        e, later = gru_cell(e, xs[:, i], w, "e.gru_cell"), ts[:, i]
    z = dense(e, w, "both.dense")[:, :4]
    path = [z]
    for i in range(5):
        ends = ts[:, i], ts[:, i + 1]
        z = rk4(lambda x: dense(torch.tanh(dense(x, w, "future.z.dense")), w, "future.z.dense_2"), z, *ends, steps)
        path.append(z)
    return {"decoded": dense(torch.stack(path, 1), w, "decoded.dense"), "latent": path[0]}


def cfc(w: Weights, given: Given, steps: int) -> Outputs:
    ts, xs = given["ts"], given["xs"]
    h, before, every = torch.zeros(len(ts), 8, dtype=torch.float64), ts[:, 0], []
    for i in range(ts.shape[1]):
        u = torch.tanh(dense(torch.cat([xs[:, i], h], 1), w, "h.dense"))
        elapsed = (ts[:, i] - before)[:, None]
        gate = torch.sigmoid(dense(u, w, "h.dense_2") * elapsed + dense(u, w, "h.dense_3"))
        h = torch.tanh(dense(u, w, "h.dense_4")) * (1 - gate) + gate * torch.tanh(dense(u, w, "h.dense_5"))
        before = ts[:, i]
        every.append(h)
    return {"score": dense(h, w, "score.dense"), "states": torch.stack(every, 1)}


def ltc(w: Weights, given: Given, steps: int) -> Outputs:
    ts, xs = given["ts"], given["xs"]
    tau = 0.1 + 9.9 * torch.sigmoid(w["tau"])
    h, before, every = torch.zeros(len(ts), 8, dtype=torch.float64), ts[:, 0], []
    for i in range(ts.shape[1]):

        def liquid(h: Tensor, x: Tensor = xs[:, i]) -> Tensor:
            u = torch.sigmoid(dense(torch.cat([h, x], 1), w, "liquid.u.dense"))
            return -(1 / tau + u) * h + u * w["rest"]

        h = rk4(liquid, h, before, ts[:, i], 2)
        before = ts[:, i]
        every.append(h)
    return {"score": dense(h, w, "score.dense"), "states": torch.stack(every, 1)}


BY_HAND: dict[str, Callable[[Weights, Given, int], Outputs]] = {
    "ode_rnn": ode_rnn, "gru_ode_bayes": gru_ode_bayes, "latent_ode": latent_ode, "cfc": cfc, "ltc": ltc,
}  # fmt: skip


def given_of(model: Model, rows: int = 5, length: int = 6) -> dict[str, Tensor]:
    arrays = observations(rows, length)
    arrays["seen"] = arrays["each_seen" if model.name == "gru_ode_bayes" else "seen"]
    return {port.name: torch.tensor(arrays[port.name]) for port in model.inputs}


def weights_of(model: Model) -> dict[str, Tensor]:
    return {name: torch.tensor(x, dtype=torch.float64) for name, x in initial_weights(model.weights, 3).items()}


def stepped(model: Model, segment: int | None = None) -> Graph:
    """All solves by rk4, so many steps an interval, unless they name their scheme."""
    choices = {}
    for solve in solves_of(model.graph):
        count = 1 if solve.times is None or solve.times.size(-1) == 2 else 5
        choice = scheme_steps(solve, solve.spec.scheme or Called("rk4", {"steps": STEPS * count}))
        choices[solve.spec.choice] = type(choice)(choice.scheme, choice.grid, segment)
    return unroll(model.graph, choices).graph


@pytest.mark.parametrize("name", NAMES)
def test_steps_and_their_gradient_are_those_of_a_loop_by_hand(name: str) -> None:
    model = check(PROGRAMS / f"{name}.dyn")
    verify(model.graph)
    graph, weights, given = stepped(model), weights_of(model), given_of(model)
    verify(graph)
    for item in weights.values():
        item.requires_grad_()
    found, wanted = TorchProgram(graph)({**weights, **given}), BY_HAND[name](weights, given, STEPS)
    for output, expected in wanted.items():
        torch.testing.assert_close(found[output], expected, rtol=1e-12, atol=1e-13)
    losses = [sum(x[key].square().sum() for key in wanted) for x in (found, wanted)]
    ours, theirs = (torch.autograd.grad(loss, list(weights.values()), allow_unused=True) for loss in losses)
    for mine, expected in zip(ours, theirs, strict=True):
        if expected is None:
            assert mine is None or not mine.any()
        else:
            torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("name", ["ode_rnn", "gru_ode_bayes", "latent_ode"])
def test_an_adaptive_solver_runs_in_every_interval(name: str, adjoint: bool) -> None:
    """Against the loop by hand with steps fine enough; the first interval of every sample has no length."""
    model = check(PROGRAMS / f"{name}.dyn")
    weights, given = weights_of(model), given_of(model, rows=3, length=6)
    for item in weights.values():
        item.requires_grad_()
    solver = AdaptiveIntegrator(rtol=1e-8, atol=1e-9, adjoint=adjoint)
    found = TorchProgram(model.graph)({**weights, **given}, integrator=solver)
    wanted = BY_HAND[name](weights, given, 50)
    for output, expected in wanted.items():
        torch.testing.assert_close(found[output], expected, rtol=1e-6, atol=1e-7)
    losses = [sum(x[key].square().sum() for key in wanted) for x in (found, wanted)]
    ours, theirs = (torch.autograd.grad(loss, list(weights.values()), allow_unused=True) for loss in losses)
    for mine, expected in zip(ours, theirs, strict=True):
        if expected is not None and expected.any():
            torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("segment", [None, 1])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_emitted_answers_as_the_loop_by_hand_for_any_length(name: str, segment: int | None) -> None:
    """At all optimisation levels of onnxruntime, the steps laid out in the body or as a loop within the loop."""
    model = check(PROGRAMS / f"{name}.dyn")
    weights = weights_of(model)
    arrays = {key: x.numpy() for key, x in weights.items()}
    graph = optimise(unroll_bound(model, arrays, segment), check=True)
    content = to_onnx(graph, arrays).SerializeToString()
    for length in (6,) if name == "latent_ode" else (1, 6, 17):
        given = given_of(model, 4, length)
        wanted = BY_HAND[name](weights, given, STEPS)
        feeds = {key: x.numpy().astype(np.float32) if x.is_floating_point() else x.numpy() for key, x in given.items()}
        for level in LEVELS:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level, options.log_severity_level = level, 3
            session = onnxruntime.InferenceSession(content, options)
            for output, expected in wanted.items():
                (found,) = session.run([output], feeds)
                assert np.abs(found - expected.numpy()).max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def unroll_bound(model: Model, arrays: Mapping[str, Any], segment: int | None) -> Graph:
    bound = optimise(bind(model.graph, arrays), check=True)
    verify(bound)
    choices = {}
    for solve in solves_of(bound):
        count = 1 if solve.times is None or solve.times.size(-1) == 2 else 5
        choice = scheme_steps(solve, solve.spec.scheme or Called("rk4", {"steps": STEPS * count}))
        choices[solve.spec.choice] = type(choice)(choice.scheme, choice.grid, segment)
    return unroll(bound, choices).graph


@pytest.mark.parametrize("name", ["ode_rnn", "latent_ode", "ltc"])
def test_the_program_trains_deploys_and_keeps_its_bounds(name: str, tmp_path: Path) -> None:
    shutil.copy(PROGRAMS / f"{name}.dyn", tmp_path)
    np.savez(tmp_path / "observed.npz", **observations(48, 6))
    compiled = driver.build(tmp_path / f"{name}.dyn", out=tmp_path / "out", run=tmp_path / "run")
    for record in compiled.certificate["discretisation"].values():
        assert record["maximum"] <= 1e-3
    session, given = load(compiled.folder), observations(7, 6)
    wanted = {port.name for port in session.inputs}
    alike = {"ts": given["six"] if name == "latent_ode" else given["ts"], "xs": given["xs"], "seen": given["seen"]}
    found = session.run({key: x for key, x in alike.items() if key in wanted})
    assert all(len(x) == 7 and np.isfinite(x).all() for x in found.values())


def test_its_attribution_and_its_derivative_are_those_of_the_loop_by_hand(tmp_path: Path) -> None:
    """`adj_model.onnx` and the saliency of an artifact, with the weights that it was trained to."""
    text = (PROGRAMS / "ode_rnn.dyn").read_text().replace("[T", "[6")
    head = text[: text.index("deploy {")]
    deploy = "deploy { solver rk4(steps=3); attribute score wrt xs by saliency; derivatives adjoint }"
    (tmp_path / "m.dyn").write_text(f"{head}{deploy}\n")
    np.savez(tmp_path / "observed.npz", **observations(48, 6))
    compiled = driver.build(tmp_path / "m.dyn", out=tmp_path / "out", run=tmp_path / "run")
    arrays = observations(5, 6, seed=9)
    weights = {name: torch.tensor(x).double() for name, x in load_file(tmp_path / "run/weights.safetensors").items()}
    given = {name: torch.tensor(arrays[name]) for name in ("ts", "xs", "seen")}
    given["ts"].requires_grad_()
    given["xs"].requires_grad_()
    wanted = torch.autograd.grad(ode_rnn(weights, given, STEPS)["score"].sum(), [given["ts"], given["xs"]])
    feeds = {name: x.astype(np.float32) if x.dtype.kind == "f" else x for name, x in arrays.items() if name in given}
    session = onnxruntime.InferenceSession(compiled.folder / "adj_model.onnx")
    seeds = {"adj_score": np.ones((5, 1), np.float32), "adj_states": np.zeros((5 * 6 * 8, 1), np.float32)}
    for name, expected in zip(("adj_ts", "adj_xs"), wanted, strict=True):
        (found,) = session.run([name], {**feeds, **seeds})
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-4, atol=2e-6)
    explained = load(compiled.folder).attribute(feeds)["saliency_xs"]
    np.testing.assert_allclose(np.abs(explained), wanted[1].abs(), rtol=2e-4, atol=2e-6)

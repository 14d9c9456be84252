"""Loss and gradient as one graph: against torch, whatever the loss is made of; and what torch has to train says why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import isocline
from isocline_compiler.data import load_data
from isocline_compiler.graph import Node
from isocline_compiler.model import Model
from isocline_compiler.training import graph_gradient
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.fit import objective_of
from isocline_compiler.training.graph_gradient import GraphGradient, NotAGraph
from isocline_compiler.training.initial import initial_weights

HEAD = """dyn 1
model fitted
input x0: real[2] in (-2, 2)
target y: real[2]
"""
FIELD = (
    "field f(t, x: real[2]) { x' = x |> dense(8) |> tanh |> dense(2) }\ns = solve f from x = x0 over 0..1\noutput s\n"
)
DATA = 'data { source "none.csv"; x0 = columns("a", "b"); y = columns("c", "d") }\n'
LOSSES = {
    "squares": HEAD + FIELD + DATA + "train { loss mse(s, y); solver rk4(steps=5); epochs 2; batch 7 }\n",
    "two terms and weight decay by a prior": HEAD
    + "param k: positive = 0.7 ~ lognormal(0, 0.5)\n"
    + "field f(t, x: real[2]) { x' = -k*x + (x |> dense(4) |> tanh |> dense(2)) }\n"
    + "s = solve f from x = x0 over 0..1\noutput s\n" + DATA
    + "train { loss 2*mse(s, y) + 0.1*mean(abs(s)); solver heun(steps=4); epochs 2; batch 7 }\n",
    "a log density with a prior": HEAD
    + "param k: positive = 0.7 ~ lognormal(0, 0.5)\nparam noise: positive = 0.3 ~ lognormal(-1, 1)\n"
    + "field f(t, x: real[2]) { x' = -k*x }\ns = solve f from x = x0 over 0..1\noutput s\n" + DATA
    + "train { loss gaussian_nll(s, y, noise); solver rk4(steps=4); precision float64; epochs 2 }\n",
    "no solve, and a norm of the gradient": HEAD
    + "z = x0 |> dense(8) |> relu |> dense(2)\noutput z\n" + DATA
    + "train { loss huber(z, y); epochs 2; batch 7; clip 0.1 }\n",
}  # fmt: skip
SAMPLES = 23


def samples() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(4)
    table = generator.uniform(-1, 1, (SAMPLES, 4))
    return dict(zip("abcd", table.T, strict=True))


def parts(text: str) -> tuple[Model, GraphGradient, dict[str, torch.Tensor], Batches]:
    model = isocline.model(text)
    plan = model.training
    assert plan is not None
    assert model.data is not None
    dataset = load_data(model.data, model.inputs, model.targets, Path(), model.source, samples())
    working = torch.float64 if plan.precision == "float64" else torch.float32
    first = initial_weights(model.weights, 0)
    weights = {name: torch.tensor(value, dtype=working).requires_grad_() for name, value in first.items()}
    graph = GraphGradient.of(objective_of(model, plan, dataset.train), plan, list(weights))
    return model, graph, weights, Batches.of(dataset.train, working, torch.device("cpu"))


@pytest.mark.parametrize("text", LOSSES.values(), ids=LOSSES.keys())
def test_loss_and_gradient_are_those_of_torch(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By autograd through the eager program, which has no part of the reverse that is tested."""
    monkeypatch.setattr(GraphGradient, "_compare", lambda *_: None)
    _, graph, weights, batches = parts(text)
    for batch, _ in batches.shuffled(7, (1,)):
        loss = graph(weights, batch)
        found = {name: weights[name].grad for name in weights}
        for name in weights:
            weights[name].grad = None
        right = graph.objective(weights, batch, training=True)
        torch.autograd.backward(right.total)
        wide = right.total.dtype == torch.float64
        torch.testing.assert_close(loss.total, right.total.detach(), rtol=1e-12 if wide else 1e-5, atol=0)
        for term, value in right.terms.items():
            torch.testing.assert_close(loss.terms[term], value.detach(), rtol=1e-12 if wide else 1e-5, atol=1e-7)
        for name, weight in weights.items():
            torch.testing.assert_close(found[name], weight.grad, rtol=1e-10 if wide else 1e-4, atol=1e-6)


@pytest.mark.parametrize("text", LOSSES.values(), ids=LOSSES.keys())
def test_a_run_ends_with_the_weights_of_torch(text: str, tmp_path: Path) -> None:
    found = {}
    for engine in ("torch", "onnxruntime"):
        model = isocline.model(text.replace("epochs 2", f"epochs 2; engine {engine}"))
        result = isocline.train(model, tmp_path / engine, data=samples())
        found[engine] = load_file(result.folder / "weights.safetensors")
        assert not any("onnxruntime" in doubt for doubt in result.doubts)
    for name, value in found["torch"].items():
        np.testing.assert_allclose(found["onnxruntime"][name], value, rtol=2e-4, atol=2e-6)


REFUSED = {
    "solver dopri5(rtol=1e-6)": "an adaptive solver steps `f`",
    "solver rk4(steps=4); precision bf16": "bf16 is mixed by torch",
    "solver dopri5(rtol=1e-6); gradient adjoint": "belongs to the solvers of torch",
}


@pytest.mark.parametrize("settings", REFUSED)
def test_what_torch_has_to_train_is_said(settings: str, tmp_path: Path) -> None:
    text = HEAD + FIELD + DATA + f"train {{ loss mse(s, y); {settings}; epochs 1; engine onnxruntime }}\n"
    with pytest.raises(NotAGraph, match=REFUSED[settings]):
        parts(text)
    result = isocline.train(isocline.model(text), tmp_path / "run", data=samples())
    assert any("torch trains `train`, not onnxruntime" in doubt for doubt in result.doubts)
    quiet = isocline.train(
        isocline.model(text.replace("engine onnxruntime", "engine auto")), tmp_path / "b", data=samples()
    )
    assert not any("onnxruntime" in doubt for doubt in quiet.doubts)


def test_dropout_is_torchs() -> None:
    text = HEAD + "z = x0 |> dense(8) |> dropout(0.5) |> dense(2)\noutput z\n" + DATA + "train { loss mse(z, y) }\n"
    with pytest.raises(NotAGraph, match="does something else while training"):
        parts(text)


def test_a_gradient_that_differs_is_given_up_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reverse of tanh is broken: torch trains on, and the run ends as torch's own does."""
    right = isocline.train(isocline.model(LOSSES["squares"].replace("epochs 2", "epochs 2; engine torch")),
                           tmp_path / "right", data=samples())  # fmt: skip
    plain = graph_gradient.vjp

    def broken(outputs: Sequence[Node], seeds: Sequence[Node], wrt: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(1.01 * node for node in plain(outputs, seeds, wrt))

    monkeypatch.setattr(graph_gradient, "vjp", broken)
    result = isocline.train(isocline.model(LOSSES["squares"]), tmp_path / "run", data=samples())
    assert any("from torch's in update 1" in doubt for doubt in result.doubts)
    expected = load_file(right.folder / "weights.safetensors")
    for name, value in load_file(result.folder / "weights.safetensors").items():
        np.testing.assert_array_equal(value, expected[name])


def test_an_engine_has_a_name() -> None:
    with pytest.raises(isocline.IsoclineError, match="E4"):
        isocline.model(LOSSES["squares"].replace("epochs 2", "epochs 2; engine jax"))


def test_what_onnxruntime_stops_at_is_trained_by_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise ValueError("no such kernel")

    monkeypatch.setattr(GraphGradient, "_loss", stopped)
    result = isocline.train(isocline.model(LOSSES["squares"]), tmp_path / "run", data=samples())
    assert any("onnxruntime stopped in update 1 (no such kernel)" in doubt for doubt in result.doubts)
    assert result.complete

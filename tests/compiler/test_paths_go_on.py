"""A solve with samples that starts from samples: each path goes on from its own, against steps taken by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.side_by_side import side_by_side
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl.diagnostics import IsoclineError

ROWS, SAMPLES = 3, 5
FIELDS = """dyn 1
model m
input x0: real[2]
field early(t, x: real[2]) { noise W: brownian[2]; dx = -x dt + 0.3*x dW }
path = solve early from x = x0 over 0..1 with euler_maruyama(steps=4) samples 5
"""
LATE = "field late(t, x: real[2], y: real) { noise V: brownian; dx = -0.5*x*x0 dt + 0.2 dV; dy = x[0] dt + y dV }\n"
ON = "on = solve late from x = path, y = x0[0] over 1..2 with euler_maruyama(steps=4) samples 5\n"


def stepped(text: str, segment: int | None = None) -> Graph:
    found = model(text)
    verify(found.graph)
    choices = {}
    for solve in solves_of(found.graph):
        assert solve.spec.scheme is not None
        choices[solve.spec.choice] = replace(scheme_steps(solve, solve.spec.scheme), segment=segment)
    graph = unroll(optimise(found.graph), choices).graph
    verify(graph)
    return optimise(graph)


def noise(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal((ROWS, SAMPLES, 4, 2)), rng.standard_normal((ROWS, SAMPLES, 4, 1))
    return {"x0": rng.uniform(0.5, 1.5, (ROWS, 2)), "W": w, "V": v}


def by_hand(x0: np.ndarray, W: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Euler's and Maruyama's steps of both fields, sample by sample: x and y at the end."""
    h = 0.25
    x = np.repeat(x0[:, None], SAMPLES, axis=1)
    for i in range(4):
        x = x - h * x + 0.3 * x * np.sqrt(h) * W[:, :, i]
    y = np.repeat(x0[:, None, 0], SAMPLES, axis=1)
    for i in range(4):
        dv = np.sqrt(h) * V[:, :, i]
        x, y = x - 0.5 * h * x * x0[:, None] + 0.2 * dv, y + h * x[..., 0] + y * dv[..., 0]
    return x, y


def run(graph: Graph, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    given = {name: torch.tensor(array) for name, array in arrays.items()}
    return {name: value.numpy() for name, value in TorchProgram(graph)(given).items()}


@pytest.mark.parametrize("segment", [None, 1, 2])
def test_each_sample_goes_on_from_its_own(segment: int | None) -> None:
    """Two solves joined; a state that starts alike for all samples stands beside one that does not."""
    found = run(stepped(FIELDS + LATE + ON + "output x = on.x\noutput y = on.y\n", segment), **noise())
    x, y = by_hand(**noise())
    np.testing.assert_allclose(found["x"], x, rtol=1e-12)
    np.testing.assert_allclose(found["y"], y, rtol=1e-12)


def test_the_gradient_goes_back_through_both() -> None:
    """By the start, against central differences of the steps by hand."""
    graph = stepped(FIELDS + LATE + ON + "output y = sum(mean(on.x^2, over=samples)) + mean(on.y, over=samples)\n")
    (slope,) = gradient(graph.outputs["y"], [node for node in graph.inputs if node.attrs["name"] == "x0"])
    given = noise()
    found = run(graph.with_outputs({"y": slope}), **given)["y"]

    def value(x0: np.ndarray) -> np.ndarray:
        x, y = by_hand(x0, given["W"], given["V"])
        total: np.ndarray = (x**2).mean(1).sum(-1) + y.mean(1)
        return total

    for entry in range(2):
        shift = 1e-5 * np.eye(2)[entry]
        expected = (value(given["x0"] + shift) - value(given["x0"] - shift)) / 2e-5
        np.testing.assert_allclose(found[:, entry], expected, rtol=1e-8)


def test_an_integral_along_the_second_is_that_of_each_path() -> None:
    """The sum of h x over the steps, by hand with a state that only adds."""
    graph = stepped(FIELDS + LATE + ON + "output y = integral(x[0], over=on) + on.x[:, 0]\n")
    given = noise()
    x, _ = by_hand(**given)
    silent = {**given, "V": given["V"]}
    h, early = 0.25, np.repeat(given["x0"][:, None], SAMPLES, axis=1)
    for i in range(4):
        early = early - h * early + 0.3 * early * np.sqrt(h) * given["W"][:, :, i]
    total = np.zeros((ROWS, SAMPLES))
    for i in range(4):
        total += h * early[..., 0]
        early = early - 0.5 * h * early * given["x0"][:, None] + 0.2 * np.sqrt(h) * silent["V"][:, :, i]
    np.testing.assert_allclose(run(graph, **given)["y"], total + x[..., 0], rtol=1e-12)


def test_a_third_goes_on_from_a_time_of_the_second() -> None:
    """Of a solve that keeps its times the samples are the first axis: the last of them starts the next."""
    kept = ON.replace("over 1..2", "at 1..2 step 0.5")
    last = "end = solve late from x = on.x[:, -1], y = on.y[:, -1] over 2..3 with euler_maruyama(steps=1) samples 5\n"
    graph = stepped(FIELDS + LATE + kept + last + "output x = end.x\noutput before = on.x[:, -1]\n")
    given = noise()
    v = np.random.default_rng(3).standard_normal((ROWS, SAMPLES, 1, 1))
    found = run(graph, **given, end_V=v)
    x, _ = by_hand(**given)
    np.testing.assert_allclose(found["before"], x, rtol=1e-12)
    np.testing.assert_allclose(found["x"], x - 0.5 * x * given["x0"][:, None] + 0.2 * v[:, :, 0], rtol=1e-12)


def test_a_solver_that_is_not_ours_meets_a_larger_batch() -> None:
    """The batch and its samples, side by side, are what a training solver integrates: starts are not repeated again."""
    found = model(FIELDS + LATE + ON + "output x = on.x\n")
    first, second = solves_of(side_by_side(found.graph))
    assert {x.shape[0] for solve in (first, second) for x in solve.initial} == {"5*batch"}
    verify(side_by_side(found.graph))


@pytest.mark.parametrize("many", ["", " samples 4"])
def test_another_number_of_samples_is_told(many: str) -> None:
    with pytest.raises(IsoclineError) as found:
        model(FIELDS + LATE + ON.replace(" samples 5", many) + "output x = on.x\n")
    (item,) = found.value.diagnostics
    assert item.code == "E312"
    assert "`samples 5`" in str(item.hint)


FLOW = """field flow(t, x: real[2]) { x' = -sin(x)*x0 }
on = solve flow from x = path over 1..2 with euler(steps=2) samples 5
"""


@pytest.mark.parametrize("segment", [None, 1])
def test_an_equation_without_noise_goes_on_from_each_sample(segment: int | None) -> None:
    """Euler's steps by hand, with the integral and the stretching of volumes along them."""
    given = noise()
    del given["V"]
    outputs = "output x = on\noutput total = integral(x[0], over=on)\noutput stretched = logdet_jacobian(on)\n"
    found = run(stepped(FIELDS + FLOW + outputs, segment), **given)
    x = np.repeat(given["x0"][:, None], SAMPLES, axis=1)
    for i in range(4):
        x = x - 0.25 * x + 0.3 * x * 0.5 * given["W"][:, :, i]
    total, stretched = np.zeros((ROWS, SAMPLES)), np.zeros((ROWS, SAMPLES))
    for _ in range(2):
        total, stretched = total + 0.5 * x[..., 0], stretched - 0.5 * (np.cos(x) * given["x0"][:, None]).sum(-1)
        x = x - 0.5 * np.sin(x) * given["x0"][:, None]
    np.testing.assert_allclose(found["x"], x, rtol=1e-12)
    np.testing.assert_allclose(found["total"], total, rtol=1e-12)
    np.testing.assert_allclose(found["stretched"], stretched, rtol=1e-12)

"""What a file says of noise: its terms, its kinds, and the steps that are made of it, against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of


def written(field: str, solve: str, inputs: str = "input s0: real in (0.5, 1.5)", out: str = "path.s") -> Model:
    return model(f"dyn 1\nmodel m\n{inputs}\nfield f{field}\npath = solve f from {solve}\noutput y = {out}\n")


def only(found: Model) -> Solve:
    (solve,) = solves_of(found.graph)
    return solve


def unrolled(found: Model, segment: int | None = None) -> Graph:
    verify(found.graph)
    solve = only(found)
    assert solve.spec.scheme is not None
    choice = replace(scheme_steps(solve, solve.spec.scheme), segment=segment)
    graph = unroll(optimise(found.graph), {solve.spec.choice: choice}).graph
    verify(graph)
    return optimise(graph)


def run(graph: Graph, **arrays: np.ndarray) -> np.ndarray:
    return TorchProgram(graph)({name: torch.tensor(array) for name, array in arrays.items()})["y"].numpy()


SCALAR = "(t, s: real) { noise W: brownian; ds = -s dt + 0.3*s dW }"
KINDS = {
    "geometric": (SCALAR, "s = s0", {"scalar", "diagonal"}),
    "additive": (
        "(t, s: real) { noise W: brownian; ds = -s dt + 0.3*t dW }", "s = s0", {"additive", "scalar", "diagonal"},
    ),
    "vector": ("(t, s: real[2]) { noise W: brownian[2]; ds = -s dt + tanh(s)^2 dW }", "s = [1, s0]", {"diagonal"}),
    "mixing": ("(t, s: real[2]) { noise W: brownian[2]; ds = -s dt + mean(s)*s dW }", "s = [1, s0]", set()),
    "one for both": ("(t, s: real[2]) { noise W: brownian; ds = -s dt + s dW }", "s = [1, s0]", {"scalar"}),
    "heston": (
        "(t, s: real, v: real) { noise W: brownian[2]; ds = s dt + s*v dW[0]; dv = -v dt + 0.1*v dW[0] + v dW[1] }",
        "s = s0, v = 1", set(),
    ),
    "beside": (
        "(t, s: real, v: real) { noise W: brownian; ds = v dt; dv = -s dt + s*v dW }", "s = s0, v = 1",
        {"scalar", "diagonal"},
    ),
    "two of one": ("(t, s: real) { noise W: brownian[2]; ds = 0.3*s dW[0] + 0.2*s dW[1] }", "s = s0", {"commutative"}),
    "two roots": (
        "(t, s: real) { noise W: brownian; noise V: brownian; ds = sqrt(s) dW + 2*exp(-t)*sqrt(s) dV }", "s = s0",
        {"commutative"},
    ),
    "turned": (  # in the coordinates a = 3/5 s + 4/5 v, b = 4/5 s - 3/5 v each noise drives its own
        """(t, s: real, v: real) {
  noise W: brownian[2]
  ds = 0.6*(0.6*s + 0.8*v) dW[0] + 0.8*sin(0.8*s - 0.6*v) dW[1]
  dv = 0.8*(0.6*s + 0.8*v) dW[0] - 0.6*sin(0.8*s - 0.6*v) dW[1]
}""", "s = s0, v = 1", {"commutative"},
    ),
    "one of them is constant": (
        "(t, s: real) { noise W: brownian[2]; ds = 0.3*s dW[0] + 0.2 dW[1] }", "s = s0", set(),
    ),
    "corners": ("(t, s: real) { noise W: brownian[2]; ds = relu(s) dW[0] + 2*relu(s) dW[1] }", "s = s0", set()),
    "matrix": ("(t, s: real[2]) { noise W: brownian[3]; ds = -s dt + ones(2, 3) @ dW }", "s = [1, s0]", {"additive"}),
}  # fmt: skip


@pytest.mark.parametrize(("field", "start", "expected"), KINDS.values(), ids=KINDS)
def test_the_kinds_of_a_noise_are_found(field: str, start: str, expected: set[str]) -> None:
    kinds = only(written(field, f"{start} over 0..1")).spec.kinds
    assert kinds == expected | {"general"} | ({"commutative"} if expected else set())


MATRIX = """(t, s: real[2], v: real) {
  noise W: brownian[3]
  noise B: brownian[2]
  g = stack(s, [v, 1], [0.5, t], axis=-1)
  ds = -s dt + g @ dW - 0.1*s dB
  v' = -v
}"""


@pytest.mark.parametrize("segment", [None, 1, 3])
@pytest.mark.parametrize("samples", [None, 5])
def test_steps_are_those_of_euler_and_maruyama(segment: int | None, samples: int | None) -> None:
    """A matrix of noise, diagonal noise and a state without any, one path or several, laid out and as loops."""
    many = "" if samples is None else f" samples {samples}"
    found = written(MATRIX, f"s = [1, s0], v = 2 over 0..2 with euler_maruyama(steps=7){many}")
    rng, count = np.random.default_rng(0), samples or 1
    w, b = rng.standard_normal((4, count, 7, 3)), rng.standard_normal((4, count, 7, 2))
    s0, h = rng.uniform(0.5, 1.5, 4), 2 / 7
    s, v = np.broadcast_to(np.stack([np.ones(4), s0], -1)[:, None], (4, count, 2)), 2.0
    for i in range(7):
        dw, db = np.sqrt(h) * w[:, :, i], np.sqrt(h) * b[:, :, i]
        g = np.stack(np.broadcast_arrays(s, [v, 1], [0.5, i * h]), -1)
        s, v = s - h * s + np.einsum("pqij,pqj->pqi", g, dw) - 0.1 * s * db, v - h * v
    result = run(unrolled(found, segment), s0=s0, W=w, B=b)
    np.testing.assert_allclose(result, s[:, 0] if samples is None else s, rtol=1e-12)


def test_times_of_the_input_scale_the_increments() -> None:
    inputs = "input s0: real in (0.5, 1.5)\ninput ts: time[3] in (0, 2)"
    found = written(SCALAR, "s = s0 at ts with euler_maruyama(steps=4)", inputs)
    rng = np.random.default_rng(0)
    s0, ts, w = rng.uniform(0.5, 1.5, 4), np.sort(rng.uniform(0, 2, (4, 3))), rng.standard_normal((4, 1, 4, 1))
    s, kept = s0, [s0]
    for i in range(4):
        h = (ts[:, i // 2 + 1] - ts[:, i // 2]) / 2
        s = s - h * s + 0.3 * s * np.sqrt(h) * w[:, 0, i, 0]
        kept += [s] if i % 2 else []
    for segment in (None, 1):
        result = run(unrolled(found, segment), s0=s0, ts=ts, W=w)
        np.testing.assert_allclose(result, np.stack(kept, -1), rtol=1e-12)


def test_jumps_are_counts_and_heavy_tails_have_their_own_power() -> None:
    found = written(
        "(t, s: real) { noise N: poisson(3); noise L: stable(1.5); ds = -s dt - 0.2*s dN + 0.1 dL }",
        "s = s0 over 0..2 with euler_maruyama(steps=8)",
    )
    rng = np.random.default_rng(0)
    s0, n, x = rng.uniform(0.5, 1.5, 4), rng.poisson(0.75, (4, 1, 8, 1)) * 1.0, rng.standard_cauchy((4, 1, 8, 1))
    s = s0
    for i in range(8):
        s = s - 0.25 * s - 0.2 * s * n[:, 0, i, 0] + 0.1 * 0.25 ** (1 / 1.5) * x[:, 0, i, 0]
    np.testing.assert_allclose(run(unrolled(found), s0=s0, N=n, L=x), s, rtol=1e-12)


def test_a_path_without_an_input_is_one_of_each_row_of_its_noise() -> None:
    found = written(SCALAR, "s = 1 at 0..1 step 0.5 with euler_maruyama(steps=2) samples 3", inputs="")
    graph = unrolled(found)
    assert [(node.attrs["name"], node.shape) for node in graph.inputs] == [("W", ("batch", 3, 2, 1))]
    w = np.random.default_rng(0).standard_normal((4, 3, 2, 1))
    first = 1 - 0.5 + 0.3 * np.sqrt(0.5) * w[:, :, 0, 0]
    second = first * (1 - 0.5 + 0.3 * np.sqrt(0.5) * w[:, :, 1, 0])
    np.testing.assert_allclose(run(graph, W=w), np.stack([np.ones((4, 3)), first, second], -1), rtol=1e-12)


def test_a_second_solve_has_a_noise_of_its_own() -> None:
    found = model(
        f"dyn 1\nmodel m\ninput s0: real\nfield f{SCALAR}\na = solve f from s = s0 over 0..1\n"
        "b = solve f from s = s0 over 0..1\noutput y = a.s + b.s\n"
    )
    assert [solve.spec.noises[0].input for solve in solves_of(found.graph)] == ["W", "b_W"]


def test_gradients_with_the_noise_held_are_those_of_autograd() -> None:
    """A graph of the derivative, through samples and a loop, against torch's tape of the same steps."""
    from isocline_compiler.derivatives.reverse_forward import gradient

    found = written(SCALAR, "s = s0 over 0..1 with euler_maruyama(steps=6) samples 4", out="mean(path.s^2, axis=0)")
    w = torch.tensor(np.random.default_rng(0).standard_normal((3, 4, 6, 1)))
    s0 = torch.tensor([0.6, 1.0, 1.4], dtype=torch.float64, requires_grad=True)
    for segment in (None, 2):
        graph = unrolled(found, segment)
        (slope,) = gradient(graph.outputs["y"], [node for node in graph.inputs if node.attrs["name"] == "s0"])
        held = TorchProgram(graph.with_outputs({"y": slope}))({"s0": s0.detach(), "W": w})["y"]
        value = TorchProgram(graph)({"s0": s0, "W": w})["y"]
        np.testing.assert_allclose(held, torch.autograd.grad(value.sum(), s0)[0], rtol=1e-12)

"""LM-ResNet's step, lm2, against a network written by hand in torch and the equation that small steps tend to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import isocline
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops import OPS
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.grid import Discretisation, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_dsl.diagnostics import IsoclineError
from tests.compiler.test_derivatives import Program, lowered, near
from tests.compiler.test_scheme_promises import PENDULUM, walked
from tests.solves import unrolled

STEPS = 6
LAYERS = """
field block(t, h: real[3]) weights per step {{ h' = h |> dense(5) |> tanh |> dense(3) }}
h = solve block from h = x over 0..3 with lm2(steps=6, k={k})
output y = h
"""
FACTORS = pytest.mark.parametrize("k", [0.0, 0.3, -0.08, "learned"])
FORMS = pytest.mark.parametrize("segment", [None, 1, 2])


LEARNED = "h.lm2.k"
"""The weight that `k=learned` makes: a number for each step but the first."""


def layers(k: float | str, segment: int | None) -> Program:
    """Six blocks with weights of their own, laid out or as a loop."""
    program = Program(lowered(LAYERS.format(k=k)))

    def choose(solve: Solve) -> Discretisation:
        assert solve.spec.scheme is not None
        scheme = SCHEMES["lm2"].with_options(solve.spec.scheme.options)
        return Discretisation(scheme, uniform(0.0, 3.0, STEPS), segment)

    program.graph = unrolled(program.model.graph, choose)
    return program


def by_hand(program: Program, k: float | str) -> torch.Tensor:
    """x = f(x) + l x + (1 - l) before, l = 1 - k, the first block plain: as the authors' code has it."""
    own_of = [1 - k] * (STEPS - 1) if isinstance(k, float) else 1 - program.bound[LEARNED]
    part = {name.removeprefix("block.h."): value for name, value in program.bound.items()}
    before = x = program.x
    for i in range(STEPS):
        hidden = torch.tanh(x @ part["dense.weight"][i] + part["dense.bias"][i])
        f = hidden @ part["dense_2.weight"][i] + part["dense_2.bias"][i]
        own = 1.0 if i == 0 else own_of[i - 1]
        before, x = x, 0.5 * f + own * x + (1 - own) * before
    return x


@FACTORS
@FORMS
def test_blocks_are_those_of_the_paper(k: float, segment: int | None) -> None:
    program = layers(k, segment)
    near(program("y"), by_hand(program, k), 1e-12)


@FACTORS
@FORMS
def test_gradients_are_those_of_backpropagation(k: float, segment: int | None) -> None:
    program = layers(k, segment)
    y = program.graph.outputs["y"]
    loss = OPS["reduce_sum"](y * y, axes=(1,))
    (start,) = program.graph.inputs
    (slope,) = gradient(loss, [start])
    ours = TorchProgram(Graph((start,), {"g": slope}))({**program.bound, "x": program.x})["g"]
    x = program.x = program.x.clone().requires_grad_()
    (theirs,) = torch.autograd.grad((by_hand(program, k) ** 2).sum(), x)
    near(ours.detach(), theirs, 1e-11)


@FACTORS
@FORMS
def test_exported_blocks_give_the_same_numbers(k: float, segment: int | None) -> None:
    program = layers(k, segment)
    model = to_onnx(optimise(bind(program.graph, program.weights)), {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": program.x.float().numpy()})
    np.testing.assert_allclose(found, by_hand(program, k).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [0.3, -0.08])
def test_small_steps_solve_an_equation_slower_by_one_plus_k(k: float) -> None:
    """(1 + k) x' = f: the error against the pendulum in the time t / (1 + k) is of the first order."""
    scheme, errors = SCHEMES["lm2"].with_options({"k": k}), []
    for steps in (100, 200):
        found = walked(scheme, PENDULUM, np.linspace(0, 2, steps + 1), [1.5, 0.0], 1)[-1]
        slow = walked(SCHEMES["rk4"], PENDULUM, np.linspace(0, 2 / (1 + k), 401), [1.5, 0.0], 1)[-1]
        errors.append(np.abs(found - slow).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)
    assert scheme.order == 0


def test_growth_on_the_linear_equation_is_that_of_many_steps() -> None:
    scheme = SCHEMES["lm2"].with_options({"k": 0.3})
    x, before = 1.0, 0.9
    for _ in range(60):
        before, x = x, 0.7 * x + 0.3 * before - 0.4 * x
    (growth,) = np.abs(scheme.stability(np.array([-0.4])))
    assert growth == pytest.approx(abs(x / before), rel=1e-9)


# ---------------------------------------------------------------------------------------------------- learned


@FORMS
def test_the_gradients_of_learned_coefficients_are_those_of_backpropagation(segment: int | None) -> None:
    program = layers("learned", segment)
    own = {name: value.clone().requires_grad_() for name, value in program.bound.items()}
    ours = TorchProgram(program.graph)({**own, "x": program.x})["y"]
    program.bound = {name: value.clone().requires_grad_() for name, value in program.bound.items()}
    theirs = by_hand(program, "learned")
    for y in (ours, theirs):
        (y**3).sum().backward()
    slopes = {name: value.grad for name, value in own.items()}
    for name, value in program.bound.items():
        torch.testing.assert_close(slopes[name], value.grad, rtol=1e-11, atol=1e-11)
    assert own[LEARNED].shape == (STEPS - 1,)


def test_they_begin_between_a_tenth_below_zero_and_zero() -> None:
    """As in the paper's code; the first step, which has no state before its own, has none."""
    text = LAYERS.format(k="learned").replace("steps=6", "steps=2001")
    (weight,) = (item for item in lowered(text).weights if item.name == LEARNED)
    drawn = weight.initial(np.random.default_rng(0), weight.shape)
    assert drawn.shape == (2000,)
    assert -0.1 <= drawn.min() < -0.099
    assert -0.001 < drawn.max() <= 0


def test_one_step_has_none_to_learn() -> None:
    text = LAYERS.format(k="learned").replace("steps=6", "steps=1")
    with pytest.raises(IsoclineError) as found:
        lowered(text)
    (told,) = found.value.diagnostics
    assert told.code == "E284"
    assert "two or more" in told.message


def test_coefficients_are_found_and_proved(tmp_path: Path) -> None:
    """A rotation that remembers: data of steps with known k_n give them back, and the certificate walks them again."""
    draw, k = np.random.default_rng(2), np.array([0.0, 0.25, -0.3, 0.15])
    x = draw.uniform(-1, 1, (200, 2))
    before = h = x
    for own in k:
        slope = np.stack([h[:, 1], -h[:, 0]], axis=1)
        before, h = h, (1 - own) * h + own * before + 0.25 * slope
    np.savez(tmp_path / "d.npz", x=x, y=h)
    (tmp_path / "m.dyn").write_text("""dyn 1
model m
data { source "d.npz"; x = array(x); y = array(y) }
input x: real[2] in (-1, 1)
target y: real[2]
const A: real[2, 2] = [[0, 1], [-1, 0]]
field turn(t, h: real[2]) { h' = A @ h }
h = solve turn from h = x over 0..1 with lm2(steps=4, k=learned)
output z = h
train { loss sum((z - y)^2); optimizer lbfgs; epochs 30; precision float64 }
""")
    isocline.build(tmp_path / "m.dyn", tmp_path / "out")
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert certificate["second_walk"]["z"] < 1e-9
    assert certificate["solves"][0]["order"] == 0
    assert certificate["solves"][0]["declared"] == "discrete"
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.astype(np.float32)})
    np.testing.assert_allclose(found, h, rtol=0, atol=1e-4)

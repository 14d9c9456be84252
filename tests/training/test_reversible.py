"""Gradients of steps that are undone, beside those that torch finds through stored steps, and what both keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.solvers.reversible import reversible_schemes
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.training import reversible
from isocline_compiler.training.solvers import training_solver
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError

HEAD = """dyn 1
model m
input x: real[4] in (-1, 1)
target y: real[3]
param c: real = 0.3
h0 = x |> dense(6)
"""
MOVES = {
    "blocks": "q' = p |> dense(8) |> tanh |> dense(3)\n  p' = sin(t)*c*(q |> dense(8) |> tanh |> dense(3))",
    "swings": "q' = c*p\n  p' = -sin(q |> dense(3)) + c*t",
    "driven": "q' = p*u(t)\n  p' = c*(q |> dense(3) |> tanh)",
}
TAIL = "output o = h.q\ntrain { loss sum(h.q^2*y) + sum(h.p^3) }\n"
"""`y` is (batch, 3), and so are states at the end."""


def text_of(scheme: str, steps: int = 12, moves: str = "blocks", times: str = "over 0.2..1", tail: str = TAIL) -> str:
    per_step = " weights per step" if moves == "blocks" else ""
    extra = "control u = hold([0.1, 0.7, -0.4], at=[0.2, 0.4, 0.8])\n" if moves == "driven" else ""
    extra += "input ts: time[4]\n" if "ts" in times else ""
    damped = " - c*p" if scheme.startswith("momentum") else ""
    field = f"field f(t, q, p: real[3]){per_step} {{\n  {MOVES[moves]}{damped}\n}}\n"
    return (
        HEAD + extra + field + f"h = solve f from q = h0[:3], p = h0[3:] {times} with {scheme}(steps={steps})\n" + tail
    )


def lowered(text: str) -> Model:
    source = Source(text, "m.dyn")
    return lower(parse(source), source)


def differentiated(model: Model, gradient: str, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """The loss and its gradients by the weights and the inputs; under "kept" the bytes that are kept for them."""
    plan = replace(model.training, gradient=gradient)
    solver = training_solver(plan)
    graph, _ = solver.unrolled(plan.losses)
    draw = np.random.default_rng(0)
    weights = {item.name: draw.standard_normal(item.shape) * 0.5 for item in model.weights}
    inputs = {"x": draw.uniform(-1, 1, (5, 4)), "y": draw.uniform(-1, 1, (5, 3)),
              "ts": np.sort(draw.uniform(0, 1, (5, 4)), axis=1), "xs": draw.uniform(-1, 1, (5, 4, 3))}  # fmt: skip
    inputs = {
        name: array for name, array in inputs.items() if name in {item.name for item in (*model.inputs, *model.targets)}
    }
    bound = {name: torch.tensor(array, dtype=dtype, requires_grad=name != "y")
             for name, array in (weights | inputs).items()}  # fmt: skip
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        alive.append(x)
        return x

    alive: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        evaluated = TorchProgram(graph).evaluate(bound, training=True, integrator=solver.integrator)
        loss = evaluated.outputs["loss"].mean()
    loss.backward()
    found = {name: x.grad for name, x in bound.items() if x.grad is not None}
    return {"loss": loss.detach(), **found, "kept": torch.tensor(float(sum(kept.values())))}


def same(text: str, near: float = 1e-12) -> None:
    model = lowered(text)
    stored, undone = (differentiated(model, gradient) for gradient in ("backprop", "reversible"))
    stored.pop("kept"), undone.pop("kept")
    assert stored.keys() == undone.keys()
    assert max(float(x.abs().max()) for name, x in stored.items() if name != "loss") > 1e-3
    for name, x in stored.items():
        np.testing.assert_allclose(undone[name], x, rtol=0, atol=near * float(x.abs().max()), err_msg=name)


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("scheme", reversible_schemes())
def test_gradients_are_those_through_stored_steps(scheme: str, moves: str) -> None:
    same(text_of(scheme, 16, moves))


@pytest.mark.parametrize("times", ["at [0, 0.25, 1]", "over 1..0.2", "at ts"])
@pytest.mark.parametrize("scheme", ["coupling", "leapfrog", "momentum"])
def test_they_are_wherever_the_solution_is_kept_and_whatever_its_times_are(scheme: str, times: str) -> None:
    tail = TAIL.replace("h.q^2*y", "h.q[1]^2*y").replace("h.p^3", "h.p^3 + h.q^2") if times.startswith("at") else TAIL
    same(text_of(scheme, 12, "swings", times, tail))


def test_there_and_back_in_one_loss() -> None:
    """What `inverse` walks is walked back in its turn."""
    tail = "b = inverse(h, q=h0[:3])\noutput o = b.q\ntrain { loss sum(b.q^2*y) + sum(h.p^3) }\n"
    same(text_of("coupling", 6, "blocks", tail=tail))


def test_sums_along_the_solution_are_no_states_to_be_found_again() -> None:
    tail = TAIL.replace("train {", "train { regularize 0.3*kinetic_energy(f); ")
    same(text_of("leapfrog", 6, "swings", tail=tail))


def test_a_solve_that_the_block_steps() -> None:
    text = text_of("leapfrog", 8, "swings").replace(" with leapfrog(steps=8)", "")
    same(text.replace("train {", "train { solver leapfrog(steps=8); "))


def kept(steps: int, gradient: str, scheme: str = "leapfrog") -> float:
    return float(differentiated(lowered(text_of(scheme, steps, "swings")), gradient)["kept"])


def test_what_is_kept_does_not_grow_with_the_steps() -> None:
    stored, undone = ([kept(steps, way) for steps in (10, 100, 400)] for way in ("backprop", "reversible"))
    assert stored[2] > 3 * stored[1] > 15 * stored[0]
    clock = 3 * 8 * np.array([10, 100, 400])  # begin, end and width of each step
    assert np.ptp(np.array(undone) - clock) == 0
    assert undone[2] < stored[0] + clock[2]


def test_every_step_is_differentiated_where_it_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the wrong scheme back the states are others: the walk says so; unheard, it would give other gradients."""
    text = text_of("coupling", 8)
    monkeypatch.setattr(reversible, "exact_adjoint", lambda scheme: SCHEMES["coupling"])
    with pytest.raises(IsoclineError) as found:
        differentiated(lowered(text), "reversible")
    assert found.value.diagnostics[0].code == "E469"
    monkeypatch.setattr(reversible, "RESTORED", np.inf)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        same(text, 1e-3)


def test_friction_that_multiplies_rounding_is_told() -> None:
    """gamma = 1/2 doubles what single precision rounds at each of 40 steps; in double precision it is seen through."""
    moves = "q' = p\n  p' = 20*((q |> dense(3) |> tanh) - p) + c"
    field = f"field f(t, q, p: real[3]) {{\n  {moves}\n}}\n"
    solve = "h = solve f from q = h0[:3], p = h0[3:] over 0..1 with momentum(steps=40)\n"
    model = lowered(HEAD + field + solve + TAIL)
    with pytest.raises(IsoclineError) as found:
        differentiated(model, "reversible", torch.float32)
    (told,) = found.value.diagnostics
    assert told.code == "E469"
    assert "40 steps of `momentum`" in told.message
    same(HEAD + field + solve + TAIL, 1e-3)


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    model = lowered(text_of("coupling", 4, "swings"))
    plan = replace(model.training, gradient="reversible")
    solver = training_solver(plan)
    graph, _ = solver.unrolled(plan.losses)
    bound = {item.name: torch.ones(item.shape, dtype=torch.float64, requires_grad=True) for item in model.weights}
    given = {"x": torch.ones(2, 4).double(), "y": torch.ones(2, 3).double()}
    loss = TorchProgram(graph).evaluate({**bound, **given}, integrator=solver.integrator).outputs["loss"].mean()
    first = torch.autograd.grad(loss, tuple(bound.values()), create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|differentiate twice"):
        sum(x.sum() for x in first).backward()


def test_solves_in_the_body_of_a_scan() -> None:
    scan = """input ts: time[4]
input xs: real[4, 3] in (-1, 1)
field f(t, q, p: real[3]) { q' = c*p; p' = -sin(q |> dense(3)) + t }
h = scan (t0, t1, v) over (ts, xs) from q = h0[:3], p = h0[3:] {
  s = solve f from q = q, p = p over t0..t1 with leapfrog(steps=4)
  q = s.q + v
  p = s.p
}
output o = h.q[3]
train { loss sum(h.q[3]^2*y) + sum(h.p[1]^3) }
"""
    same(HEAD + scan)


def test_a_fit_goes_the_same_way(tmp_path: Path) -> None:
    """Both ways from one seed, in the precision of the file."""
    draw = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=draw.uniform(-1, 1, (40, 4)), y=draw.uniform(-1, 1, (40, 3)))
    losses = []
    for gradient in ("backprop", "reversible"):
        text = text_of("momentum", 6, "swings").replace("train {", f"train {{ epochs 5; gradient {gradient};")
        data = 'data { source "d.npz"; x = array(x); y = array(y) }\n'
        (tmp_path / "m.dyn").write_text(text.replace("input x", data + "input x"))
        run = isocline.train(tmp_path / "m.dyn", run=tmp_path / gradient, device="cpu")
        losses.append([row["loss"] for row in run.history])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][0] != losses[0][-1]

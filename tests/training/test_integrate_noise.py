"""Paths by torchsde's solvers: on the increments of the unrolled grid the same path and the same gradient."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchsde
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.data import Dataset, Split
from isocline_compiler.lower import lower
from isocline_compiler.model import Model, TrainingPlan
from isocline_compiler.solvers.side_by_side import side_by_side
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.fit import train
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.integrate_noise import NoiseIntegrator
from isocline_compiler.training.objective import Objective
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(3)


def lowered(text: str) -> tuple[Model, TrainingPlan]:
    source = Source("dyn 1\nmodel m\n" + text, "m.dyn")
    model = lower(parse(source), source)
    assert model.training is not None
    return model, model.training


FIELDS = {
    "diagonal": """
field f(t, x: real[2]) {
  noise W: brownian[2]
  dx = (a*(x0 - x) + t) dt + b*x dW
}
""",
    "general": """
field f(t, x: real[2]) {
  noise W: brownian[2]
  noise V: brownian[1]
  dx = a*(x0 - x) dt + b*[[1 + x[0], 0.3], [0.2*x[0]*x[1], x[1]]] @ dW + 0.3*x dV
}
""",
    "entries": """
field f(t, x: real[2]) {
  noise V: brownian[1]
  noise W: brownian[2]
  dx = a*(x0 - x) dt + b*x dW[1] + [0.1, x[0]] dW[0] + 0.1*x dV
}
""",
    "scalar": """
field f(t, x: real[2]) {
  noise V: brownian[1]
  dx = a*(x0 - x) dt + b*x dV
}
""",
    "additive": """
field f(t, x: real[2]) {
  noise W: brownian[3]
  dx = a*(x0 - x)*t dt + b*[[1, 0.3, 0], [0.2, 0, 0.5]] @ dW
}
""",
}
FILE = """
input x0: real[2]
target y: real
param a: real = 0.8
param b: real = 0.4
FIELD
x = solve f from x = x0 SOLVE
output x
train { loss (mean(x)*mean(x) - y)^2; precision float64; SETTINGS }
"""
STARTS = RANDOM.uniform(0.5, 1.5, (5, 2))
DATA = Split({"x0": STARTS, "y": RANDOM.normal(size=5)})
FORMS = {"over 0..1": (0.0, 1.0), "at [0.5, 1, 1.5] samples 3": (0.5, 1.5), "over 1..0 samples 3": (1.0, 0.0)}


class Increments(torchsde.BaseBrownian):  # type: ignore[misc]
    """The path of given increments on a grid, as torchsde asks for it; from increasing times."""

    def __init__(self, times: Tensor, increments: Tensor) -> None:
        self.times, self.path = times, torch.cumsum(torch.cat([torch.zeros_like(increments[:, :1]), increments], 1), 1)

    def _at(self, t: Any) -> Tensor:
        place = int((self.times - float(t)).abs().argmin())
        assert abs(float(self.times[place]) - float(t)) < 1e-9
        return self.path[:, place]

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Tensor:
        return self._at(tb) - self._at(ta)

    def __repr__(self) -> str:
        return "Increments"

    dtype = property(lambda self: self.path.dtype)
    device = property(lambda self: self.path.device)
    shape = property(lambda self: self.path[:, 0].shape)
    levy_area_approximation = "none"


def bound(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**Batches.of(DATA, torch.float64, CPU).take(slice(None)), **weights}


def free() -> dict[str, Tensor]:
    return {name: torch.tensor(v, dtype=torch.float64, requires_grad=True) for name, v in (("a", 0.8), ("b", 0.4))}


@pytest.mark.parametrize("how", FORMS)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("scheme", "method", "adjoint"),
    [("euler_maruyama", "euler", False), *(("reversible_heun", "reversible_heun", given) for given in (False, True))],
)
def test_the_gradient_is_that_of_the_unrolled_grid(
    scheme: str, method: str, adjoint: bool, field: str, how: str
) -> None:
    """On the same increments, and to rounding: torchsde's own code against the graph of steps. The adjoint of a
    reversible scheme is its exact gradient.
    """
    text = FILE.replace("FIELD", FIELDS[field]).replace("SOLVE", how)
    if method == "reversible_heun":
        text = text.replace("brownian[1]", "brownian[1] stratonovich").replace(
            "brownian[2]", "brownian[2] stratonovich"
        )
    model, plan = lowered(text.replace("SETTINGS", f"solver {scheme}(steps=12)"))
    stepped = Objective.of(model, plan, DATA)
    weights = free()
    made = stepped.noise.filled(bound(weights), training=False)
    loss = stepped(weights, Batches.of(DATA, torch.float64, CPU).take(slice(None))).total
    torch.autograd.backward(loss)

    start, end = FORMS[how]
    noises = torch.cat([made[item.name] for item in stepped.noise.inputs], dim=-1)  # in the order of the field
    # standard numbers of a step are those of its increment, whichever way it goes; the solver's clock counts steps
    path = Increments(torch.arange(13), noises.flatten(0, 1))
    given = NoiseIntegrator(method, dt=abs(end - start) / 12, adjoint=adjoint)
    given.brownian = lambda a, b, size, like: path

    other = free()
    program = TorchProgram(side_by_side(plan.losses))
    found = program(bound(other), integrator=AdaptiveIntegrator(driven=given))["loss"].mean()
    torch.autograd.backward(found)
    assert found.item() == pytest.approx(loss.item(), rel=1e-12)
    for name in weights:
        assert float(other[name].grad) == pytest.approx(float(weights[name].grad), rel=1e-6, abs=1e-9)


# ------------------------------------------------------------------------------------------------- tolerances

GBM = """
input x0: real
input times: real[3]
target y: real
param a: real = 0.8
param b: real = 0.4
field f(t, x: real) {
  noise W: brownian[1] CALCULUS
  dx = a*x dt + b*x dW
}
x = solve f from x = x0 TIMES
output x
train { loss (sum(x) - y)^2, sum(times); precision float64; SETTINGS }
"""
TIMES = np.array([[0.0, 0.3, 1.0], [0.1, 0.2, 2.0], [1.0, 0.5, -1.0], [0.0, 1.0, 2.0]])
PATHS = Split({"x0": RANDOM.uniform(0.5, 1.5, 4), "y": np.zeros(4), "times": TIMES})


def gbm(settings: str, calculus: str = "", times: str = "over 0..1") -> tuple[Model, TrainingPlan]:
    return lowered(GBM.replace("SETTINGS", settings).replace("CALCULUS", calculus).replace("TIMES", times))


def recorded(objective: Objective) -> list[Any]:
    """The Brownian motions that a solver of torchsde is given from here on."""
    driven = objective.solver.integrator.driven
    assert driven is not None
    seen: list[Any] = []
    make = driven._interval

    def kept(*given: Any) -> Any:
        seen.append((make(*given), given[1]))
        return seen[-1][0]

    driven.brownian = kept
    return seen


def closed(path: Tensor, calculus: str, weights: dict[str, Tensor]) -> Tensor:
    """x0 exp((a - b^2/2) + b W(1)), in Stratonovich's sense without b^2/2."""
    a, b = weights["a"], weights["b"]
    correction = b**2 / 2 if calculus == "" else 0.0
    return torch.tensor(PATHS.arrays["x0"]) * torch.exp((a - correction) + b * path)


@pytest.mark.parametrize("gradient", ["backprop", "adjoint"])
@pytest.mark.parametrize(
    ("solver", "calculus", "close"),
    [("srk(rtol=1e-4, atol=1e-5)", "", 2e-3), ("reversible_heun(dt=0.002)", "stratonovich", 2e-3)],
)
def test_values_and_gradients_along_the_path_against_the_closed_form(
    solver: str, calculus: str, close: float, gradient: str
) -> None:
    model, plan = gbm(f"solver {solver}; gradient {gradient}", calculus)
    objective = Objective.of(model, plan, PATHS)
    seen, weights, other = recorded(objective), free(), free()
    found = objective(weights, Batches.of(PATHS, torch.float64, CPU).take(slice(None))).terms["(sum(x) - y)^2"]
    torch.autograd.backward(found)
    ((motion, steps),) = seen
    whole = motion(0.0, steps) / steps**0.5
    expected = (closed(whole[:, 0], calculus, other) ** 2).mean()
    torch.autograd.backward(expected)
    assert found.item() == pytest.approx(expected.item(), rel=close)
    for name in weights:
        assert weights[name].grad.item() == pytest.approx(other[name].grad.item(), rel=5 * close)  # type: ignore[union-attr]


def test_times_that_come_with_the_data_in_either_direction() -> None:
    """A clock of its own for each sample: W(s) sqrt|dt/ds| is the Brownian motion of its time."""
    model, plan = gbm("solver srk(rtol=1e-5, atol=1e-6)", times="at times")
    objective = Objective.of(model, plan, PATHS)
    seen, weights = recorded(objective), free()
    found = objective(weights, Batches.of(PATHS, torch.float64, CPU).take(slice(None))).terms["(sum(x) - y)^2"]
    ((motion, steps),) = seen
    widths = torch.tensor(TIMES).diff(dim=1)
    counts = [math.ceil(100 / 2 * float(width)) for width in widths.abs().amax(dim=0)]
    assert steps == sum(counts)
    x, total = torch.tensor(PATHS.arrays["x0"]), torch.tensor(PATHS.arrays["x0"])
    for place in range(2):
        width = widths[:, place]
        count = [0.0, *counts][place], sum(counts[: place + 1])
        noise = motion(*count)[:, 0] * (width.abs() / (count[1] - count[0])).sqrt()
        # backwards dx = a x dt + b x dW runs as dx = -a x ds + b x dW, with Ito's correction of its own direction
        x = x * torch.exp(weights["a"] * width - weights["b"] ** 2 / 2 * width.abs() + weights["b"] * noise)
        total = total + x
    assert found.item() == pytest.approx((total**2).mean().item(), rel=3e-3)


def test_paths_are_new_at_each_update_and_the_same_for_the_same() -> None:
    model, plan = gbm("solver reversible_heun(dt=0.1); seed 4", "stratonovich")
    objective = Objective.of(model, plan, PATHS)
    batch, weights = Batches.of(PATHS, torch.float64, CPU).take(slice(None)), free()

    def at(update: int) -> float:
        objective.begin(4, update)
        return objective(weights, batch, training=True).total.item()

    assert at(1) == at(1) != at(2)
    assert objective(weights, batch).total.item() == objective(weights, batch).total.item() != at(1)


@pytest.mark.parametrize("solver", ["srk", "reversible_heun(dt=0.1)"])
def test_training_goes_on_with_the_same_bits(solver: str, tmp_path: Path) -> None:
    calculus = "stratonovich" if "heun" in solver else ""
    model, _ = gbm(f"solver {solver}; gradient adjoint; batch 3; epochs 3; optimizer adam(lr=0.05)", calculus)
    whole = train(model, Dataset(PATHS), tmp_path / "whole", device="cpu")
    half = train(model, Dataset(PATHS), tmp_path / "half", device="cpu", epochs=1)
    assert half.weights["a"] != whole.weights["a"]
    rest = train(model, Dataset(PATHS), tmp_path / "half", device="cpu", resume=True)
    assert [rest.weights[name].item() for name in "ab"] == [whole.weights[name].item() for name in "ab"]


@pytest.mark.parametrize(
    ("settings", "calculus", "code", "words"),
    [
        ("solver srk", "stratonovich", "E324", "Ito's"),
        ("solver reversible_heun(dt=0.1)", "", "E324", "Stratonovich's"),
        ("solver srk(dt=0)", "", "E284", "above 0"),
        ("solver srk(evaluations=20)", "", "E453", "used 20 evaluations"),
    ],
)
def test_what_they_do_not_solve_is_told(settings: str, calculus: str, code: str, words: str) -> None:
    def told() -> None:
        Objective.of(*gbm(settings, calculus), PATHS)(free(), Batches.of(PATHS, torch.float64, CPU).take(slice(None)))

    with pytest.raises(IsoclineError) as raised:
        told()
    assert [item.code for item in raised.value.diagnostics] == [code]
    assert words in str(raised.value)


def test_general_noise_is_not_for_srk_and_a_path_that_runs_away_is_told() -> None:
    text = FILE.replace("FIELD", FIELDS["general"]).replace("SOLVE", "over 0..1")
    with pytest.raises(IsoclineError, match="this is general"):
        Objective.of(*lowered(text.replace("SETTINGS", "solver srk")), DATA)
    text = FILE.replace("FIELD", FIELDS["diagonal"].replace("a*(x0 - x) + t", "a*x^5*100 + x0")).replace(
        "SOLVE", "over 0..9"
    )
    made = Objective.of(*lowered(text.replace("SETTINGS", "solver srk")), DATA)
    with pytest.raises(IsoclineError) as raised:
        made(free(), bound({}))
    assert raised.value.diagnostics[0].code in ("E452", "E453")


def test_a_regularizer_along_the_path_and_a_smooth_solve_beside_it() -> None:
    """kinetic_energy adds a state without noise; the solve without noise goes to the default solver."""
    text = """
input x0: real[2]
target y: real
param a: real = 0.8
field f(t, x: real[2]) {
  noise W: brownian[2]
  dx = a dt + x dW
}
field g(t, z: real) { z' = a*z }
x = solve f from x = x0 over 0..2 samples 3
z = solve g from z = x0[0] over 0..1
output x
output z
train { loss (mean(x) + z - y)^2, z; regularize kinetic_energy(f); precision float64; solver srk }
"""
    made = Objective.of(*lowered(text), DATA)
    found = made(free(), bound({})).terms
    assert found["kinetic_energy(f)"].item() == pytest.approx(0.64 * 2, rel=1e-6)
    assert found["z"].item() == pytest.approx(np.mean(STARTS[:, 0] * np.exp(0.8)), rel=1e-5)

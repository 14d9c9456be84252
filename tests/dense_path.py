"""A forced system of three numbers, written twice: in the language, and in torch beside a dense solution by scipy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad_vec, solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.training.draws import Drawing
from isocline_compiler.training.solvers import training_solver
from isocline_dsl.diagnostics import Source
from isocline_dsl.parse import parse

TEXT = """dyn 1
model forced
input start: real[2], push: real
target seen: real
param rate: real = 0.7
param turn: real = 1.3
field forced(t, x: real[2], v: real) {{
  x' = [turn*x[1]*cos(t), -rate*sin(x[0]) + v]
  v' = tanh(turn*x[0]) - rate*v*x[1] + push
}}
path = solve forced from x = start, v = 0.5 {span}
output end = {end}
train {{ loss mse(end, seen); regularize {terms}; solver {solver}; precision float64; seed 5 }}
"""
BOUND = {
    "start": torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64),
    "push": torch.tensor([0.2, -0.4], dtype=torch.float64),
    "seen": torch.zeros(2).double(),
    "rate": torch.tensor(0.7, dtype=torch.float64),
    "turn": torch.tensor(1.3, dtype=torch.float64),
}
TIGHT = "dopri5(rtol=1e-10, atol=1e-11)"


def model(terms: str, span: str = "over 0..2", solver: str = TIGHT) -> Model:
    """The system with these regularizers."""
    end = "path.v" if "over" in span else "path.v[-1]"
    source = Source(TEXT.format(terms=terms, span=span, end=end, solver=solver))
    return lower(parse(source), source)


def evaluated(found: Model, bound: Mapping[str, Tensor] = BOUND, draws: Mapping[str, Tensor] | None = None) -> Any:
    """The terms of the loss by their texts: the solves by the solver of the block."""
    plan = found.training
    assert plan is not None
    solver = training_solver(plan)
    stepped, _ = solver.unrolled(plan.losses)
    given = {
        **bound,
        **(draws if draws is not None else Drawing(plan.draws, plan.seed).take(ROWS, torch.float64, True)),
    }
    return TorchProgram(optimise(stepped, CLEANING)).evaluate(given, integrator=solver.integrator).outputs


ROWS = torch.arange(2)


def field(t: float | Tensor, z: Tensor, row: int, bound: Mapping[str, Tensor] = BOUND) -> Tensor:
    """z' of one sample, z = (x_0, x_1, v)."""
    rate, turn, push = bound["rate"], bound["turn"], bound["push"][row]
    t = torch.as_tensor(t, dtype=torch.float64)
    return torch.stack([
        turn * z[1] * torch.cos(t),
        -rate * torch.sin(z[0]) + z[2],
        torch.tanh(turn * z[0]) - rate * z[2] * z[1] + push,
    ])  # fmt: skip


def dense(row: int, times: Sequence[float], bound: Mapping[str, Tensor] = BOUND) -> Callable[[float], Tensor]:
    """The solution of one sample as a function of time."""
    start = np.array([*bound["start"][row].tolist(), 0.5])
    found = solve_ivp(
        lambda t, z: field(t, torch.as_tensor(z), row, bound).numpy(), (times[0], times[-1]), start, "DOP853",
        dense_output=True, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return lambda t: torch.as_tensor(found.sol(t))


def quadrature(
    integrand: Callable[[float, Tensor, int], Any], times: Sequence[float], bound: Mapping[str, Tensor] = BOUND
) -> np.ndarray[Any, Any]:
    """int g(t, z(t), row) dt from the first to the last time, signed, for each sample."""
    found = []
    for row in range(2):
        path = dense(row, times, bound)
        value, _ = quad_vec(
            lambda t, path=path, row=row: np.asarray(integrand(t, path(t), row)), times[0], times[-1], epsabs=1e-10
        )
        found.append(value)
    return np.array(found)

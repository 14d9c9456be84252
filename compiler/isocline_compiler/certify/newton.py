"""What the iterations of implicit schemes leave: emitted steps beside steps whose equations are solved to the end.

From the states that the emitted steps pass, one step is taken by Newton's method on all stages at once, with the
Jacobians of torch at the stages themselves, until nothing moves. Tables are those of `second_implicit`, the systems
LAPACK's. Hairer, Wanner (1996), IV.8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.rows import Rows
from isocline_compiler.certify.second_implicit import TABLES, Tables
from isocline_compiler.certify.second_steps import Slopes
from isocline_compiler.certify.spectrum import jacobians
from isocline_compiler.certify.stability import field_along, path_along
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.implicit import ImplicitRungeKutta
from isocline_compiler.solvers.schemes.scheme import Scheme

SAMPLES, STEPS = 8, 64
"""How many samples are looked at, and at how many steps, spread over the grid."""
MOST_NEWTON, STILL = 20, 1e-14
"""Iterations of the exact step, and how little moves when it has converged, in the size of the state."""
NEAR, FALLING = 1e-3, 0.1
"""A move, as a part of the states and of the move before, after which the Jacobian is kept for the next."""
SHARE = 0.1
"""The part of the stated error that iterations may leave."""
MOST_ITERATIONS = 8


@dataclass(frozen=True)
class NewtonResidual:
    """The largest difference of a state after a step from that of the solved equations, in the largest magnitude that
    the state has along the solution of its sample (1 where that is zero); where it was met, and at how many `steps` it
    was looked for.
    """

    solve: str
    scheme: str
    iterations: int
    largest: float
    time: float
    sample: int
    steps: int


def newton_residuals(evaluator: Evaluator, choices: Choices) -> tuple[NewtonResidual, ...]:
    """One record for each solve on a known grid whose scheme iterates."""
    every = {**evaluator.stated, **choices}
    found = (newton_residual(evaluator, solve, every[solve.spec.choice], every) for solve in evaluator.solves)
    return tuple(item for item in found if item is not None)


def newton_residual(
    evaluator: Evaluator, solve: Solve, choice: Discretisation, choices: Choices
) -> NewtonResidual | None:
    """The residual of one solve; None where its scheme does not iterate, where a loop solves it, and where its grid
    comes with the samples.
    """
    scheme, grid = choice.scheme, choice.grid
    if solve.spec.choice in evaluator.looped:
        return None
    if not isinstance(scheme, ImplicitRungeKutta) or scheme.name not in TABLES or not isinstance(grid, Grid):
        return None
    path, captured, stacked = path_along(evaluator, solve, choice, grid, choices)
    field = field_along(evaluator, solve, captured)
    at = [tuple(x[:, i] if s.type.batched else x[i] for x, s in zip(path, solve.initial, strict=True))
          for i in range(len(grid.times))]  # fmt: skip
    rows = Rows(solve, at[0])
    records = [row for row, _ in solve.field_rows]

    def slices(i: int) -> list[Tensor]:
        return [w[row.index(i, grid.steps, len(w))] for row, w in zip(records, stacked, strict=True)]

    slopes = rows.slopes(field, slices)
    states = [rows.joined(item) for item in at]
    size = torch.stack([_by_state(item.abs(), rows) for item in states]).amax(0)
    size = torch.where(size > 0, size, torch.ones_like(size))
    looked_at = sorted(set(np.linspace(0, grid.steps - 1, min(STEPS, grid.steps)).round().astype(int).tolist()))
    best = NewtonResidual(solve.spec.choice, scheme.name, scheme.iterations, 0.0, 0.0, 0, len(looked_at))
    for i in looked_at:
        few = _Few(slopes, rows.samples)
        exact = solved_step(TABLES[scheme.name], few.of, states[i][:SAMPLES], (i, grid.times[i], grid.widths[i]))
        apart = _by_state((states[i + 1][:SAMPLES] - exact).abs(), rows) / size[:SAMPLES]
        worst = apart.nan_to_num(nan=torch.inf).amax(1)
        if float(worst.max()) > best.largest:
            place = int(worst.argmax())
            best = replace(best, largest=float(worst[place]), time=float(grid.times[i]), sample=place)
    return best


@dataclass(frozen=True)
class _Few:
    """Slopes of the first samples alone, of a field that takes all: the others are copies of the first."""

    slopes: Slopes
    samples: int

    def of(self, t: float | Tensor, x: Tensor, i: int) -> Tensor:
        """The slopes of some rows."""
        whole = torch.cat([x, x[:1].detach().expand(self.samples - len(x), x.shape[1])])
        return self.slopes(t, whole, i)[: len(x)]


def _by_state(x: Tensor, rows: Rows) -> Tensor:
    """(samples, numbers) -> (samples, states): the largest number of each state."""
    parts = torch.split(x, [shape.numel() for shape in rows.shapes], dim=1)
    return torch.stack([part.amax(1) for part in parts], dim=1)


def _rates(f: Slopes, t: float, x: Tensor, i: int) -> Tensor:
    """df/dx of each sample."""
    return torch.from_numpy(jacobians(lambda y: f(t, y, i), x))


def solved_step(table: Tables, f: Slopes, x: Tensor, step: tuple[int, float, float]) -> Tensor:
    """x after one step, z_k = h sum_j a_kj f(t + c_j h, x + z_j) solved by Newton's method."""
    (a, b, c), (i, t, h) = table, step
    rows, n = x.shape
    z = torch.zeros(rows, len(b), n, dtype=x.dtype)
    weights, one = torch.tensor(a, dtype=x.dtype), torch.eye(len(b) * n, dtype=x.dtype)
    system, near, moved = one, False, np.inf
    for _ in range(MOST_NEWTON):
        places = [(t + float(p) * h, x + z[:, k]) for k, p in enumerate(c)]
        slopes = torch.stack([f(time, y, i) for time, y in places], 1)
        if not near:
            rates = torch.stack([_rates(f, time, y, i) for time, y in places], 1)
            system = one - h * torch.einsum("kj,bjmn->bkmjn", weights, rates).reshape(rows, len(b) * n, -1)
        rest = z - h * torch.einsum("kj,bjn->bkn", weights, slopes)
        move = torch.linalg.solve(system, rest.reshape(rows, -1)).reshape(z.shape)
        z, before, moved = z - move, moved, float(move.abs().max())
        near = moved <= min(NEAR * float(x.abs().max()), FALLING * before)
        if moved <= STILL * float(x.abs().max()):
            break
    if np.array_equal(a[-1], b):
        return x + z[:, -1]
    return x + torch.einsum("k,bkn->bn", torch.tensor(b @ np.linalg.inv(a)), z)


@lru_cache(maxsize=64)
def keeps_order(scheme: Scheme) -> bool:
    """Whether a scheme still shows the order that it declares."""
    return not any(item.differs for item in observed_orders(scheme))


def fewest_iterations(evaluator: Evaluator, chosen: Choices, error: float) -> dict[str, Discretisation]:
    """The same grids for open solves, with the fewest iterations that leave a tenth of the stated error of a step and
    keep the order; as they are where none do.
    """
    found = dict(chosen)
    for solve in evaluator.open:
        name = solve.spec.choice
        scheme = found[name].scheme if name in found else None
        if not isinstance(scheme, ImplicitRungeKutta):
            continue
        for count in range(1, MOST_ITERATIONS + 1):
            tried = {**found, name: replace(found[name], scheme=replace(scheme, iterations=count))}
            left = newton_residual(evaluator, solve, tried[name], {**evaluator.stated, **tried})
            if left is not None and left.largest <= SHARE * error and keeps_order(tried[name].scheme):
                found = tried
                break
    return found

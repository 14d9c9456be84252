"""Where a scheme stands relative to its stability region: |R(h lambda)| along the trajectories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, Run, TorchField, TorchProgram, namespace_of
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.spectrum import clock_time, spectra
from isocline_compiler.graph import Graph, Region
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import Interval, Solve, pick
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll import unroll

Tensors: TypeAlias = tuple[Tensor, ...]

POINTS = 16
"""Points of each solve's path at which the Jacobian is taken, spread over the time it spans."""


@dataclass(frozen=True)
class Stability:
    """The eigenvalue lambda of df/dx with the largest |R(h lambda)| that was met, and where.

    `decaying` is the largest |R| among eigenvalues with a negative real part: above 1, the scheme makes grow what the
    equation makes decay. It is 0 when there is no such eigenvalue.
    """

    solve: str
    scheme: str
    largest: float
    decaying: float
    eigenvalue: tuple[float, float]
    step: float
    time: float
    sample: int
    exact: bool


def stability(evaluator: Evaluator, choices: Choices) -> tuple[Stability, ...]:
    """One record a solve that is on a known grid and whose scheme has a stability function, outside of loops.

    There is none for schemes that step two parts of a field in two ways: how they grow is no function of the
    eigenvalues of the whole.
    """
    every = {**evaluator.stated, **choices}
    found = []
    for solve in evaluator.solves:
        choice = every[solve.spec.choice]
        if solve.spec.choice in evaluator.looped or delays_of(solve) or has_order(solve.spec):
            continue  # it has a path in every iteration; what it remembers has a part in its growth
        if choice.scheme.splits:
            continue
        if isinstance(choice.grid, Grid) and choice.scheme.stability(np.zeros(1)) is not None:
            found.append(_along(evaluator, solve, choice, choice.grid, every))
    return tuple(found)


def _along(evaluator: Evaluator, solve: Solve, choice: Discretisation, grid: Grid, choices: Choices) -> Stability:
    """The largest growth at points spread over the grid."""
    path, captured, stacked = path_along(evaluator, solve, choice, grid, choices)
    field = field_along(evaluator, solve, captured)
    chosen = sorted(set(np.linspace(0, grid.steps - 1, min(POINTS, grid.steps)).round().astype(int).tolist()))
    rows = [row for row, _ in solve.field_rows]
    best: Stability | None = None
    decaying = 0.0
    for i in chosen:
        state = tuple(x[:, i] if start.type.batched else x[i] for x, start in zip(path, solve.initial, strict=True))
        slices = tuple(w[row.index(i, grid.steps, len(w))] for row, w in zip(rows, stacked, strict=True))
        h, t = grid.widths[i], grid.times[i]
        slopes = partial(field, clock_time(solve, t), slices=slices)
        for sample, (eigenvalues, exact) in enumerate(spectra(slopes, state, solve.initial[0].type.batched)):
            growth = choice.scheme.stability(h * eigenvalues)
            assert growth is not None
            amplification = np.abs(growth)
            down = amplification[eigenvalues.real < 0]
            decaying = max(decaying, float(down.max()) if down.size else 0.0)
            top = int(amplification.argmax())
            if best is None or amplification[top] > best.largest:
                value = complex(eigenvalues[top])
                best = Stability(
                    solve.spec.choice, choice.scheme.name, float(amplification[top]), 0.0,
                    (value.real, value.imag), float(h), float(t), sample, exact,
                )  # fmt: skip
    assert best is not None
    return replace(best, decaying=decaying)


def path_along(
    evaluator: Evaluator, solve: Solve, choice: Discretisation, grid: Grid, choices: Choices
) -> tuple[Tensors, Tensors, Tensors]:
    """The states at every node of the grid, the captured values, and what the field reads in rows."""
    everywhere = replace(solve.spec, interval=Interval(grid.times, everywhere=True))
    node = solve.rebuilt(spec=everywhere).node()
    each = replace(choice, grid=Grid(grid.times, tuple(range(len(grid.times)))))
    singly = {name: replace(item, segment=1) for name, item in {**choices, solve.spec.choice: each}.items()}
    wanted = [pick(node, i) for i in range(len(solve.initial))]
    rows = [value for _, value in solve.field_rows]
    roots = {f"r{i}": item for i, item in enumerate((*wanted, *solve.captured, *rows))}
    inner = unroll(Graph(evaluator.graph.inputs, roots), singly)
    with torch.no_grad():
        found = tuple(TorchProgram(prune(inner.graph))(evaluator.bound, integrator=evaluator.known).values())
    first, second = len(wanted), len(wanted) + len(solve.captured)
    return found[:first], found[first:second], found[second:]


def field_along(evaluator: Evaluator, solve: Solve, captured: Tensors) -> TorchField:
    region = Region(solve.region.arguments, solve.slopes())
    program = FieldProgram(region, len(solve.initial), len(solve.captured))
    return program.bind(Run(evaluator.bound, namespace_of(evaluator.bound)), captured)

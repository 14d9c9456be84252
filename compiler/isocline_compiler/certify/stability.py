"""Where a scheme stands relative to its stability region: |R(h lambda)| along the trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, Run, TorchField, TorchProgram, namespace_of
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.graph import Array, Graph, Region
from isocline_compiler.graph.solve import Interval, Solve, pick
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll import unroll

Tensors: TypeAlias = tuple[Tensor, ...]
Slopes: TypeAlias = Callable[[Tensor], Tensor]
Product: TypeAlias = "Callable[[Array], Array]"

POINTS = 16
"""Points of each solve's path at which the Jacobian is taken, spread over the time it spans."""
TRAJECTORIES = 8
MOST = 1024
"""Numbers of all trajectories together at one point: of large states fewer are looked at."""
LARGEST = 256
"""States of more numbers than this are looked at by their outermost eigenvalues alone, found by Arnoldi's iteration."""
WHOLE = 512
"""Beyond this many numbers the iteration multiplies by the Jacobian without ever making it."""
OUTERMOST = 6
"""Eigenvalues of a large state that are looked at."""


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
    """One record a solve that is on a known grid and whose scheme has a stability function."""
    every = {**evaluator.stated, **choices}
    found = []
    for solve in evaluator.solves:
        choice = every[solve.spec.choice]
        if isinstance(choice.grid, Grid) and choice.scheme.stability(np.zeros(1)) is not None:
            found.append(_along(evaluator, solve, choice, choice.grid, every))
    return tuple(found)


def _along(evaluator: Evaluator, solve: Solve, choice: Discretisation, grid: Grid, choices: Choices) -> Stability:
    """The largest growth at points spread over the grid."""
    path, captured, stacked = _path(evaluator, solve, choice, grid, choices)
    field = _field(evaluator, solve, captured)
    chosen = sorted(set(np.linspace(0, grid.steps - 1, min(POINTS, grid.steps)).round().astype(int).tolist()))
    rows = [row for row, _ in solve.field_rows]
    best: Stability | None = None
    decaying = 0.0
    for i in chosen:
        state = tuple(x[:, i] if start.type.batched else x[i] for x, start in zip(path, solve.initial, strict=True))
        slices = tuple(w[row.index(i, grid.steps, len(w))] for row, w in zip(rows, stacked, strict=True))
        h, t = grid.widths[i], grid.times[i]
        for sample, (eigenvalues, exact) in enumerate(_spectra(solve, field, t, state, slices)):
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


def _path(
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


def _field(evaluator: Evaluator, solve: Solve, captured: Tensors) -> TorchField:
    region = Region(solve.region.arguments, solve.slopes())
    program = FieldProgram(region, len(solve.initial), len(solve.captured))
    return program.bind(Run(evaluator.bound, namespace_of(evaluator.bound)), captured)


def _spectra(solve: Solve, field: TorchField, t: float, state: Tensors, slices: Tensors) -> list[tuple[Array, bool]]:
    """Eigenvalues of df/dx for the first samples: all of them or, for large states, the outermost by ARPACK."""
    sizes = [item.numel() // (len(item) if solve.initial[0].type.batched else 1) for item in state]
    flat = torch.cat([item.reshape(-1, size) for item, size in zip(state, sizes, strict=True)], dim=1)
    rows = TRAJECTORIES if sum(sizes) <= LARGEST else max(1, MOST // sum(sizes))
    looked_at, others = flat[:rows], flat[rows:]
    time = torch.tensor(t, dtype=flat.dtype)

    def slopes(x: Tensor) -> Tensor:
        parts = torch.split(torch.cat([x, others]), sizes, dim=1)
        found = field(time, tuple(p.reshape(item.shape) for p, item in zip(parts, state, strict=True)), slices)
        return torch.cat([item.reshape(len(flat), -1) for item in found], dim=1)[: len(x)]

    if sum(sizes) > WHOLE:
        products = (_products(slopes, looked_at, row) for row in range(len(looked_at)))
        return [(_outermost(product, sum(sizes)), False) for product in products]
    jacobians = _jacobians(slopes, looked_at)
    if sum(sizes) > LARGEST:
        return [(_outermost(item.__matmul__, sum(sizes)), False) for item in jacobians]
    return [(np.linalg.eigvals(item), True) for item in jacobians]


def _jacobians(slopes: Slopes, x: Tensor) -> Array:
    """df/dx of each sample, (N, n, n). Samples do not meet, so a row of all is one reverse pass of their sum."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        total = slopes(at).sum(0)
        rows = [
            torch.autograd.grad(item, at, retain_graph=True, materialize_grads=True)[0]
            if item.requires_grad
            else torch.zeros_like(at)
            for item in total
        ]
    return torch.stack(rows, dim=1).numpy()


def _products(slopes: Slopes, x: Tensor, row: int) -> Product:
    """v -> (df/dx) v of one sample, in forward mode."""

    def product(v: Array) -> Array:
        direction = torch.zeros_like(x)
        direction[row] = torch.from_numpy(np.ascontiguousarray(v.reshape(-1), dtype=np.float64))
        moved: Array = torch.func.jvp(slopes, (x,), (direction,))[1][row].numpy()
        return moved

    return product


def _outermost(product: Product, size: int) -> Array:
    """The eigenvalues of largest magnitude: implicitly restarted Arnoldi, Lehoucq et al. (1998)."""
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    try:
        return np.asarray(eigs(operator, k=OUTERMOST, which="LM", v0=start, return_eigenvectors=False))
    except ArpackNoConvergence as stopped:
        return np.asarray(stopped.eigenvalues if len(stopped.eigenvalues) else [0.0])

"""Where a scheme stands relative to its stability region: |R(h lambda)| along the trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Field
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.fixed_grid import Choices, MixedIntegrator, states, strides
from isocline_compiler.graph import Array, Node
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.tableau import Tableau

Slopes: TypeAlias = Callable[[Tensor], Tensor]

POINTS = 16
"""Points of each solve's path at which the Jacobian is taken, spread over the time it spans."""
TRAJECTORIES = 8
LARGEST = 256
"""States beyond this many numbers are probed by Arnoldi's iteration instead of by the whole Jacobian."""
KRYLOV = 24


@dataclass(frozen=True)
class Stability:
    """The eigenvalue lambda of df/dx with the largest |R(h lambda)| that was met, and where.

    `decaying` is the largest |R| among eigenvalues with a negative real part: above 1, the scheme makes grow what the
    equation makes decay. It is 0 when there is no such eigenvalue.
    """

    field: str
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
    fields: dict[Node, tuple[Field, tuple[Tensor, ...], tuple[Tensor, ...]]] = {}

    def seen(
        node: Node, field: Field, initial: tuple[Tensor, ...], stacked: tuple[Tensor, ...], times: Tensor | None
    ) -> None:
        fields[node] = (field, initial, stacked)

    every = {**evaluator.stated, **choices}
    integrator = MixedIntegrator(every, evaluator.tight, dict(evaluator.solved), seen)
    with torch.no_grad():
        evaluator.program(evaluator.bound, integrator=integrator)
    found = []
    for node, (field, initial, stacked) in fields.items():
        choice = every[node]
        if isinstance(choice.grid, Grid) and isinstance(choice.scheme, Tableau):
            found.append(_along(node, choice, choice.scheme, field, initial, stacked))
    return tuple(found)


def _along(
    node: Node,
    choice: Discretisation,
    tableau: Tableau,
    field: Field,
    initial: tuple[Tensor, ...],
    stacked: tuple[Tensor, ...],
) -> Stability:
    travelled = list(strides(choice, initial, None))
    chosen = set(np.linspace(0, len(travelled) - 1, min(POINTS, len(travelled))).round().astype(int).tolist())
    best: Stability | None = None
    decaying = 0.0
    for i, (stride, state) in enumerate(
        zip(travelled, states(choice, field, initial, stacked, travelled), strict=False)
    ):
        if i not in chosen:
            continue
        slices = tuple(item[(2 * i + 1) * len(item) // (2 * len(travelled))] for item in stacked)
        for sample, (eigenvalues, exact) in enumerate(_spectra(node, field, float(stride.t), state, slices)):
            amplification = np.abs(tableau.stability(stride.h * eigenvalues))
            down = amplification[eigenvalues.real < 0]
            decaying = max(decaying, float(down.max()) if down.size else 0.0)
            top = int(amplification.argmax())
            if best is None or amplification[top] > best.largest:
                value = complex(eigenvalues[top])
                best = Stability(
                    str(node.attrs["field"]), tableau.name, float(amplification[top]), 0.0,
                    (value.real, value.imag), float(stride.h), float(stride.t), sample, exact,
                )  # fmt: skip
    assert best is not None
    return replace(best, decaying=decaying)


def _spectra(
    node: Node, field: Field, t: float, state: tuple[Tensor, ...], slices: tuple[Tensor, ...]
) -> list[tuple[Array, bool]]:
    """Eigenvalues of df/dx for the first samples, all of them or, for large states, those Arnoldi finds first."""
    batched = node.types[0].batched
    rows = min(TRAJECTORIES, len(state[0])) if batched else 1
    time = torch.tensor(t, dtype=state[0].dtype)
    found = []
    for row in range(rows):
        flat, rebuild = _flattened(state, row if batched else None)

        def slopes(x: Tensor, rebuild: _Rebuild = rebuild) -> Tensor:
            return torch.cat([item.reshape(-1) for item in _at_row(field(time, rebuild(x), slices), rebuild)])

        if len(flat) <= LARGEST:
            jacobian = torch.func.jacrev(slopes)(flat)
            found.append((np.linalg.eigvals(jacobian.detach().numpy()), True))
        else:
            found.append((_ritz_values(slopes, flat), False))
    return found


@dataclass(frozen=True)
class _Rebuild:
    """A flat vector as the states of one sample, the other samples kept as they are."""

    state: tuple[Tensor, ...]
    row: int | None

    def __call__(self, flat: Tensor) -> tuple[Tensor, ...]:
        parts, start = [], 0
        for item in self.state:
            shape = item.shape if self.row is None else item.shape[1:]
            count = int(np.prod(shape, dtype=int))
            part = flat[start : start + count].reshape(shape)
            start += count
            if self.row is not None:
                before, after = item[: self.row], item[self.row + 1 :]
                part = torch.cat([before, part[None], after])
            parts.append(part)
        return tuple(parts)


def _flattened(state: tuple[Tensor, ...], row: int | None) -> tuple[Tensor, _Rebuild]:
    values = [item if row is None else item[row] for item in state]
    return torch.cat([item.reshape(-1) for item in values]), _Rebuild(state, row)


def _at_row(values: tuple[Tensor, ...], rebuild: _Rebuild) -> list[Tensor]:
    return [item if rebuild.row is None else item[rebuild.row] for item in values]


def _ritz_values(slopes: Slopes, x: Tensor) -> Array:
    """Eigenvalues of the Jacobian on a Krylov space: the outermost ones converge first (Arnoldi 1951)."""
    generator = torch.Generator().manual_seed(0)
    basis = [torch.randn(len(x), generator=generator, dtype=x.dtype)]
    basis[0] = basis[0] / basis[0].norm()
    size = min(KRYLOV, len(x))
    hessenberg = torch.zeros(size + 1, size, dtype=x.dtype)
    for j in range(size):
        w = torch.func.jvp(slopes, (x,), (basis[j],))[1]
        for i, v in enumerate(basis):
            hessenberg[i, j] = torch.dot(v, w)
            w = w - hessenberg[i, j] * v
        hessenberg[j + 1, j] = w.norm()
        if hessenberg[j + 1, j] < 1e-12:
            return np.linalg.eigvals(hessenberg[: j + 1, : j + 1].numpy())
        basis.append(w / hessenberg[j + 1, j])
    return np.linalg.eigvals(hessenberg[:size].numpy())

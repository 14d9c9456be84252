"""The eigenvalues of the Jacobian of a field at a state, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor

from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Solve

Tensors: TypeAlias = tuple[Tensor, ...]
Slopes: TypeAlias = Callable[[Tensor], Tensor]
Product: TypeAlias = "Callable[[Array], Array]"

TRAJECTORIES = 8
MOST = 1024
"""Numbers of all trajectories together at one point: of large states fewer are looked at."""
LARGEST = 256
"""States of more numbers than this are looked at by their outermost eigenvalues alone, found by Arnoldi's iteration."""
WHOLE = 512
"""Beyond this many numbers the iteration multiplies by the Jacobian without ever making it."""
OUTERMOST = 6
"""Eigenvalues of a large state that are looked at."""


def clock_time(solve: Solve, t: float) -> Tensor:
    """A time as the field of a solve reads it: one number, or one for all samples where each may have its own."""
    return torch.tensor([t] if solve.time.type.batched else t, dtype=torch.float64)


def spectra(field: Callable[[Tensors], Tensors], state: Tensors, batched: bool) -> list[tuple[Array, bool]]:
    """Eigenvalues of df/dx for the first samples: all of them or, for large states, the outermost by ARPACK."""
    sizes = [item.numel() // (len(item) if batched else 1) for item in state]
    flat = torch.cat([item.reshape(-1, size) for item, size in zip(state, sizes, strict=True)], dim=1)
    rows = TRAJECTORIES if sum(sizes) <= LARGEST else max(1, MOST // sum(sizes))
    looked_at, others = flat[:rows], flat[rows:]

    def slopes(x: Tensor) -> Tensor:
        parts = torch.split(torch.cat([x, others]), sizes, dim=1)
        found = field(tuple(p.reshape(item.shape) for p, item in zip(parts, state, strict=True)))
        return torch.cat([item.reshape(len(flat), -1) for item in found], dim=1)[: len(x)]

    if sum(sizes) > WHOLE:
        products = (_products(slopes, looked_at, row) for row in range(len(looked_at)))
        return [(_outermost(product, sum(sizes)), False) for product in products]
    matrices = jacobians(slopes, looked_at)
    if sum(sizes) > LARGEST:
        return [(_outermost(item.__matmul__, sum(sizes)), False) for item in matrices]
    return [(np.linalg.eigvals(item), True) for item in matrices]


def jacobians(slopes: Slopes, x: Tensor) -> Array:
    """df/dx of each sample, (N, n, n). Samples do not meet, so a row of all is one reverse pass of their sum."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        total = slopes(at).sum(0)
        if not total.requires_grad:
            return np.zeros((len(x), len(total), len(total)))
        units = torch.eye(len(total), dtype=x.dtype)  # a product with one, for picking an entry takes ten times as long
        rows = [torch.autograd.grad(total @ unit, at, retain_graph=True, materialize_grads=True)[0] for unit in units]
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


__all__ = ["jacobians", "spectra"]

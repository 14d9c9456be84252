"""References by kind: what a deployed grid is measured against, each from a family that shares nothing with the grids.

An equation without noise has the adaptive explicit reference, a stiff one that of Radau; a model whose scheme is its
own has none, and is stepped a second time instead (`steppers`); noise is measured on refined Brownian paths (`order`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchField
from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

TIGHTER = 1e-3
"""The reference's tolerance a step, relative to the stated error: its own error stays two orders below that."""
FLOOR, CEILING = 1e-13, 1e-7

Tensors = tuple[Tensor, ...]


class Reference(Protocol):
    """What solves the rolled graph's solves as exactly as it can, and says in words how."""

    @property
    def words(self) -> str: ...

    @property
    def integrator(self) -> Integrator: ...


def reference_tolerance(error: float) -> float:
    """rtol and atol of the reference solution for a stated error."""
    return min(max(error * TIGHTER, FLOOR), CEILING)


@dataclass(frozen=True)
class AdaptiveExplicit:
    """dopri8 of torchdiffeq, all samples together, at tolerances far below the stated error."""

    error: float

    @property
    def words(self) -> str:
        return f"dopri8, rtol = atol = {reference_tolerance(self.error):.0e}"

    @property
    def integrator(self) -> Integrator:
        tolerance = reference_tolerance(self.error)
        return AdaptiveIntegrator("dopri8", rtol=tolerance, atol=tolerance, allowed=1_000_000)


@dataclass(frozen=True)
class StiffImplicit:
    """Radau IIA of order 5 by scipy, sample by sample, so that one hard sample hides no other.

    Hairer, Wanner (1996), IV.8.
    """

    error: float

    @property
    def words(self) -> str:
        return f"Radau (scipy), rtol = {reference_tolerance(self.error):.0e}, sample by sample"

    @property
    def integrator(self) -> Integrator:
        return self._solve

    def _solve(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        interval = spec_of(node).interval
        if interval.times is None or stacked:
            raise IsoclineError([messages.reference_failed(node.span, spec_of(node).field, "its times are an input")])
        batched = [x.ndim > 0 and type_.batched for x, type_ in zip(initial, node.types, strict=True)]
        rows = max((len(x) for x, has in zip(initial, batched, strict=True) if has), default=1)
        paths = [self._sample(node, field, initial, batched, row, interval.times) for row in range(rows)]
        found = []
        for i, has in enumerate(batched):
            values = torch.stack([path[i] for path in paths]) if has else paths[0][i]
            axis = 1 if has else 0
            found.append(values if interval.everywhere else values.select(axis, -1))
        return tuple(found)

    def _sample(
        self,
        node: Node,
        field: TorchField,
        initial: Tensors,
        batched: list[bool],
        row: int,
        times: tuple[float, ...],
    ) -> list[Tensor]:
        shapes = [x.shape[1:] if has else x.shape for x, has in zip(initial, batched, strict=True)]
        sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
        places = np.cumsum([0, *sizes])

        def states(flat: np.ndarray) -> Tensors:
            found = []
            for x, has, shape, a, b in zip(initial, batched, shapes, places, places[1:], strict=False):
                own = torch.from_numpy(flat[a:b].copy()).reshape(shape)
                found.append(torch.cat([x[:row], own[None], x[row + 1 :]]) if has else own)
            return tuple(found)

        def slopes(t: float, flat: np.ndarray) -> np.ndarray:
            values = field(torch.tensor(t, dtype=torch.float64), states(flat))
            own = [value[row] if has else value for value, has in zip(values, batched, strict=True)]
            return np.concatenate([item.reshape(-1).numpy() for item in own])

        start = np.concatenate(
            [(x[row] if has else x).reshape(-1).numpy() for x, has in zip(initial, batched, strict=True)]
        )
        tolerance = reference_tolerance(self.error)
        found = solve_ivp(slopes, (times[0], times[-1]), start, "Radau", t_eval=times, rtol=tolerance, atol=tolerance)
        if not found.success:
            raise IsoclineError([messages.reference_failed(node.span, spec_of(node).field, str(found.message))])
        path = torch.from_numpy(found.y.T.copy())
        return [
            path[:, a:b].reshape(len(times), *shape) for shape, a, b in zip(shapes, places, places[1:], strict=False)
        ]


@dataclass
class Remembered:
    """An integrator that is asked again only when what a solve reads has changed, weights too."""

    integrator: Integrator
    solved: dict[str, tuple[tuple[Tensor | None, ...], Tensors]] = field(default_factory=dict)

    def __call__(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        decided = tuple(item for item in field.fixed if isinstance(item, Tensor))
        name, inputs = spec_of(node).name, (*initial, *decided, *stacked, times)
        known = self.solved.get(name)
        if known is None or not _same(known[0], inputs):
            known = inputs, self.integrator(node, field, initial, captured, stacked, times)
            self.solved[name] = known
        return known[1]


def _same(left: tuple[Tensor | None, ...], right: tuple[Tensor | None, ...]) -> bool:
    return len(left) == len(right) and all(
        a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b))
        for a, b in zip(left, right, strict=True)
    )


__all__ = ["AdaptiveExplicit", "Reference", "Remembered", "StiffImplicit", "reference_tolerance"]

"""Laplace: the Hessian of the negative log posterior at the optimum, and its inverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from isocline_compiler.model import LOG_PRIOR
from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.objective import Objective

SHARE = 0.1
"""The part of a unit direction from which on a weight is said to take part in it."""


DOWNWARDS = 1e-6
"""The part of the largest curvature from which on a negative one is no rounding of a flat direction."""


@dataclass(frozen=True)
class Curvature:
    """H and g, second and first derivatives of scale L - log p(w) by the named weights, flattened in order."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    hessian: Tensor
    gradient: Tensor

    @classmethod
    def of(
        cls, objective: Objective, bound: dict[str, Tensor], names: Sequence[str], batches: Batches, scale: float
    ) -> Curvature:
        """Exact second derivatives, a row a weight; L is the mean loss over all samples."""
        sizes = tuple(bound[name].numel() for name in names)
        flat = torch.cat([bound[name].reshape(-1) for name in names])
        hessian = torch.zeros(len(flat), len(flat), dtype=torch.float64)
        gradient = torch.zeros_like(flat)
        for batch, count in batches.chunks(objective.chunk):
            share = count / batches.count
            slope, rows = _derivatives(objective, bound, names, sizes, flat, batch, scale)
            hessian += share * rows
            gradient += share * slope
        return cls(tuple(names), sizes, (hessian + hessian.T) / 2, gradient)

    @cached_property
    def eigenvalues(self) -> Tensor:
        values: Tensor = torch.linalg.eigvalsh(self.hessian)
        return values

    def positive(self, flattest: float) -> bool:
        """All eigenvalues are positive, and none is lost in the rounding of the largest."""
        if not bool(torch.isfinite(self.hessian).all()):
            return False
        return bool(self.eigenvalues[0] > flattest * self.eigenvalues[-1].abs())

    @property
    def text(self) -> str:
        """The range of the eigenvalues."""
        if not bool(torch.isfinite(self.hessian).all()):
            return "it has no finite second derivative"
        return f"its eigenvalues go from {float(self.eigenvalues[0]):.3g} to {float(self.eigenvalues[-1]):.3g}"

    @cached_property
    def covariance(self) -> Tensor:
        """C = H^{-1}."""
        inverse: Tensor = torch.linalg.inv(self.hessian)
        return inverse

    def covariance_of(self, name: str) -> Tensor:
        """The block of one weight: its marginal covariance, the others integrated out."""
        return self.joint_of([name])

    def joint_of(self, names: Sequence[str]) -> Tensor:
        """The covariance of some weights together, flattened in their order."""
        kept = torch.cat([self._places(name) for name in names])
        return self.covariance[kept][:, kept]

    def _places(self, name: str) -> Tensor:
        index = self.names.index(name)
        start = sum(self.sizes[:index])
        return torch.arange(start, start + self.sizes[index])

    def distance(self) -> list[str]:
        """A warning when the optimum of the quadratic, -C g away, is more than half a standard error off."""
        move = (self.covariance @ self.gradient).abs() / self.covariance.diagonal().sqrt()
        worst, place = float(move.max()), int(move.argmax())
        if worst <= 0.5:
            return []
        where = self._owner(place)
        return [f"training has not converged: the optimum is {worst:.1f} standard errors away in `{where}`"]

    def doubt(self, flattest: float) -> str:
        """What a curvature that is not positive says of the fit, with the weights that it is about."""
        if not bool(torch.isfinite(self.hessian).all()):
            return f"no standard errors: {self.text}"
        values, directions = torch.linalg.eigh(self.hessian)
        steepest = values.abs().max()
        down = values < -DOWNWARDS * steepest
        chosen = down if bool(down.any()) else values <= flattest * steepest
        moving = (directions[:, chosen].abs() > SHARE).any(dim=1).nonzero().flatten().tolist()
        names = list(dict.fromkeys(self._owner(place) for place in moving))
        shown = ", ".join(f"`{name}`" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        if bool(down.any()):
            return f"training has not converged: the loss still curves downwards in {shown}; {self.text}"
        what = f"{shown} cannot be told apart" if len(moving) > 1 else f"nothing determines {shown}"
        return f"not identifiable from these data: {what}, the loss is flat there; {self.text}"

    def _owner(self, place: int) -> str:
        """The weight that a place of the flattened order belongs to."""
        for name, size in zip(self.names, self.sizes, strict=True):
            if place < size:
                return name
            place -= size
        raise IndexError(place)


def _derivatives(
    objective: Objective,
    bound: dict[str, Tensor],
    names: Sequence[str],
    sizes: Sequence[int],
    flat: Tensor,
    batch: Batch,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The gradient, and the gradient of each of its entries."""
    free = flat.clone().requires_grad_()
    parts = torch.split(free, list(sizes))
    pieces = [part.reshape(bound[name].shape) for name, part in zip(names, parts, strict=True)]
    loss = objective({**bound, **dict(zip(names, pieces, strict=True))}, batch)
    value = scale * loss.total - loss.terms.get(LOG_PRIOR, torch.zeros(()))
    (slope,) = torch.autograd.grad(value, free, create_graph=True)
    return slope.detach(), _rows(slope, free)


def _rows(values: Tensor, free: Tensor) -> Tensor:
    """The gradient of each entry of `values`: (entries, size of free)."""
    zero = torch.zeros(free.numel(), dtype=free.dtype)
    rows = []
    for entry in values.reshape(-1):
        (row,) = (
            torch.autograd.grad(entry, free, retain_graph=True, allow_unused=True) if entry.requires_grad else (None,)
        )
        rows.append(zero if row is None else row.reshape(-1))
    return torch.stack(rows)


def jacobian_of(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """dy/dx at one point: (size of y, size of x)."""
    free = at.detach().clone().requires_grad_()
    return _rows(function(free), free)

r"""The curvature of the likelihood of a population: how well theta is determined, and each member's own parameters.

With F the negative log likelihood of theta, H the Hessian of J by the members' own weights b and A = db*/dtheta, the
joint precision of (theta, b) is

    [ F'' + A^T H A,   -A^T H ]
    [ -H A,             H     ],     whose inverse has V = F''^{-1} for theta and H^{-1} + A V A^T for b:

what is known of a member if theta were, and what its uncertainty adds. F'' and A are central differences of the exact
gradient and of b*, a hundredth of each weight's conditional standard error apart.
Kass, Steffey (1989), JASA 84, 717-726; Kristensen, Nielsen, Berg, Skaug, Bell (2016), J. Stat. Software 70(5).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.curvature import Curvature
from isocline_compiler.training.marginal import Marginal
from isocline_compiler.training.objective import Objective

STEP = 1e-2
"""The part of a conditional standard error by which weights are moved for a difference."""


def curvature_of(
    objective: Objective, bound: dict[str, Tensor], names: Sequence[str], batches: Batches, scale: float
) -> Curvature:
    """Of the negative log posterior by the named weights; with members, of the likelihood of their population."""
    if not isinstance(objective, Marginal):
        return Curvature.of(objective, bound, names, batches, scale)
    shared = [name for name in names if name not in objective.members]
    alone = Curvature.of(objective, bound, shared, batches, scale).hessian.diagonal()
    return _joint(objective, bound, names, batches.take(slice(None)), _steps(alone))


def _steps(curvatures: Tensor) -> Tensor:
    """How far each number of theta is moved."""
    usable = torch.isfinite(curvatures) & (curvatures > 0)
    return torch.where(usable, STEP / curvatures.abs().clamp(min=1e-300).sqrt(), torch.full_like(curvatures, 1e-3))


def _joint(
    objective: Marginal, bound: dict[str, Tensor], names: Sequence[str], batch: Batch, steps: Tensor
) -> Curvature:
    """The joint precision of the named weights, the members' own among them."""
    shared = [name for name in names if name not in objective.members]
    theta = torch.cat([bound[name].reshape(-1) for name in shared])
    slope, center = _slope_and_mode(objective, bound, shared, theta, batch)
    rows, moves = [], []
    for k, step in enumerate(steps):
        away = torch.zeros_like(theta)
        away[k] = step
        ahead, behind = (_slope_and_mode(objective, bound, shared, theta + s * away, batch) for s in (1, -1))
        rows.append((ahead[0] - behind[0]) / (2 * step))
        moves.append((ahead[1] - behind[1]) / (2 * step))
    marginal = torch.stack(rows)
    blocks = _blocks(objective, bound, center, batch)
    drift = torch.stack(moves, dim=-1)  # A: (n, q, p)
    pulled = torch.einsum("nij,njp->nip", blocks, drift)
    own, places, total = _places(objective, bound, names)
    precision = torch.zeros(total, total, dtype=torch.float64)
    precision[own[:, None], own] = (marginal + marginal.T) / 2 + torch.einsum("nip,nir->pr", drift, pulled)
    precision[places[:, :, None], places[:, None, :]] = blocks
    precision[places[:, :, None], own] = -pulled
    precision[own[:, None, None], places] = -pulled.permute(2, 0, 1)
    gradient = torch.zeros(total, dtype=torch.float64)
    gradient[own] = slope
    return Curvature(tuple(names), tuple(bound[name].numel() for name in names), precision, gradient)


def _slope_and_mode(
    objective: Marginal, bound: dict[str, Tensor], shared: Sequence[str], theta: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """dF/dtheta and b* (n, q) at theta."""
    parts = torch.split(theta, [bound[name].numel() for name in shared])
    free = {
        name: part.reshape(bound[name].shape).clone().requires_grad_() for name, part in zip(shared, parts, strict=True)
    }
    own = {name: bound[name].detach().clone() for name in objective.members}
    weights = {**bound, **free, **own}
    objective.settle(weights, batch)
    slopes = torch.autograd.grad(objective.marginal(weights, batch), list(free.values()))
    return torch.cat([slope.reshape(-1) for slope in slopes]), objective.flat(own)


def _blocks(objective: Marginal, bound: dict[str, Tensor], center: Tensor, batch: Batch) -> Tensor:
    """H of each member at b*: (n, q, q)."""
    split = objective.split(center, {name: bound[name] for name in objective.members})
    own = {name: value.detach().requires_grad_() for name, value in split.items()}
    return objective.derivatives({**bound, **own}, batch, own).hessian


def _places(objective: Marginal, bound: dict[str, Tensor], names: Sequence[str]) -> tuple[Tensor, Tensor, int]:
    """Where in the flattened order of `names` theta stands, and where each member's numbers do: (n, q)."""
    shared: list[Tensor] = []
    members: dict[str, Tensor] = {}
    start = 0
    for name in names:
        size = bound[name].numel()
        places = torch.arange(start, start + size)
        if name in objective.members:
            members[name] = places.reshape(len(bound[name]), -1)
        else:
            shared.append(places)
        start += size
    return torch.cat(shared), torch.cat([members[name] for name in objective.members], dim=1), start

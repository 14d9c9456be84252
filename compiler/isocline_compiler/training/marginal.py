r"""The likelihood of a population: parameters of each member integrated out, by Laplace's approximation.

With theta what all share, b_i the free weights of member i and J = -log p(y | b, theta) - log p(b | theta)
- log p(theta),

    F(theta) = -log \int exp(-J) db  ~  J(b*, theta) + sum_i log det H_i / 2 - (n q / 2) log 2 pi,

b* = argmin_b J, H_i the q x q block of d^2 J / db^2 of member i of n: members are independent given theta. It is exact
where J is quadratic in b, as in a linear mixed model. Maximising the joint density of b and theta instead would run to
a deviation of 0, where it is infinite.

b* is found by Newton's method and a function of theta: b(theta) = b* - H(b*)^{-1} dJ/db(b*, theta) has its value and
its derivative, so that the gradient of F is exact.
Tierney, Kadane (1986), JASA 81, 82-86; Kristensen, Nielsen, Berg, Skaug, Bell (2016), J. Stat. Software 70(5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.data import Split
from isocline_compiler.model import Model, Parameter, TrainingPlan
from isocline_compiler.training.batches import Batch
from isocline_compiler.training.objective import Loss, Objective
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import panels as messages

MOST_ITERATIONS, MOST_HALVINGS = 100, 40
FARTHEST = 2.0
"""How far a weight behind bounds, such as a logarithm, goes in one step: e^20 would be the rate of a stiff equation."""
SETTLED = 1e-14
"""The part of J that a Newton step still gains (half of g H^{-1} g) at which b* is found, in float64."""


def objective_of(model: Model, plan: TrainingPlan, train: Split, second_order: bool = False) -> Objective:
    """The loss of a plan: with parameters of a group that it trains, the likelihood of the population.

    Raises E438 and E439 where the plan does not go with them.
    """
    own = members_of(model, plan)
    if not own:
        return Objective.of(model, plan, train, second_order)
    _require(plan)
    made = Marginal.of(model, plan, train, second_order=True)
    made.members = tuple(item.name for item in own)
    bounded = [any(map(math.isfinite, item.bounds)) for item in own for _ in range(math.prod(item.shape[1:]))]
    made.reach = torch.tensor([FARTHEST if item else math.inf for item in bounded], dtype=torch.float64)
    if made.prior is None or made.prior.doubt is not None or made.prior.squares:
        reason = "it is a mean of squares" if made.prior is None or made.prior.squares else str(made.prior.doubt)
        raise IsoclineError([messages.marginal_without_density(plan.span, reason)])
    return made


def members_of(model: Model, plan: TrainingPlan) -> tuple[Parameter, ...]:
    """The parameters of each member of a group that a plan trains."""
    trained = {weight.name for weight in model.weights if plan.trains(weight)}
    return tuple(item for item in model.parameters if item.group is not None and item.name in trained)


def _require(plan: TrainingPlan) -> None:
    refused = (
        (plan.precision != "float64", "precision", plan.precision, "float64"),
        (plan.batch is not None, "batch", str(plan.batch), "unset, so that all samples are in each update"),
        (plan.gradient != "backprop", "gradient", plan.gradient, "backprop"),
        (plan.steer is not None, "regularize", "steer", "without `steer`"),
        (bool(plan.turns), "alternate", "another block", "unset"),
    )
    for wrong, setting, found, expected in refused:
        if wrong:
            raise IsoclineError([messages.marginal_setting(plan.span, setting, f"`{found}`", expected)])


@dataclass(frozen=True)
class Derivatives:
    """J, its gradient (n, q) by the free weights of each member, and the blocks (n, q, q) of its Hessian."""

    value: Tensor
    gradient: Tensor
    hessian: Tensor


class Marginal(Objective):
    """F(theta) per entry, while training; evaluated as deployed, the mean loss at the members' own parameters."""

    members: tuple[str, ...] = ()
    reach: Tensor
    """How far each number of a member may go in one step of Newton's method."""

    def __call__(self, weights: Mapping[str, Tensor], batch: Batch, training: bool = False) -> Loss:
        """F/(N E) for N samples of E entries, whose gradient leaves the members' own weights out. They are put to b*
        in `weights`.
        """
        if not training or not torch.is_grad_enabled():
            return super().__call__(weights, batch, training)
        self.settle(weights, batch)
        loss = super().__call__(weights, batch, training=True)
        return Loss(self.marginal(weights, batch) * self._share(batch), loss.terms, loss.updates)

    def settle(self, weights: Mapping[str, Tensor], batch: Batch) -> None:
        """Put the members' own weights to b*, their most probable values given all others."""
        fixed = {name: value.detach() for name, value in weights.items()}
        found = self.mode(fixed, batch)
        with torch.no_grad():
            for name, value in found.items():
                weights[name].copy_(value)

    def marginal(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """F at the other weights, the members' own being b*."""
        start = {name: weights[name].detach().requires_grad_() for name in self.members}
        there = self.derivatives({**weights, **start}, batch, start, graph=True)
        step, _ = torch.linalg.solve_ex(there.hessian.detach(), there.gradient.unsqueeze(-1))
        own = self.split(self.flat(start).detach() - step.squeeze(-1), start)
        moved = self.derivatives({**weights, **own}, batch, own, graph=True)
        count = moved.hessian.shape[0] * moved.hessian.shape[1]
        log_det = torch.linalg.slogdet(moved.hessian).logabsdet.sum()
        found: Tensor = moved.value + 0.5 * log_det - 0.5 * count * math.log(2 * math.pi)
        return found

    def mode(self, weights: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """b*: damped Newton steps until what is left to gain is rounding."""
        own = {name: weights[name].detach().clone() for name in self.members}
        for _ in range(MOST_ITERATIONS):
            free = {name: value.requires_grad_() for name, value in own.items()}
            found = self.derivatives({**weights, **free}, batch, free)
            if not bool(torch.isfinite(found.hessian).all() & torch.isfinite(found.gradient).all()):
                break  # what is not finite is told where the loss is looked at
            step = _descent(found)
            gain = float((found.gradient * step).sum())
            own = {name: value.detach() for name, value in own.items()}
            if not math.isfinite(gain) or gain <= SETTLED * (1 + abs(float(found.value))):
                break
            within = (self.reach.to(step.device) / step.abs().clamp(min=1e-300)).amin(dim=1, keepdim=True)
            step = step * within.clamp(max=1.0)
            gain = float((found.gradient * step).sum())
            moved = self._line_search(weights, batch, own, step, found.value.detach(), gain)
            if moved is None:
                break
            own = moved
        return own

    def _line_search(
        self,
        weights: Mapping[str, Tensor],
        batch: Batch,
        own: Mapping[str, Tensor],
        step: Tensor,
        value: Tensor,
        gain: float,
    ) -> dict[str, Tensor] | None:
        """The first of the steps 1, 1/2, 1/4, ... that lowers J enough; None when rounding hides what is gained."""
        start = self.flat(own)
        with torch.no_grad():
            for halving in range(MOST_HALVINGS):
                length = 0.5**halving
                moved = self.split(start - length * step, own)
                there = self.joint({**weights, **moved}, batch)
                if bool(there <= value - 1e-4 * length * gain):
                    return moved
                if length * gain <= 1e-15 * abs(float(value)):
                    return moved if bool(there <= value + 1e-14 * value.abs()) else None
        return None

    def joint(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """J = -log p(y | b, theta) - log p(b | theta) - log p(theta)."""
        return super().__call__(weights, batch, training=True).total / self._share(batch)

    def _share(self, batch: Batch) -> float:
        """1/(N E)."""
        assert self.prior is not None
        return 1 / (self.prior.samples * self.prior.entries)

    def derivatives(
        self, weights: Mapping[str, Tensor], batch: Batch, own: Mapping[str, Tensor], graph: bool = False
    ) -> Derivatives:
        """J and its derivatives by the members' own weights, `own` among `weights`.

        The gradient's column j summed over members has the columns j of all blocks as its gradient: members do not
        share a term of J.
        """
        value = self.joint(weights, batch)
        names = list(own)
        slopes = torch.autograd.grad(value, [own[name] for name in names], create_graph=True)
        gradient = self.flat(dict(zip(names, slopes, strict=True)))
        columns = []
        for j in range(gradient.shape[1]):
            rows = torch.autograd.grad(
                gradient[:, j].sum(), [own[name] for name in names], create_graph=graph, retain_graph=True,
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            columns.append(self.flat(dict(zip(names, rows, strict=True))))
        hessian = torch.stack(columns, dim=-1)
        hessian = (hessian + hessian.transpose(-1, -2)) / 2
        return (
            Derivatives(value, gradient, hessian)
            if graph
            else Derivatives(*map(torch.detach, (value, gradient, hessian)))
        )

    def flat(self, own: Mapping[str, Tensor]) -> Tensor:
        """(n, q): the numbers of each member side by side."""
        return torch.cat([value.reshape(len(value), -1) for value in own.values()], dim=1)

    def split(self, flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The numbers by parameter again."""
        sizes = [value.numel() // len(value) for value in like.values()]
        parts = torch.split(flat, sizes, dim=1)
        return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}


def _descent(found: Derivatives) -> Tensor:
    """H^{-1} g of each member, its curvatures taken as positive: then it leads downwards."""
    values, directions = torch.linalg.eigh(found.hessian)
    least = 1e-12 * values.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300)
    along = torch.einsum("nji,nj->ni", directions, found.gradient) / values.abs().maximum(least)
    return torch.einsum("nij,nj->ni", directions, along)

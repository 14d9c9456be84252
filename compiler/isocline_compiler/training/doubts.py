"""What gives reason to doubt a fit, in sentences for the screen and the certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.model import Parameter
from isocline_compiler.training.priors import PriorWeight

Row = Mapping[str, float | int | None]

LOST = 0.1
"""The part of its descent that a loss may lose again, by the noise of batches, before it is said."""


def loss_doubts(history: Sequence[Row], kept: int | None = None) -> list[str]:
    """The loss ended above where it began, or well above its least. `kept` is the epoch whose weights are kept."""
    read = ((row.get("epoch"), row.get("loss")) for row in history)
    losses = [(int(epoch or 0), float(loss)) for epoch, loss in read if loss is not None]
    if len(losses) < 2:
        return []
    (_, first), (_, last) = losses[0], losses[-1]
    best, least = min(losses, key=lambda item: item[1])
    whose = "the last weights are kept" if kept is None else f"the weights of epoch {kept} are kept"
    if last > first:
        return [f"the loss rose from {first:.3g} to {last:.3g} over training; {whose}"]
    if last - least > LOST * (first - least):
        return [f"the loss ended at {last:.3g}, above the {least:.3g} of epoch {best}; {whose}"]
    return []


def prior_doubts(prior: PriorWeight | None) -> list[str]:
    """Nothing tells how much the priors should weigh beside the loss."""
    if prior is None or prior.doubt is None:
        return []
    return [f"the priors weigh as if the loss were the -log p of a sample, which it is not: {prior.doubt}"]


def feel(felt: dict[str, Tensor], weights: Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Note in `felt`, for each number of these weights, whether its gradient was ever other than zero."""
    for name in names:
        gradient = weights[name].grad
        before = felt.setdefault(name, torch.zeros_like(weights[name], dtype=torch.bool))
        if gradient is not None and not bool(before.all()):
            felt[name] = before | (gradient.detach() != 0)


def unfelt(parameters: Sequence[Parameter], felt: Mapping[str, Tensor]) -> list[str]:
    """A sentence for each parameter of which a number had a gradient of exactly zero throughout the first epoch."""
    told = []
    for parameter in parameters:
        numbers = felt.get(parameter.name)
        if numbers is not None and not bool(numbers.all()):
            who = _numbers(parameter.name, numbers)
            told.append(f"the gradient of {who} was exactly zero throughout the first epoch: the loss does not feel it")
    return told


def _numbers(name: str, felt: Tensor) -> str:
    """`k`, or `k[2]`, `k[3]` and 4 more where only some of its numbers are meant."""
    if not bool(felt.any()):
        return f"`{name}`"
    places = [tuple(map(int, place)) for place in np.argwhere(~felt.cpu().numpy())]
    shown = ", ".join(f"`{name}[{', '.join(map(str, place))}]`" for place in places[:3])
    return shown + (f" and {len(places) - 3} more" if len(places) > 3 else "")

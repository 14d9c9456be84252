"""Everything that training changes as it goes: what a checkpoint holds, and nothing else.

There is no state of random generators: each draw is a function of the seed and of how many epochs and steps
are done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from isocline_compiler.training.early_stop import EarlyStop
from isocline_compiler.training.schedules import Schedule


@dataclass
class EpochSums:
    """Sums over the batches of the epoch under way: of loss times samples, and of the norm of the gradient."""

    samples: int = 0
    batches: int = 0
    loss: float = 0.0
    norm: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)

    def add(self, count: int, loss: float, norm: float, terms: Mapping[str, float]) -> None:
        self.samples += count
        self.batches += 1
        self.loss += loss * count
        self.norm += norm
        for name, value in terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + value * count

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.samples, 1)

    @property
    def mean_norm(self) -> float:
        return self.norm / max(self.batches, 1)

    @property
    def mean_terms(self) -> dict[str, float]:
        return {name: value / max(self.samples, 1) for name, value in self.terms.items()}


@dataclass
class RunState:
    """`epoch` epochs are done, and `sums.batches` batches of the next; `step` counts all updates.

    `others` are the states of blocks that take turns; their weights are the same. `felt`: which numbers of the
    declared parameters had a gradient other than zero in the first epoch.
    """

    weights: dict[str, Tensor]
    optimizer: Optimizer
    schedule: Schedule
    stop: EarlyStop
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: EpochSums = field(default_factory=EpochSums)
    best: dict[str, Tensor] | None = None
    last_loss: float = math.nan
    last_norm: float = math.nan
    felt: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, RunState] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "weights": dict(self.weights),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.memory(),
            "stop": self.stop.memory(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "sums": asdict(self.sums),
            "best": self.best,
            "last": [self.last_loss, self.last_norm],
            "felt": dict(self.felt),
            "others": {name: other.content() | {"weights": {}} for name, other in self.others.items()},
        }

    @torch.no_grad()
    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on where `content` was taken."""
        for name, tensor in self.weights.items():
            if name in content["weights"]:
                tensor.copy_(content["weights"][name])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.restore(content["schedule"])
        self.stop = EarlyStop.restored(content["stop"])
        self.epoch, self.step, self.seconds = content["epoch"], content["step"], content["seconds"]
        self.sums = EpochSums(**content["sums"])
        self.best = content["best"]
        self.last_loss, self.last_norm = content["last"]
        self.felt = content["felt"]
        for name, other in self.others.items():
            other.restore(content["others"][name])

    def copy_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.weights.items()}

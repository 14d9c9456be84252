"""The loss as a function of weights and a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.graph import Graph
from isocline_compiler.model import TrainingPlan
from isocline_compiler.to_torch import TorchProgram, lower_to_torch
from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.solvers import TrainingSolver, training_solver

CHUNK = 1024
"""How many samples are evaluated at once where no gradient is needed."""


@dataclass(frozen=True)
class Loss:
    """The mean loss of a batch, its terms, and what batch normalisation asks the running statistics to become."""

    total: Tensor
    terms: dict[str, Tensor]
    updates: dict[str, Tensor]


class Objective:
    """L(w) = mean over the samples of a batch of `losses.outputs["loss"]`, solves included."""

    def __init__(self, graph: Graph, solver: TrainingSolver) -> None:
        self.solver = solver
        self.graph = solver.unrolled(graph)
        self.program: TorchProgram = lower_to_torch(self.graph)

    @classmethod
    def of(cls, plan: TrainingPlan) -> Objective:
        return cls(plan.losses, training_solver(plan))

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(name for name in self.graph.outputs if name != "loss")

    def __call__(self, weights: Mapping[str, Tensor], batch: Batch, training: bool = False) -> Loss:
        """Evaluate. `training` turns on dropout, statistics of the batch, and random ends of solves."""
        integrator = self.solver.integrator
        integrator.steering.active = training and integrator.steering.width > 0
        result = self.program.evaluate({**weights, **batch}, training=training, integrator=integrator)
        means = {name: value.mean() for name, value in result.outputs.items()}
        total = means.pop("loss")
        return Loss(total, means, result.updates)

    @torch.no_grad()
    def over(self, weights: Mapping[str, Tensor], batches: Batches) -> float:
        """The mean loss over all samples, evaluated as deployed."""
        total = 0.0
        for batch, count in batches.chunks(CHUNK):
            total += float(self(weights, batch).total) * count
        return total / batches.count

"""The loss as a function of weights and a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.data import Split
from isocline_compiler.graph import Graph
from isocline_compiler.model import LOG_PRIOR, Model, TrainingPlan
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.draws import Drawing
from isocline_compiler.training.priors import PriorWeight, terms_of
from isocline_compiler.training.solvers import TrainingSolver, training_solver
from isocline_compiler.training.whole_sample import named_sizes

CHUNK = 1024
"""How many samples are evaluated at once where no gradient is needed."""


@dataclass(frozen=True)
class Loss:
    """The mean loss of a batch, its terms, and what batch normalisation asks the running statistics to become."""

    total: Tensor
    terms: dict[str, Tensor]
    updates: dict[str, Tensor]


class Objective:
    """L(w): the mean loss of a batch, solves included; while training, less the weighted log prior."""

    def __init__(
        self, losses: Graph, solver: TrainingSolver, prior: PriorWeight, drawing: Drawing | None = None
    ) -> None:
        outputs = dict(losses.outputs)
        self.terms = terms_of(outputs)
        self.prior = prior if LOG_PRIOR in outputs else None
        if self.prior is not None:
            outputs.update(self.prior.outputs())
        self.solver = solver
        stepped, self.noise = solver.unrolled(Graph(losses.inputs, outputs, losses.name))
        self.notes = solver.notes(losses)
        self.drawing = drawing or Drawing((), 0)
        self.graph = optimise(stepped, CLEANING)
        self.program: TorchProgram = TorchProgram(self.graph)

    @classmethod
    def of(cls, model: Model, plan: TrainingPlan, train: Split, second_order: bool = False) -> Self:
        """The loss of a plan. An adjoint has first derivatives only: `second_order` goes through the steps instead."""
        if second_order:
            plan = dataclasses.replace(plan, gradient="backprop", steer=None)
        targets = frozenset(port.name for port in model.targets)
        sizes = named_sizes((*model.inputs, *model.targets), train)
        prior = PriorWeight.of(plan, targets, train.count, sizes)
        return cls(plan.losses, training_solver(plan), prior, Drawing(plan.draws, plan.seed))

    def begin(self, seed: int, update: int) -> None:
        """What is drawn while training from here on (random ends, noise, `draw`) is a function of these two."""
        self.solver.integrator.steering.begin((seed, update))
        self.noise.begin(update)
        self.drawing.begin(update)

    def filled(self, bound: Mapping[str, Tensor], training: bool) -> Mapping[str, Tensor]:
        """Weights and samples with what is drawn for them."""
        return self.drawing.filled(self.noise.filled(bound, training), training)

    def __call__(self, weights: Mapping[str, Tensor], batch: Batch, training: bool = False) -> Loss:
        """Evaluate. `training` turns on priors, dropout, statistics of the batch, random ends of solves, and new noise
        and draws for each update.
        """
        integrator = self.solver.integrator
        integrator.steering.active = training and integrator.steering.width > 0
        if integrator.driven is not None:
            integrator.driven.seed = self.noise.current(training)
        bound = self.filled({**weights, **batch}, training)
        result = self.program.evaluate(bound, training=training, integrator=integrator)
        return self.added(dict(result.outputs), result.updates, training)

    def added(self, outputs: dict[str, Tensor], updates: dict[str, Tensor], training: bool) -> Loss:
        """The mean over samples of what was evaluated; while training, less the weighted log prior."""
        total = outputs["loss"].mean()
        if self.prior is not None:
            count = len(outputs["loss"]) if outputs["loss"].ndim else 1
            factor = self.prior.take(outputs, count)
            total = total - factor * outputs[LOG_PRIOR] if training else total
        means = {name: outputs[name].mean() for name in self.terms}
        return Loss(total, means, updates)

    def settle(self, weights: Mapping[str, Tensor], batch: Batch) -> None:
        """Put weights that are functions of all others to their values, after an update: here there are none."""

    @property
    def chunk(self) -> int:
        """How many samples are evaluated at once where no gradient is needed: fewer where much is drawn for them."""
        return min(CHUNK, self.noise.chunk, self.drawing.chunk)

    @torch.no_grad()
    def over(self, weights: Mapping[str, Tensor], batches: Batches) -> float:
        """The mean loss over all samples, evaluated as deployed, without priors and on the same draws each time."""
        total = 0.0
        for batch, count in batches.chunks(self.chunk):
            total += float(self(weights, batch).total) * count
        return total / batches.count

"""One update of the weights, and what to say when its numbers are not finite."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from isocline_compiler.model import TrainingPlan
from isocline_compiler.training.batches import Batch
from isocline_compiler.training.checkpoint import replace_file
from isocline_compiler.training.diagnose import Culprit, find_culprit
from isocline_compiler.training.doubts import feel
from isocline_compiler.training.graph_gradient import GraphGradient
from isocline_compiler.training.objective import Loss, Objective
from isocline_compiler.training.run_state import RunState
from isocline_compiler.training.within_bounds import Limits, keep_within
from isocline_compiler.vocabulary.options import OPTIMIZERS
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Note, Source
from isocline_dsl.messages import fitting as messages


class Stepper:
    """w <- optimizer(w, dL/dw), the gradient clipped to a norm first, and w then kept within its limits.

    The draws of a step (dropout, random ends, noise, `draw`) depend on the seed and the number of the step alone.
    Raises E451 when the loss or the gradient is not finite, and what the solvers raise, with the epoch and the step;
    `kept` then holds the last weights for which all was finite.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        objective: Objective,
        accelerator: Any,
        trained: list[str],
        limits: Limits,
        parameters: list[str],
        source: Source,
        kept: Path,
        graph: GraphGradient | None = None,
    ) -> None:
        self.plan = plan
        self.objective = objective
        self.accelerator = accelerator
        self.trained = trained
        self.limits = limits
        self.parameters = parameters
        self.source = source
        self.kept = kept
        self.graph = graph
        self.finite: dict[str, Tensor] = {}
        self.rate = float(plan.optimizer.get("lr", OPTIMIZERS[plan.optimizer.name].defaults["lr"]))

    def __call__(self, state: RunState, batch: Batch, count: int, rate: float) -> None:
        """One update, in place."""
        for name, weight in state.weights.items():
            weight.requires_grad_(name in self.trained)  # whoever took a turn before has trained others
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        losses: list[Loss] = []

        def closure() -> float:
            losses.append(self._gradient(state, batch))
            return state.last_loss

        if self.plan.optimizer.name == "lbfgs":
            state.optimizer.step(closure)
        else:
            closure()
            state.optimizer.step()
        keep_within(state.weights, self.limits)
        self.objective.settle(state.weights, batch)
        self._update_running(state, losses[0])
        terms = {name: float(value.detach()) for name, value in losses[0].terms.items()}
        state.sums.add(count, float(losses[0].total.detach()), state.last_norm, terms)
        state.step += 1

    def _gradient(self, state: RunState, batch: Batch) -> Loss:
        """The loss, and its gradient in the weights' `grad`."""
        self._draw(state.step)
        state.optimizer.zero_grad()
        try:
            if self.graph is not None and self.graph.word is None:
                loss = self.graph(state.weights, batch)
                self._require_finite(loss.total, "loss", state, batch)
            else:
                with self.accelerator.autocast():
                    loss = self.objective(state.weights, batch, training=True)
                self._require_finite(loss.total, "loss", state, batch)
                self.accelerator.backward(loss.total)
        except IsoclineError as error:
            raise self._placed(error, state) from None
        if state.epoch == 0:
            feel(state.felt, state.weights, self.parameters)
        norm = self._norm(state)
        if self.plan.precision != "fp16":  # there the scaler leaves a step out when its gradient overflows
            self._require_finite(norm, "gradient", state, batch)
        state.last_loss, state.last_norm = float(loss.total.detach()), float(norm)
        self.finite = state.copy_weights()
        return loss

    def _draw(self, step: int) -> None:
        if self.graph is None:  # a graph has nothing that draws from torch
            torch.manual_seed(int(np.random.SeedSequence([self.plan.seed, step]).generate_state(1)[0]))
        self.objective.begin(self.plan.seed, step)

    def _norm(self, state: RunState) -> Tensor:
        """The norm of the whole gradient, before it is clipped."""
        moved = [state.weights[name] for name in self.trained if state.weights[name].grad is not None]
        norm: Tensor = self.accelerator.clip_grad_norm_(moved, self.plan.clip or math.inf)
        return norm

    @torch.no_grad()
    def _update_running(self, state: RunState, loss: Loss) -> None:
        for name, value in loss.updates.items():
            state.weights[name].copy_(value)

    def _require_finite(self, value: Tensor, what: str, state: RunState, batch: Batch) -> None:
        if bool(torch.isfinite(value)):
            return
        self._draw(state.step)
        bound = self.objective.filled({**state.weights, **batch}, training=True)
        found = find_culprit(self.objective, bound, self.source) or Culprit("no single equation is at fault", None)
        span = found.span or self.plan.span
        where = (what, state.epoch + 1, state.step + 1, found.words, _before(state), self._keep())
        raise IsoclineError([messages.training_not_finite(span, *where)], self.source)

    def _keep(self) -> str | None:
        """Write the last finite weights; the name of the file."""
        if not self.finite:
            return None
        replace_file(self.kept, save({name: tensor.cpu() for name, tensor in self.finite.items()}))
        return str(self.kept)

    def _placed(self, error: IsoclineError, state: RunState) -> IsoclineError:
        """The same error with the epoch and the step, once."""
        if error.source is not None:
            return error
        kept = self._keep()
        note = Note(f"in epoch {state.epoch + 1}, step {state.step + 1}; before: {_before(state)}")
        notes = (note, *([Note(f"the last finite weights are in {kept}")] if kept else []))

        def placed(item: Diagnostic) -> Diagnostic:
            return dataclasses.replace(item, notes=(*item.notes, *notes))

        return IsoclineError([placed(item) for item in error.diagnostics], self.source)


def _before(state: RunState) -> str:
    if math.isnan(state.last_loss):
        return "nothing, this was the first step"
    return f"loss {state.last_loss:.6g}, norm of the gradient {state.last_norm:.6g}"

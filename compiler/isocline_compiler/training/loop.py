"""Epoch after epoch, with validation, metrics and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from isocline_compiler.model import TrainingPlan
from isocline_compiler.training.batches import Batch, Batches
from isocline_compiler.training.interrupt import Interrupt
from isocline_compiler.training.metrics import Metrics, MetricsRow
from isocline_compiler.training.progress import Progress
from isocline_compiler.training.run_state import EpochSums, RunState
from isocline_compiler.training.step import Stepper


@dataclass
class Player:
    """A block that takes turns: so many `updates` before each update of another, of the same weights."""

    stepper: Stepper
    updates: int
    state: RunState

    def __call__(self, batch: Batch, count: int, done: float) -> None:
        for _ in range(self.updates):
            self.stepper(self.state, batch, count, self.stepper.rate * self.state.schedule.factor(done))

    def finish_epoch(self) -> float:
        """Its mean loss, as it was met."""
        sums, self.state.sums = self.state.sums, EpochSums()
        self.state.epoch += 1
        return sums.mean_loss


@dataclass
class Loop:
    """Runs `state` to its end, or to the first Ctrl-C.

    `save` writes a checkpoint; it is called between two steps, `every` seconds apart, and at the end; whoever makes
    the loop calls it once before. `doubts` are asked for when the first epoch is over.
    """

    plan: TrainingPlan
    stepper: Stepper
    train: Batches
    validation: Batches | None
    state: RunState
    write: Callable[[], None]
    doubts: Callable[[], Iterable[str]]
    players: Sequence[Player] = ()
    every: float = 5.0
    saved: float = 0.0

    def run(self, metrics: Metrics, progress: Progress) -> bool:
        """True when training is complete, false when it was interrupted; a checkpoint is written in either case."""
        with Interrupt() as interrupt:
            while not self.complete and not interrupt.wanted:
                if self._epoch(interrupt):
                    row = self._finish_epoch()
                    metrics.write(row)
                    progress.epoch(row)
                    if row.epoch == 1:
                        for doubt in self.doubts():
                            progress.say(doubt)
        self.save()
        return self.complete

    @property
    def complete(self) -> bool:
        """All epochs are done, or early stopping has ended them."""
        return self.state.epoch >= self.plan.epochs or self.state.stop.exhausted

    def _epoch(self, interrupt: Interrupt) -> bool:
        """The batches that are not done yet; true when all are. Writes a checkpoint whenever one is due."""
        for batch, count in self._rest_of_epoch():
            started = time.perf_counter()
            done = self.state.epoch + self.state.sums.batches / self._batches()
            for player in self.players:
                player(batch, count, done)
            self.stepper(self.state, batch, count, self.stepper.rate * self.state.schedule.factor(done))
            self.state.seconds += time.perf_counter() - started
            if interrupt.wanted:
                break
            if time.monotonic() - self.saved >= self.every:
                self.save()
        return self.state.sums.batches >= self._batches()

    def save(self) -> None:
        """Write a checkpoint now."""
        self.write()
        self.saved = time.monotonic()

    def _rest_of_epoch(self) -> Iterator[tuple[Batch, int]]:
        """The batches that are not done yet: all of them, but after an interrupted epoch."""
        batches = self.train.shuffled(self.plan.batch, (self.plan.seed, 1, self.state.epoch))
        return islice(batches, self.state.sums.batches, None)

    def _batches(self) -> int:
        return math.ceil(self.train.count / min(self.plan.batch or self.train.count, self.train.count))

    @property
    def terms(self) -> tuple[str, ...]:
        """What is told of an epoch besides its loss: the terms, and the losses of those who take turns."""
        return (*self.stepper.objective.terms, *(player.stepper.plan.name for player in self.players))

    def _finish_epoch(self) -> MetricsRow:
        """Validate, remember the best weights, and begin the next epoch's sums."""
        state, rate = self.state, self._rate_used()
        state.epoch += 1
        validation = None if self.validation is None else self._validate(self.validation)
        sums, state.sums = state.sums, EpochSums()
        losses = {player.stepper.plan.name: player.finish_epoch() for player in self.players}
        return MetricsRow(
            state.epoch,
            state.step,
            sums.mean_loss,
            rate,
            sums.mean_norm,
            state.seconds,
            validation,
            sums.mean_terms | losses,
        )

    def _rate_used(self) -> float:
        return float(self.state.optimizer.param_groups[0]["lr"])

    def _validate(self, samples: Batches) -> float:
        state = self.state
        loss = self.stepper.objective.over(state.weights, samples)
        state.schedule.observe(loss)
        if state.stop.observe(loss, state.epoch):
            state.best = state.copy_weights()
        return loss

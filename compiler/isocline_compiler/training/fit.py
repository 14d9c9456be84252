"""Training from first to last: weights from the seed, statistics from the data, epochs, the best weights, a file."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from isocline_compiler.data import Dataset
from isocline_compiler.graph import Array
from isocline_compiler.model import Model, TrainingPlan
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.checkpoint import read_checkpoint, replace_file, write_checkpoint
from isocline_compiler.training.doubts import loss_doubts, prior_doubts, unfelt
from isocline_compiler.training.early_stop import EarlyStop
from isocline_compiler.training.fitted import parameter_values
from isocline_compiler.training.graph_gradient import GraphGradient, NotAGraph
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.loop import Loop, Player
from isocline_compiler.training.marginal import members_of, objective_of
from isocline_compiler.training.metrics import Metrics, read_history
from isocline_compiler.training.narrowed import require_held
from isocline_compiler.training.objective import Objective
from isocline_compiler.training.optimizers import make_optimizer
from isocline_compiler.training.progress import Progress, Quiet
from isocline_compiler.training.run_folder import CHECKPOINT, LAST_FINITE, METRICS, WEIGHTS, run_folder, set_aside
from isocline_compiler.training.run_state import RunState
from isocline_compiler.training.schedules import Schedule
from isocline_compiler.training.statistics_fit import fit_statistics
from isocline_compiler.training.step import Stepper
from isocline_compiler.training.within_bounds import at_limits, limits_of
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages
from isocline_dsl.tree import Block, Program


@dataclass(frozen=True)
class TrainingResult:
    """The weights by name in float64, and how they came about.

    `weights` are numbers as the file means them: a declared parameter in its own units, within its bounds.
    `free_weights` are those behind the bounds, exactly what was trained and what `weights.safetensors` holds. With
    validation samples they are those of `best_epoch`. `history` holds the rows of metrics.csv as numbers, None where
    a cell is empty. `doubts` are reasons to doubt the fit, in sentences. `complete` is false after Ctrl-C: the
    checkpoint in `folder` waits to be resumed.
    """

    weights: dict[str, Array]
    free_weights: dict[str, Array]
    history: list[dict[str, float | int | None]]
    folder: Path
    epochs: int
    complete: bool
    best_epoch: int | None
    dataset: Dataset
    doubts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        best = "" if self.best_epoch is None else f", the best {self.best_epoch}"
        return f"<TrainingResult in {self.folder}: {self.epochs} epochs{best}{'' if self.complete else ', stopped'}>"


def train(
    model: Model,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    epochs: int | None = None,
    checkpoint_every: float = 5.0,
) -> TrainingResult:
    """Fit every weight of `model` to `dataset`, leaving metrics, checkpoint and weights in `folder`.

    The result is a function of the file, the data and the seed: a run that was killed and resumed ends with
    the same bits (on one CPU and the same number of threads). An earlier run in the folder that was completed moves to
    `previous` in it. Blocks before the last have folders `train-NAME` of their own. Raises E45x, E46x (E465 before
    anything is trained) and E640 to E642.
    """
    plans = _plans(model, epochs)
    progress = progress or Quiet()
    for plan in plans:
        _require_validation(plan, dataset)
    places = [*(folder / f"train-{plan.name}" for plan in plans[:-1]), folder]
    with torch.random.fork_rng(), run_folder(folder):
        resume = _require_checkpoint(places, resume)
        start, doubts = None, list[str]()
        for plan, place in zip(plans, places, strict=True):
            if len(plans) > 1:
                progress.say(f"train {plan.name}")
            part = dataset.with_validation(plan.validation, plan.seed) if plan.validation else dataset
            with run_folder(place) if place != folder else nullcontext():
                fitting = _Fitting(model, plan, part, place, device, start)
                done = fitting.resume() if resume and (place / CHECKPOINT).exists() else None
                complete = fitting.run(progress, checkpoint_every)
                result = fitting.result(complete)
            doubts += [doubt for doubt in result.doubts if doubt not in doubts]
            if not complete:
                break
            if resume and fitting.state.step != done:
                _begin_again(places[places.index(place) + 1 :])
            start = result.free_weights
        return dataclasses.replace(result, folder=folder, doubts=tuple(doubts))


def _require_checkpoint(places: Sequence[Path], resume: bool) -> bool:
    """Room for a new run; or, where one is resumed, its checkpoint. Raises E458, E640."""
    if not resume:
        _begin_again(places)
    elif not any((place / CHECKPOINT).exists() for place in places):
        read_checkpoint(places[-1] / CHECKPOINT)
    return resume


def _begin_again(places: Sequence[Path]) -> None:
    """What begins from other weights than before, begins anew."""
    for place in places:
        set_aside(place)


def _plans(model: Model, epochs: int | None) -> list[TrainingPlan]:
    if model.training is None:
        raise IsoclineError([messages.nothing_to_train(None)], model.source)
    plans = [*model.earlier, model.training]
    return plans if epochs is None else [dataclasses.replace(plan, epochs=epochs) for plan in plans]


def _require_validation(plan: TrainingPlan, dataset: Dataset) -> None:
    if plan.validation:
        return
    watching = plan.early_stop or (plan.schedule if plan.schedule.name == "plateau" else None)
    if watching is not None and dataset.validation is None:
        raise IsoclineError([messages.stop_needs_validation(watching.span or plan.span)])


class _Fitting:
    """The parts of one block's training, put together. `start`: the weights that the block before it ended with."""

    def __init__(
        self,
        model: Model,
        plan: TrainingPlan,
        dataset: Dataset,
        folder: Path,
        device: str | None,
        start: Mapping[str, Array] | None = None,
    ) -> None:
        self.model, self.plan, self.dataset, self.folder = model, plan, dataset, folder
        self.accelerator = make_accelerator(plan, device)
        self.working = torch.float64 if plan.precision == "float64" else torch.float32
        self.objective = objective_of(model, plan, dataset.train)
        first = initial_weights(model.weights, plan.seed) if start is None else {}
        solver = self.objective.solver
        self.start = dict(start or fit_statistics(model.statistics, first, dataset.train, solver))
        require_held(model, plan, solver, self.start, dataset.train)
        weights = {name: self._tensor(value) for name, value in self.start.items()}
        self.state = self._state(plan, weights)
        narrow = torch.float32 if model.deployment.dtype == "float32" else self.working
        self.said: set[str] = set()
        self.graphs: list[GraphGradient] = []
        self.engine_notes: list[str] = []
        self.limits = limits_of(model.parameters, self.start, narrow)

    def _state(self, plan: TrainingPlan, weights: dict[str, Tensor]) -> RunState:
        """What changes with a plan; what takes turns with it changes the same weights."""
        optimizer = make_optimizer(plan.optimizer, [weights[name].requires_grad_() for name in self._trained(plan)])
        stop = plan.early_stop
        watch = EarlyStop(stop.get("epochs", 20), stop.get("least", 0.0)) if stop else EarlyStop()
        others = {turn.plan.name: self._state(turn.plan, weights) for turn in plan.turns}
        prepared = self.accelerator.prepare(optimizer)
        return RunState(weights, prepared, Schedule(plan.schedule, plan.epochs), watch, others=others)

    def _trained(self, plan: TrainingPlan) -> list[str]:
        return [weight.name for weight in self.model.weights if plan.trains(weight)]

    def _tensor(self, value: Array) -> Tensor:
        return torch.tensor(value, dtype=self.working, device=self.accelerator.device)

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def identity(self) -> dict[str, str]:
        return {"text": text_digest(self.model.program), "data": self.dataset.digest}

    def resume(self) -> int:
        """Take up the checkpoint of the folder; the updates done there. Raises E458 to E461."""
        content = read_checkpoint(self.checkpoint)
        if content["identity"]["text"] != self.identity["text"]:
            raise IsoclineError([messages.resumed_other_file(self.plan.span, self.folder)], self.model.source)
        if content["identity"]["data"] != self.identity["data"]:
            raise IsoclineError([messages.resumed_other_data(self.plan.span, self.folder)], self.model.source)
        self.state.restore(content["state"])
        return self.state.step

    def save(self) -> None:
        write_checkpoint(self.checkpoint, {"identity": self.identity, "state": self.state.content()})

    def run(self, progress: Progress, every: float) -> bool:
        """Train to the end or to Ctrl-C, telling `progress`; true when complete."""
        loop = self._loop(every)
        for note in (*self.dataset.notes, *self.objective.notes):
            progress.say(note)
        progress.begin(self.plan.epochs, self.state.epoch, self.dataset.train.count)
        loop.save()  # first of all: it says that the folder is ours, and waits for whoever interrupts at once
        try:
            with Metrics(self.folder, loop.terms, self.state.epoch) as metrics:
                complete = loop.run(metrics, progress)
        finally:
            progress.end()
        self._say_end(complete, progress)
        for doubt in self.unsaid():
            progress.say(doubt)
        return complete

    def unsaid(self) -> list[str]:
        """The doubts that were not told yet."""
        fresh = [doubt for doubt in self.doubts() if doubt not in self.said]
        self.said.update(fresh)
        return fresh

    def doubts(self) -> tuple[str, ...]:
        """What gives reason to doubt the fit."""
        state = self.state
        kept = state.stop.best_epoch if state.best is not None else None
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in (state.best or state.weights).items()}
        return (
            *self.engine_notes,
            *(graph.word for graph in self.graphs if graph.word is not None),
            *prior_doubts(self.objective.prior),
            *loss_doubts(read_history(self.folder / "metrics.csv"), kept),
            *(unfelt(self.model.parameters, state.felt) if state.epoch else ()),
            *at_limits(self.model.parameters, weights, self.limits),
        )

    def _loop(self, every: float) -> Loop:
        device = self.accelerator.device
        validation = self.dataset.validation
        kept = self.folder / LAST_FINITE
        source = self.model.source
        declared = {parameter.name for parameter in self.model.parameters}
        members = {item.name for item in members_of(self.model, self.plan)}  # found by Newton's method, not by gradient

        def stepper(plan: TrainingPlan, objective: Objective) -> Stepper:
            trained = self._trained(plan)
            own = [name for name in trained if name in declared - members]
            graph = self._graph(plan, objective, trained)
            return Stepper(plan, objective, self.accelerator, trained, self.limits, own, source, kept, graph)

        turns = [
            Player(stepper(turn.plan, objective_of(self.model, turn.plan, self.dataset.train)), turn.updates, state)
            for turn, state in zip(self.plan.turns, self.state.others.values(), strict=True)
        ]
        train = Batches.of(self.dataset.train, self.working, device)
        held = Batches.of(validation, self.working, device) if validation else None
        own = stepper(self.plan, self.objective)
        return Loop(self.plan, own, train, held, self.state, self.save, self.unsaid, turns, every)

    def _graph(self, plan: TrainingPlan, objective: Objective, trained: list[str]) -> GraphGradient | None:
        """The gradient as one graph, unless torch is asked for or has to; says which where it was asked."""
        if plan.engine == "torch" or self.accelerator.device.type != "cpu":
            return None
        try:
            graph = GraphGradient.of(objective, plan, trained)
        except NotAGraph as reason:
            if plan.engine != "auto":
                self.engine_notes.append(f"torch trains `{plan.name}`, not onnxruntime: {reason}")
            return None
        self.graphs.append(graph)
        return graph

    def _say_end(self, complete: bool, progress: Progress) -> None:
        state = self.state
        if not complete:
            progress.say(f"stopped in epoch {state.epoch + 1}; go on with --resume")
        elif state.epoch < self.plan.epochs:
            progress.say(f"stopped early after epoch {state.epoch}: the best was epoch {state.stop.best_epoch}")

    def result(self, complete: bool) -> TrainingResult:
        """The weights, written to `weights.safetensors` when training is complete."""
        final = self.state.best or self.state.weights
        tensors = {name: tensor.detach().cpu() for name, tensor in final.items()}
        weights = {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}
        for statistic in self.model.statistics:
            for name in (statistic.mean, statistic.deviation):
                weights[name] = self.start[name]
                tensors[name] = torch.from_numpy(self.start[name])
        if complete:
            write_weights(self.folder / WEIGHTS, tensors)
        best = self.state.stop.best_epoch if self.state.best is not None else None
        own = parameter_values(self.model.parameters, weights)
        history = read_history(self.folder / METRICS)
        return TrainingResult(
            weights | own, weights, history, self.folder, self.state.epoch, complete, best, self.dataset, self.doubts()
        )


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Weights by name; trained ones in the precision they were trained in, statistics in float64."""
    replace_file(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def make_accelerator(plan: TrainingPlan, device: str | None) -> Any:
    """The device, and mixed precision when the plan asks for it. Raises E463 for fp16 on a CPU."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one state a process and refuses a second precision; each training is its own.
    AcceleratorState._reset_state(reset_partial_state=True)
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if plan.precision == "fp16" and on_cpu:
        raise IsoclineError([messages.precision_needs_device(plan.span, "fp16")])
    mixed = plan.precision if plan.precision in ("bf16", "fp16") else "no"
    return Accelerator(mixed_precision=mixed, cpu=on_cpu)


def text_digest(program: Program) -> str:
    """sha256 of the declarations that training depends on: layout, comments and `deploy` may change."""
    parts = [repr(item) for item in program.declarations if not (isinstance(item, Block) and item.kind == "deploy")]
    return hashlib.sha256("\n".join([repr(program.name), *parts]).encode()).hexdigest()

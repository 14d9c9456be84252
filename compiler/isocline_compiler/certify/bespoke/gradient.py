"""The error of steps whose tables of coefficients vary, and its gradient: by onnxruntime in one call, else by torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.bespoke.parameters import Parameters
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.measures import Spread, relative_errors, spread
from isocline_compiler.certify.runner import Runner, runner
from isocline_compiler.certify.trials import trial
from isocline_compiler.derivatives.reverse_forward import vjp
from isocline_compiler.graph import INPUT, Array, Fault, Graph, leaf
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll

APART = 1e-6
"""How far the gradient of onnxruntime may be from torch's at the first update, relative to its size."""
TINY = 1e-300
"""What keeps the logarithm of an error that is nothing finite."""


@dataclass(frozen=True)
class Answers:
    """Samples, and what the reference answers for them, by output."""

    evaluator: Evaluator
    outputs: Mapping[str, Array]

    @classmethod
    def of(cls, evaluator: Evaluator, names: tuple[str, ...]) -> Answers:
        """Real outputs alone: a class has no error that falls. Raises IsoclineError where there is no reference."""
        found = evaluator.referred()
        return cls(evaluator, {name: found[name] for name in names if found[name].dtype.kind == "f"})

    def errors(self, choices: Mapping[str, Discretisation]) -> dict[str, Spread]:
        """Of solves on these grids, by output."""
        found = trial(self.evaluator, choices)
        return {k: spread(relative_errors(found[k], x, self.batched(k))) for k, x in self.outputs.items()}

    def error(self, choices: Mapping[str, Discretisation]) -> float:
        """The largest of them."""
        return max((item.maximum for item in self.errors(choices).values()), default=0.0)

    def batched(self, name: str) -> bool:
        """Whether an output differs from sample to sample."""
        return self.evaluator.graph.outputs[name].type.batched


@dataclass
class Gradient:
    """log of the mean over a lesson's samples of the squared error, each entry relative to the largest of its output,
    and its gradient by what the tables are made of.
    """

    program: TorchProgram
    parameters: Mapping[str, Parameters]
    lesson: Answers
    scales: Mapping[str, Array]
    """One over the largest entry of each sample and the square root of their number, in the shape of the output."""
    run: Runner | None = None

    @classmethod
    def of(
        cls, starts: Mapping[str, Discretisation], parameters: Mapping[str, Parameters], lesson: Answers
    ) -> Gradient:
        """Of the steps that begin so."""
        evaluator = lesson.evaluator
        every = dict(evaluator.stated)
        for name, choice in starts.items():
            every[name] = replace(choice, scheme=parameters[name].start)
        graph = evaluator.graph
        wanted = Graph(graph.inputs, {name: graph.outputs[name] for name in lesson.outputs}, graph.name)
        stepped = optimise(unroll(optimise(bind(wanted, evaluator.weights)), every).graph)
        found = cls(TorchProgram(stepped), parameters, lesson, {k: _scale(lesson, k) for k in lesson.outputs})
        found.run = found.agreed(_reversed(stepped, parameters))
        return found

    @property
    def tables(self) -> dict[str, Tensor]:
        return {str(item.start.leaf.attrs["name"]): item.table() for item in self.parameters.values()}

    def agreed(self, run: Runner | None) -> Runner | None:
        """What onnxruntime runs, if its gradient is torch's; None where it is not, or cannot be had."""
        if run is None:
            return None
        tables = {name: table.detach().requires_grad_() for name, table in self.tables.items()}
        torch.autograd.backward(self.by_torch(tables))
        _, slopes = self.by_graph(run, tables)
        for name, table in tables.items():
            right = table.grad if table.grad is not None else torch.zeros_like(table)
            if not float((slopes[name] - right).norm()) <= APART * float(right.norm()):
                return None
        return run

    def descend(self) -> float:
        """The error, and its gradient in what varies."""
        tables = self.tables
        if self.run is None:
            loss = self.by_torch(tables)
            torch.autograd.backward(loss)
            return loss.item()
        value, slopes = self.by_graph(self.run, tables)
        torch.autograd.backward(list(tables.values()), [slopes[name] for name in tables])
        return value

    def by_torch(self, tables: Mapping[str, Tensor]) -> Tensor:
        """With torch's reverse mode behind it."""
        found = self.program({**self.lesson.evaluator.bound, **tables})
        off = [(found[k] - torch.tensor(x)) * torch.tensor(self.scales[k]) for k, x in self.lesson.outputs.items()]
        return torch.log(sum((item.square().sum() for item in off), torch.tensor(TINY, dtype=torch.float64)))

    def by_graph(self, run: Runner, tables: Mapping[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
        """The error S as log S, and its slopes by the tables: those of S over S."""
        feeds: dict[str, Array] = {name: x.numpy() for name, x in self.lesson.evaluator.bound.items()}
        feeds |= {name: table.detach().numpy() for name, table in tables.items()}
        for name, exact in self.lesson.outputs.items():
            feeds |= {f"right {name}": exact, f"scale {name}": self.scales[name] ** 2}
        found = run(feeds)
        with np.errstate(over="ignore", invalid="ignore"):  # steps that run away
            off = [(found[k] - x) * self.scales[k] for k, x in self.lesson.outputs.items()]
            total = float(sum(np.square(item).sum() for item in off)) + TINY
            return float(np.log(total)), {k: torch.from_numpy(found[f"slope {k}"] / total) for k in tables}

    def largest(self, answers: Answers) -> float:
        """The largest relative error on some samples, as a certificate has it."""
        with torch.no_grad():
            found = self.program({**answers.evaluator.bound, **self.tables})
        errors = [relative_errors(found[k].numpy(), x, answers.batched(k)) for k, x in answers.outputs.items()]
        return float(max(np.max(item) for item in errors))


def _scale(lesson: Answers, name: str) -> Array:
    exact = lesson.outputs[name]
    rows = len(exact) if lesson.batched(name) else 1
    largest = np.abs(exact.reshape(rows, -1)).max(axis=1, initial=0.0)
    each = 1 / (np.where(largest > 0, largest, 1.0) * np.sqrt(rows))
    found: Array = np.broadcast_to(
        each.reshape(-1, *(1,) * (exact.ndim - 1)) if lesson.batched(name) else each[0], exact.shape
    )
    return found


def _reversed(stepped: Graph, parameters: Mapping[str, Parameters]) -> Runner | None:
    """The outputs, and the slopes of sum ((y - right) scale)^2 by the tables; None where there is no such graph."""
    outputs = stepped.outputs
    right, scale = (
        {name: leaf(INPUT, f"{word} {name}", y.type) for name, y in outputs.items()} for word in ("right", "scale")
    )
    tables = [item.start.leaf for item in parameters.values()]
    try:
        slopes = vjp(list(outputs.values()), [2.0 * (y - right[k]) * scale[k] for k, y in outputs.items()], tables)
    except Fault:
        return None
    named = {f"slope {table.attrs['name']}": slope for table, slope in zip(tables, slopes, strict=True)}
    whole = Graph((*stepped.inputs, *right.values(), *scale.values()), {**outputs, **named}, "slopes")
    return runner(optimise(whole), {}, "float64", torch.get_num_threads())


__all__ = ["Answers", "Gradient"]

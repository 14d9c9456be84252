"""The model in float64: some solves as the steps that are deployed, the others by a reference.

There is one walk of a grid, that of the unrolled graph; the torch back end runs it here as it does in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchProgram
from isocline_compiler.certify.reference import AdaptiveExplicit, Reference, Remembered
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.model import Model
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

Choices = Mapping[str, Discretisation]
"""Schemes and grids by the names of solves."""


def scheme_steps(solve: Solve, choice: Called) -> Discretisation:
    """A named scheme with its number of steps, for one solve. Raises IsoclineError when the steps do not fit."""
    place = choice.span or solve.span
    return discretise(solve.spec.interval, choice.name, choice.options["steps"], intervals=intervals(solve), span=place)


def intervals(solve: Solve) -> int:
    """How many stretches between stated times a solve has."""
    times = solve.spec.interval.times
    if times is not None:
        return len(times) - 1
    assert solve.times is not None
    count = solve.times.size(-1)
    assert isinstance(count, int), "the number of times is known when compiling"
    return count - 1


@dataclass
class Evaluator:
    """Evaluates a rolled graph on some samples with given weights, in float64."""

    model: Model
    weights: Mapping[str, Array]
    samples: Samples
    error: float = 1e-3
    by: Reference | None = None
    """What solves the open solves where no grid is given; the adaptive explicit one unless it is said."""
    known: Remembered = field(init=False)

    def __post_init__(self) -> None:
        self.by = self.by or AdaptiveExplicit(self.error)
        self.known = Remembered(self.by.integrator)

    @cached_property
    def graph(self) -> Graph:
        return self.model.graph

    @cached_property
    def solves(self) -> tuple[Solve, ...]:
        """The solves of the model, in the order they are computed, one for each that has a choice of its own."""
        found: dict[str, Solve] = {}
        for node in self.graph.nodes():
            if node.op is SOLVE:
                solve = Solve.of(node)
                found.setdefault(solve.spec.choice, solve)
        return tuple(found.values())

    @cached_property
    def stated(self) -> dict[str, Discretisation]:
        """The choices of the solves whose scheme is part of the model."""
        return {
            solve.spec.choice: scheme_steps(solve, solve.spec.scheme)
            for solve in self.solves
            if solve.spec.scheme is not None
        }

    @cached_property
    def open(self) -> tuple[Solve, ...]:
        """The solves of declared differential equations, whose scheme is to be chosen."""
        return tuple(solve for solve in self.solves if solve.spec.choice not in self.stated)

    @cached_property
    def bound(self) -> dict[str, Tensor]:
        """Weights and inputs as float64 (or int64, bool) tensors by name."""
        named = {**self.weights, **{name: self.samples.inputs[name] for name in self.samples.inputs}}
        return {name: torch.tensor(_wide(array)) for name, array in named.items()}

    def run(self, choices: Choices, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
        """The outputs with these solves on their grids, schemes of the model as stated, the rest by the reference.

        In float32 every solve must be on a grid.
        """
        return self.outputs(self.stepped(choices), self.known, dtype)

    def stepped(self, choices: Choices) -> Graph:
        """The graph with these solves, and those that state their scheme, as loops of single steps."""
        singly = {name: replace(choice, segment=1) for name, choice in {**self.stated, **choices}.items()}
        return prune(unroll(self.graph, singly).graph)

    def outputs(self, graph: Graph, integrator: Integrator, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
        """The outputs of a graph on the samples, its solves by an integrator."""
        bound = {name: item.to(dtype) if item.is_floating_point() else item for name, item in self.bound.items()}
        with torch.no_grad():
            outputs = TorchProgram(graph)(bound, integrator=integrator)
        return {name: tensor.detach().cpu().numpy() for name, tensor in outputs.items()}

    @cached_property
    def reference(self) -> dict[str, Array]:
        """The true solution, as far as it can be had. Raises E608 where it cannot."""
        try:
            outputs = self.run({})
        except IsoclineError as problem:
            first = problem.diagnostics[0]
            span, name = self.open[0].span, self.open[0].spec.field
            raise IsoclineError([messages.reference_failed(span, name, first.message)], self.model.source) from None
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                port = next(port for port in self.model.outputs if port.name == name)
                raise IsoclineError([messages.not_finite(port.span, f"the output `{name}`")], self.model.source)
        return outputs


def _wide(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64) if array.dtype.kind == "f" else np.asarray(array)

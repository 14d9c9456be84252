"""The model in float64, with some solves on their grids and the others solved tightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.fixed_grid import Choices, MixedIntegrator, Solved
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Graph, Node
from isocline_compiler.graph.solve import SOLVE, Interval, SchemeChoice
from isocline_compiler.model import Model
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

TIGHTER = 1e-3
"""The reference's tolerance a step, relative to the stated error: its own error stays two orders below that."""
FLOOR, CEILING = 1e-13, 1e-7


def reference_tolerance(error: float) -> float:
    """rtol and atol of the reference solution for a stated error."""
    return min(max(error * TIGHTER, FLOOR), CEILING)


def scheme_steps(node: Node, choice: SchemeChoice) -> Discretisation:
    """A named scheme with its number of steps, for one solve. Raises IsoclineError when the steps do not fit."""
    interval: Interval = node.attrs["interval"]
    return discretise(interval, choice.name, choice.option("steps"), intervals=intervals(node), span=choice.span)


def intervals(node: Node) -> int:
    """How many stretches between stated times a solve has."""
    interval: Interval = node.attrs["interval"]
    if interval.times is not None:
        return len(interval.times) - 1
    count = node.inputs[-1].size(-1)
    assert isinstance(count, int), "the number of times is known when compiling"
    return count - 1


@dataclass
class Evaluator:
    """Evaluates a rolled graph on some samples with given weights, in float64."""

    model: Model
    weights: Mapping[str, Array]
    samples: Samples
    error: float = 1e-3
    solved: dict[Node, Solved] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        return self.model.graph

    @cached_property
    def solves(self) -> tuple[Node, ...]:
        """The solves of the model, in the order they are computed."""
        return tuple(node for node in self.graph.nodes() if node.op is SOLVE)

    @cached_property
    def stated(self) -> dict[Node, Discretisation]:
        """The solves whose scheme is part of the model."""
        return {
            node: scheme_steps(node, node.attrs["scheme"]) for node in self.solves if node.attrs["scheme"] is not None
        }

    @cached_property
    def open(self) -> tuple[Node, ...]:
        """The solves of declared differential equations, whose scheme is to be chosen."""
        return tuple(node for node in self.solves if node not in self.stated)

    @cached_property
    def program(self) -> TorchProgram:
        return TorchProgram(self.graph)

    @cached_property
    def bound(self) -> dict[str, Tensor]:
        """Weights and inputs as float64 (or int64, bool) tensors by name."""
        named = {**self.weights, **{name: self.samples.inputs[name] for name in self.samples.inputs}}
        return {name: torch.tensor(_wide(array)) for name, array in named.items()}

    @cached_property
    def tight(self) -> AdaptiveIntegrator:
        tolerance = reference_tolerance(self.error)
        return AdaptiveIntegrator("dopri8", rtol=tolerance, atol=tolerance, allowed=1_000_000)

    def run(self, choices: Choices, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
        """The outputs with these solves on their grids, schemes of the model as stated, the rest solved tightly.

        In float32 every solve must be on a grid.
        """
        integrator = MixedIntegrator({**self.stated, **choices}, self.tight, self.solved)
        bound = {name: item.to(dtype) if item.is_floating_point() else item for name, item in self.bound.items()}
        with torch.no_grad():
            outputs = self.program(bound, integrator=integrator)
        return {name: tensor.detach().cpu().numpy() for name, tensor in outputs.items()}

    @cached_property
    def reference(self) -> dict[str, Array]:
        """The true solution, as far as it can be had. Raises E608 where it cannot."""
        try:
            outputs = self.run({})
        except IsoclineError as problem:
            first = problem.diagnostics[0]
            span, name = self.open[0].span, str(self.open[0].attrs["field"])
            raise IsoclineError([messages.reference_failed(span, name, first.message)], self.model.source) from None
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                port = next(port for port in self.model.outputs if port.name == name)
                raise IsoclineError([messages.not_finite(port.span, f"the output `{name}`")], self.model.source)
        return outputs


def _wide(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64) if array.dtype.kind == "f" else np.asarray(array)

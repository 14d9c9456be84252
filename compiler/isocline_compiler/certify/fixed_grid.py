"""Schemes walked on tensors: the numbers of the unrolled graph in float64, without building the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Field, Integrator
from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import Interval
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.scheme import Field as SchemeField
from isocline_compiler.solvers.schemes.scheme import State, Stride, stride

Tensors: TypeAlias = "tuple[Tensor, ...]"
Choices: TypeAlias = "Mapping[Node, Discretisation]"


def walk(
    choice: Discretisation, node: Node, field: Field, initial: Tensors, stacked: Tensors, times: Tensor | None
) -> Tensors:
    """The solve on its grid: each state at the end, or at all kept times on an axis after the batch axis."""
    travelled = list(strides(choice, initial, times))
    kept = choice.grid.keep if isinstance(choice.grid, Grid) else range(0, len(travelled) + 1, choice.grid)
    path = [x for i, x in enumerate(states(choice, field, initial, stacked, travelled)) if i in set(kept)]
    interval: Interval = node.attrs["interval"]
    if not interval.everywhere:
        return path[-1]
    axes = [1 if type_.batched else 0 for type_ in node.types]
    return tuple(torch.stack(values, dim=axis) for values, axis in zip(zip(*path, strict=True), axes, strict=True))


def states(
    choice: Discretisation, field: Field, initial: Tensors, stacked: Tensors, travelled: list[Stride]
) -> Iterator[State]:
    """The states at every node of the grid, the start included."""
    x: State = initial
    memory = choice.scheme.start(_field_of(field, stacked, 0, len(travelled)), x)
    yield x
    for i, step in enumerate(travelled):
        memory, x = choice.scheme.advance(memory, _field_of(field, stacked, i, len(travelled)), step, x)
        yield x


def _field_of(field: Field, stacked: Tensors, i: int, steps: int) -> SchemeField:
    slices = tuple(item[(2 * i + 1) * len(item) // (2 * steps)] for item in stacked)

    def slopes(t: Tensor | float, x: State) -> State:
        time = t if isinstance(t, Tensor) else torch.tensor(t, dtype=x[0].dtype, device=x[0].device)
        return field(time, x, slices)

    return slopes


def strides(choice: Discretisation, initial: Tensors, times: Tensor | None) -> Iterator[Stride]:
    """The steps of a solve in order: between known times, or between those that come with the input."""
    if isinstance(choice.grid, Grid):
        nodes = zip(choice.grid.times, choice.grid.widths, choice.grid.times[1:], strict=False)
        yield from (stride(t, h, len(initial), end) for t, h, end in nodes)
        return
    assert times is not None
    for here, there in pairwise(times.unbind(-1)):
        h = (there - here) / choice.grid
        widths = tuple(h.reshape(*h.shape, *(1,) * (x.ndim - h.ndim)) for x in initial)
        inner = [here, *(here + j * h for j in range(1, choice.grid)), there]
        for t, end in pairwise(inner):
            yield Stride(t, end, h, widths)


@dataclass
class Solved:
    """One solve as the reference saw it: what went in, and what came out."""

    inputs: tuple[Tensor | None, ...]
    results: Tensors


@dataclass
class MixedIntegrator:
    """Some solves on their grids, the others by `otherwise`, asked again only when a solve's inputs have changed."""

    choices: Choices
    otherwise: Integrator
    solved: dict[Node, Solved] = field(default_factory=dict)
    seen: Callable[[Node, Field, Tensors, Tensors, Tensor | None], None] | None = None

    def __call__(
        self,
        node: Node,
        field: Field,
        initial: Tensors,
        captured: Tensors,
        stacked: Tensors,
        times: Tensor | None,
    ) -> Tensors:
        if self.seen is not None:
            self.seen(node, field, initial, stacked, times)
        if node in self.choices:
            return walk(self.choices[node], node, field, initial, stacked, times)
        inputs = (*initial, *captured, times)
        known = self.solved.get(node)
        if known is None or not _same(known.inputs, inputs):
            known = Solved(inputs, self.otherwise(node, field, initial, captured, stacked, times))
            self.solved.setdefault(node, known)
        return known.results


def _same(left: tuple[Tensor | None, ...], right: tuple[Tensor | None, ...]) -> bool:
    return all(
        a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b))
        for a, b in zip(left, right, strict=True)
    )

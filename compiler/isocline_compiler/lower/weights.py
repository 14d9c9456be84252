"""What calls share all over a file: the weights it declares, by path, the size of its ensemble, its controls."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from isocline_compiler.graph import ARGUMENT, WEIGHT, Array, Fault, Node, leaf, topological
from isocline_compiler.graph.tensor_type import Shape, TensorType
from isocline_compiler.lower.outside import Body, outside
from isocline_compiler.model import Initializer, Statistic, Weight
from isocline_dsl import messages
from isocline_dsl.messages import calls, sharing
from isocline_dsl.tree import Span

MOST_WEIGHTS = 100_000_000
"""Numbers in one array of weights: what is more does not fit into memory twice."""

Role = Literal["trained", "statistic", "running"]


@dataclass
class WeightTable:
    """Every weight and statistic of one model, in the order they are met."""

    weights: dict[str, Weight] = field(default_factory=dict)
    leaves: dict[str, Node] = field(default_factory=dict)
    statistics: dict[tuple[Node, tuple[int, ...]], tuple[Node, Node]] = field(default_factory=dict)
    fitted: list[Statistic] = field(default_factory=list)
    densities: dict[Node, Shape] = field(default_factory=dict)
    members: int | None = None
    """Samples of the ensemble that `deploy` asks for: what `over=samples` goes over where no solve has samples."""
    controls: frozenset[str] = frozenset()
    """The names that are called as functions of time."""
    bodies: list[Body] = field(default_factory=list)
    """Fields and nets of each sample that were entered: what their arguments stand for."""
    drawn: set[Node] = field(default_factory=set)
    """Values that are drawn anew for each sample and step of training."""
    alone: bool = False
    """Whether nets and fields are lowered for their mistakes only, with nothing around them."""

    def get(self, name: str, shape: tuple[int, ...], initial: Initializer, role: Role, span: Span | None) -> Node:
        """The leaf of a weight; asked for again, the same leaf."""
        count = math.prod(shape)
        if count > MOST_WEIGHTS:
            raise Fault(lambda at: calls.too_many_entries(at, name, count, MOST_WEIGHTS))
        if name not in self.leaves:
            self.weights[name] = Weight(name, shape, initial, role, span)
            self.leaves[name] = leaf(WEIGHT, name, TensorType("real", shape))
        known = self.leaves[name]
        if known.shape != shape:
            found, expected = str(list(shape)), str(list(known.shape))
            raise Fault(lambda at: messages.weight_shape_differs(at, name, found, expected))
        return known

    def statistic(self, source: Node, axes: tuple[int, ...], span: Span | None) -> tuple[Node, Node]:
        """Mean and deviation of `source`, kept along the sample axes `axes`, fitted on the training split.

        Within a field it is that of the value around it. Raises `Fault` where the source has none when it is fitted.
        """
        source = outside(source, self.bodies)
        without = [node for node in topological([source]) if node.op is ARGUMENT or node in self.drawn]
        if without and not self.alone:
            name = str(without[0].attrs["name"]).removeprefix("draw ")
            raise Fault(lambda at: messages.statistic_within(at or span, name))
        key = (source, axes)
        if key not in self.statistics:
            base = source.attrs.get("name", f"statistic_{len(self.fitted) + 1}")
            if f"{base}.mean" in self.weights:
                base = f"{base}_{len(self.fitted) + 1}"
            sample = source.type.sample
            shape = tuple(_known(sample[axis], span) for axis in axes)
            mean = self.get(f"{base}.mean", shape, _fill(0.0), "statistic", span)
            deviation = self.get(f"{base}.deviation", shape, _fill(1.0), "statistic", span)
            self.fitted.append(Statistic(source, f"{base}.mean", f"{base}.deviation", axes))
            self.statistics[key] = (mean, deviation)
        return self.statistics[key]


def _known(size: int | str, span: Span | None) -> int:
    if isinstance(size, int):
        return size
    raise Fault(lambda at: messages.symbolic_size_in_weight(at or span, size))


def _fill(value: float) -> Initializer:
    return lambda generator, shape: np.full(shape, value)


@dataclass
class LayerScope:
    """What a layer sees while it is built: a path for its weights, and whether each step has its own.

    With `steps`, a weight is stored as (steps, *shape) and the layer gets an argument of the field's region: the
    slice of the step that is being taken.
    """

    table: WeightTable
    path: str
    steps: int | None = None
    whole_split: bool = False
    span: Span | None = None
    counts: Counter[str] = field(default_factory=Counter)
    slices: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    prefix: str = ""
    function: str | None = None
    """The function whose body this is: it has no weights."""

    def begin(self, function: str, span: Span | None) -> None:
        """The next weights belong to the next `function` of this path: `f.dense`, then `f.dense_2`."""
        self.counts[function] += 1
        count = self.counts[function]
        self.prefix = f"{self.path}.{function}" + (f"_{count}" if count > 1 else "")
        self.span = span

    def weight(self, name: str, shape: Shape, initial: Initializer, role: Role = "trained") -> Node:
        """A weight of the layer being built; its sizes must be known numbers. Raises Fault within a function."""
        self._refuse_in_function(self.prefix.rpartition(".")[2])
        sizes = tuple(_known(size, self.span) for size in shape)
        path = f"{self.prefix}.{name}"
        if self.steps is None:
            return self.table.get(path, sizes, initial, role, self.span)
        if path not in self.slices:
            stacked = self.table.get(path, (self.steps, *sizes), _stack(initial), role, self.span)
            self.slices[path] = (leaf(ARGUMENT, path, TensorType("real", sizes)), stacked)
        return self.slices[path][0]

    def density(self, mean: Node, shape: Shape) -> None:
        """Say that `mean` is the mean of -log p over the entries of a sample, an array of this shape."""
        self.table.densities[mean] = shape

    def statistic(self, source: Node, axes: tuple[int, ...]) -> tuple[Node, Node]:
        """Mean and deviation of a value over the training split. Raises Fault within a function."""
        self._refuse_in_function(self.prefix.rpartition(".")[2])
        return self.table.statistic(source, axes, self.span)

    def _refuse_in_function(self, layer: str) -> None:
        if (name := self.function) is not None:
            raise Fault(lambda at: sharing.function_has_weights(at or self.span, name, f"`{layer}` has some"))


def _stack(initial: Initializer) -> Initializer:
    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.stack([initial(generator, shape[1:]) for _ in range(shape[0])])

    return draw

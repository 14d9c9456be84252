"""What is to be explained: one number S of each sample, as a function of some inputs, on the unrolled graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from isocline_compiler.derivatives.reverse_forward import pull_back, zeros_like
from isocline_compiler.graph import (
    INPUT,
    Array,
    Fault,
    Graph,
    Node,
    constant,
    leaf,
    topological,
    transform,
)
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import Parameter
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import GREATER_EQUAL, WHERE
from isocline_compiler.ops.indexing import ONE_HOT
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.reduction import ARGMAX, REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.points import at_points, enlarge, repeated
from isocline_compiler.solvers.trajectory import Trajectory
from isocline_dsl import messages

Background = Callable[[str, "int | None"], Array]
"""Samples of the training data of an input: so many, drawn once and for all, or all of them."""


@dataclass(frozen=True, eq=False)
class Points:
    """m points of each sample evaluated in one pass: their inputs, (batch m, ...), and S at each, (batch m,)."""

    count: int
    inputs: Mapping[str, Node]
    score: Node

    def split(self, node: Node) -> Node:
        """(batch m, ...) as (batch, m, ...)."""
        return SPLIT_POINTS(node, count=self.count)


@dataclass(frozen=True, eq=False)
class Problem:
    """The unrolled graph, the output that is explained, and the inputs it is explained by.

    `label` begins the names of further inputs (noise). `background` are samples of the training data. `covariance` is
    that of the declared parameters, flattened and in order, where it is known.
    """

    graph: Graph
    output: str
    wrt: tuple[str, ...]
    index: Node
    classifier: bool = False
    label: str = ""
    background: Background | None = None
    trajectories: tuple[Trajectory, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    covariance: Array | None = None
    inputs: Mapping[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", {str(node.attrs["name"]): node for node in self.graph.inputs})

    @property
    def entries(self) -> int:
        """How many entries the output of a sample has."""
        return math.prod(int(size) for size in self.graph.outputs[self.output].type.sample)

    def about(self, wrt: tuple[str, ...], label: str) -> Problem:
        """The same score with respect to these inputs; what it has computed already is kept."""
        found = replace(self, wrt=wrt, label=label)
        for shared in ("selector", "score"):
            found.__dict__[shared] = getattr(self, shared)
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a sample of an input."""
        return tuple(int(size) for size in self.inputs[name].type.sample)

    @cached_property
    def selector(self) -> Node:
        """(batch, n): 1 at the entries of the flattened output that S sums.

        The one of the index; for an index of -1 the largest when the output scores classes, else all of them.
        """
        flat = self._flat(self.graph.outputs[self.output])
        chosen = ONE_HOT(self.index, depth=self.entries)
        if self.classifier:
            default = ONE_HOT(ARGMAX(flat, axis=1), depth=self.entries)
        else:
            default = broadcast_like(constant(1.0), flat)
        given = GREATER_EQUAL(self.index, constant(0))
        return WHERE(RESHAPE(given, shape=(BATCH, 1)), chosen, default)

    @cached_property
    def score(self) -> Node:
        """S = sum(selector * flat(output)), (batch,)."""
        return self._selected(self.graph.outputs[self.output], self.selector)

    def gradients(self, score: Node, values: Sequence[Node]) -> tuple[Node, ...]:
        """dS/dv of each sample, or zeros where S does not depend on v. Raises `Fault`."""
        found = pull_back([score], [broadcast_like(constant(1.0), score)], values)
        return tuple(zeros_like(v) if g is None else g for v, g in zip(values, found, strict=True))

    def input_gradients(self) -> dict[str, Node]:
        """dS/dx of each attributed input. Raises `Fault` where S does not depend on one of them."""
        values = [self.inputs[name] for name in self.wrt]
        found = pull_back([self.score], [broadcast_like(constant(1.0), self.score)], values)
        for name, node in zip(self.wrt, found, strict=True):
            if node is None:
                raise self._independent(name)
        return {name: node for name, node in zip(self.wrt, found, strict=True) if node is not None}

    def at(self, points: Mapping[str, Node]) -> Points:
        """S at other values of some inputs, (batch, m, *input) each; the other inputs stay, and so does the entry.

        What does not depend on those inputs is computed once a sample.
        """
        count = next(int(node.size(1)) for node in points.values())
        merged = {name: MERGE_POINTS(points[name]) for name in points}
        output = self.graph.outputs[self.output]
        moving = [self.inputs[name] for name in points]
        known = {node: at_points(node, count) for node in _beside(output, moving)}
        known |= {self.inputs[name]: node for name, node in merged.items()}
        (moved,) = transform([output], enlarge(count), known)
        selector = MERGE_POINTS(repeated(self.selector, count))
        return Points(count, merged, self._selected(moved, selector))

    def noise(self, name: str, draws: int) -> Node:
        """A further input of standard normal draws for an input, (batch, draws, *input)."""
        shape = (BATCH, draws, *self.inputs[name].type.sample)
        return leaf(INPUT, f"{self.label}_noise_{name}", TensorType("real", shape))

    def _flat(self, output: Node) -> Node:
        return RESHAPE(output, shape=(output.shape[0], self.entries))

    def _selected(self, output: Node, selector: Node) -> Node:
        return REDUCE_SUM(selector * self._flat(output), axes=(1,), keepdims=False)

    def _independent(self, name: str) -> Fault:
        return Fault(lambda span: messages.nothing_to_attribute(span, self.output, name))


def _beside(output: Node, moving: Sequence[Node]) -> list[Node]:
    """The values of a sample that do not depend on `moving`, but are read together with what does, or are the output.

    One whose axes are not those of a sample (the batch is not first, or a size not known) is left to what reads it.
    """
    moved, found = set(moving), {}
    for node in topological([output], moving):
        odd = node.op is SCAN or (bool(node.inputs) and not all(isinstance(size, int) for size in node.shape[1:]))
        if odd or any(item in moved for item in node.inputs):
            moved.add(node)
            found.update(dict.fromkeys(item for item in node.inputs if item not in moved and item.type.batched))
    return list(found) if output in moved else [output]

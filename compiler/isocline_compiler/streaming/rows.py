"""Values of one iteration: what the rows of a stacked value, and of an output, are made of.

A value with an axis that counts iterations is taken apart along it: `rows(x, axis, entries)` is x with only those
entries on the axis that an iteration reads, made of the same entries of the inputs. An operation that treats the axis
entry by entry has a rule that says which entries of its arguments are read. What has none is taken whole: where it
does not depend on the loop it is computed before the first iteration, and its entries are picked by the iteration's
number; where it does, it depends on the whole path.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import CONSTANT, INPUT, Node, constant, leaf, topological
from isocline_compiler.graph.solve import PICK
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.indexing import GATHER, SELECT
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.streaming.entries import Entries
from isocline_compiler.streaming.rules import RULES

Source: TypeAlias = "Callable[[Node, int, Entries], Node]"
"""(a result of the loop, the axis of its iterations, entries) -> these entries of it. Raises WholePath."""


class WholePath(Exception):
    """A value that needs more of the path than one iteration knows."""


@dataclass(frozen=True, eq=False)
class Window:
    """What an iteration reads of an input: these `entries` along this `axis`."""

    port: Node
    axis: int
    entries: Entries


@dataclass(eq=False)
class Iteration:
    """The values of one iteration of `loop`, whose number is the value `counter`.

    `moving` are the nodes that depend on the loop, `path` the entries that an output has of this iteration, `whole` the
    names of inputs that are given before the first iteration. `stacked` gives entries of the loop's stacked results,
    `last` its states. What is computed from inputs alone is `held`, where `holding`: computed before the first
    iteration, under a name that is not `taken`.
    """

    loop: Node
    moving: set[Node]
    stacked: Source
    last: Callable[[Node], Node]
    path: Entries
    counter: Node
    whole: frozenset[str] = frozenset()
    holding: bool = True
    taken: set[str] = field(default_factory=set)
    windows: dict[Node, Window] = field(default_factory=dict)
    held: dict[Node, Node] = field(default_factory=dict)
    _known: dict[tuple[Node, int, bytes], Node] = field(default_factory=dict)
    _after: dict[Node, Node] = field(default_factory=dict)
    _first: dict[Node, Node] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------ along an axis

    def rows(self, node: Node, axis: int, entries: Entries) -> Node:
        """`node` with these entries on its axis. Raises WholePath."""
        key = node, axis, entries.key
        if key not in self._known:
            self._known[key] = self._rows(node, axis, entries)
        return self._known[key]

    def _rows(self, node: Node, axis: int, entries: Entries) -> Node:
        if node.op is CONSTANT:
            return self._of_literal(node, axis, entries)
        if node.op is INPUT and node.attrs["name"] not in self.whole:
            return self._window(node, axis, entries)
        if node.op is PICK and node.inputs[0] is self.loop:
            return self.stacked(node, axis, entries)
        rule = RULES.get(node.op)
        try:
            found = None if rule is None else rule(self, node, axis, entries)
        except WholePath:
            if node in self.moving:
                raise
            found = None
        if found is not None:
            return found
        if node in self.moving:
            raise WholePath
        return self._picked(self.before(node), axis, entries)

    def _of_literal(self, node: Node, axis: int, entries: Entries) -> Node:
        """A table of what each iteration reads of a literal, or the literal that all of them read."""
        if entries.numbers is None:
            raise WholePath
        value = node.attrs["value"]
        table = np.moveaxis(np.take(value, entries.numbers, axis=axis), axis, 0)
        if (table == table[:1]).all():
            return constant(table[0])
        return GATHER(constant(table), self.counter, axis=0)

    def _window(self, node: Node, axis: int, entries: Entries) -> Node:
        if axis == 0 and node.type.batched:
            raise WholePath
        shape = (*node.shape[:axis], entries.width, *node.shape[axis + 1 :])
        placeholder = leaf(INPUT, f"{node.attrs['name']}.{len(self.windows)}", node.type.with_shape(shape))
        self.windows[placeholder] = Window(node, axis, entries)
        return placeholder

    def _picked(self, value: Node, axis: int, entries: Entries) -> Node:
        """Entries of a value that is known before the first iteration."""
        if entries.numbers is None:
            return GATHER(value, RESHAPE(self.counter, shape=(1,)), axis=axis)
        first = entries.numbers[:1]
        same = bool((entries.numbers == first).all())
        return GATHER(value, constant(first[0]) if same else GATHER(constant(entries.numbers), self.counter, axis=0),
                      axis=axis)  # fmt: skip

    # ------------------------------------------------------------------------------------------------ whole values

    def before(self, node: Node) -> Node:
        """A value that does not depend on the loop: an input as it is, others computed before the first iteration, but
        for what only moves or repeats their entries.
        """
        read = {item for item in topological([node]) if item.op is INPUT}
        if not self.holding or node.op is INPUT or not read - {BATCH_LEAF}:
            return node
        if node.op.moves:
            return node.rebuilt(tuple(map(self.before, node.inputs)))
        if node not in self.held:
            free = (f"held_{i}" for i in itertools.count(len(self.held)))
            name = next(item for item in free if item not in self.taken)
            self.taken.add(name)
            self.held[node] = leaf(INPUT, name, node.type)
        return self.held[node]

    def first(self, node: Node, sequences: frozenset[str]) -> Node:
        """A value before the first iteration, made of the first entries of the inputs `sequences`, where no others are
        read.
        """
        if node not in self._first:
            self._first[node] = self._at_first(node, sequences)
        return self._first[node]

    def _at_first(self, node: Node, sequences: frozenset[str]) -> Node:
        if not any(item.op is INPUT and item.attrs["name"] in sequences for item in topological([node])):
            return node
        if node.op is SELECT:
            (x,) = node.inputs
            axis, index = node.attrs["axis"] % x.type.rank, node.attrs["index"]
            size = x.size(axis)
            if isinstance(size, int) or index >= 0:
                chosen = Entries(np.array([[index % size if isinstance(size, int) else index]]))
                try:
                    return SELECT(self.rows(x, axis, chosen), axis=axis, index=0)
                except WholePath:
                    pass
        return node.rebuilt(tuple(self.first(item, sequences) for item in node.inputs))

    def after(self, node: Node) -> Node:
        """A value as it is when the path ends with this iteration. Raises WholePath.

        The last entry along the axis of iterations is that of this one.
        """
        if node not in self._after:
            self._after[node] = self._after_this(node)
        return self._after[node]

    def _after_this(self, node: Node) -> Node:
        if node not in self.moving:
            return self.before(node)
        if node.op is PICK and node.inputs[0] is self.loop:
            return self.last(node)
        if node.op is SELECT:
            (x,) = node.inputs
            axis = node.attrs["axis"] % x.type.rank
            if node.attrs["index"] in (-1, _last(x, axis)):
                try:
                    return SELECT(self.rows(x, axis, self.path), axis=axis, index=0)
                except WholePath:
                    pass
        return node.rebuilt(tuple(self.after(item) for item in node.inputs))


def _last(x: Node, axis: int) -> int:
    size = x.size(axis)
    return size - 1 if isinstance(size, int) else -1


BATCH_LEAF = leaf(INPUT, "batch.rows", TensorType("real", ("batch",)))
"""Stands for what says how many samples there are, and nothing else: one number for each of them."""


def depending_on(roots: Mapping[str, Node], loop: Node) -> set[Node]:
    """The nodes that need the loop, itself among them."""
    moving = {loop}
    for node in topological(roots.values()):
        if any(item in moving for item in node.inputs):
            moving.add(node)
    return moving

"""Common subexpression elimination: equal terms -> one term."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from isocline_compiler.graph import ARGUMENT, WEIGHT, Graph, Node
from isocline_compiler.passes.rewrite import Visit, rewrite, rewritten


def share(graph: Graph) -> Graph:
    """Two nodes of one operation on the same arguments -> one node; literals are compared by their bytes.

    Arguments of regions are never merged, nor is what draws at random while training.
    """
    return rewrite(graph, _sharing())


def shared(roots: Sequence[Node], kept: Iterable[Node] = ()) -> tuple[Node, ...]:
    """The same for some values: equal ones become the very same node, those to be kept aside."""
    return rewritten(roots, _sharing(), kept)


def _sharing() -> Visit:
    table: dict[Hashable, Node] = {}
    number: dict[Node, int] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        node = node.rebuilt(inputs)
        key = None if node.op is ARGUMENT or node.op.training is not None else _key(node, number)
        found = node if key is None else table.setdefault(key, node)
        number.setdefault(found, len(number))
        return found

    return visit


def _key(node: Node, number: dict[Node, int]) -> Hashable:
    """What makes two nodes equal; None for one that is equal to itself only."""
    if node.op is WEIGHT:
        return ("weight", node.attrs["name"])
    arguments = [number.setdefault(item, len(number)) for item in node.inputs]
    if node.op.commutative:
        arguments.sort()
    attrs = tuple((key, _frozen(value)) for key, value in sorted(node.attrs.items()))
    return (node.op, tuple(arguments), attrs)


def _frozen(value: object) -> Hashable:
    """A value that compares as the attribute does."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, float):
        return (value, str(value))  # 0.0 == -0.0, yet they differ
    return value if isinstance(value, Hashable) else id(value)

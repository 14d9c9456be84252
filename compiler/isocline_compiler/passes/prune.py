"""What nothing reads -> nothing."""

from __future__ import annotations

from isocline_compiler.graph import Graph, Node, Region, topological
from isocline_compiler.passes.rewrite import rewrite, with_attrs
from isocline_compiler.solve_node import SOLVE, parts


def prune(graph: Graph) -> Graph:
    """solve(x, ...) -> the same without the captured values and stacked weights that its field does not read.

    Nothing else can be dead: a graph is what its outputs reach.
    """
    return rewrite(graph, _pruned)


def _pruned(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    return without_unread(node) if node.op is SOLVE else node


def without_unread(node: Node) -> Node:
    """A solve whose captured values and stacked weights are all read by its field."""
    region: Region = node.attrs["region"]
    roles = parts(node)
    first = 1 + len(roles.initial)
    second = first + len(roles.captured)
    read = set(topological(region.results))
    captured = _read(region.arguments[first:second], roles.captured, read)
    stacked = _read(region.arguments[second:], roles.stacked, read)
    if len(captured) == len(roles.captured) and len(stacked) == len(roles.stacked):
        return node
    arguments = (*region.arguments[:first], *(a for a, _ in captured), *(a for a, _ in stacked))
    times = () if roles.times is None else (roles.times,)
    inputs = (*roles.initial, *(v for _, v in captured), *(v for _, v in stacked), *times)
    changed = Region(arguments, region.results)
    return with_attrs(node, inputs, region=changed, captured=len(captured), stacked=len(stacked))


def _read(arguments: tuple[Node, ...], values: tuple[Node, ...], read: set[Node]) -> list[tuple[Node, Node]]:
    """The arguments that are read, each with its value."""
    return [(a, v) for a, v in zip(arguments, values, strict=True) if a in read]

"""The walk that passes share: node by node, arguments first, inside regions too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from isocline_compiler.graph import Graph, Node, Region, at, transform

Visit: TypeAlias = "Callable[[Node, tuple[Node, ...]], Node]"


def rewrite(graph: Graph, visit: Visit) -> Graph:
    """The graph with each node replaced by `visit(node, new arguments)`; the same object when nothing changed.

    Nodes that `visit` makes come from the place in the source that the node came from.
    """
    outputs = rewritten(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def rewritten(roots: Sequence[Node], visit: Visit, kept: Iterable[Node] = ()) -> tuple[Node, ...]:
    """`roots`, rewritten with all that they reach, the regions of solves included; those `kept` stay."""

    def enter(node: Node, inputs: tuple[Node, ...]) -> Node:
        with at(node.span):
            return visit(_with_regions(node, visit), inputs)

    return transform(roots, enter, {node: node for node in kept})


def _with_regions(node: Node, visit: Visit) -> Node:
    """The node with its regions rewritten, or the node itself."""
    if not any(isinstance(value, Region) for value in node.attrs.values()):
        return node
    changed: dict[str, Any] = {}
    for key, value in node.attrs.items():
        if isinstance(value, Region):
            results = rewritten(value.results, visit)
            if any(new is not old for new, old in zip(results, value.results, strict=True)):
                changed[key] = Region(value.arguments, results)
    return with_attrs(node, node.inputs, **changed) if changed else node


def with_attrs(node: Node, inputs: tuple[Node, ...], **changed: Any) -> Node:
    """The same operation on other arguments, with some attributes changed."""
    attrs = {**node.attrs, **changed}
    types = node.op.infer(*(item.type for item in inputs), **attrs)
    return Node(node.op, inputs, attrs, types if isinstance(types, tuple) else (types,), node.span)

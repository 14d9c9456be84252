"""Loop-invariant code motion: what reads neither time nor state of a field, neither state nor row of a loop, leaves."""

from __future__ import annotations

from isocline_compiler.graph import ARGUMENT, Graph, Node, Region, leaf, substitute
from isocline_compiler.graph.invariant import frontier
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE, Solve, parts
from isocline_compiler.passes.prune import without_unread
from isocline_compiler.passes.rewrite import rewrite, with_attrs


def hoist(graph: Graph) -> Graph:
    """A term of a field that depends on neither t, nor a state, nor a step's weights -> a captured value.

    `h' = tanh(h @ (W - transpose(W)))` computes `W - transpose(W)` once a solve, not once an evaluation. The same for
    the body of a scan, whose iterations differ in its states and rows.
    """
    return rewrite(graph, _hoisted)


def _hoisted(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if node.op not in (SOLVE, SCAN):
        return node
    region: Region = node.attrs["region"]
    roles = parts(node)
    first = len(roles.initial) + (node.op is SOLVE)  # a field has the time before its states
    second = first + len(roles.captured)
    moving = (*region.arguments[:first], *region.arguments[second:])
    terms = [item for item in frontier(region.results, moving) if item.inputs]
    if not terms:
        return node
    outside = substitute(terms, dict(zip(region.arguments[first:second], roles.captured, strict=True)))
    fresh = [leaf(ARGUMENT, f"hoisted{len(roles.captured) + i}", term.type) for i, term in enumerate(terms)]
    inside = Region(region.arguments, substitute(region.results, dict(zip(terms, fresh, strict=True))))
    if node.op is SOLVE:
        return without_unread(Solve.of(node).rebuilt(region=inside).with_captured(outside, fresh).node())
    changed = with_attrs(
        node,
        (*roles.initial, *roles.captured, *outside, *roles.stacked),
        region=Region((*region.arguments[:second], *fresh, *region.arguments[second:]), inside.results),
        captured=len(roles.captured) + len(terms),
    )
    return without_unread(changed)

"""Captured literals -> literals inside of the loop; rows that are all the same number -> that number."""

from __future__ import annotations

from isocline_compiler.graph import CONSTANT, Graph, Node, Region, constant, substitute
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import parts
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.passes.prune import without_unread
from isocline_compiler.passes.rewrite import rewrite, with_attrs
from isocline_compiler.passes.simplify import filled


def sink(graph: Graph) -> Graph:
    """scan(x, literal, zeros) -> a scan in whose body the literal and 0 stand, so that the rules for literals apply."""
    return rewrite(graph, _sunk)


def _sunk(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if node.op is not SCAN:
        return node
    region: Region = node.attrs["region"]
    first = len(parts(node).initial)
    second = first + len(parts(node).captured)
    known = {a: v for a, v in zip(region.arguments[first:second], node.inputs[first:second], strict=True) if _plain(v)}
    for argument, value in zip(region.arguments[second:], node.inputs[second:], strict=True):
        number = filled(value)
        same = None if number is None else _spread(number, argument, region)
        if same is not None:
            known[argument] = same
    if not known:
        return node
    changed = Region(region.arguments, substitute(region.results, known))
    return without_unread(with_attrs(node, node.inputs, region=changed))


def _plain(node: Node) -> bool:
    return node.op is CONSTANT


def _spread(number: float, row: Node, region: Region) -> Node | None:
    """The number in the shape of a row: of known sizes, or of those of another argument, since the row is to go."""
    if row.type.kind != "real":
        return None
    if all(isinstance(size, int) for size in row.shape):
        return broadcast_like(constant(number), row)
    like = next((item for item in region.arguments if item is not row and item.shape == row.shape), None)
    return None if like is None else broadcast_like(constant(number), like)

"""Whether a derivative can come back from a loss to a weight, by the operations between them."""

from __future__ import annotations

from collections.abc import Iterator

from isocline_compiler.graph import FLAT, WEIGHT, Node, regions_of


def flat_operations(losses: list[Node], trained: set[str]) -> list[str] | None:
    """None when a weight among `trained` is reached through operations that have a derivative.

    Else the names of the operations without one that stand before such a weight, none when there is no weight at all.
    """
    flat: list[str] = []
    for node in _reached(losses, into_flat=False):
        if node.op is WEIGHT and node.attrs["name"] in trained:
            return None
        if node.op.vjp == FLAT and _leads_to(node, trained):
            flat.append(node.op.name)
    return flat


def _leads_to(node: Node, trained: set[str]) -> bool:
    inner = _reached([node], into_flat=True)
    return any(item.op is WEIGHT and item.attrs["name"] in trained for item in inner)


def _reached(roots: list[Node], into_flat: bool) -> Iterator[Node]:
    """The nodes below the roots, those inside regions included, each once."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        if into_flat or node.op.vjp != FLAT:
            stack.extend(node.inputs)
            stack.extend(result for region in regions_of(node) for result in region.results)

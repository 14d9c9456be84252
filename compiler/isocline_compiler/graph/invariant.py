"""Loop-invariant values: where what moves meets what does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isocline_compiler.graph import Node, topological


def frontier(roots: Sequence[Node], moving: Iterable[Node]) -> list[Node]:
    """The nodes that do not depend on `moving`, but are read by a node that does, or are roots themselves.

    Computing these once is enough to compute `roots` for any values of `moving`.
    """
    depends = set(moving)
    found: dict[Node, None] = {}
    for node in topological(roots, tuple(depends)):
        if any(item in depends for item in node.inputs):
            depends.add(node)
            found.update((item, None) for item in node.inputs if item not in depends)
    found.update((root, None) for root in roots if root not in depends)
    return list(found)

"""Broadcasting undone and done: what nearly every derivative rule needs, in one place."""

from __future__ import annotations

from isocline_compiler.graph import Node


def sum_to(g: Node, like: Node) -> Node:
    """The gradient of an argument that was broadcast: `g` summed over the axes that broadcasting made."""
    from isocline_compiler.ops.reduction import REDUCE_SUM  # its rules use what stands here in turn

    lead = g.type.rank - like.type.rank
    if lead > 0:
        g = REDUCE_SUM(g, axes=tuple(range(lead)), keepdims=False)
    axes = tuple(i for i, size in enumerate(like.shape) if size == 1 and g.size(i) != 1)
    return REDUCE_SUM(g, axes=axes, keepdims=True) if axes else g


def broadcast_like(x: Node, like: Node) -> Node:
    """`x` repeated to the shape of `like`; reads `like` at run time only for a named size that `x` does not have."""
    if x.shape == like.shape:
        return x
    from isocline_compiler.ops.shaping import EXPAND, EXPAND_LIKE

    lead = like.type.rank - x.type.rank
    padded = (1,) * lead + x.shape
    if all(size == own or not isinstance(size, str) for size, own in zip(like.shape, padded, strict=True)):
        return EXPAND(x, shape=like.shape)
    return EXPAND_LIKE(x, like)

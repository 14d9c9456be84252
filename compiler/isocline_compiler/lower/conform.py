"""Values brought to a stated sample shape, and to the batch."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Node, constant
from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.ops.arithmetic import ADD
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.vocabulary.functions.broadcasting import align


def conform(node: Node, shape: Shape) -> Node | None:
    """`node` with sample shape `shape`; a number spreads over it. None when it does not fit."""
    if node.type.kind != "real":
        return None
    if node.type.sample == shape:
        return node
    if node.type.sample or not all(isinstance(size, int) for size in shape):
        return None
    return ADD(*align(node, constant(np.broadcast_to(0.0, [int(size) for size in shape]))))


def spread(node: Node, like: Node) -> Node:
    """`node` with the batch axis of `like`, the same values in each row."""
    return node if node.type.batched else SPREAD(node, like)

"""Constant folding, f(literals) -> literal, computed in float64."""

from __future__ import annotations

from math import prod

import numpy as np

from isocline_compiler.graph import CONSTANT, Array, Graph, Node, constant, value_of
from isocline_compiler.passes.rewrite import rewrite

_LARGEST_GROWTH = 1 << 14
"""Entries that a literal may have beyond those it is made of: a number repeated a million times stays an operation."""


def fold(graph: Graph) -> Graph:
    """f(literals) -> literal, in float64, unless it is not finite or much larger than what it is made of.

    After unrolling, whatever depends on time alone is of this kind.
    """
    return rewrite(graph, _folded)


def _folded(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if not inputs or node.op.training is not None or any(item.op is not CONSTANT for item in inputs):
        return node
    values = [array for item in inputs if (array := value_of(item)) is not None]
    if len(node.types) > 1 or not _small(node, values):
        return node
    result = _computed(node, values)
    return constant(result) if result is not None else node


def _small(node: Node, values: list[Array]) -> bool:
    sizes = [size for size in node.shape if isinstance(size, int)]
    return len(sizes) == len(node.shape) and prod(sizes) <= sum(value.size for value in values) + _LARGEST_GROWTH


def _computed(node: Node, values: list[Array]) -> Array | None:
    """The value, or None when it is not finite: then it is left to happen where the model is run, if it ever does."""
    from isocline_compiler.ops.evaluation import applied  # torch is loaded when something folds, not before

    if node.op.onnx is None:
        return None
    result = applied(node.op, values, node.attrs)
    return result if result.dtype.kind != "f" or bool(np.isfinite(result).all()) else None

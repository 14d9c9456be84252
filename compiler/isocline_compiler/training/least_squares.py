"""Recognise a loss as a sum of squares: L = w (sum of squares of residuals) + terms without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from isocline_compiler.graph import INPUT, Graph, Node, topological, value_of
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, POW, SUB
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.ops.reduction import REDUCE_MEAN, REDUCE_SUM
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, SPREAD

TRANSPARENT = frozenset({RESHAPE, SPREAD, EXPAND})
"""Operations that leave numbers as they are."""


@dataclass(frozen=True)
class Squares:
    """One term of the loss of a sample: `weight` times the sum of `node`, the squares of `count` residuals."""

    node: Node
    weight: float
    count: int


class NotSquares(Exception):
    """The loss is something else; the text says what was met."""


def sum_of_squares(
    graph: Graph, targets: frozenset[str], sizes: Mapping[str, int] | None = None
) -> tuple[Squares, ...]:
    """The terms of the loss that see a target. Raises NotSquares when one is not a sum or a mean of squares.

    Found are squares below sums, means, additions and constant factors: `mean((log(x) - log(y))^2)`,
    `0.5*sum((x - y)^2)`. `sizes` are those that have names.
    """
    loss = graph.outputs["loss"]
    seeing = _seeing(loss, targets)
    terms = tuple(_terms(loss, 1.0, seeing, sizes or {}))
    if not terms:
        raise NotSquares("no term of the loss sees a target")
    if max(term.weight for term in terms) > min(term.weight for term in terms) * (1 + 1e-9):
        raise NotSquares("the loss weighs the residuals of its terms differently")
    return terms


def _seeing(loss: Node, targets: frozenset[str]) -> set[Node]:
    """The nodes that depend on a target."""
    seeing: set[Node] = set()
    for node in topological((loss,)):
        if (node.op is INPUT and node.attrs["name"] in targets) or any(item in seeing for item in node.inputs):
            seeing.add(node)
    return seeing


def _terms(node: Node, scale: float, seeing: set[Node], sizes: Mapping[str, int]) -> list[Squares]:
    if node not in seeing:
        return []
    if node.op is ADD:
        return [term for item in node.inputs for term in _terms(item, scale, seeing, sizes)]
    if node.op is SUB:
        left, right = node.inputs
        return [*_terms(left, scale, seeing, sizes), *_terms(right, -scale, seeing, sizes)]
    if node.op in (MUL, DIV) and not _is_square(node):
        return _scaled(node, scale, seeing, sizes)
    if node.op in TRANSPARENT:
        return _terms(node.inputs[0], scale, seeing, sizes)
    return [_squares(node, scale, sizes)]


def _scaled(node: Node, scale: float, seeing: set[Node], sizes: Mapping[str, int]) -> list[Squares]:
    """A constant times a term, or a term divided by a constant."""
    left, right = node.inputs
    factor = value_of(right)
    if factor is not None and factor.size == 1:
        power = 1 if node.op is MUL else -1
        return _terms(left, scale * float(factor.reshape(())) ** power, seeing, sizes)
    factor = value_of(left)
    if node.op is MUL and factor is not None and factor.size == 1:
        return _terms(right, scale * float(factor.reshape(())), seeing, sizes)
    raise NotSquares("the loss multiplies its residuals by something that is not constant")


def _squares(node: Node, scale: float, sizes: Mapping[str, int]) -> Squares:
    """Squares below at most one sum or mean over axes of the sample."""
    inner, count = node, 1
    if node.op in (REDUCE_MEAN, REDUCE_SUM):
        inner = node.inputs[0]
        count = _reduced(inner, node, sizes)
    if not _is_square(inner) or scale <= 0:
        raise NotSquares(f"the loss is not a sum of squares: it has `{inner.op.name}` where a square would be")
    return Squares(inner, scale / count if node.op is REDUCE_MEAN else scale, count)


def _reduced(inner: Node, node: Node, sizes: Mapping[str, int]) -> int:
    reduced = [inner.size(axis) for axis in node.attrs["axes"]]
    if any(isinstance(size, str) and size not in sizes for size in reduced):
        raise NotSquares("how many residuals a sample has differs")
    return math.prod(sizes[size] if isinstance(size, str) else size for size in reduced)


def _is_square(node: Node) -> bool:
    if node.op is SQUARE:
        return True
    if node.op is MUL:
        return node.inputs[0] is node.inputs[1]
    exponent = value_of(node.inputs[1]) if node.op is POW else None
    return exponent is not None and bool((exponent == 2).all())

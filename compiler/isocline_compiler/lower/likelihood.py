"""Recognise a loss as log densities: a sum of means of -log p over the entries of a sample, and terms without data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from isocline_compiler.graph import INPUT, Node, topological, value_of
from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.model import Likelihood, LogDensity
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, SUB


def likelihood_of(terms: Iterable[Node], densities: Mapping[Node, Shape], targets: frozenset[str]) -> Likelihood | None:
    """The log densities below sums and constant factors of the terms; None when there is none.

    `densities` are the nodes that loss functions said to be such means, with the shapes of what they are means of.
    """
    pieces = [piece for term in terms for piece in _pieces(term, 1.0, densities)]
    found = tuple(LogDensity(factor, densities[node]) for node, factor in pieces if node in densities)
    if not found:
        return None
    rest = [node for node, _ in pieces if node not in densities]
    pure = all(term.factor > 0 for term in found) and not any(_sees(node, targets) for node in rest)
    return Likelihood(found, pure)


def _pieces(node: Node, factor: float, densities: Mapping[Node, Shape]) -> Iterator[tuple[Node, float]]:
    """What a sum adds, each with its constant factor."""
    if node in densities:
        yield node, factor
    elif node.op in (ADD, SUB):
        left, right = node.inputs
        yield from _pieces(left, factor, densities)
        yield from _pieces(right, factor if node.op is ADD else -factor, densities)
    elif node.op is DIV and _number(node.inputs[1]):
        yield from _pieces(node.inputs[0], factor / (_number(node.inputs[1]) or 1.0), densities)
    elif node.op is MUL and _number(node.inputs[1]) is not None:
        yield from _pieces(node.inputs[0], factor * (_number(node.inputs[1]) or 0.0), densities)
    elif node.op is MUL and _number(node.inputs[0]) is not None:
        yield from _pieces(node.inputs[1], factor * (_number(node.inputs[0]) or 0.0), densities)
    else:
        yield node, factor


def _number(node: Node) -> float | None:
    """The value of a constant that is one number."""
    value = value_of(node)
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def _sees(node: Node, targets: frozenset[str]) -> bool:
    return any(item.op is INPUT and item.attrs["name"] in targets for item in topological((node,)))

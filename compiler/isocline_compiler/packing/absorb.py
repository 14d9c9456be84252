"""y + h sum_j a_j (t_j W + b) -> Gemm(t_j, W, C = y, alpha = h a_j): what a scheme adds up, in one product or two.

Every node of ONNX costs a quarter of a microsecond, whatever its size: for few samples their number is the time. A
linear combination is one product with a matrix, or one of values side by side with matrices below each other. What a
last layer adds (b) moves through what reads the sum, where that is a product again: (y + b) W + c = y W + (b W + c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from isocline_compiler.graph import Array, Graph, Node, Nodes, Region, at, constant, topological, transform
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.linear import GEMM, LINEAR, MATMUL
from isocline_compiler.packing.combinations import Combination, Product, Side, combination, ends_of
from isocline_compiler.passes.rewrite import with_attrs

WIDEST = 32
"""Entries of a sample up to which a number times a value is a product with a multiple of the identity."""


def absorb(graph: Graph) -> Graph:
    """y + a (t W + b) -> gemm(t, W, y, alpha=a), b in what reads the sum; sums of several -> one product of them all.

    The bodies of loops too. The same object comes back when nothing changed.
    """
    outputs = absorbed(tuple(graph.outputs.values()))
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def absorbed(roots: Sequence[Node]) -> Nodes:
    """The same for some values and what they reach."""
    work = _Absorbing(roots)
    return transform(roots, work.visit)


@dataclass
class _Absorbing:
    roots: Sequence[Node]
    new: dict[Node, Node] = field(default_factory=dict)
    moved: dict[Node, Array] = field(default_factory=dict)
    """What is still to be added to a value by its readers."""

    def __post_init__(self) -> None:
        self.ends = ends_of(self.roots)
        self.readers: dict[Node, list[Node]] = {}
        for node in topological(self.roots):
            for item in dict.fromkeys(node.inputs):
                self.readers.setdefault(item, []).append(node)

    def visit(self, node: Node, inputs: Nodes) -> Node:
        with at(node.span):
            self.new[node] = found = self._changed(node, inputs)
        return found

    def _changed(self, node: Node, inputs: Nodes) -> Node:
        if node.op is SCAN:
            region: Region = node.attrs["region"]
            results = absorbed(region.results)
            if any(a is not b for a, b in zip(results, region.results, strict=True)):
                return with_attrs(node, inputs, region=Region(region.arguments, results))
        if node in self.ends:
            found = combination(node, self.ends)
            if found is not None and (product := self._written(node, found)) is not None:
                return product
        return self._reading(node, inputs)

    def _reading(self, node: Node, inputs: Nodes) -> Node:
        """A product that adds what has been moved through its argument."""
        product = Product.read(node)
        if product is None or product.of not in self.moved:
            return node.rebuilt(inputs)
        right = node.type.batched
        moved = self.moved[product.of]
        further = moved @ product.matrix if right else product.matrix @ moved
        bias = further if product.bias is None else further + product.bias.attrs["value"]
        factors = (self.new[product.of], product.literal)
        if right:
            return LINEAR(*factors, constant(bias))
        return GEMM(*factors[::-1], constant(bias), alpha=1.0)

    # ------------------------------------------------------------------------------------------------ one combination

    def _written(self, node: Node, found: Combination) -> Node | None:
        """The combination as products and at most one sum; None where it is better as it stands."""
        width = int(node.size(-1) if found.side == "right" else node.size(0))
        base = next((value for value, number in found.values.items() if number == 1), None)
        others = {value: number for value, number in found.values.items() if value is not base and number}
        if not found.products and len(others) < 2 and not (others and base):
            return None
        if others and width > WIDEST:
            return None
        for value, number in others.items():
            eye = np.eye(width)
            found.add_product(Product(value, eye, None, constant(eye)), number)
        start = None if base is None else self.new[base]
        bias = self._bias(node, found, width, base)
        if bias is not None:
            start = constant(bias) if start is None else start + constant(bias)
        return self._product(found, start)

    def _bias(self, node: Node, found: Combination, width: int, base: Node | None) -> Array | None:
        """The literal to be added here, as a row or a column; None where there is none, or readers add it."""
        shape = (width,) if found.side == "right" else (width, 1)
        bias = np.broadcast_to(found.bias, shape)
        if not bias.any():
            return None
        if base is not None and self._moves(node):
            self.moved[node] = np.array(bias)
            return None
        return np.array(bias)

    def _moves(self, node: Node) -> bool:
        """Whether every reader of a sum is a product that adds a literal, or nothing."""
        if node in self.roots:
            return False
        products = [Product.read(item) for item in self.readers[node]]
        return all(
            item is not None and item.of is node and (item.bias is None or item.bias.op.name == "constant")
            for item in products
        )

    def _product(self, found: Combination, start: Node | None) -> Node:
        """Values side by side times their matrices below each other, and what they start from."""
        right = found.side == "right"
        if len(found.products) == 1:
            ((value, matrix),) = found.products.items()
            whole, alpha = self._single(found, value, matrix, start)
            of = self.new[value]
        else:
            parts = [self.new[value] for value in found.products]
            of = CONCAT(*parts, axis=1 if right else 0)
            whole, alpha = constant(np.concatenate(list(found.products.values()), axis=0 if right else 1)), 1.0
        factors = (of, whole) if right else (whole, of)
        if start is not None:
            return GEMM(*factors, start, alpha=alpha)
        return LINEAR(*factors) if right else MATMUL(*factors)

    @staticmethod
    def _single(found: Combination, value: Node, matrix: Array, start: Node | None) -> tuple[Node, float]:
        """The matrix of a lone product and the number before it: the literal that others read, where there is one."""
        alone = found.literals[value]
        if alone is None or start is None:
            return constant(matrix), 1.0
        return alone


__all__ = ["Side", "absorb", "absorbed"]

"""Linear combinations of products with matrices, read off a graph: sum_j t_j W_j + sum_i c_i u_i + b.

A value is read as its rows lie: (batch, n), multiplied from the right, or (n, batch), multiplied from the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from isocline_compiler.graph import CONSTANT, Array, Node, constant, topological, value_of
from isocline_compiler.graph.tensor_type import TensorType, is_batch
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, SUB
from isocline_compiler.ops.linear import GEMM, LINEAR, MATMUL

Side: TypeAlias = Literal["right", "left"]
ZERO = np.zeros(())


def side_of(type_: TensorType) -> Side | None:
    """From where a matrix multiplies a value of this type; None where it is no table of samples."""
    if type_.kind != "real" or type_.rank != 2:
        return None
    first, second = type_.shape
    if isinstance(first, str) and is_batch(first) and isinstance(second, int):
        return "right"
    return "left" if isinstance(first, int) and isinstance(second, str) and is_batch(second) else None


@dataclass(frozen=True, eq=False)
class Product:
    """matrix applied to `of` from its side; `bias` is what the operation adds: a node, a literal or nothing."""

    of: Node
    matrix: Array
    bias: Node | None
    literal: Node

    @classmethod
    def read(cls, node: Node) -> Product | None:
        """A node as a product with a literal matrix; None for anything else."""
        side = side_of(node.type)
        if side is None or node.op not in (LINEAR, MATMUL, GEMM):
            return None
        of, literal = node.inputs[:2] if side == "right" else node.inputs[1::-1]
        value = value_of(literal)
        if value is None or value.ndim != 2 or side_of(of.type) != side:
            return None
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if node.attrs.get("transposed", False):
            value = value.T
        alpha = node.attrs.get("alpha", 1.0)
        plain = alpha == 1 and not node.attrs.get("transposed", False)
        return cls(of, value * alpha if alpha != 1 else value, bias, literal if plain else constant(value * alpha))


@dataclass
class Combination:
    """sum of products, of values with a number each, and a literal.

    `products` holds by multiplied value its matrix; `values` by value its coefficient; `bias` broadcasts to the result.
    `literals` are the nodes of matrices that stand alone, with the number before them.
    """

    side: Side
    products: dict[Node, Array] = field(default_factory=dict)
    values: dict[Node, float] = field(default_factory=dict)
    bias: Array = field(default_factory=lambda: ZERO)
    literals: dict[Node, tuple[Node, float] | None] = field(default_factory=dict)

    def add_product(self, product: Product, coefficient: float) -> None:
        """Products of one value are one product with the sum of the matrices."""
        scaled = coefficient * product.matrix
        if product.of in self.products:
            self.products[product.of] = self.products[product.of] + scaled
            self.literals[product.of] = None
        else:
            self.products[product.of] = scaled
            self.literals[product.of] = product.literal, coefficient

    def add_value(self, node: Node, coefficient: float) -> None:
        self.values[node] = self.values.get(node, 0.0) + coefficient


def combines(node: Node) -> bool:
    """Whether a node is a sum, a difference, or a multiple by a number, of values of its own shape or literals."""
    if side_of(node.type) is None or node.op not in (ADD, SUB, MUL, DIV, NEG):
        return False
    parts = [item for item in node.inputs if item.shape == node.shape]
    literals = [item for item in node.inputs if item.op is CONSTANT]
    if node.op in (ADD, SUB, NEG):
        return len(parts) + len(literals) == len(node.inputs) and bool(parts)
    if node.op is DIV:
        return len(parts) == 1 and parts[0] is node.inputs[0] and bool(literals) and literals[0].shape == ()
    return len(parts) == 1 and len(literals) == 1 and literals[0].shape == ()


def summands(node: Node) -> list[tuple[Node, float]]:
    """What a node that combines adds up, each with its number."""
    if node.op is NEG:
        return [(node.inputs[0], -1.0)]
    if node.op in (ADD, SUB):
        return [(node.inputs[0], 1.0), (node.inputs[1], -1.0 if node.op is SUB else 1.0)]
    literal, other = node.inputs if node.inputs[0].op is CONSTANT else node.inputs[::-1]
    number = float(literal.attrs["value"])
    return [(other, 1.0 / number if node.op is DIV else number)]


def ends_of(roots: Iterable[Node]) -> set[Node]:
    """The combinations that something else than a combination reads, or that are roots themselves."""
    found = {root for root in roots if combines(root)}
    for node in topological(roots):
        if not combines(node):
            found.update(item for item in node.inputs if combines(item))
    return found


def combination(root: Node, ends: Mapping[Node, object] | set[Node]) -> Combination | None:
    """The linear combination that a node is, down to other ends, products and further values."""
    side = side_of(root.type)
    assert side is not None, "only tables of samples are combined"
    found = Combination(side)
    open_: list[tuple[Node, float]] = summands(root)[::-1]
    while open_:
        node, coefficient = open_.pop()
        value, product = value_of(node), Product.read(node)
        if value is not None:
            if value.ndim > 2:
                return None
            found.bias = found.bias + coefficient * value
        elif product is not None:
            found.add_product(product, coefficient)
            if product.bias is not None:
                open_.append((product.bias, coefficient))
        elif node.shape != root.shape:
            return None
        elif combines(node) and node not in ends:
            open_.extend((item, coefficient * number) for item, number in summands(node)[::-1])
        else:
            found.add_value(node, coefficient)
    return found

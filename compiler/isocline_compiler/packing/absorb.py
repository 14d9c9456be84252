"""y + h sum_j a_j (t_j W + b) -> Gemm(t_j, W, C = y, alpha = h a_j): what a scheme adds up, in one product or two.

Every node of ONNX costs a quarter of a microsecond, whatever its size: for few samples their number is the time. A
linear combination is one product with a matrix, or one of values side by side with matrices below each other. What a
last layer adds (b) moves through what reads the sum, where that is a product again: (y + b) W + c = y W + (b W + c);
else it is a matrix of one row, times ones.

Products that stages Y_j = y + a_j t_j W have computed can be read off them: t_j W = (Y_j - y) / a_j. That multiplies
less where W is large, and rounds a few times at the size of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np

from isocline_compiler.graph import CONSTANT, Array, Graph, Node, Nodes, Region, at, constant, topological, transform
from isocline_compiler.graph.scan import SCAN, closed
from isocline_compiler.graph.solve import parts
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.linear import GEMM, LINEAR, MATMUL
from isocline_compiler.ops.shaping import EXPAND_LIKE
from isocline_compiler.packing.combinations import Combination, Product, Side, combination, ends_of, side_of
from isocline_compiler.packing.recovered import RECOVERED, Read
from isocline_compiler.passes.rewrite import with_attrs

WIDEST = 32
"""Entries of a sample up to which a number times a value is a product with a multiple of the identity."""
BLOCK = 128
"""Terms of a sum that onnxruntime adds up before it adds the result to a value."""
LARGEST_SHARE = 2.0
"""The most that a stage is multiplied by to read its product off it: rounding grows as much."""

NOTHING_READ: Mapping[Node, Read] = MappingProxyType({})
Ones = Callable[[Side], "Node | None"]
"""A one for each sample, (batch, 1) or (1, batch), where there is one to be had."""


def absorb(graph: Graph, *, from_stages: bool = False) -> Graph:
    """y + a (t W + b) -> gemm(t, W, y, alpha=a), b in what reads the sum; sums of several -> one product of them all.

    The bodies of loops too. With `from_stages` products that stages hold are read off them. The same object comes back
    when nothing changed.
    """
    outputs = _absorbed(tuple(graph.outputs.values()), from_stages)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def _absorbed(roots: Sequence[Node], from_stages: bool, ones: Ones | None = None) -> Nodes:
    return transform(roots, _Absorbing(roots, from_stages, ones).visit)


@dataclass(frozen=True, eq=False)
class _Stage:
    """A value y + a t W that was written: itself, y, the literal W, a, and what else was added to it."""

    itself: Node
    base: Node
    literal: Node
    number: float
    bias: Array | None


@dataclass
class _Absorbing:
    roots: Sequence[Node]
    from_stages: bool
    ones: Ones | None
    new: dict[Node, Node] = field(default_factory=dict)
    moved: dict[Node, Array] = field(default_factory=dict)
    """What is still to be added to a value by its readers."""
    stages: dict[Node, list[_Stage]] = field(default_factory=dict)
    """By what was multiplied."""
    made: dict[Side, Node] = field(default_factory=dict)

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
            return self._looping(node, inputs)
        if node in self.ends:
            found = combination(node, self.ends)
            if found is not None and (product := self._written(node, found)) is not None:
                return product
        return self._reading(node, inputs)

    def _looping(self, node: Node, inputs: Nodes) -> Node:
        region: Region = node.attrs["region"]
        again = node.rebuilt(inputs)
        results = _absorbed(region.results, self.from_stages, partial(_ones_like, parts(again).initial))
        if all(a is b for a, b in zip(results, region.results, strict=True)):
            return again
        return closed(with_attrs(node, inputs, region=Region(region.arguments, results)))

    def _reading(self, node: Node, inputs: Nodes) -> Node:
        """A product that adds what has been moved through its argument."""
        product = Product.read(node)
        if product is None or product.of not in self.moved:
            return node.rebuilt(inputs)
        right = side_of(node.type) == "right"
        further = _applied(product.matrix, self.moved[product.of], "right" if right else "left")
        bias = further if product.bias is None else further + product.bias.attrs["value"]
        factors = (self.new[product.of], product.literal)
        if right:
            return LINEAR(*factors, constant(bias)) if bias.ndim == 1 else GEMM(*factors, constant(bias), alpha=1.0)
        return GEMM(*factors[::-1], constant(bias), alpha=1.0)

    # ------------------------------------------------------------------------------------------------ one combination

    def _written(self, node: Node, found: Combination) -> Node | None:
        """The combination as products and at most one sum; None where it is better as it stands."""
        width = self._entries(node, found.side)
        for value in self.moved.keys() & found.products.keys():
            found.bias = found.bias + _applied(found.products[value], self.moved[value], found.side)
        base = next((value for value, number in found.values.items() if number == 1), None)
        others = {value: number for value, number in found.values.items() if value is not base and number}
        if not found.products and len(others) < 2 and not (others and base):
            return None
        if others and width > WIDEST:
            return None
        reads: dict[Node, Read] = {}
        if self.from_stages and not others and base is not None and len(found.products) > 1:
            others, reads = self._read_off(found, base, width)
        for value, number in others.items():
            eye = np.eye(width)
            found.add_product(Product(value, eye, None, constant(eye)), number)
        bias = self._bias(node, found, width, base)
        if base is None:
            return self._product(found, None if bias is None else constant(bias))
        if len(found.products) == 1:
            self._note(node, found, base, bias)
        return self._added(node, found, self.new[base], bias, reads)

    def _added(
        self, node: Node, found: Combination, start: Node, bias: Array | None, reads: Mapping[Node, Read]
    ) -> Node:
        """A value and what is added to it, in one product where that rounds once.

        Longer sums are added in parts, and each part is rounded at the size of the value: over many steps what is added
        hardly changes, and neither does the error. So is a literal on its own: it comes first in the product.
        """
        contracted = sum(self._entries(value, found.side) for value in found.products)
        if contracted >= BLOCK and not reads and not self._read_by_products(node):
            return start + self._product(found, None if bias is None else constant(bias))
        if bias is None:
            return self._product(found, start, reads=reads)
        ones = self._ones(found.side, start) if len(found.products) > 1 else None
        if ones is None:
            return self._product(found, start + constant(bias))
        row = bias.reshape(1, -1) if found.side == "right" else bias
        return self._product(found, start, (ones, row), reads)

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
        return self._read_by_products(node) and all(
            item is not None and (item.bias is None or item.bias.op is CONSTANT)
            for item in map(Product.read, self.readers[node])
        )

    def _read_by_products(self, node: Node) -> bool:
        """Whether a sum is a stage: nothing but products read it."""
        products = [Product.read(item) for item in self.readers.get(node, ())]
        return node not in self.roots and all(item is not None and item.of is node for item in products)

    def _ones(self, side: Side, like: Node) -> Node | None:
        if side not in self.made:
            found = _ones_like((like,), side) if self.ones is None else self.ones(side)
            if found is None:
                return None
            self.made[side] = found
        return self.made[side]

    # ------------------------------------------------------------------------------------------------ stages

    def _note(self, node: Node, found: Combination, base: Node, bias: Array | None) -> None:
        """Remember a value that is another one and one product."""
        ((value, _),) = found.products.items()
        alone = found.literals[value]
        if alone is not None:
            self.stages.setdefault(value, []).append(_Stage(node, base, alone[0], alone[1], bias))

    def _read_off(self, found: Combination, base: Node, width: int) -> tuple[dict[Node, float], dict[Node, Read]]:
        """Take products out that stages hold: a_j t_j W = r (Y_j - y), r the ratio of the numbers.

        Only where the numbers still add up to nothing when they are rounded to float32: else each step would scale y.
        """
        ratios: dict[Node, tuple[Node, float, Array | None]] = {}
        for value in found.products:
            alone = found.literals[value]
            stage = next((item for item in self.stages.get(value, []) if alone and item.literal is alone[0]), None)
            if stage is None or alone is None or stage.base is not base or self._entries(value, found.side) < width:
                continue
            ratio = alone[1] / stage.number
            if abs(ratio) <= LARGEST_SHARE:
                ratios[value] = (stage.itself, ratio, stage.bias)
        if found.products.keys() & {base, *(stage for stage, _, _ in ratios.values())}:
            return {}, {}
        numbers = [ratio for _, ratio, _ in ratios.values()]
        if not numbers or sum(map(np.float64, map(np.float32, numbers))) != np.float64(np.float32(sum(numbers))):
            return {}, {}
        reads = {}
        for value, (_, ratio, bias) in ratios.items():
            reads[value] = Read(found.products[value] / ratio, bias, ratio)
            del found.products[value], found.literals[value]
            if bias is not None:
                found.bias = found.bias - ratio * bias
        return {base: -sum(numbers), **{stage: ratio for stage, ratio, _ in ratios.values()}}, reads

    @staticmethod
    def _entries(value: Node, side: Side) -> int:
        return int(value.size(-1) if side == "right" else value.size(0))

    # ------------------------------------------------------------------------------------------------ products

    def _product(
        self,
        found: Combination,
        start: Node | None,
        further: tuple[Node, Array] | None = None,
        reads: Mapping[Node, Read] = NOTHING_READ,
    ) -> Node:
        """Values side by side times their matrices below each other, and what they start from."""
        right = found.side == "right"
        if len(found.products) == 1:
            ((value, matrix),) = found.products.items()
            whole, alpha = self._single(found, value, matrix, start)
            of = self.new[value]
        else:
            pairs = [] if further is None else [further]
            pairs += [(self.new[value], matrix) for value, matrix in found.products.items()]
            of = CONCAT(*(value for value, _ in pairs), axis=1 if right else 0)
            whole, alpha = constant(np.concatenate([matrix for _, matrix in pairs], axis=0 if right else 1)), 1.0
        factors = (of, whole) if right else (whole, of)
        if start is not None and reads:
            stages = len(reads) + 1
            kept = int(of.size(1 if right else 0)) - stages * self._entries(start, found.side)
            ts = [self.new[value] for value in reads]
            return RECOVERED(*factors, start, *ts, reads=tuple(reads.values()), kept=kept, right=right)
        if start is not None:
            return GEMM(*factors, start, alpha=alpha)
        return LINEAR(*factors) if right else MATMUL(*factors)

    @staticmethod
    def _single(found: Combination, value: Node, matrix: Array, start: Node | None) -> tuple[Node, float]:
        """The matrix of a lone product and the number before it: the literal that others read, where there is one."""
        alone = found.literals[value]
        return (constant(matrix), 1.0) if alone is None or start is None else alone


def _applied(matrix: Array, moved: Array, side: Side) -> Array:
    found: Array = moved @ matrix if side == "right" else matrix @ moved
    return found


def _ones_like(values: Sequence[Node], side: Side) -> Node | None:
    """A one for each sample of a table of samples; None where none of the values is one."""
    like = next((value for value in values if side_of(value.type) == side), None)
    if like is None:
        return None
    return EXPAND_LIKE(constant(np.ones((1, 1))), SLICE(like, axis=1 if side == "right" else 0, start=0, stop=1))


__all__ = ["absorb"]

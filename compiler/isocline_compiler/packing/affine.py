"""(r x + s) W -> x (r W) + s W: what scales and shifts the argument of a product moves into its matrix.

So do copies of a product's columns, in any order and with any signs, side by side: they are one product with other
columns. A gradient that a field splits into its parts, and turns round by a quarter, is of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array, Graph, Node, constant, value_of
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, SUB
from isocline_compiler.ops.indexing import CONCAT, SELECT, SLICE
from isocline_compiler.ops.linear import GEMM, LINEAR, MATMUL
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.packing.combinations import Product, Side, side_of
from isocline_compiler.passes.rewrite import rewrite


def gather_into_products(graph: Graph) -> Graph:
    """linear(r x + s, W) -> linear(x, r W) + s W; concat of columns of linear(x, W) -> linear(x, columns of W)."""
    return rewrite(graph, _gathered)


def _gathered(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if node.op is CONCAT:
        return _of_columns(node) or node
    product = Product.read(node)
    return node if product is None else _straight(node, product)


# ---------------------------------------------------------------------------------------------------- arguments


def _straight(node: Node, product: Product) -> Node:
    side = side_of(node.type)
    assert side is not None, "a product that was read is a table of samples"
    x, scale, shift = _affine(product.of, side)
    if x is product.of:
        return node
    matrix = scale * product.matrix if side == "left" else scale[:, None] * product.matrix
    further = shift @ product.matrix if side == "right" else (product.matrix @ shift)[:, None]
    bias = product.bias
    if further.any():
        bias = constant(further) if bias is None else bias + constant(further)
        known = None if product.bias is None else value_of(product.bias)
        bias = bias if known is None else constant(further + known)
    factors = (x, constant(matrix)) if side == "right" else (constant(matrix), x)
    if bias is None:
        return LINEAR(*factors) if side == "right" else MATMUL(*factors)
    vector = side == "right" and bias.shape == node.shape[1:]
    return LINEAR(*factors, bias) if vector else GEMM(*factors, bias, alpha=1.0)


def _affine(node: Node, side: Side) -> tuple[Node, Array, Array]:
    """(x, r, s) of r x + s, entry by entry of a sample."""
    width = int(node.shape[1] if side == "right" else node.shape[0])
    scale, shift = np.ones(width), np.zeros(width)
    while True:
        read = _one_literal(node, side, width)
        if read is None:
            return node, scale, shift
        x, factor, summand = read
        shift = shift + scale * summand
        scale = scale * factor
        node = x


def _one_literal(node: Node, side: Side, width: int) -> tuple[Node, Array, Array] | None:
    """(x, r, s) of a node that is one operation on x and a literal; None for others."""
    one, zero = np.ones(width), np.zeros(width)
    if node.op is NEG:
        return node.inputs[0], -one, zero
    if node.op not in (ADD, SUB, MUL, DIV):
        return None
    a, b = (_entries(item, side, width) for item in node.inputs)
    first, second = node.inputs
    if b is not None and first.shape == node.shape:
        if node.op is DIV:
            return (first, 1.0 / b, zero) if b.all() else None
        return (first, b, zero) if node.op is MUL else (first, one, b if node.op is ADD else -b)
    if a is not None and second.shape == node.shape and node.op is not DIV:
        return (second, a, zero) if node.op is MUL else (second, one if node.op is ADD else -one, a)
    return None


def _entries(node: Node, side: Side, width: int) -> Array | None:
    """A literal that is the same for all samples, entry by entry of a sample."""
    value = value_of(node)
    allowed: tuple[tuple[int, ...], ...] = ((), (1,), (width,), (1, width)) if side == "right" else ((), (width, 1))
    if value is None or value.shape not in allowed:
        return None
    return np.broadcast_to(value.reshape(-1), (width,))


# ---------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table (batch, n), each with a number before it."""

    of: Node
    places: Array
    numbers: Array


def columns_of(node: Node) -> Columns | None:
    """A value (batch, k) or (batch,) as columns of another; of itself where it is nothing else."""
    if node.op is NEG:
        inner = columns_of(node.inputs[0])
        return None if inner is None else Columns(inner.of, inner.places, -inner.numbers)
    if node.op is MUL:
        for number, x in (node.inputs, node.inputs[::-1]):
            value = value_of(number)
            if value is not None and value.shape == () and x.shape == node.shape:
                inner = columns_of(x)
                return None if inner is None else Columns(inner.of, inner.places, inner.numbers * float(value))
    if node.op is RESHAPE and _is_column(node.inputs[0]) and _is_column(node):
        return columns_of(node.inputs[0])
    x = node.inputs[0] if node.inputs else node
    if node.op in (SLICE, SELECT) and side_of(x.type) == "right" and node.attrs["axis"] in (1, -1):
        size = int(x.shape[1])
        chosen = slice(node.attrs.get("start"), node.attrs.get("stop"), node.attrs.get("step", 1))
        places = np.arange(size)[chosen] if node.op is SLICE else np.array([node.attrs["index"] % size])
        return Columns(x, places, np.ones(len(places)))
    if side_of(node.type) == "right":
        return Columns(node, np.arange(int(node.shape[1])), np.ones(int(node.shape[1])))
    return None


def _is_column(node: Node) -> bool:
    return node.type.batched and node.shape[1:] in ((), (1,))


def _of_columns(node: Node) -> Node | None:
    """Columns of one value side by side: a part of it, or of a product other columns of its matrix."""
    if side_of(node.type) != "right" or node.attrs["axis"] not in (1, -1):
        return None
    found = [columns_of(item) for item in node.inputs]
    sources = {item.of for item in found if item is not None}
    if len(sources) != 1 or any(item is None for item in found):
        return None
    (source,) = sources
    places = np.concatenate([item.places for item in found if item is not None])
    numbers = np.concatenate([item.numbers for item in found if item is not None])
    start = int(places[0])
    if (numbers == 1).all() and np.array_equal(places, np.arange(start, start + len(places))):
        whole = len(places) == source.shape[1]
        return source if whole else SLICE(source, axis=1, start=start, stop=start + len(places))
    product = Product.read(source)
    bias = None if product is None or product.bias is None else value_of(product.bias)
    if product is None or (product.bias is not None and bias is None):
        return None
    matrix = constant(product.matrix[:, places] * numbers)
    if bias is None:
        return LINEAR(product.of, matrix)
    row = np.broadcast_to(bias, (int(source.shape[1]),))[places]
    return LINEAR(product.of, matrix, constant(row * numbers))

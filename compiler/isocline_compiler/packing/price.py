"""What a graph is predicted to take in onnxruntime on one core, in microseconds: nodes first, then their entries.

Measured on chains of one operation: a call costs a quarter of a microsecond and more, whatever it computes. A product
with a matrix reads the matrix, and multiplies once the faster the more samples share a read. A row that is added to
each of many short rows is a loop over them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from isocline_compiler.graph import CONSTANT, Graph, Node, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK
from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.ops.activation import RELU, SIGMOID
from isocline_compiler.ops.elementwise import TANH
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.linear import GEMM, LINEAR, MATMUL
from isocline_compiler.packing.recovered import RECOVERED

CALL = 0.28
"""Microseconds of a call."""
ROUND = 1.5
"""Of an iteration of a loop."""
EACH_ROW = 0.01
"""Of a row that a shorter operand is repeated to."""
COPIED = 0.1
"""Nanoseconds of an entry that is only moved."""
READ, MULTIPLIED = 0.05e-3, 0.02e-3
"""Of an entry of a matrix that is read, and of a product that is added."""


def microseconds(graph: Graph, samples: int) -> float:
    """What a call of the graph takes on so many samples."""
    return _of(graph.outputs.values(), samples)


def _of(roots: Iterable[Node], samples: int, known: Iterable[Node] = ()) -> float:
    order = topological(roots, known)
    return sum(price(node, samples) for node in order if node.inputs) - _fused(order)


def _fused(order: list[Node]) -> float:
    """onnxruntime joins an activation to the product with a bias before it."""
    readers: dict[Node, int] = {}
    for node in order:
        for item in node.inputs:
            readers[item] = readers.get(item, 0) + 1
    joined = (
        node for node in order
        if node.op in (TANH, RELU, SIGMOID) and node.inputs[0].op in (LINEAR, GEMM)
        and len(node.inputs[0].inputs) > 2 and readers[node.inputs[0]] == 1
    )  # fmt: skip
    return CALL * sum(1 for _ in joined)


def price(node: Node, samples: int) -> float:
    """Of one operation; of a loop, all its iterations."""
    if node.op is PICK:
        return 0.0
    if node.op is SCAN:
        region, length = node.attrs["region"], node.attrs["length"]
        return (length if isinstance(length, int) else 1) * (ROUND + _of(region.results, samples, region.arguments))
    entries = _entries(node.shape, samples)
    if node.op in (LINEAR, MATMUL, GEMM, RECOVERED) and all(item.type.rank == 2 for item in node.inputs[:2]):
        literal = next((item for item in node.inputs[:2] if item.op is CONSTANT), node.inputs[1])
        contracted = _entries(node.inputs[0].shape[-1:], samples)
        return CALL + READ * _entries(literal.shape, samples) + MULTIPLIED * entries * contracted
    each = COPIED if node.op.moves or node.op is CONCAT else node.op.price
    each = each(node) if callable(each) else each
    return CALL + 1e-3 * each * entries + EACH_ROW * _short_rows(node, samples)


def _short_rows(node: Node, samples: int) -> int:
    """Rows of a result to each of which an operand is repeated that is one row itself."""
    if node.type.rank < 2:
        return 0
    row = node.shape[-1]
    repeated = any(item.shape[-1:] == (row,) and prod_of_lead(item.shape) == 1 and row != 1 for item in node.inputs)
    return _entries(node.shape[:-1], samples) if repeated else 0


def prod_of_lead(shape: Shape) -> int:
    """How many rows a value of this shape is, if all but the last axis are known; else many."""
    return prod(size if isinstance(size, int) else 2 for size in shape[:-1])


def _entries(shape: Shape, samples: int) -> int:
    return prod(size if isinstance(size, int) else samples for size in shape)

"""The sparsity of a Jacobian, found before anything is computed, and what follows from it: orders, blocks, colours.

Curtis, Powell, Reid (1974), J. Inst. Math. Appl. 13, 117-119; Cuthill, McKee (1969); Gebremedhin, Manne, Pothen (2005),
SIAM Review 47, 629-705.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from isocline_compiler.graph import Array, Node, topological, value_of
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import arithmetic, comparison, convolution, indexing, linear, pooling, reduction, shaping

MOVES = frozenset({
    shaping.RESHAPE, shaping.TRANSPOSE, shaping.EXPAND, indexing.SLICE, indexing.SELECT, indexing.PAD, indexing.CONCAT,
    indexing.ARRANGE, indexing.GATHER,
})  # fmt: skip
LINEAR = frozenset({
    linear.LINEAR, linear.MATMUL, convolution.CONV, convolution.CONV_TRANSPOSE, pooling.AVG_POOL,
    reduction.REDUCE_SUM, reduction.REDUCE_MEAN, reduction.CUMSUM,
})  # fmt: skip
ENTRYWISE = frozenset({
    arithmetic.ADD, arithmetic.SUB, arithmetic.MUL, arithmetic.DIV, arithmetic.NEG, comparison.WHERE,
    shaping.EXPAND_LIKE, shaping.SPREAD,
})  # fmt: skip
SHAPE_ONLY = frozenset({shaping.EXPAND_LIKE, shaping.SPREAD})
"""They read their last argument for its shape."""


def size_of(type_: TensorType) -> int:
    """Numbers of one sample."""
    return prod(int(size) for size in type_.sample)


AT_ONCE = 256
"""Numbers of the arguments that are followed at a time."""


def pattern(results: Sequence[Node], arguments: Sequence[Node]) -> Array:
    """Which numbers of the results read which of the arguments, (results, arguments), where the results are linear in
    them: no entry is missing, but one that is there may be zero.

    A row of the batch stands for each number of the arguments, so that operations that move entries move it.
    """
    count = sum(size_of(item.type) for item in arguments)
    order = topological(results, tuple(arguments))
    starts = range(0, count, AT_ONCE)
    columns = [_columns(results, arguments, order, np.eye(count)[start : start + AT_ONCE]) for start in starts]
    return np.concatenate(columns).T > 0


def _columns(results: Sequence[Node], arguments: Sequence[Node], order: Sequence[Node], seeds: Array) -> Array:
    """The numbers of all results that each of the seeds, rows of numbers of the arguments, reaches."""
    found: dict[Node, Array] = {}
    start = 0
    for item in arguments:
        end = start + size_of(item.type)
        found[item] = seeds[:, start:end].reshape(-1, *_sample(item.type))
        start = end
    for node in order:
        moving = [i for i, item in enumerate(node.inputs) if item in found]
        if moving and node.type.kind == "real" and not (node.op in SHAPE_ONLY and 0 not in moving):
            found[node] = (_reached(node, moving, found) > 0).astype(np.float64)
    empty = {item: np.zeros((len(seeds), size_of(item.type))) for item in results if item not in found}
    rows = [empty[item] if item in empty else found[item].reshape(len(seeds), -1) for item in results]
    return np.concatenate(rows, axis=1)


def _sample(type_: TensorType) -> tuple[int, ...]:
    return tuple(int(size) for size in type_.sample)


def _reached(node: Node, moving: Sequence[int], found: Mapping[Node, Array]) -> Array:
    """What a node reads, from what its arguments read."""
    given = [found[node.inputs[i]] for i in moving]
    rows = len(given[0])
    whole = np.zeros((rows, *_sample(node.type)))
    if node.type.batched and all(node.inputs[i].type.batched for i in moving):
        if node.op in ENTRYWISE:
            if node.op is arithmetic.MUL and len(moving) == 1:
                return given[0] * _magnitude(node.inputs[1 - moving[0]]) + whole
            return sum(given, whole)
        known = node.op is not indexing.GATHER or value_of(node.inputs[1]) is not None
        if (node.op in MOVES and known) or (node.op in LINEAR and len(moving) == 1):
            from isocline_compiler.ops.evaluation import (
                applied,
            )  # torch is loaded when a Jacobian is wanted, not before

            arrays = [found[x] if x in found else _beside(node, x, rows) for x in node.inputs]
            return applied(node.op, arrays, node.attrs)
    every = sum((item.reshape(rows, -1).any(1) for item in given), np.zeros(rows))
    return whole + every.reshape(-1, *(1,) * (whole.ndim - 1))


def _beside(node: Node, x: Node, rows: int) -> Array:
    """An argument that reads nothing: a factor, of which zeros are known, or entries of their own."""
    shape = (rows, *_sample(x.type)) if x.type.batched else _sample(x.type)
    factor = node.op in LINEAR and x in node.inputs[:2]
    known = value_of(x)
    if known is not None and known.dtype.kind == "i":
        return known
    return np.broadcast_to(_magnitude(x), shape).copy() if factor else np.zeros(shape)


def _magnitude(x: Node) -> Array:
    """1, but 0 for the numbers that are known to be zero."""
    known = value_of(x)
    return np.ones(()) if known is None else (known != 0).astype(np.float64)


# ---------------------------------------------------------------------------------------------------- what follows


@dataclass(frozen=True, eq=False)
class Sparsity:
    """The pattern of a square matrix, (n, n), in an order of its rows and columns in which it is narrow."""

    entries: Array

    @cached_property
    def order(self) -> Array:
        """The numbers from the first to the last: reverse Cuthill-McKee, unless they stand well as they are."""
        joint = csr_array((self.entries | self.entries.T).astype(np.int8))
        narrow = np.asarray(reverse_cuthill_mckee(joint, symmetric_mode=True))
        given = np.arange(len(self.entries))
        return given if self._width(given) <= self._width(narrow) else narrow

    @cached_property
    def width(self) -> int:
        """How far from the diagonal the last entry is."""
        return self._width(self.order)

    def _width(self, order: Array) -> int:
        rows, columns = np.nonzero(self.entries[np.ix_(order, order)])
        return int(np.abs(rows - columns).max(initial=0))

    @cached_property
    def colours(self) -> Array:
        """A colour for each column, so that columns of one colour have no row in common: the fewest that are found by
        giving each the first that is free.
        """
        shared = csr_array(self.entries.astype(np.int64))
        beside = (shared.T @ shared).tocsr()
        found = np.full(len(self.entries), -1)
        for column in self.order:
            near = beside.indices[beside.indptr[column] : beside.indptr[column + 1]]
            taken = set(found[near].tolist())
            found[column] = next(colour for colour in range(len(found) + 1) if colour not in taken)
        return found

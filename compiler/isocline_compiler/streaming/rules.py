"""Operations that treat an axis entry by entry: which entries of their arguments are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node, Op, value_of
from isocline_compiler.graph.tensor_type import Size
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.arithmetic import ARITHMETIC
from isocline_compiler.ops.comparison import COMPARISON
from isocline_compiler.ops.elementwise import ELEMENTWISE
from isocline_compiler.ops.indexing import ARRANGE, CONCAT, GATHER, ONE_HOT, PAD, SELECT, SLICE
from isocline_compiler.ops.linear import LINEAR, MATMUL
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.normalisation import LOG_SOFTMAX, LOGSUMEXP, SOFTMAX
from isocline_compiler.ops.ordering import SORT
from isocline_compiler.ops.points import MEMBERS, MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.reduction import (
    ARGMAX,
    CUMSUM,
    REDUCE_MAX,
    REDUCE_MEAN,
    REDUCE_MIN,
    REDUCE_PROD,
    REDUCE_SUM,
)
from isocline_compiler.ops.shaping import EXPAND, EXPAND_LIKE, FLIP, RESHAPE, SPREAD, TRANSPOSE
from isocline_compiler.streaming.entries import Entries, Reading
from isocline_compiler.streaming.points import points_at

Rule: TypeAlias = "Callable[[Reading, Node, int, Entries], Node | None]"
"""(what reads, node, its axis, entries) -> the node with these entries; None where it needs others besides."""


def _broadcast(of: Reading, node: Node, axis: int, entries: Entries) -> Node:
    """Arguments have the axis, counted from the last, or are the same for all of its entries."""
    return node.op(*(_aligned(of, node, axis, entries, x) for x in node.inputs), **node.attrs)


def _aligned(of: Reading, node: Node, axis: int, entries: Entries, x: Node) -> Node:
    at = axis - (node.type.rank - x.type.rank)
    if at < 0 or (x.size(at) == 1 and node.size(axis) != 1):
        return of.after(x)
    return of.rows(x, at, entries)


def _matmul(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Rows of the first matrix, columns of the second, or pairs of matrices."""
    a, b = node.inputs
    if a.type.rank < 2 or b.type.rank < 2:
        return None
    if axis == node.type.rank - 2:
        return MATMUL(of.rows(a, a.type.rank - 2, entries), of.after(b))
    if axis == node.type.rank - 1:
        return MATMUL(of.after(a), of.rows(b, b.type.rank - 1, entries))
    return _broadcast(of, node, axis, entries)


def _linear(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    if axis == node.type.rank - 1:
        return None
    x, *others = node.inputs
    return LINEAR(of.rows(x, axis, entries), *map(of.after, others), **node.attrs)


def _transpose(of: Reading, node: Node, axis: int, entries: Entries) -> Node:
    return TRANSPOSE(of.rows(node.inputs[0], node.attrs["perm"][axis], entries), **node.attrs)


def _reshape(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """The axis stays where as many entries stand before it, and it is as long; or it is the first of two that an axis
    is split into, of which an entry has `each` entries there.
    """
    (x,) = node.inputs
    shape = (*node.shape[:axis], entries.width, *node.shape[axis + 1 :])
    for at in range(x.type.rank):
        if _counted(x.shape[:at]) != _counted(node.shape[:axis]):
            continue
        if x.size(at) == node.size(axis):
            return RESHAPE(of.rows(x, at, entries), shape=shape)
        count, whole = node.size(axis), x.size(at)
        if isinstance(count, int) and isinstance(whole, int) and node.shape[axis + 1 : axis + 2] == (whole // count,):
            split = entries.through(np.arange(whole).reshape(count, -1))
            return None if split is None else RESHAPE(of.rows(x, at, split), shape=shape)
    return None


def _counted(sizes: tuple[Size, ...]) -> tuple[int, list[str]]:
    return prod(x for x in sizes if isinstance(x, int)), sorted(x for x in sizes if isinstance(x, str))


def _expand(of: Reading, node: Node, axis: int, entries: Entries) -> Node:
    shape = (*node.shape[:axis], entries.width, *node.shape[axis + 1 :])
    return EXPAND(_aligned(of, node, axis, entries, node.inputs[0]), shape=shape)


def _expand_like(of: Reading, node: Node, axis: int, entries: Entries) -> Node:
    x, like = node.inputs
    return EXPAND_LIKE(_aligned(of, node, axis, entries, x), of.rows(like, axis, entries))


def _spread(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    x, like = node.inputs
    return SPREAD(of.rows(x, axis - 1, entries), of.after(like)) if axis else None


def _flip(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    (x,) = node.inputs
    if axis != node.attrs["axis"] % node.type.rank:
        return FLIP(of.rows(x, axis, entries), **node.attrs)
    size = x.size(axis)
    turned = entries.through(np.arange(size)[::-1]) if isinstance(size, int) else None
    return None if turned is None else of.rows(x, axis, turned)


def _slice(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    (x,) = node.inputs
    if axis != node.attrs["axis"] % node.type.rank:
        return SLICE(of.rows(x, axis, entries), **node.attrs)
    size = x.size(axis)
    assert isinstance(size, int), "an axis of which a part is taken has a known length"
    chosen = np.arange(size)[slice(node.attrs["start"], node.attrs["stop"], node.attrs.get("step", 1))]
    moved = entries.through(chosen)
    return None if moved is None else of.rows(x, axis, moved)


def _select(of: Reading, node: Node, axis: int, entries: Entries) -> Node:
    (x,) = node.inputs
    at = node.attrs["axis"] % x.type.rank
    return SELECT(of.rows(x, axis + (at <= axis), entries), axis=at, index=node.attrs["index"])


def _concat(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Parts beside one another, or one part of those behind one another that every iteration reads."""
    at = node.attrs["axis"] % node.type.rank
    if axis != at:
        return CONCAT(*(of.rows(x, axis, entries) for x in node.inputs), axis=at)
    start = 0
    for x in node.inputs:
        size = x.size(axis)
        if not isinstance(size, int) or entries.numbers is None:
            return of.rows(x, axis, entries) if len(node.inputs) == 1 else None
        if entries.numbers.min() >= start and entries.numbers.max() < start + size:
            return of.rows(x, axis, Entries(entries.numbers - start))
        start += size
    return None


def _pad(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    return None if any(node.attrs["pads"][axis]) else PAD(of.rows(node.inputs[0], axis, entries), **node.attrs)


def _gather(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Entries by numbers that are known, one after another or in rows."""
    x, indices = node.inputs
    at, numbers = node.attrs["axis"] % x.type.rank, value_of(indices)
    if numbers is None:
        return None
    if axis < at or axis >= at + numbers.ndim:
        return GATHER(of.rows(x, axis if axis < at else axis - numbers.ndim + 1, entries), indices, axis=at)
    chosen = entries.through(_positive(numbers, x.size(at))) if axis == at else None
    if chosen is None:
        return None
    found = of.rows(x, at, chosen)
    return RESHAPE(found, shape=(*x.shape[:at], entries.width, *numbers.shape[1:], *x.shape[at + 1 :]))


def _positive(numbers: Array, size: Size) -> Array:
    return np.where(numbers < 0, numbers + size, numbers) if isinstance(size, int) else numbers


def _lookup(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Rows of a table at times that are known: which rows these are is known too."""
    table, knots, t = node.inputs
    known, times, attrs = value_of(knots), value_of(t), node.attrs
    lead = int(table.type.batched)
    if not attrs.get("listed") or known is None or times is None or axis != lead:
        return None
    inner = known[1:] if attrs["last"] else known[1:-1]
    pieces = (inner[None] <= times[:, None]).sum(1)
    chosen = entries.through(np.maximum(pieces[:, None] + np.array(attrs["offsets"]), 0))
    if chosen is None:
        return None
    shape = (*table.shape[:lead], entries.width, len(attrs["offsets"]), *table.shape[lead + 1 :])
    return RESHAPE(of.rows(table, lead, chosen), shape=shape)


def _reduction(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Over other axes."""
    (x,) = node.inputs
    rank = x.type.rank
    over = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
    dropped = {i % rank for i in over}
    kept = node.attrs.get("keepdims", False) if node.op is not ARGMAX else False
    at = axis if kept else [i for i in range(rank) if i not in dropped][axis]
    return None if at in dropped else node.op(of.rows(x, at, entries), **node.attrs)


def _along_another(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    own = node.attrs.get("axis", -1) % node.type.rank
    return None if axis == own else node.op(of.rows(node.inputs[0], axis, entries), **node.attrs)


def _one_hot(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    return None if axis == node.type.rank - 1 else ONE_HOT(of.rows(node.inputs[0], axis, entries), **node.attrs)


def _merge_points(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    return MERGE_POINTS(of.rows(node.inputs[0], axis + 1, entries)) if axis else None


def _split_points(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    """Entries of a point, or of the points themselves, which are samples within."""
    (x,) = node.inputs
    if axis > 1:
        return SPLIT_POINTS(of.rows(x, axis - 1, entries), **node.attrs)
    found = points_at(of, x, node.attrs["count"], entries) if axis else None
    return None if found is None else SPLIT_POINTS(found, count=entries.width)


def _members(of: Reading, node: Node, axis: int, entries: Entries) -> Node | None:
    at: Any = node.attrs["axis"]
    return None if axis == at else MEMBERS(of.rows(node.inputs[0], axis - (axis > at), entries), **node.attrs)


RULES: Mapping[Op, Rule] = {
    **dict.fromkeys((*ARITHMETIC, *ELEMENTWISE, *ACTIVATION, *COMPARISON), _broadcast),
    **dict.fromkeys(
        (REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, ARGMAX, LOGSUMEXP), _reduction
    ),
    **dict.fromkeys((SOFTMAX, LOG_SOFTMAX, CUMSUM, SORT, ARRANGE), _along_another),
    MATMUL: _matmul, LINEAR: _linear, TRANSPOSE: _transpose, RESHAPE: _reshape, EXPAND: _expand,
    EXPAND_LIKE: _expand_like, SPREAD: _spread, FLIP: _flip, SLICE: _slice, SELECT: _select, CONCAT: _concat,
    PAD: _pad, GATHER: _gather, LOOKUP: _lookup, ONE_HOT: _one_hot, MERGE_POINTS: _merge_points,
    SPLIT_POINTS: _split_points, MEMBERS: _members,
}  # fmt: skip
"""By operation; of any other the whole is needed."""

__all__ = ["RULES", "Rule"]

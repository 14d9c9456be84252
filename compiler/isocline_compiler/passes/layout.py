"""The rules of `simplify` for operations that only move entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from isocline_compiler.graph import Fault, Node, Op
from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.ops.indexing import CONCAT, PAD, SELECT, SLICE
from isocline_compiler.ops.reduction import REDUCE_MAX, REDUCE_MEAN, REDUCE_MIN, REDUCE_PROD, REDUCE_SUM
from isocline_compiler.ops.shaping import EXPAND, EXPAND_LIKE, RESHAPE, TRANSPOSE


def _reshaped(x: Node, shape: Shape) -> Node | None:
    """`x` in another shape, or None when named sizes would have to change places."""
    try:
        return x if x.shape == shape else RESHAPE(x, shape=shape)
    except Fault:
        return None


def _reshape(node: Node) -> Node | None:
    x = node.inputs[0]
    if x.shape == node.shape:
        return x
    return _reshaped(x.inputs[0], node.shape) if x.op is RESHAPE else None


def _transpose(node: Node) -> Node | None:
    x, perm = node.inputs[0], node.attrs["perm"]
    if list(perm) == sorted(perm):
        return x
    if x.op is TRANSPOSE:
        return TRANSPOSE(x.inputs[0], perm=tuple(x.attrs["perm"][i] for i in perm))
    return None


def _expand(node: Node) -> Node | None:
    x = node.inputs[0]
    if x.shape == node.shape:
        return x
    return EXPAND(x.inputs[0], shape=node.shape) if x.op is EXPAND else None


def _expand_like(node: Node) -> Node | None:
    return node.inputs[0]  # kept only when nothing was repeated: a result keeps its type


def _unchanged(node: Node) -> Node | None:
    """No margin to pad, no axis to reduce."""
    margins, axes = node.attrs.get("pads"), node.attrs.get("axes")
    idle = not any(map(any, margins)) if margins is not None else not axes
    return node.inputs[0] if idle else None


def _concat(node: Node) -> Node | None:
    """One part is itself; parts that are concatenations along the same axis join it."""
    axis = node.attrs["axis"] % node.type.rank
    if len(node.inputs) == 1:
        return node.inputs[0]
    if not any(_joins(item, axis) for item in node.inputs):
        return None
    parts = [part for item in node.inputs for part in (item.inputs if _joins(item, axis) else (item,))]
    return CONCAT(*parts, axis=axis)


def _joins(node: Node, axis: int) -> bool:
    return node.op is CONCAT and node.attrs["axis"] % node.type.rank == axis


def _part_at(parts: Sequence[Node], axis: int, index: int) -> tuple[Node, int] | None:
    """The part that entry `index` of a concatenation lies in, and its index there."""
    for part in parts:
        size = part.size(axis)
        if not isinstance(size, int):
            return None
        if index < size:
            return part, index
        index -= size
    return None


def _select(node: Node) -> Node | None:
    """An entry of a concatenation is an entry of one part; the only entry of an axis is the whole, reshaped."""
    x = node.inputs[0]
    axis, size = node.attrs["axis"] % x.type.rank, x.size(node.attrs["axis"])
    if size == 1:
        return _reshaped(x, node.shape)
    if not _joins(x, axis) or not isinstance(size, int):
        return None
    found = _part_at(x.inputs, axis, node.attrs["index"] % size)
    return None if found is None else SELECT(found[0], axis=axis, index=found[1])


def _entries_of(node: Node, size: int) -> range:
    return range(*slice(node.attrs["start"], node.attrs["stop"], node.attrs.get("step", 1)).indices(size))


def _turns(node: Node) -> bool:
    """A slice of all entries in the opposite order."""
    size = node.inputs[0].size(node.attrs["axis"]) if node.op is SLICE else None
    return isinstance(size, int) and _entries_of(node, size) == range(size)[::-1]


def _slice(node: Node) -> Node | None:
    """All entries in order are the whole, turned twice as well; a slice within one part of a concatenation is one of
    that part.
    """
    x, axis = node.inputs[0], node.attrs["axis"] % node.type.rank
    size = x.size(axis)
    if not isinstance(size, int):
        return None
    chosen = _entries_of(node, size)
    if chosen == range(size):
        return x
    if _turns(node) and _turns(x) and x.attrs["axis"] % x.type.rank == axis:
        return x.inputs[0]
    if not _joins(x, axis) or not chosen or chosen.step != 1:
        return None
    first, last = _part_at(x.inputs, axis, chosen[0]), _part_at(x.inputs, axis, chosen[-1])
    if first is None or last is None or first[0] is not last[0] or last[1] - first[1] != len(chosen) - 1:
        return None
    return SLICE(first[0], axis=axis, start=first[1], stop=last[1] + 1)


def joined(node: Node) -> Node | None:
    """A sum of two values among zeros, the second beginning where the first ends, is their concatenation among zeros.

    It is what the entries of a value that were read one by one pass back to it.
    """
    margins = [(margin, item.inputs[0]) for item in node.inputs if (margin := _margin(item)) is not None]
    if len(margins) < 2 or any(item.shape != node.shape for item in node.inputs):
        return None
    ((axis, before, _), first), ((other, middle, after), second) = sorted(margins, key=lambda item: item[0])
    if axis != other or before + int(first.size(axis)) != middle:
        return None
    both = CONCAT(first, second, axis=axis)
    pads = tuple((before, after) if i == axis else (0, 0) for i in range(node.type.rank))
    return PAD(both, pads=pads, value=0.0) if before or after else both


def _margin(node: Node) -> tuple[int, int, int] | None:
    """(axis, before, after) of a value with zeros along one axis."""
    if node.op is not PAD or node.attrs["value"] != 0:
        return None
    found = [(axis, *pair) for axis, pair in enumerate(node.attrs["pads"]) if any(pair)]
    return found[0] if len(found) == 1 else None


LAYOUT: Mapping[Op, Callable[[Node], Node | None]] = {
    RESHAPE: _reshape,
    TRANSPOSE: _transpose,
    EXPAND: _expand,
    EXPAND_LIKE: _expand_like,
    CONCAT: _concat,
    SELECT: _select,
    SLICE: _slice,
    PAD: _unchanged,
    REDUCE_SUM: _unchanged,
    REDUCE_MEAN: _unchanged,
    REDUCE_MAX: _unchanged,
    REDUCE_MIN: _unchanged,
    REDUCE_PROD: _unchanged,
}

"""`x[0]`, `x[1:3, -1]`: on the axes of one sample, with positions known while compiling."""

from __future__ import annotations

from isocline_compiler.graph import Node
from isocline_compiler.graph.scan import last_row
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.ops.indexing import SELECT, SLICE
from isocline_compiler.ops.shaping import TRANSPOSE
from isocline_dsl import messages
from isocline_dsl.tree import Expression, Slice, Span


def index_node(node: Node, items: tuple[Expression | Slice, ...], numbers: Numbers) -> Node:
    """Indices drop their axis, slices keep it; a missing item keeps its axis whole.

    Raises LowerError for too many items and for positions outside the axis.
    """
    if len(items) > len(node.type.sample):
        raise LowerError(messages.too_many_indices(items[-1].span, describe(node.type), len(items)))
    axis = 1 if node.type.batched else 0
    for item in items:
        if isinstance(item, Slice):
            node = _sliced(node, axis, item, numbers)
            axis += 1
        else:
            size = node.size(axis)
            index = _position(numbers.integer(item), size, item.span)
            kept = _kept(node, axis) if index in (-1, size - 1 if isinstance(size, int) else -1) else None
            node = SELECT(node, axis=axis, index=index) if kept is None else kept
    return node


def _kept(node: Node, axis: int) -> Node | None:
    """The last state of a scan, which it gives besides all of them; None for anything else."""
    batched = node.op is TRANSPOSE and node.attrs["perm"][:2] == (1, 0)
    return last_row(node.inputs[0] if batched else node) if axis == int(batched) else None


def _sliced(node: Node, axis: int, item: Slice, numbers: Numbers) -> Node:
    if item.start is None and item.stop is None and item.step is None:
        return node
    size = node.size(axis)
    if not isinstance(size, int):
        raise LowerError(messages.slice_of_symbolic_axis(item.span, size))
    step = 1 if item.step is None else numbers.integer(item.step)
    if step < 1:
        raise LowerError(messages.bad_slice_step(item.span, step))
    start, stop, _ = slice(_optional(item.start, numbers), _optional(item.stop, numbers)).indices(size)
    if stop <= start:
        raise LowerError(messages.empty_slice(item.span, size))
    return SLICE(node, axis=axis, start=start, stop=stop, step=step)


def _optional(expression: Expression | None, numbers: Numbers) -> int | None:
    return None if expression is None else numbers.integer(expression)


def _position(index: int, size: int | str, span: Span) -> int:
    if not isinstance(size, int):
        if index in (0, -1):
            return index
        raise LowerError(messages.slice_of_symbolic_axis(span, size))
    if not -size <= index < size:
        raise LowerError(messages.index_out_of_range(span, index, size))
    return index % size


def first(node: Node) -> Node:
    """real[1] as the number it holds."""
    return SELECT(node, axis=node.type.rank - 1, index=0)

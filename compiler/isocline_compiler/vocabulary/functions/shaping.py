"""Joining, cutting and rearranging arrays, and arrays of constants. Axes are those of one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.tensor_type import BATCH, Size, TensorType, describe
from isocline_compiler.ops.indexing import CONCAT, GATHER, ONE_HOT, PAD
from isocline_compiler.ops.shaping import EXPAND, FLIP, TRANSPOSE
from isocline_compiler.vocabulary.functions.broadcasting import (
    align,
    as_real,
    graph_axis,
    insert_axis,
    known_sample,
    known_size,
    offset,
    reshape_sample,
    sample_axes,
    sample_axis,
    sample_rank,
    spread,
)
from isocline_compiler.vocabulary.functions.kinds import MOST, Axes, Axis, Count, Integer, Paddings, Real, Sizes, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl.messages import calls

MOST_LISTED = 1_000_000
"""Of numbers that differ, which are kept one by one from the beginning."""


def concat(x: Value, *others: Value, axis: Axis = 0) -> Node:
    """Join along an existing axis. A single number counts as an array of one.

    Example: concat(x, y, t)
    """
    nodes = _of_one_kind(*(_at_least_one_axis(value) for value in (x, *others)))
    place = sample_axis("concat", nodes[0], axis)
    for other in nodes[1:]:
        _check_beside("concat", nodes[0], other, place)
    return CONCAT(*nodes, axis=place + offset(nodes[0]))


def stack(x: Value, *others: Value, axis: Axis = 0) -> Node:
    """Join along a new axis; all values have the same shape.

    Example: stack(x, y, axis=-1)
    """
    nodes = _of_one_kind(x, *others)
    for other in nodes[1:]:
        _check_beside("stack", nodes[0], other, None)
    place = _new_axis("stack", nodes[0], axis)
    return CONCAT(*(insert_axis(node, place) for node in nodes), axis=place + offset(nodes[0]))


def _new_axis(callee: str, x: Node, axis: int) -> int:
    """Where a new axis goes, counted from 0; -1 makes it the last one."""
    rank = sample_rank(x)
    if not -rank - 1 <= axis <= rank:
        raise Fault(lambda span: calls.no_such_axis(span, callee, axis, describe(x.type), rank + 1))
    return axis % (rank + 1)


def _at_least_one_axis(x: Node) -> Node:
    return x if sample_rank(x) else insert_axis(x, 0)


def _of_one_kind(*nodes: Node) -> tuple[Node, ...]:
    """All with a batch axis if one has it; all real unless all are of the same kind."""
    if len({node.type.kind for node in nodes}) > 1:
        nodes = tuple(map(as_real, nodes))
    return spread(*nodes)


def _check_beside(callee: str, first: Node, other: Node, free: int | None) -> None:
    """The two have the same sample shape, except along the axis `free`."""
    left, right = (tuple(s for i, s in enumerate(n.type.sample) if i != free) for n in (first, other))
    if left != right or sample_rank(first) != sample_rank(other):
        rule = "all shapes must be equal" if free is None else f"all sizes must be equal, except along the axis {free}"
        raise Fault(lambda span: calls.shapes_differ(span, callee, describe(first.type), describe(other.type), rule))


def reshape(x: Value, *sizes: Integer) -> Node:
    """The same entries, last axis fastest, in another shape; one size may be -1 and is found from the others.

    Example: reshape(x, 2, 2)
    """
    count = math.prod(known_sample("reshape", x))
    known = math.prod(size for size in sizes if size != -1)
    filled = tuple(count // known if size == -1 and known > 0 else size for size in sizes)
    if math.prod(filled) != count or sizes.count(-1) > 1 or any(size < 1 for size in filled):
        raise Fault(lambda span: calls.reshape_count(span, describe(x.type), str(list(sizes))))
    return reshape_sample(x, filled)


def flatten(x: Value) -> Node:
    """All entries of a sample along one axis, last axis fastest.

    Example: image |> flatten
    """
    return reshape_sample(x, (math.prod(known_sample("flatten", x)),))


def transpose(x: Value, *axes: Axis) -> Node:
    """The axes in another order; reversed when none is given.

    Example: transpose(image, 1, 2, 0)
    """
    order = sample_axes("transpose", x, axes or tuple(reversed(range(sample_rank(x)))))
    if len(order) != sample_rank(x):
        wanted = f"each of the {sample_rank(x)} axes of {describe(x.type)} once"
        raise Fault(lambda span: calls.wrong_argument(span, "transpose", "axes", wanted, str(list(axes))))
    first = (0,) * offset(x)
    return TRANSPOSE(x, perm=(*first, *(axis + offset(x) for axis in order)))


def pad(x: Value, count: Paddings, before: Paddings = (0,), axis: Axis = -1, value: Real = 0.0) -> Node:
    """Append `count` zeros along an axis, and put `before` zeros in front of it.

    A state with appended zeros is an augmented neural ODE.

    Example: pad(x, 3)

    Dupont, Doucet, Teh (2019).
    """
    place = graph_axis("pad", x, axis)
    widths = [(0, 0)] * x.type.rank
    widths[place] = (before[0], count[0])
    return PAD(as_real(x), pads=tuple(widths), value=value)


def squeeze(x: Value, axes: Axes | None = None) -> Node:
    """Drop axes of size 1: the given ones, or all.

    Example: mean(series, axis=0, keep=true) |> squeeze
    """
    shape = x.type.sample
    drop = [i for i, size in enumerate(shape) if size == 1] if axes is None else sample_axes("squeeze", x, axes)
    wide = [axis for axis in drop if shape[axis] != 1]
    if wide:
        found = f"{describe(x.type)}, of size {shape[wide[0]]} along the axis {wide[0]}"
        raise Fault(lambda span: calls.wrong_rank(span, "squeeze", "axes of size 1", found))
    return reshape_sample(x, tuple(size for i, size in enumerate(shape) if i not in drop))


def unsqueeze(x: Value, axis: Axis = 0) -> Node:
    """A new axis of size 1.

    Example: unsqueeze(x, -1)
    """
    return insert_axis(x, _new_axis("unsqueeze", x, axis))


def broadcast_to(x: Value, *sizes: Sizes) -> Node:
    """Repeat along missing axes and axes of size 1 until the sample has this shape.

    Example: broadcast_to(x, 3, 4)
    """
    (beside,) = align(x) if sample_rank(x) >= len(sizes) else (_raise_to(x, len(sizes)),)
    check_entries("broadcast_to", *(size for size in sizes if isinstance(size, int)))
    shape = (BATCH, *sizes) if x.type.batched else tuple(sizes)
    if any(have not in (1, want) for have, want in zip(beside.shape, shape, strict=False)) or len(beside.shape) != len(
        shape
    ):
        target = describe(TensorType(x.type.kind, tuple(sizes)))
        raise Fault(
            lambda span: calls.shapes_differ(
                span, "broadcast_to", describe(x.type), target, "a size may only grow from 1"
            )
        )
    return EXPAND(beside, shape=shape)


def _raise_to(x: Node, rank: int) -> Node:
    return reshape_sample(x, (1,) * (rank - sample_rank(x)) + x.type.sample)


def reverse(x: Value, axis: Axis = 0) -> Node:
    """The entries along an axis in the opposite order.

    Example: reverse(series)
    """
    place = graph_axis("reverse", x, axis)
    size = x.size(place)
    if not isinstance(size, int):
        return FLIP(x, axis=place)
    return GATHER(x, constant(np.arange(size)[::-1]), axis=place)


def repeat(x: Value, count: Count, axis: Axis = 0) -> Node:
    """The whole array `count` times, one after the other along an axis.

    Example: repeat(x, 2)
    """
    x = _at_least_one_axis(x)
    place, shape = sample_axis("repeat", x, axis), x.type.sample
    size = check_entries("repeat", count, known_size("repeat", shape[place]))
    many = broadcast_to(insert_axis(x, place), *shape[:place], count, *shape[place:])
    return reshape_sample(many, (*shape[:place], size, *shape[place + 1 :]))


def outer(a: Value, b: Value) -> Node:
    """All products a_i b_j of the last axes: a matrix for two vectors.

    Example: outer(x, y)
    """
    for value in (a, b):
        sample_axis("outer", value, -1)
    left, right = align(insert_axis(as_real(a), sample_rank(a)), insert_axis(as_real(b), sample_rank(b) - 1))
    return left * right


def one_hot(x: Value, count: Count) -> Node:
    """A class as a vector of `count` zeros with a 1 at its place, on a new last axis.

    Example: one_hot(label, 4)
    """
    if x.type.kind == "real":
        raise Fault(lambda span: calls.not_a_class(span, "one_hot", describe(x.type)))
    return as_real(ONE_HOT(x, depth=count))


def zeros(*sizes: Sizes) -> Node:
    """An array of zeros.

    Example: zeros(3, 4)
    """
    return _filled("zeros", 0.0, sizes)


def ones(*sizes: Sizes) -> Node:
    """An array of ones.

    Example: ones(4)
    """
    return _filled("ones", 1.0, sizes)


def full(value: Real, *sizes: Sizes) -> Node:
    """An array of equal numbers.

    Example: full(0.5, 3, 4)
    """
    return _filled("full", value, sizes)


def _filled(callee: str, value: float, sizes: Sequence[Size]) -> Node:
    shape = tuple(known_size(callee, size) for size in sizes)
    check_entries(callee, *shape)
    return constant(np.broadcast_to(float(value), shape))


def check_entries(callee: str, *sizes: int, most: int = MOST) -> int:
    """How many entries an array of these sizes has. Raises `Fault` for more than fit into a model."""
    count = math.prod(sizes)
    if count > most:
        raise Fault(lambda span: calls.too_many_entries(span, callee, count, most))
    return count


def range_(first: Integer, last: Integer | None = None) -> Node:
    """The whole numbers from `first` to below `last`, as reals; from 0 to below `first` when it is alone.

    Example: range(4) * x
    """
    low, high = (0, first) if last is None else (first, last)
    if high <= low:
        raise Fault(lambda span: calls.wrong_argument(span, "range", "last", f"more than {low}", str(high)))
    check_entries("range", high - low, most=MOST_LISTED)
    return constant(np.arange(low, high, dtype=np.float64))


def linspace(first: Real, last: Real, count: Count) -> Node:
    """`count` numbers at equal distances from `first` to `last`, both included.

    Example: linspace(0, 1, 4) * x
    """
    check_entries("linspace", count, most=MOST_LISTED)
    return constant(np.linspace(first, last, count))


SHAPING = functions(
    "shaping", concat, stack, reshape, flatten, transpose, pad, squeeze, unsqueeze, broadcast_to, reverse, repeat,
    outer, one_hot, zeros, ones, full, range_, linspace,
)  # fmt: skip

"""Parts of arrays, arrays made of parts, and values chosen by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isocline_compiler.graph import FLAT, Example, Fault, Node, Op, constant
from isocline_compiler.graph.c_form import Moves
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision, exactly
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.ops.c_kernels import HOT_IN_C, gathered
from isocline_compiler.ops.enclosures import by_torch, each_end
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.shapes import axis_in, integer, known, misfit, real
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE, inverse
from isocline_dsl import messages

# ---------------------------------------------------------------------------------------------------- concat


def _concatenated(*types: TensorType, axis: int) -> TensorType:
    first = types[0]
    at = axis_in("concat", first, axis)
    around = [(type_.kind, type_.rank, type_.shape[:at], type_.shape[at + 1 :]) for type_ in types]
    if any(item != around[0] for item in around):
        raise misfit("concat", types, f"values that agree in every axis but {axis}")
    if len(types) == 1:
        return first
    total = sum(known("concat", type_.shape[at]) for type_ in types)
    return first.with_shape((*first.shape[:at], total, *first.shape[at + 1 :]))


def _torch_concat(torch: Any, *xs: Any, axis: int) -> Any:
    return torch.cat(xs, axis)


def _emit_concat(emitter: Emitter, node: Node, *xs: str) -> str:
    return emitter.node("Concat", *xs, axis=node.attrs["axis"] % node.type.rank)


def _grad_concat(g: Node, y: Node, *xs: Node, axis: int) -> tuple[Node, ...]:
    if len(xs) == 1:
        return (g,)
    stops = np.cumsum([known("concat", x.size(axis)) for x in xs]).tolist()
    spans = zip([0, *stops[:-1]], stops, strict=True)
    return tuple(SLICE(g, axis=axis, start=start, stop=stop) for start, stop in spans)


CONCAT = Op(
    "concat", _concatenated, _torch_concat, _emit_concat, _grad_concat, "Values one after another along an axis.",
    examples=(
        Example((real("batch", 2), real("batch", 3)), {"axis": 1}),
        Example((real("batch", 2, 1), real("batch", 2, 2), real("batch", 2, 1)), {"axis": -1}),
        Example((integer(2), integer(1)), {"axis": 0}),
    ),
    enclose=each_end(_torch_concat), c=Moves(),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- slice, select


def _range(size: int, start: int | None, stop: int | None, step: int) -> range:
    return range(*slice(start, stop, step).indices(size))


def _sliced(x: TensorType, *, axis: int, start: int | None, stop: int | None, step: int = 1) -> TensorType:
    at = axis_in("a slice", x, axis)
    count = len(_range(known("a slice", x.shape[at]), start, stop, step))
    return x.with_shape((*x.shape[:at], count, *x.shape[at + 1 :]))


def _torch_slice(torch: Any, x: Any, axis: int, start: int | None, stop: int | None, step: int = 1) -> Any:
    chosen = _range(x.shape[axis], start, stop, step)
    if step > 0:
        return x[(slice(None),) * (axis % x.ndim) + (slice(chosen.start, chosen.stop, step),)]
    return x.index_select(axis, torch.tensor(list(chosen), device=x.device, dtype=torch.int64))


def _emit_slice(emitter: Emitter, node: Node, x: str) -> str:
    """Slice, but for entries in steps Gather: tract 0.23 exchanges such a Slice with a Reshape before it, wrongly."""
    axis = node.attrs["axis"] % node.type.rank
    step = node.attrs.get("step", 1)
    chosen = _range(node.inputs[0].shape[axis], node.attrs["start"], node.attrs["stop"], step)
    if step != 1:
        return emitter.node("Gather", x, emitter.ints(list(chosen)), axis=axis)
    bounds = [emitter.ints([item]) for item in (chosen.start, chosen.stop, axis)]
    return emitter.node("Slice", x, *bounds)


def _grad_slice(
    g: Node, y: Node, x: Node, axis: int, start: int | None, stop: int | None, step: int = 1
) -> tuple[Node]:
    size = known("the gradient of a slice", x.size(axis))
    at, chosen = axis % x.type.rank, _range(size, start, stop, step)
    if step < 0:
        g, chosen = SLICE(g, axis=at, start=None, stop=None, step=-1), chosen[::-1]
    if step not in (1, -1) and len(chosen) > 1:
        g = _apart(g, at, chosen.step)
    return (_padded_along(g, at, chosen.start, size - chosen.start - int(g.size(at))),)


def _apart(g: Node, axis: int, step: int) -> Node:
    """The entries of an axis with step - 1 zeros between neighbours."""
    count = known("the gradient of a slice", g.size(axis))
    lead, rest = g.shape[:axis], g.shape[axis + 1 :]
    single = RESHAPE(g, shape=(*lead, count, 1, *rest))
    spaced = RESHAPE(_padded_along(single, axis + 1, 0, step - 1), shape=(*lead, count * step, *rest))
    return SLICE(spaced, axis=axis, start=0, stop=(count - 1) * step + 1)


def _padded_along(g: Node, axis: int, before: int, after: int) -> Node:
    return PAD(g, pads=tuple((before, after) if i == axis else (0, 0) for i in range(g.type.rank)), value=0.0)


def _scattered(g: Node, axis: int, indices: Node | np.ndarray[Any, Any], size: int) -> Node:
    """Row i of `g` (along `axis`) added to row indices[i] of zeros with `size` rows, as a product with a 0-1 matrix."""
    rows = ONE_HOT(indices, depth=size) if isinstance(indices, Node) else constant(np.eye(size)[indices])
    perm = (*(i for i in range(g.type.rank) if i != axis), axis)
    return TRANSPOSE(MATMUL(TRANSPOSE(g, perm=perm), rows), perm=inverse(perm))


SLICE = Op(
    "slice", _sliced, _torch_slice, _emit_slice, _grad_slice,
    "Entries start, start + step, ... before stop, as Python's slices count them.",
    examples=(
        Example((real("batch", 5),), {"axis": 1, "start": 1, "stop": 4, "step": 1}),
        Example((real("batch", 6, 2),), {"axis": 1, "start": 0, "stop": None, "step": 2}),
        Example((real("batch", 5),), {"axis": -1, "start": None, "stop": None, "step": -2}),
        Example((real(5),), {"axis": 0, "start": -2, "stop": None}),
    ),
    moves=True, enclose=each_end(_torch_slice), c=Moves(),
)  # fmt: skip


def _selected(x: TensorType, *, axis: int, index: int) -> TensorType:
    at = axis_in("an index", x, axis)
    size = x.shape[at]
    if isinstance(size, int) and not -size <= index < size:
        raise Fault(lambda span: messages.index_out_of_range(span, index, size))
    return x.with_shape(x.shape[:at] + x.shape[at + 1 :])


def _emit_select(emitter: Emitter, node: Node, x: str) -> str:
    axis = node.attrs["axis"] % node.inputs[0].type.rank
    return emitter.node("Gather", x, emitter.integer(node.attrs["index"]), axis=axis)


def _grad_select(g: Node, y: Node, x: Node, axis: int, index: int) -> tuple[Node]:
    at, size = axis % x.type.rank, x.size(axis)
    row = RESHAPE(g, shape=(*x.shape[:at], 1, *x.shape[at + 1 :]))
    if isinstance(size, str):
        return (PLACE(row, x, axis=at, index=index),)
    return (_padded_along(row, at, index % size, (-1 - index) % size),)


SELECT = Op(
    "select", _selected, lambda torch, x, axis, index: x.select(axis, index), _emit_select, _grad_select,
    "Entry `index` along an axis, which is dropped.",
    examples=(
        Example((real("batch", 3),), {"axis": 1, "index": 2}),
        Example((real("batch", 3, 4),), {"axis": 1, "index": -1}),
        Example((real("batch", "T"),), {"axis": 1, "index": 0}),
        Example((real("batch", "T", 2),), {"axis": 1, "index": -1}),
        Example((real(3),), {"axis": 0, "index": 0}),
    ),
    moves=True, enclose=each_end(lambda torch, x, axis, index: x.select(axis, index)), c=Moves(),
)  # fmt: skip


def _place_type(row: TensorType, like: TensorType, *, axis: int, index: int) -> TensorType:
    if row.shape != (*like.shape[:axis], 1, *like.shape[axis + 1 :]):
        raise misfit("place", (row, like), "one entry along an axis of the other")
    return row.with_shape(like.shape)


def _torch_place(torch: Any, row: Any, like: Any, axis: int, index: int) -> Any:
    pair = (index % like.shape[axis], (-1 - index) % like.shape[axis])
    return _torch_pad(torch, row, [pair if i == axis else (0, 0) for i in range(row.ndim)], 0.0)


def _emit_place(emitter: Emitter, node: Node, row: str, like: str) -> str:
    """Pad, by as much as the axis is longer than what comes before the entry, or after it."""
    axis, index, rank = node.attrs["axis"], node.attrs["index"], node.type.rank
    length = emitter.once("Shape", like, start=axis, end=axis + 1)
    known = index if index >= 0 else -1 - index
    pair = [emitter.ints([known]), emitter.node("Sub", length, emitter.ints([known + 1]))]
    first, last = pair if index >= 0 else pair[::-1]
    zeros = [emitter.ints([0] * count) if count else "" for count in (axis, rank - 1, rank - 1 - axis)]
    parts = filter(None, (zeros[0], first, zeros[1], last, zeros[2]))
    return emitter.node("Pad", row, emitter.node("Concat", *parts, axis=0), emitter.number(0.0, node.type.kind))


PLACE: Op = Op(
    "place", _place_type, _torch_place, _emit_place,
    lambda g, y, row, like, axis, index: (RESHAPE(SELECT(g, axis=axis, index=index), shape=row.shape), None),
    "Zeros in the shape of `like` but for entry `index` along an axis: the transpose of `select`, for any length.",
    examples=(
        Example((real("batch", 1), real("batch", "T")), {"axis": 1, "index": 0}),
        Example((real("batch", 1, 2), real("batch", "T", 2)), {"axis": 1, "index": -1}),
        Example((real(1, 2), real(3, 2)), {"axis": 0, "index": 1}),
    ),
    enclose=each_end(_torch_place), c=Moves(),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- gather, one_hot


def _gathered(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    if indices.kind != "int":
        raise misfit("gather", (x, indices), "indices that are integers")
    at = axis_in("gather", x, axis)
    return x.with_shape(x.shape[:at] + indices.shape + x.shape[at + 1 :])


def _torch_gather(torch: Any, x: Any, indices: Any, axis: int) -> Any:
    at = axis % x.ndim
    flat = x.index_select(at, indices.reshape(-1).to(torch.int64))
    return flat.reshape(*x.shape[:at], *indices.shape, *x.shape[at + 1 :])


def _emit_gather(emitter: Emitter, node: Node, x: str, indices: str) -> str:
    return emitter.node("Gather", x, indices, axis=node.attrs["axis"] % node.inputs[0].type.rank)


def _grad_gather(g: Node, y: Node, x: Node, indices: Node, axis: int) -> tuple[Node | None, ...]:
    """Each entry of g is added at the index it was taken from: a product with a 0-1 matrix, then a sum.

    The last axis of the indices is contracted; the others, which x does not have, are summed.
    """
    from isocline_compiler.ops.reduction import REDUCE_SUM  # its rules use what stands here in turn

    at, size, count = axis % x.type.rank, known("the gradient of gather", x.size(axis)), indices.type.rank
    if count == 0:
        kept = RESHAPE(g, shape=(*x.shape[:at], 1, *x.shape[at + 1 :]))
        return (_scattered(kept, at, RESHAPE(indices, shape=(1,)), size), None)
    if count == 1:
        return (_scattered(g, at, indices, size), None)
    own = (*range(at), *range(at + count, g.type.rank))
    moved = TRANSPOSE(g, perm=(*range(at, at + count - 1), *own, at + count - 1))
    rows = ONE_HOT(indices, depth=size)
    if own:
        rows = RESHAPE(rows, shape=(*rows.shape[:-2], *(1,) * (len(own) - 1), *rows.shape[-2:]))
    else:
        moved = RESHAPE(moved, shape=(*moved.shape[:-1], 1, moved.shape[-1]))
    total = REDUCE_SUM(MATMUL(moved, rows), axes=tuple(range(count - 1)))
    perm = (*range(at), len(own), *range(at, len(own)))
    return (TRANSPOSE(total, perm=perm) if own else RESHAPE(total, shape=x.shape), None)


def _enclose_gather(precision: Precision, x: Interval, indices: Interval, axis: int) -> Interval:
    """The entries themselves where the indices are known, else all between the least and the greatest of them."""
    least, most, size = indices.low.min(), indices.high.max(), x.low.shape[axis]
    if not (least >= 0 and most < size):
        x, indices = x.unknown_where(np.array(True)), exactly(np.zeros_like(indices.low))
    elif not (indices.low == indices.high).all():
        part = (slice(None),) * (axis % x.low.ndim) + (slice(int(least), int(most) + 1),)
        x = Interval(x.low[part].min(axis, keepdims=True), x.high[part].max(axis, keepdims=True))
        indices = exactly(np.zeros_like(indices.low))
    return Interval(*(by_torch(_torch_gather, end, indices.low, axis=axis) for end in (x.low, x.high)))


GATHER = Op(
    "gather", _gathered, _torch_gather, _emit_gather, _grad_gather,
    "Entries of x along an axis chosen by an array of indices, whose shape takes the axis's place.",
    examples=(
        Example((real(4, 3), integer("batch")), {"axis": 0}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real(4, 3), integer("batch", 2)), {"axis": 0}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real("batch", 4), integer(2)), {"axis": -1}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real("batch", 4), integer()), {"axis": 1}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real(4), integer("batch", 2)), {"axis": 0}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real(2, 4, 3), integer("batch", 2, 2)), {"axis": 1}, ((-2.0, 2.0), (0.0, 4.0))),
        Example((real("batch", 2, 4), integer(2, 3)), {"axis": 2}, ((-2.0, 2.0), (0.0, 4.0))),
    ),
    enclose=_enclose_gather, c=gathered,
)  # fmt: skip


def _one_hot_type(x: TensorType, *, depth: int) -> TensorType:
    if x.kind != "int":
        raise misfit("one_hot", (x,), "integers")
    return real(*x.shape, depth)


def _torch_one_hot(torch: Any, x: Any, depth: int) -> Any:
    return (x.unsqueeze(-1) == torch.arange(depth, device=x.device)).to(torch.working)


def _emit_one_hot(emitter: Emitter, node: Node, x: str) -> str:
    """A comparison with 0, 1, ...: OneHot has no float64 kernel."""
    column = emitter.node("Unsqueeze", x, emitter.ints([node.type.rank - 1]))
    hit = emitter.node("Equal", column, emitter.ints(list(range(node.attrs["depth"]))))
    return emitter.node("Cast", hit, to=emitter.elements("real"))


def _enclose_one_hot(precision: Precision, x: Interval, depth: int) -> Interval:
    places, low, high = np.arange(depth), x.low[..., None], x.high[..., None]
    certain, possible = (low == places) & (high == places), ~((places < low) | (places > high))
    return Interval(certain.astype(np.float64), possible.astype(np.float64))


ONE_HOT = Op(
    "one_hot", _one_hot_type, _torch_one_hot, _emit_one_hot, FLAT,
    "1 at the index, 0 elsewhere, along a new last axis; all 0 for an index outside.",
    examples=(Example((integer("batch"),), {"depth": 4}, ((0.0, 4.0),)), Example((integer("batch", 2),), {"depth": 3})),
    smooth=False,
    enclose=_enclose_one_hot, c=HOT_IN_C,
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- pad


def _padded(x: TensorType, *, pads: Sequence[tuple[int, int]], value: float) -> TensorType:
    if len(pads) != x.rank or any(size < 0 for pair in pads for size in pair):
        raise misfit("pad", f"{describe(x)} with the margins {tuple(pads)}", "two margins for each axis, none negative")
    return x.with_shape(
        tuple(
            size if pair == (0, 0) else known("pad", size) + sum(pair)
            for size, pair in zip(x.shape, map(tuple, pads), strict=True)
        )
    )


def _torch_pad(torch: Any, x: Any, pads: Sequence[tuple[int, int]], value: float) -> Any:
    return torch.nn.functional.pad(x, [size for pair in reversed(pads) for size in pair], value=value)


def _emit_pad(emitter: Emitter, node: Node, x: str) -> str:
    pads = node.attrs["pads"]
    margins = emitter.ints([pair[0] for pair in pads] + [pair[1] for pair in pads])
    return emitter.node("Pad", x, margins, emitter.number(node.attrs["value"], node.type.kind))


def _grad_pad(g: Node, y: Node, x: Node, pads: Sequence[tuple[int, int]], value: float) -> tuple[Node]:
    for axis, (before, after) in enumerate(pads):
        if before or after:
            g = SLICE(g, axis=axis, start=before, stop=known("pad", g.size(axis)) - after)
    return (g,)


def _enclose_pad(precision: Precision, x: Interval, pads: Sequence[tuple[int, int]], value: float) -> Interval:
    margin = float(precision.literal(np.array(float(value))).low)
    return each_end(_torch_pad)(precision, x, pads=pads, value=margin)


PAD = Op(
    "pad", _padded, _torch_pad, _emit_pad, _grad_pad,
    "x with margins filled with a value: (before, after) for each axis.",
    examples=(
        Example((real("batch", 3),), {"pads": ((0, 0), (1, 2)), "value": 0.0}),
        Example((real("batch", 2, 3),), {"pads": ((0, 0), (0, 1), (2, 0)), "value": -1.5}),
    ),
    enclose=_enclose_pad, c=Moves("value"),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- arrange


def _arranged(x: TensorType, *, places: Sequence[int]) -> TensorType:
    size = known("an arrangement", x.shape[-1]) if x.rank else 0
    read = [place for place in places if place >= 0]
    if not x.rank or len(set(read)) < len(read) or any(place >= size for place in read):
        raise misfit("an arrangement", (x,), "places on its last axis, each once")
    return x.with_shape((*x.shape[:-1], len(places)))


def _torch_arrange(torch: Any, x: Any, places: Sequence[int]) -> Any:
    index = torch.tensor(places, dtype=torch.int64, device=x.device)
    found = x.index_select(-1, index.clamp(min=0))
    return found if all(place >= 0 for place in places) else torch.where(index >= 0, found, torch.zeros_like(found))


def _emit_arrange(emitter: Emitter, node: Node, x: str) -> str:
    """Gather, of entries with a zero behind them where places are empty."""
    rank, size, places = node.type.rank, int(node.inputs[0].size(-1)), node.attrs["places"]
    if any(place < 0 for place in places):
        x = emitter.node("Pad", x, emitter.ints([0] * (2 * rank - 1) + [1]), emitter.number(0.0, node.type.kind))
    return emitter.node("Gather", x, emitter.ints([size if i < 0 else i for i in places]), axis=rank - 1)


def _grad_arrange(g: Node, y: Node, x: Node, places: Sequence[int]) -> tuple[Node]:
    back = {place: i for i, place in enumerate(places) if place >= 0}
    return (ARRANGE(g, places=tuple(back.get(i, -1) for i in range(int(x.size(-1))))),)


ARRANGE: Op = Op(
    "arrange", _arranged, _torch_arrange, _emit_arrange, _grad_arrange,
    "Entry k along the last axis is entry places[k] of x, each read once at most; 0 where places[k] is -1.",
    examples=(
        Example((real("batch", 3),), {"places": (2, 0, 1)}),
        Example((real("batch", 4),), {"places": (-1, 2, -1, 0, 3)}),
        Example((real(2, 3),), {"places": (1, -1)}),
    ),
    enclose=each_end(_torch_arrange), c=Moves(),
)  # fmt: skip

INDEXING = (CONCAT, SLICE, SELECT, PLACE, GATHER, ONE_HOT, PAD, ARRANGE)

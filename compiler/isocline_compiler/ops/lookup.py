"""Lookup by time: on which piece of a table a time lies, and the rows of the table around it.

Times are one number, one for each sample, or with `listed` a list of either, (n,) or (batch, n): the result has an axis
for it, behind that of the batch.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from isocline_compiler.graph import FLAT, Array, Example, Node, Op
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Shape, TensorType
from isocline_compiler.ops.c_kernels import PIECE_IN_C, ROWS_IN_C
from isocline_compiler.ops.indexing import CONCAT, ONE_HOT, PAD, SELECT, SLICE
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import integer, known, misfit, real
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

Offsets = tuple[int, ...]


def _lead(knots: TensorType, t: TensorType, listed: bool) -> Shape:
    """The axes of the piece's number: of the batch, where knots or time have it, and of the list."""
    batch = knots.shape[:1] if knots.batched else t.shape[:1] if t.batched else ()
    return (*batch, *(t.shape[-1:] if listed else ()))


def _piece_type(knots: TensorType, t: TensorType, *, last: bool, listed: bool = False) -> TensorType:
    if knots.kind != "real" or t.kind != "real" or len(knots.sample) != 1 or len(t.sample) != int(listed):
        raise misfit("interval_of", (knots, t), "a list of knots, and a time")
    return integer(*_lead(knots, t, listed))


def _torch_piece(torch: Any, knots: Any, t: Any, last: bool, listed: bool = False) -> Any:
    inner = knots[..., 1:] if last else knots[..., 1:-1]
    if listed and knots.ndim == 2:
        inner = inner.unsqueeze(-2)
    return (inner <= t.unsqueeze(-1)).sum(-1)


def _emit_number(emitter: Emitter, knots: Node, t: Node, names: tuple[str, str], last: bool, listed: bool) -> str:
    """The inner knots that are reached, counted."""
    bounds = [emitter.ints([item]) for item in (1, 2**62 if last else -1, knots.type.rank - 1)]
    inner = emitter.once("Slice", names[0], *bounds)
    if listed and knots.type.rank == 2:
        inner = emitter.once("Unsqueeze", inner, emitter.ints([1]))
    column = emitter.once("Unsqueeze", names[1], emitter.ints([t.type.rank]))
    reached = emitter.once("Cast", emitter.once("LessOrEqual", inner, column), to=emitter.elements("int"))
    return emitter.once("ReduceSum", reached, emitter.ints([-1]), keepdims=0)


def _emit_piece(emitter: Emitter, node: Node, knots: str, t: str) -> str:
    first, second = node.inputs
    return _emit_number(emitter, first, second, (knots, t), node.attrs["last"], node.attrs.get("listed", False))


def _enclose_piece(precision: Precision, knots: Interval, t: Interval, last: bool, listed: bool = False) -> Interval:
    """Fewest knots are certainly reached, most possibly; what is not a number may be reached."""

    def inner(x: Array) -> Array:
        part = x[..., 1:] if last else x[..., 1:-1]
        return part[..., None, :] if listed and part.ndim == 2 else part

    certain = inner(knots.high) <= t.low[..., None]
    possible = ~(inner(knots.low) > t.high[..., None])
    return Interval(certain.sum(-1).astype(np.float64), possible.sum(-1).astype(np.float64))


def _compared(node: Node) -> float:
    size = node.inputs[-2].size(-1)
    return 0.2 * (size if isinstance(size, int) else 100)


INTERVAL_OF = Op(
    "interval_of", _piece_type, _torch_piece, _emit_piece, FLAT,
    "i with knots[i] <= t < knots[i + 1], for increasing knots: how many of those after the first t has reached. The "
    "last knot begins a piece with `last`; the first piece has no begin, the last one no end.",
    examples=(
        Example((real(5), real()), {"last": True}),
        Example((real("batch", 4), real()), {"last": False}),
        Example((real("batch", 4), real("batch")), {"last": True}),
        Example((real(5), real("batch")), {"last": False}),
        Example((real("batch", 4), real("batch", 3)), {"last": False, "listed": True}),
        Example((real("batch", 4), real(3)), {"last": True, "listed": True}),
        Example((real(5), real(3)), {"last": False, "listed": True}),
    ),
    broadcasts=True,
    smooth=False,
    piece=lambda y, knots, t, last, listed=False: y,
    enclose=_enclose_piece,
    price=_compared, c=PIECE_IN_C,
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- rows


def _rows_type(
    table: TensorType, knots: TensorType, t: TensorType, *, offsets: Offsets, own: bool, last: bool,
    listed: bool = False,
) -> TensorType:  # fmt: skip
    number = _piece_type(knots, t, last=last, listed=listed)
    if table.kind != "real" or table.batched != own or table.sample[:1] != knots.sample:
        raise misfit("lookup", (table, knots), "a table with a row for each knot")
    batch = table.shape[:1] if own else number.shape[: int(number.batched)]
    return real(*batch, *number.sample, len(offsets), *table.sample[1:])


def _several(knots_rank: int, t_rank: int, listed: bool) -> bool:
    """Whether each sample has a piece of its own."""
    return knots_rank == 2 or t_rank > int(listed)


def _torch_rows(
    torch: Any, table: Any, knots: Any, t: Any, offsets: Offsets, own: bool, last: bool, listed: bool = False
) -> Any:
    number = _torch_piece(torch, knots, t, last, listed)
    places = (number.unsqueeze(-1) + torch.tensor(offsets, device=number.device)).clamp(min=0)
    if not own:
        return table[places]
    if not _several(knots.ndim, t.ndim, listed):
        return table[:, places]
    samples = torch.arange(len(table), device=table.device)
    return table[samples.reshape(-1, *(1,) * (places.ndim - 1)), places]


def _emit_places(emitter: Emitter, number: str, offsets: Offsets) -> str:
    """i + k for each offset along a new last axis; onnx's own inference of small shapes takes no sum of two lists."""
    columns = [emitter.once("Add", number, emitter.integer(k)) if k else number for k in offsets]
    single = [emitter.once("Unsqueeze", column, emitter.ints([-1])) for column in columns]
    return single[0] if len(single) == 1 else emitter.once("Concat", *single, axis=-1)


def _emit_rows(emitter: Emitter, node: Node, table: str, knots: str, t: str) -> str:
    """Gather where the pieces are those of all samples, else GatherND from each sample's own table."""
    offsets, own, last = (node.attrs[key] for key in ("offsets", "own", "last"))
    _, second, third = node.inputs
    listed = node.attrs.get("listed", False)
    number = _emit_number(emitter, second, third, (knots, t), last, listed)
    places = _emit_places(emitter, number, offsets)
    if min(offsets) < 0:
        places = emitter.once("Max", places, emitter.integer(0))
    if not own or not _several(second.type.rank, third.type.rank, listed):
        return emitter.node("Gather", table, places, axis=int(own))
    return emitter.node("GatherND", table, emitter.once("Unsqueeze", places, emitter.ints([-1])), batch_dims=1)


def _grad_rows(
    g: Node, y: Node, table: Node, knots: Node, t: Node, offsets: Offsets, own: bool, last: bool, listed: bool = False
) -> tuple[Node | None, ...]:
    """Each row of g is added to the row it was taken from: a product with a 0-1 matrix, for each offset."""
    size = known("the gradient of a lookup", table.size(int(own)))
    inner = tuple(int(item) for item in table.type.sample[1:])
    count, width = (int(t.size(-1)) if listed else 1), prod(inner)
    number = INTERVAL_OF(knots, t, last=last, listed=listed)
    several, lead = number.type.batched, y.shape[: int(y.type.batched)]
    flat = RESHAPE(g, shape=(*lead, count, len(offsets), width))
    total: Node | None = None
    for k, offset in enumerate(offsets):
        hit = RESHAPE(ONE_HOT(number, depth=size), shape=(*(number.shape[:1] if several else ()), count, size))
        rows = TRANSPOSE(_moved(hit, offset), perm=(0, 2, 1) if several else (1, 0))
        part = MATMUL(rows, SELECT(flat, axis=len(lead) + 1, index=k))
        total = part if total is None else total + part
    assert total is not None
    if total.type.batched and not own:
        total = REDUCE_SUM(total, axes=(0,), keepdims=False)
    return (RESHAPE(total, shape=table.shape), None, None)


def _moved(hit: Node, offset: int) -> Node:
    """The 0-1 rows with their ones so many entries further; one before the first entry is on the first."""
    if offset == 0:
        return hit
    size, axis = int(hit.size(-1)), hit.type.rank - 1
    if offset > 0:
        kept = SLICE(hit, axis=axis, start=0, stop=size - offset)
        return PAD(kept, pads=tuple((offset if i == axis else 0, 0) for i in range(axis + 1)), value=0.0)
    first = REDUCE_SUM(SLICE(hit, axis=axis, start=0, stop=1 - offset), axes=(axis,), keepdims=True)
    return CONCAT(first, _zero_behind(SLICE(hit, axis=axis, start=1 - offset, stop=size), axis, -offset), axis=axis)


def _zero_behind(x: Node, axis: int, count: int) -> Node:
    return PAD(x, pads=tuple((0, count if i == axis else 0) for i in range(axis + 1)), value=0.0)


def _enclose_rows(
    precision: Precision, table: Interval, knots: Interval, t: Interval, offsets: Offsets, own: bool, last: bool,
    listed: bool = False,
) -> Interval:  # fmt: skip
    """The rows themselves where the piece is known, else all between the first and the last that may be meant."""
    number, size = _enclose_piece(precision, knots, t, last, listed), table.low.shape[int(own)]
    several = _several(knots.low.ndim, t.low.ndim, listed)
    ends = ((end[..., None] + np.array(offsets)).clip(0, size - 1).astype(int) for end in (number.low, number.high))
    least, most = (end[0] if several else end for end in ends)
    low, high = (x[0] if own else x for x in (table.low, table.high))
    hulls = [_hull(low, high, a, b) for a, b in zip(least.ravel(), most.ravel(), strict=True)]
    lead = (1,) if own or several else ()
    found = (np.reshape([hull[k] for hull in hulls], (*lead, *least.shape, *low.shape[1:])) for k in (0, 1))
    return Interval(*found)


def _hull(low: Array, high: Array, first: int, last: int) -> tuple[Array, Array]:
    return low[first : last + 1].min(0), high[first : last + 1].max(0)


def _number_of(
    y: Any, table: Any, knots: Any, t: Any, offsets: Offsets, own: bool, last: bool, listed: bool = False
) -> Any:
    return _torch_piece(None, knots, t, last, listed)


LOOKUP = Op(
    "lookup", _rows_type, _torch_rows, _emit_rows, _grad_rows,
    "Rows i + k of a table for offsets k, where t is on piece i of the knots: (k, ...). `own`: each sample has a table "
    "of its own. Before the first row it is the first.",
    examples=(
        Example((real(5), real(5), real()), {"offsets": (0, 1), "own": False, "last": False}),
        Example((real(5, 2), real(5), real("batch")), {"offsets": (0,), "own": False, "last": True}),
        Example((real("batch", 4, 2), real(4), real()), {"offsets": (-1, 0, 1), "own": True, "last": False}),
        Example((real("batch", 4), real("batch", 4), real()), {"offsets": (-1, 0, 1), "own": True, "last": False}),
        Example((real("batch", 4), real("batch", 4), real("batch")), {"offsets": (0, 1), "own": True, "last": False}),
        Example(
            (real("batch", 4, 2), real(4), real(3)),
            {"offsets": (-1, 0), "own": True, "last": False, "listed": True},
        ),
        Example(
            (real("batch", 4), real("batch", 4), real("batch", 3)),
            {"offsets": (0, 1), "own": True, "last": False, "listed": True},
        ),
        Example(
            (real(5, 2), real("batch", 5), real(3)), {"offsets": (0, 1), "own": False, "last": False, "listed": True}
        ),
    ),
    broadcasts=True,
    smooth=False,
    piece=_number_of,
    enclose=_enclose_rows,
    price=lambda node: 0.5 + _compared(node) / max(1, prod(size for size in node.shape if isinstance(size, int))),
    c=ROWS_IN_C,
)  # fmt: skip

LOOKUPS = (INTERVAL_OF, LOOKUP)

"""Arrays in the order of their entries along an axis, and other arrays in that same order.

`axis` is counted from 0 or from -1 backwards. Equal entries keep their order, up to 256 of them. A
not-a-number may land anywhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Example, Node, Op
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.c_kernels import SORT_BY_IN_C, SORT_IN_C
from isocline_compiler.ops.enclosures import by_torch, each_end
from isocline_compiler.ops.shapes import REAL, axis_in, known, misfit, real, require


def _sorted_type(x: TensorType, *, axis: int) -> TensorType:
    require("sort", REAL, x)
    known("sort", x.shape[axis_in("sort", x, axis)])
    return x


def _torch_sort(torch: Any, x: Any, axis: int) -> Any:
    return torch.sort(x, dim=axis, stable=True).values


def _top(emitter: Emitter, node: Node, x: str) -> tuple[str, ...]:
    """All entries of x from the least to the greatest, and where they stood."""
    axis = node.attrs["axis"] % node.type.rank
    count = emitter.ints([int(node.size(axis))])
    return emitter.results("TopK", 2, x, count, axis=axis, largest=0, sorted=1)


def _price(node: Node) -> float:
    """Each entry is compared log2(m) times."""
    return 4.0 * math.log2(max(int(node.size(node.attrs["axis"])), 2))


SORT = Op(
    "sort", _sorted_type, _torch_sort, lambda emitter, node, x: _top(emitter, node, x)[0],
    lambda g, y, x, axis: (SORT_BY(g, x, axis=axis, inverse=True),),
    "The entries along an axis from the least to the greatest.",
    examples=(
        Example((real("batch", 5),), {"axis": 1}),
        Example((real("batch", 4, 3),), {"axis": -2}),
        Example((real(4),), {"axis": 0}),
    ),
    smooth=False,
    piece=lambda y, x, axis: x.argsort(dim=axis, stable=True),
    enclose=each_end(_torch_sort),  # the k-th least entry grows with every entry
    price=_price, c=SORT_IN_C,
)  # fmt: skip


def _ordered_type(x: TensorType, key: TensorType, *, axis: int, inverse: bool = False) -> TensorType:
    require("sort_by", REAL, x, key)
    if x.shape != key.shape:
        raise misfit("sort_by", (x, key), "two values of one shape")
    return _sorted_type(x, axis=axis)


def _torch_order(torch: Any, x: Any, key: Any, axis: int, inverse: bool = False) -> Any:
    order = key.argsort(dim=axis, stable=True)
    return x.gather(axis, order.argsort(dim=axis) if inverse else order)


def _emit_order(emitter: Emitter, node: Node, x: str, key: str) -> str:
    """GatherElements of where the sorted key stood, or of how many entries stand before each: the way back.

    These counts differ where the keys do not: of equal entries an engine may put either first (OpenVINO's TopK).
    """
    axis, inverse = node.attrs["axis"] % node.type.rank, node.attrs.get("inverse", False)
    if int(node.size(axis)) <= COUNTED:
        places = _places(emitter, node, key, axis)
        order = places if inverse else _at_places(emitter, node, places, axis)
    else:
        order = _top(emitter, node, key)[1]
        order = _top(emitter, node, order)[1] if inverse else order
    return emitter.node("GatherElements", x, order, axis=axis)


COUNTED = 256
"""Entries along an axis of which each is compared with each: of more, equal ones are left to the engine."""


def _places(emitter: Emitter, node: Node, key: str, axis: int) -> str:
    """Of each entry i the number of entries j with key_j < key_i, or key_j = key_i and j < i."""
    count, behind = int(node.size(axis)), node.type.rank - axis - 1
    mine = emitter.once("Unsqueeze", key, emitter.ints([axis + 1]))
    others = emitter.once("Unsqueeze", key, emitter.ints([axis]))
    earlier = emitter.array(np.tri(count, k=-1, dtype=bool).reshape(count, count, *(1,) * behind))
    level = emitter.once("And", emitter.once("Equal", others, mine), earlier)
    before = emitter.once("Or", emitter.once("Less", others, mine), level)
    number = emitter.once("Cast", before, to=emitter.elements("int"))
    return emitter.once("ReduceSum", number, emitter.ints([axis + 1]), keepdims=0)


def _at_places(emitter: Emitter, node: Node, places: str, axis: int) -> str:
    """Which entry is at each place: sum_i i [place_i = k]."""
    count, behind = int(node.size(axis)), (1,) * (node.type.rank - axis - 1)
    numbers = np.arange(count, dtype=np.int64)
    wanted = emitter.array(numbers.reshape(count, 1, *behind))
    hit = emitter.once("Equal", emitter.once("Unsqueeze", places, emitter.ints([axis])), wanted)
    entry = emitter.once("Where", hit, emitter.array(numbers.reshape(count, *behind)), emitter.integer(0))
    return emitter.once("ReduceSum", entry, emitter.ints([axis + 1]), keepdims=0)


def _enclose_order(precision: Precision, x: Interval, key: Interval, axis: int, inverse: bool = False) -> Interval:
    """The entries themselves where the order is known, else anything between the least and the greatest of them."""
    if (key.low == key.high).all():
        return Interval(*(by_torch(_torch_order, end, key.low, axis=axis, inverse=inverse) for end in (x.low, x.high)))

    def everywhere(end: Array) -> Array:
        return np.broadcast_to(end, x.low.shape).copy()

    return Interval(everywhere(x.low.min(axis, keepdims=True)), everywhere(x.high.max(axis, keepdims=True)))


SORT_BY: Op = Op(
    "sort_by", _ordered_type, _torch_order, _emit_order,
    lambda g, y, x, key, axis, inverse=False: (SORT_BY(g, key, axis=axis, inverse=not inverse), None),
    "x along an axis in the order that sorts `key`; `inverse`: back from that order, so that x_i goes where key_i was.",
    examples=(
        Example((real("batch", 5), real("batch", 5)), {"axis": 1}),
        Example((real("batch", 4, 3), real("batch", 4, 3)), {"axis": -2, "inverse": True}),
        Example((real(4), real(4)), {"axis": 0, "inverse": True}),
    ),
    smooth=False,
    piece=lambda y, x, key, axis, inverse=False: key.argsort(dim=axis, stable=True),
    enclose=_enclose_order,
    price=_price, c=SORT_BY_IN_C,
)  # fmt: skip

ORDERING = (SORT, SORT_BY)

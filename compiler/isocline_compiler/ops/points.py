"""Several points for each sample, as samples of their own: what evaluates a whole path in one pass."""

from __future__ import annotations

from typing import Any

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.c_form import Moves
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.tensor_type import BATCH, TensorType, describe, points_of
from isocline_compiler.ops.enclosures import each_end
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shapes import misfit, real, require


def _merged(x: TensorType) -> TensorType:
    if not x.batched or x.rank < 2 or not all(isinstance(size, int) for size in x.sample):
        raise misfit("merge_points", (x,), "a value for each sample, with known sizes, its points first")
    return x.with_shape((points_of(str(x.shape[0]), int(x.shape[1])), *x.shape[2:]))


def _split(x: TensorType, *, count: int) -> TensorType:
    factor = points_of("", count)
    if not x.batched or not str(x.shape[0]).startswith(factor) or not all(isinstance(size, int) for size in x.sample):
        raise misfit("split_points", f"{describe(x)} in {count} points", "a value for each point")
    return x.with_shape((str(x.shape[0]).removeprefix(factor), count, *x.sample))


def _torch_merge(torch: Any, x: Any) -> Any:
    return x.reshape(-1, *x.shape[2:])


def _torch_split(torch: Any, x: Any, count: int) -> Any:
    return x.reshape(-1, count, *x.shape[1:])


def _emit(emitter: Emitter, node: Node, x: str) -> str:
    """The leading size is inferred: the others are known."""
    return emitter.node("Reshape", x, emitter.ints([-1, *map(int, node.shape[1:])]))


MERGE_POINTS: Op = Op(
    "merge_points", _merged, _torch_merge, _emit,
    lambda g, y, x: (SPLIT_POINTS(g, count=x.size(1)),),
    "(batch, m, ...) as (batch m, ...): m points of each sample become samples.",
    examples=(Example((real(BATCH, 2, 4),)), Example((real(BATCH, 2),))),
    moves=True,
    enclose=each_end(_torch_merge), c=Moves(),
)  # fmt: skip

SPLIT_POINTS: Op = Op(
    "split_points", _split, _torch_split, _emit,
    lambda g, y, x, count: (MERGE_POINTS(g),),
    "(batch m, ...) as (batch, m, ...): what `merge_points` did, undone.",
    examples=(Example((real("2*batch", 4),), {"count": 2}), Example((real("2*batch"),), {"count": 2})),
    moves=True,
    enclose=each_end(_torch_split), c=Moves(),
)  # fmt: skip


def _members(x: TensorType, *, count: int, axis: int) -> TensorType:
    require("members", ("real",), x)
    return x.with_shape((*x.shape[:axis], count, *x.shape[axis:]))


def _torch_members(torch: Any, x: Any, count: int, axis: int) -> Any:
    return x.unsqueeze(axis).expand(*x.shape[:axis], count, *x.shape[axis:])


def _emit_members(emitter: Emitter, node: Node, x: str) -> str:
    single = emitter.node("Unsqueeze", x, emitter.ints([node.attrs["axis"]]))
    sizes = [node.attrs["count"] if i == node.attrs["axis"] else 1 for i in range(node.type.rank)]
    return emitter.node("Expand", single, emitter.ints(sizes))


MEMBERS = Op(
    "members", _members, _torch_members, _emit_members,
    lambda g, y, x, count, axis: (REDUCE_SUM(g, axes=(axis,), keepdims=False),),
    "(batch, ...) as (batch, m, ...): x for each member of an ensemble. All are alike, until noise is kept that tells "
    "them apart.",
    examples=(
        Example((real(BATCH, 4),), {"count": 3, "axis": 1}),
        Example((real(BATCH),), {"count": 2, "axis": 1}),
        Example((real(4),), {"count": 2, "axis": 0}),
    ),
    enclose=each_end(_torch_members), c=Moves(),
)  # fmt: skip

POINTS = (MERGE_POINTS, SPLIT_POINTS, MEMBERS)

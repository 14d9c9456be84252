"""Several points of each sample evaluated as one larger batch: a value repeated, and functions made to fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from isocline_compiler.graph import ARGUMENT, Node, Region, leaf, transform
from isocline_compiler.graph.scan import SCAN, row_of
from isocline_compiler.graph.solve import PICK, pick
from isocline_compiler.graph.tensor_type import BATCH, Shape, TensorType, is_batch, points_of
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import EXPAND, RESHAPE

Visit: TypeAlias = "Callable[[Node, tuple[Node, ...]], Node]"


def repeated(x: Node, count: int) -> Node:
    """(batch, ...) as (batch, m, ...), the same m times."""
    single = RESHAPE(x, shape=(x.shape[0], 1, *x.type.sample))
    return EXPAND(single, shape=(x.shape[0], count, *x.type.sample))


def at_points(x: Node, count: int) -> Node:
    """(batch, ...) as (batch m, ...), the same for the m points of a sample; what has several paths of each sample
    keeps them together: (n batch, ...) as (n m batch, ...).
    """
    if x.shape[0] == BATCH:
        return MERGE_POINTS(repeated(x, count))
    paths = int(str(x.shape[0]).partition("*")[0])
    return MERGE_POINTS(at_points(SPLIT_POINTS(x, count=paths), count))


def enlarge(count: int) -> Visit:
    """Rebuilds operations on m points a sample: shapes that name the batch axis name the larger one."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        changed: dict[str, Any] = {}
        if "shape" in node.attrs:
            changed["shape"] = _renamed(node.attrs["shape"], count)
        if node.op is SCAN:
            changed["region"] = _enlarged_body(node, inputs, visit)
        if node.op is PICK:
            return pick(inputs[0], node.attrs["index"])
        return node.op(*inputs, **{**node.attrs, **changed}) if changed else node.rebuilt(inputs)

    return visit


def _enlarged_body(node: Node, inputs: tuple[Node, ...], visit: Visit) -> Region:
    """The body of a loop over the points: its arguments have the types of the new values."""
    whole = len(inputs) - node.attrs["stacked"]
    types = [*(item.type for item in inputs[:whole]), *(row_of(item.type) for item in inputs[whole:])]
    return _retyped(node.attrs["region"], types, visit)


def enlarged(region: Region, count: int) -> Region:
    """The same function of m points of each sample."""
    types = [item.type.with_shape(_renamed(item.shape, count)) for item in region.arguments]
    return _retyped(region, types, enlarge(count))


def _retyped(region: Region, types: Sequence[TensorType], visit: Visit) -> Region:
    fresh = [leaf(ARGUMENT, str(a.attrs["name"]), t) for a, t in zip(region.arguments, types, strict=True)]
    known = dict(zip(region.arguments, fresh, strict=True))
    return Region(tuple(fresh), transform(region.results, visit, known))


def _renamed(shape: Shape, count: int) -> Shape:
    larger = points_of(BATCH, count)
    return tuple(str(size).removesuffix(BATCH) + larger if is_batch(size) else size for size in shape)

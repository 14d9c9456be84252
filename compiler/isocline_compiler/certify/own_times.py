"""A field with a time for each sample, from one whose samples share it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import ARGUMENT, Fault, Node, Region, leaf, regions_of, topological, transform
from isocline_compiler.graph.tensor_type import Size, TensorType
from isocline_compiler.ops.lookup import LOOKUPS
from isocline_compiler.ops.shaping import RESHAPE

Tensors = tuple[Tensor, ...]


class _Apart(Exception):
    """An operation that is not known to do the same for each sample, when its argument gets a batch axis."""


def bends_at_states(region: Region, states: int) -> bool:
    """Whether the field is made of pieces, and a state decides on which one it is."""
    order = topological(region.results)
    return any(node.op.piece is not None for node in dependent(order, region.arguments[1 : 1 + states]))


@lru_cache(maxsize=16)
def with_own_times(region: Region, states: int, captured: int) -> FieldProgram | None:
    """The program of a region over (t, states..., captured..., slices...) where t is (batch,).

    None where an operation on the time alone cannot take a batch axis, or where states have none.
    """
    time, *moved = region.arguments[: 1 + states]
    if time.type.batched or not all(state.type.batched for state in moved):
        return None
    own = leaf(ARGUMENT, str(time.attrs["name"]), TensorType("real", moved[0].type.shape[:1]))

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        given = zip(node.inputs, inputs, strict=True)
        widened = [new for old, new in given if new.type.batched and not old.type.batched]
        return _widened(node, inputs, widened) if widened else node.rebuilt(inputs)

    try:
        results = transform(region.results, visit, {time: own})
    except (_Apart, Fault):
        return None
    return FieldProgram(Region((own, *region.arguments[1:]), results), states, captured)


def _widened(node: Node, inputs: tuple[Node, ...], widened: list[Node]) -> Node:
    """A node some of whose arguments have got a batch axis. Raises `_Apart` unless its result is the same with one."""
    if any(True for _ in regions_of(node)):
        raise _Apart
    if node.op.broadcasts and node.op not in LOOKUPS:  # which take a time for each sample as it is
        rank = max(len(item.type.sample) for item in inputs)
        inputs = tuple(_raised(item, rank) for item in inputs)
    batch = widened[0].type.shape[0]
    found = node.op(*inputs, **_behind_the_batch(node.attrs, batch)) if _has_axes(node) else node.rebuilt(inputs)
    if any(new.shape != (batch, *old.sample) for old, new in zip(node.types, found.types, strict=True)):
        raise _Apart
    return found


def _has_axes(node: Node) -> bool:
    """Whether axes are counted of arguments that had no batch: in the graph it is one of them."""
    return bool({"axis", "axes", "shape"} & set(node.attrs)) and not any(item.type.batched for item in node.inputs)


def _behind_the_batch(attrs: Mapping[str, Any], batch: Size) -> dict[str, Any]:
    """The same axes, counted behind that of the batch, and shapes with it."""
    found = dict(attrs)
    if found.get("axis", -1) >= 0:
        found["axis"] += 1
    if "axes" in found:
        found["axes"] = tuple(axis + 1 for axis in found["axes"])
    if "shape" in found:
        found["shape"] = (batch, *found["shape"])
    return found


def _raised(node: Node, rank: int) -> Node:
    """A batched value with axes of size one between its batch and its sample."""
    if not node.type.batched or len(node.type.sample) == rank:
        return node
    batch, *sample = node.type.shape
    return RESHAPE(node, shape=(batch, *(1,) * (rank - len(sample)), *sample))


def own_times(
    field: TorchField, states: int, span: tuple[float, float], at: Tensors, slices: Tensors
) -> TorchField | None:
    """`field` with a time for each sample; None where it cannot be had, or gives a sample something else than `field`
    does at its time. It is tried at times spread over the span.
    """
    bound = field.bound
    program = with_own_times(bound.region, states, len(bound.captured))
    if program is None:
        return None
    own = program.bind(bound.run, bound.captured)
    times = torch.linspace(*span, len(at[0]), dtype=torch.float64)
    together = tuple(a.expand_as(x) for a, x in zip(own(times, at, slices), at, strict=True))
    for row in sorted({0, len(times) // 2, len(times) - 1}):
        alone = (b.expand_as(x)[row] for b, x in zip(field(times[row], at, slices), at, strict=True))
        if not all(_same(a[row], b) for a, b in zip(together, alone, strict=True)):
            return None
    return own


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-12, atol=1e-290, equal_nan=True)


__all__ = ["bends_at_states", "own_times"]

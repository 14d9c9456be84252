"""Points of a sample taken apart: a value at all times of a path is computed of further samples, one for each time."""

from __future__ import annotations

from isocline_compiler.graph import INPUT, Node, regions_of
from isocline_compiler.graph.tensor_type import is_batch, points_of
from isocline_compiler.ops.noise import NOISE_LIKE
from isocline_compiler.ops.normalisation import BATCH_NORM
from isocline_compiler.ops.points import MEMBERS, MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.streaming.entries import Entries, Reading

APART = frozenset({INPUT, BATCH_NORM, NOISE_LIKE, MERGE_POINTS, SPLIT_POINTS, MEMBERS})
"""What is no function of each sample alone, or counts samples otherwise."""


def points_at(of: Reading, node: Node, count: int, entries: Entries) -> Node | None:
    """(n batch, ...) with those `entries` of its `count` = n points, (w batch, ...); None where they cannot be told
    apart.

    An operation treats samples one by one: the same operation of the same entries, down to the values (batch, n, ...)
    whose points were made samples. Raises what `of` raises.
    """
    whole = str(node.shape[0])
    rest = whole.removeprefix(points_of("", count))
    fewer = points_of(rest, entries.width)
    known: dict[Node, Node | None] = {}

    def visit(x: Node) -> Node | None:
        if x not in known:
            known[x] = made(x)
        return known[x]

    def made(x: Node) -> Node | None:
        if not x.type.batched:
            return of.after(x)
        if x.shape[0] != whole:
            return None
        if x.op is MERGE_POINTS:
            (inner,) = x.inputs
            return MERGE_POINTS(of.rows(inner, 1, entries)) if inner.shape[:2] == (rest, count) else None
        if x.op in APART or any(regions_of(x)) or not x.inputs:
            return None
        inputs = [visit(item) for item in x.inputs]
        if any(item is None for item in inputs):
            return None
        attrs = dict(x.attrs)
        if "shape" in attrs:
            attrs["shape"] = tuple(fewer if is_batch(size) else size for size in attrs["shape"])
        return x.op(*(item for item in inputs if item is not None), **attrs)

    return visit(node) if whole != rest else None


__all__ = ["points_at"]

r"""Values that were not observed, between those that were: what a control goes through where its rows have gaps.

Each channel has gaps of its own. Between its observations at t_l and t_r the value at t is on the straight line,
x_l + (x_r - x_l)(t - t_l)/(t_r - t_l), or x_l where a path holds; before the first observation it is the first, behind
the last the last, and 0 where nothing was observed. The nearest observation on either side is found by doubling: after
k rounds every row knows of 2^k rows (Hillis, Steele 1986), so that n rows take log2 n rounds, whatever the gaps are.

Kidger, Morrill, Foster, Lyons (2020), Neural Controlled Differential Equations for Irregular Time Series, 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Node, constant
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import GREATER, WHERE
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.shaping import RESHAPE


@dataclass(frozen=True, eq=False)
class Nearest:
    """For every entry of (n, ...) or (batch, n, ...) the nearest observation on one side: 1 where there is one, its
    value, its time.
    """

    seen: Node
    value: Node
    time: Node

    @classmethod
    def towards(cls, seen: Node, value: Node, time: Node, axis: int, later: bool) -> Nearest:
        """Of the rows up to each, or from each on."""
        found, reach, count = cls(seen, value, time), 1, int(value.size(axis))
        while reach < count:
            far = Nearest(*(_shifted(item, axis, reach, later) for item in (found.seen, found.value, found.time)))
            found = found.or_else(far)
            reach *= 2
        return found

    def or_else(self, other: Nearest) -> Nearest:
        """This one where there is one, else the other."""
        here = GREATER(self.seen, constant(0.5))
        mine, theirs = (self.seen, self.value, self.time), (other.seen, other.value, other.time)
        return Nearest(*(WHERE(here, a, b) for a, b in zip(mine, theirs, strict=True)))


def _shifted(x: Node, axis: int, by: int, later: bool) -> Node:
    """Each row that of `by` rows before, or later; rows of nothing at the end that is left free."""
    count = int(x.size(axis))
    kept = SLICE(x, axis=axis, start=by, stop=count) if later else SLICE(x, axis=axis, start=0, stop=count - by)
    free = SLICE(x, axis=axis, start=0, stop=by) * 0.0
    return CONCAT(kept, free, axis=axis) if later else CONCAT(free, kept, axis=axis)


def filled(knots: Node, values: Node, seen: Node, held: bool) -> Node:
    """The values with their gaps filled; `seen` is above 1/2 where one was observed, of their shape or (n,)."""
    if seen.type.rank - int(seen.type.batched) == 1 and len(values.type.sample) > 1:
        seen = RESHAPE(seen, shape=(*seen.shape, *(1,) * (len(values.type.sample) - 1)))
    like = (
        values
        if values.type.batched or not (seen.type.batched or knots.type.batched)
        else _batched(values, seen, knots)
    )
    axis = int(like.type.batched)
    seen = broadcast_like(seen, like)
    time = RESHAPE(knots, shape=(*knots.shape, *(1,) * (len(values.type.sample) - 1)))
    time = broadcast_like(time, like)
    # what was not observed may be anything, and must not reach the answer by a product with zero
    known = WHERE(GREATER(seen, constant(0.5)), like, broadcast_like(constant(0.0), like))
    before = Nearest.towards(seen, known, time, axis, later=False)
    after = Nearest.towards(seen, known, time, axis, later=True)
    left, right = before.or_else(after), after.or_else(before)
    if held:
        return left.value
    apart = right.time - left.time
    between = GREATER(apart, constant(0.0))
    width = WHERE(between, apart, broadcast_like(constant(1.0), like))
    part = WHERE(between, (time - left.time) / width, broadcast_like(constant(0.0), like))
    return left.value + (right.value - left.value) * part


def _batched(values: Node, seen: Node, knots: Node) -> Node:
    """Values that all samples share, for each sample whose gaps or times are its own."""
    given = seen if seen.type.batched else knots
    one = RESHAPE(given, shape=(*given.shape, *(1,) * (values.type.rank + 1 - given.type.rank))) * 0.0
    return one + values


__all__ = ["filled"]

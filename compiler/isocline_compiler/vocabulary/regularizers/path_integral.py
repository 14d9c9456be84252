"""Integrals along a solution, found by the solver itself: the integrand becomes the equation of one more state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Node, Region, constant, leaf
from isocline_compiler.graph.solve import Interval, parts, pick
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.shaping import SPREAD

Integrand: TypeAlias = Callable[[Node, Sequence[Node], Sequence[Node]], Node]
"""(t, states, derivatives) -> one number for each sample. The states are the model's own, without other integrals."""


def augment(solve: Node, integrand: Integrand) -> tuple[Node, int]:
    """The same solve with a state a' = integrand(t, x, x') from a = 0, and that state's index: the last one.

    The earlier states keep their indices. a is a number for each sample, (batch,), or () when no state has a batch.
    """
    given = parts(solve)
    batched = next((item for item in given.initial if item.type.batched), None)
    start = constant(0.0) if batched is None else SPREAD(constant(0.0), batched)
    times = () if given.times is None else (given.times,)
    integrals = solve.attrs.get("integrals", 0)
    attrs = dict(solve.attrs) | {"states": len(given.initial) + 1, "integrals": integrals + 1}
    attrs["region"] = _augmented(solve.attrs["region"], len(given.initial), integrals, start.type, integrand)
    inputs = (*given.initial, start, *given.captured, *given.stacked, *times)
    types = solve.op.infer(*(item.type for item in inputs), **attrs)
    assert isinstance(types, tuple)
    return Node(solve.op, inputs, attrs, types, solve.span), len(given.initial)


def _augmented(region: Region, states: int, integrals: int, accumulator: TensorType, integrand: Integrand) -> Region:
    """The region with one more state, on which nothing depends; the last `integrals` states are such already."""
    time, *rest = region.arguments
    own = states - integrals
    value = integrand(time, rest[:own], region.results[:own])
    if accumulator.batched and not value.type.batched:
        value = SPREAD(value, rest[0])
    argument = leaf(ARGUMENT, "path_integral", accumulator)
    return Region((time, *rest[:states], argument, *rest[states:]), (*region.results, value))


def total(solve: Node, index: int) -> Node:
    """The accumulated integral at the end of the solve, counted positive in the direction of travel."""
    interval: Interval = solve.attrs["interval"]
    value = pick(solve, index)
    if interval.everywhere:
        value = SELECT(value, axis=value.type.rank - 1, index=-1)
    if interval.times is None:
        # where the times are values their order is not known; the integrand is of one sign
        return ABS(value)
    return -value if interval.times[-1] < interval.times[0] else value

"""Integrals along a solution, found by the solver itself: the integrand becomes the equation of one more state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Node, constant, leaf
from isocline_compiler.graph.solve import Solve, State, pick, spec_of
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.ops.shaping import SPREAD

Integrand: TypeAlias = Callable[[Node, Sequence[Node], Sequence[Node]], Node]
"""(t, states, derivatives) -> one number for each sample. The states are those that the author declared."""


def augment(node: Node, integrand: Integrand) -> tuple[Node, int]:
    """The same solve with a state a' = integrand(t, x, x') from a = 0, and that state's index: the last one.

    The earlier states keep their indices. a is a number for each sample, (batch,), or () when no state has a batch.
    """
    solve = Solve.of(node)
    batched = next((item for item in solve.initial if item.type.batched), None)
    start = constant(0.0) if batched is None else SPREAD(constant(0.0), batched)
    states = [solve.state_arguments[i] for i in solve.spec.own]
    value = integrand(solve.time, states, solve.slopes(solve.spec.own))
    if (start.type.batched or solve.spec.noises) and not value.type.batched:
        value = SPREAD(value, solve.state_arguments[0])
    count = len(solve.spec.places("integral"))
    state = State(f"integral~{count}", role="integral")
    # noise drives the states of each sample apart wherever they start
    argument = leaf(ARGUMENT, state.name, start.type.with_shape((BATCH,)) if solve.spec.noises else start.type)
    augmented = solve.with_states([state], [start], [argument], [value])
    return augmented.node(), len(solve.initial)


def total(solve: Node, index: int) -> Node:
    """The accumulated integral at the end of the solve, counted positive in the direction of travel; the mean over its
    samples.
    """
    interval = spec_of(solve).interval
    value = pick(solve, index)
    if interval.everywhere:
        value = SELECT(value, axis=value.type.rank - 1, index=-1)
    if spec_of(solve).samples is not None:
        value = REDUCE_MEAN(value, axes=(1,), keepdims=False)
    if interval.times is None:
        # where the times are values their order is not known; the integrand is of one sign
        return ABS(value)
    return -value if interval.times[-1] < interval.times[0] else value

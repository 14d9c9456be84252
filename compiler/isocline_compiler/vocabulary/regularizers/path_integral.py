"""Integrals along a solution, found by the solver itself: the integrand becomes the equation of one more state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.solve import Solve, pick, spec_of
from isocline_compiler.ops.comparison import GREATER, WHERE
from isocline_compiler.ops.elementwise import ABS, SQRT, SQUARE
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.vocabulary.functions.broadcasting import known_sample
from isocline_compiler.vocabulary.functions.reductions import reduce
from isocline_compiler.vocabulary.integral import integrated
from isocline_compiler.vocabulary.regularizers.record import Context
from isocline_dsl import messages

Integrand: TypeAlias = Callable[[Node, Sequence[Node], Sequence[Node]], Node]
"""(t, states, derivatives) -> one number for each sample. The states are those that the author declared."""


def summed(context: Context, name: str, extend: Callable[[Node], tuple[Node, int]], of_steps: bool = False) -> Node:
    """The integrals along every solution that `name` means, added: `extend` gives a solve one more state, and its
    index. With `of_steps` the states are sums over steps, which know no direction.
    """
    found = constant(0.0)
    for place in range(len(context.solves(name))):
        # asked again each time: a solve that starts where another ends is a new node when that one is replaced
        node = context.solves(name)[place]
        augmented, index = extend(node)
        context.replace(node, augmented)
        found = found + (at_the_end(augmented, index) if of_steps else total(augmented, index))
    return found


def augment(node: Node, integrand: Integrand) -> tuple[Node, int]:
    """The same solve with a state a' = integrand(t, x, x') from a = 0, and that state's index: the last one.

    The earlier states keep their indices. a is a number for each sample, (batch,), or () when nothing has a batch.
    """
    solve = Solve.of(node)
    states = [solve.state_arguments[i] for i in solve.spec.own]
    return integrated(solve, integrand(solve.time, states, solve.slopes(solve.spec.own)))


def total(solve: Node, index: int) -> Node:
    """The accumulated integral at the end of the solve, counted positive in the direction of travel; the mean over its
    samples.
    """
    interval = spec_of(solve).interval
    value = at_the_end(solve, index)
    if interval.times is None:
        # where the times are values their order is not known; the integrand is of one sign
        return ABS(value)
    return -value if interval.times[-1] < interval.times[0] else value


def at_the_end(solve: Node, index: int) -> Node:
    """A state that is one number, at the end of the solve; the mean over its samples."""
    value = pick(solve, index)
    if spec_of(solve).interval.everywhere:
        value = SELECT(value, axis=value.type.rank - 1, index=-1)
    return value if spec_of(solve).samples is None else REDUCE_MEAN(value, axes=(1,), keepdims=False)


def square(callee: str, values: Sequence[Node]) -> Node:
    """The sum of the squares of all entries of several values: one number for each sample."""
    found = constant(0.0)
    for value in values:
        known_sample(callee, value)
        axes = tuple(range(int(value.type.batched), value.type.rank))
        found = found + reduce("reduce_sum", SQUARE(value), axes)
    return found


def length(square: Node) -> Node:
    """The root of a square, of derivative 0 at 0, where the root has none."""
    apart = GREATER(square, 0.0)
    return WHERE(apart, SQRT(WHERE(apart, square, constant(1.0))), constant(0.0))


def require_smooth(callee: str, node: Node) -> None:
    """Raises `Fault` for a solve with noise: its paths have no derivative and no length."""
    spec = spec_of(node)
    if spec.noises:
        raise Fault(lambda span: messages.regularizer_of_noise(span, callee, spec.field))

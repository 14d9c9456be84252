"""The integral of an expression along a solution, found by the solve that finds the solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isocline_compiler.graph import ARGUMENT, Node, constant, leaf
from isocline_compiler.graph.solve import Solve, State, pick
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.vocabulary.functions.broadcasting import as_real, known_sample
from isocline_compiler.vocabulary.functions.kinds import SolutionName, Value
from isocline_compiler.vocabulary.functions.record import Callee


def integral(expression: Value, *, over: SolutionName) -> Node:
    """The integral of an expression along a solution, from its first time to its last, in the shape of the expression.

    Within it the time and the states of the solution's field go by the field's own names, and x' is how the state x
    moves, with noise its drift; everything else is what it is outside, held constant along the solution. It is one
    more state of the same solve: the same solver finds it, to the same accuracy. Backwards in time dt is negative. Of
    a solve with `samples` it is that of each path, along their axis.

    Example: integral(weight*concentration^2, over=path)
    """
    raise NotImplementedError("its expression is evaluated within the solve: see `along`")


INTEGRAL = Callee(integral)


def along(solve: Solve, value: Node) -> Node:
    """int value dt from the first to the last time of a solve; `value` is written in the arguments of its region."""
    value = as_real(value)
    known_sample("integral", value)
    spec = replace(solve.spec, name=f"{solve.spec.name}_integral", varies=solve.spec.choice)
    node, index = integrated(solve.rebuilt(spec=spec), value)
    found = pick(node, index)
    if not spec.interval.everywhere:
        return found
    return SELECT(found, axis=found.type.rank - 1 - len(value.type.sample), index=-1)


def integrated(solve: Solve, value: Node) -> tuple[Node, int]:
    """The same solve with a state a' = value from a = 0, and that state's index: the last one.

    The earlier states keep their indices. a has a batch axis where a state or a captured value has one.
    """
    batched = next((item for item in (*solve.initial, *solve.captured) if item.type.batched), None)
    zeros = constant(np.zeros([int(size) for size in value.type.sample]))
    start = zeros if batched is None else SPREAD(zeros, batched)
    if (start.type.batched or solve.spec.noises) and not value.type.batched:
        value = SPREAD(value, next(x for x in solve.region.arguments[1:] if x.type.batched))
    count = len(solve.spec.places("integral"))
    state = State(f"integral~{count}", value.type.sample, role="integral")
    argument = leaf(ARGUMENT, state.name, solve.argument_type(start))
    return solve.with_states([state], [start], [argument], [value]).node(), len(solve.initial)

"""A solve as steps one after another."""

from __future__ import annotations

from isocline_compiler.graph import Nodes
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.trajectory import Trajectory
from isocline_compiler.solvers.unroll.time_span import TimeSpan, stack, steps_of, walk
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

MOST_NODES = 2_000_000
"""Operations of one solve that is laid out; onnxruntime takes minutes to load a tenth of that."""


def laid_out(solve: Solve, choice: Discretisation, observed: bool) -> tuple[Nodes, Trajectory | None]:
    """The results of a solve, one step after another, and its trajectory where it is `observed`.

    Then the first states are nodes of their own (x * 1), so that a use of the same value elsewhere is not taken for one
    of the state. Raises IsoclineError for a graph that no machine would load.
    """
    _refuse_too_many(solve, choice)
    span = TimeSpan.of(solve, choice)
    initial = span.solve.initial
    if observed:
        initial = tuple(MUL(x, 1.0) for x in initial)
    path = [x for _, x in walk(span, initial)]
    kept = [path[i] for i in span.keep]
    results = tuple(map(stack, zip(*kept, strict=True))) if solve.spec.interval.everywhere else kept[-1]
    if not observed:
        return results, None
    states = {solve.spec.states[i].name: tuple(x[i] for x in path) for i in solve.spec.own}
    return results, Trajectory(solve.spec.name, stack(span.times), states)


def _refuse_too_many(solve: Solve, choice: Discretisation) -> None:
    count = steps_of(solve, choice) * choice.scheme.cost(solve).nodes
    if count > MOST_NODES:
        raise IsoclineError([messages.too_many_nodes(solve.span, count, MOST_NODES)])

"""Replace each solve by the steps of a scheme on a grid: after this, the graph holds arithmetic and loops only."""

from __future__ import annotations

from collections.abc import Callable

from isocline_compiler.graph import Graph, Node, at, everything, regions_of, transform, uncollected
from isocline_compiler.graph.solve import PICK, SOLVE, Interval
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.solvers.forms import Unrolling, step_operations, with_segments
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes.scheme import State
from isocline_compiler.solvers.unroll.loop import looped
from isocline_compiler.solvers.unroll.walk import Course, Record, Travel, as_value, fields, stack, steps_of, walk
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

Choose = Callable[[Node], Discretisation | None]
"""The scheme and the grid of a solve; None leaves it as it is, for a solver that is not ours."""


@uncollected()
def unroll(graph: Graph, choose: Choose, record: Record | None = None) -> Graph:
    """solve -> the steps of `choose(solve)`, one after another, or a loop over segments of them; what does not
    depend on state, time or step stays one node.

    The combinations of slopes carry the span of the solve, the nodes of the field their own. Laid out, the graph
    grows linearly with the number of steps; with a loop it does not grow. The same graph comes back when it holds no
    solve. `record` is told the course of every solve.
    """
    results: dict[Node, State] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        choice = choose(node) if node.op is SOLVE else None
        if choice is not None:
            with at(node.span):
                results[node] = discretised(node.rebuilt(inputs), choice, record)
            return as_value(results[node][0])
        if node.op is PICK and node.inputs[0] in results:
            return as_value(results[node.inputs[0]][node.attrs["index"]])
        return node.rebuilt(inputs)

    outputs = transform(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def discretised(node: Node, choice: Discretisation, record: Record | None = None) -> State:
    """The results of one solve node: each state at the end, or at all kept times on an axis after the batch
    axis.
    """
    assert not any(inner.op is SOLVE for r in regions_of(node) for inner in everything(r.results)), "a solve in a field"
    found = looped(node, choice, record) if choice.segment is not None else None
    results = found or _laid_out(node, choice, record)
    types = tuple(result.type for result in results)
    assert types == node.types, f"the grid keeps {types}, the solve has {node.types}"
    return results


def _laid_out(node: Node, choice: Discretisation, record: Record | None) -> State:
    """One step after another.

    For `record` the first states are nodes of their own (x * 1), so that a use of the same value elsewhere is not
    taken for one of the state.
    """
    _refuse_too_many(node, choice)
    travel = Travel.of(node, choice)
    initial = travel.initial if record is None else tuple(MUL(x, 1.0) for x in travel.initial)
    walked = tuple(walk(choice.scheme, initial, travel.strides, fields(node, travel.steps)))
    kept = [walked[i] for i in travel.keep]
    if record is not None:
        record(node, Course(stack(travel.times), tuple(zip(*walked, strict=True))))
    interval: Interval = node.attrs["interval"]
    return tuple(map(stack, zip(*kept, strict=True))) if interval.everywhere else kept[-1]


MOST_NODES = 2_000_000
"""Operations of one solve that is laid out; onnxruntime takes minutes to load a tenth of that."""


def _refuse_too_many(node: Node, choice: Discretisation) -> None:
    """Raises IsoclineError for a solve whose graph no machine would load."""
    count = steps_of(node, choice) * step_operations(node, choice.scheme)
    if count > MOST_NODES:
        raise IsoclineError([messages.too_many_nodes(node.span, count, MOST_NODES)])


__all__ = [
    "MOST_NODES",
    "Choose",
    "Course",
    "Record",
    "Unrolling",
    "discretised",
    "step_operations",
    "steps_of",
    "unroll",
    "with_segments",
]

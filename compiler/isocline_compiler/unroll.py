"""Replace each solve by the steps of a scheme on a grid: after this, the graph holds arithmetic only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from isocline_compiler.graph import (
    Graph,
    Node,
    at,
    constant,
    everything,
    regions_of,
    topological,
    transform,
    uncollected,
)
from isocline_compiler.grid import Discretisation, Grid
from isocline_compiler.ops import OPS
from isocline_compiler.schemes.scheme import Field, Scheme, State, Stride, stride
from isocline_compiler.solve_node import PICK, SOLVE, Interval, SolveParts, parts
from isocline_compiler.tensor_type import BATCH
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

Choose = Callable[[Node], Discretisation | None]
"""The scheme and the grid of a solve; None leaves it as it is, for a solver that is not ours."""

Record = Callable[[Node, "tuple[Node, ...]", "tuple[State, ...]"], None]
"""Takes a solve with the times of its grid and the states at each of them, as nodes of the unrolled graph."""


@uncollected()
def unroll(graph: Graph, choose: Choose, record: Record | None = None) -> Graph:
    """solve -> the steps of `choose(solve)`, one after another; what does not depend on state, time or step
    stays one node.

    The combinations of slopes carry the span of the solve, the nodes of the field their own. The graph grows
    linearly with the number of steps. The same graph comes back when it holds no solve. `record` is told the states at
    every node of each grid.
    """
    results: dict[Node, State] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        choice = choose(node) if node.op is SOLVE else None
        if choice is not None:
            with at(node.span):
                results[node] = unrolled(node.rebuilt(inputs), choice, record)
            return _first(results[node])
        if node.op is PICK and node.inputs[0] in results:
            return _node(results[node.inputs[0]][node.attrs["index"]])
        return node.rebuilt(inputs)

    outputs = transform(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def unrolled(node: Node, choice: Discretisation, record: Record | None = None) -> State:
    """The results of one solve node: each state at the end, or at all kept times on an axis after the batch
    axis.

    For `record` the first states are nodes of their own (x * 1), so that a use of the same value elsewhere is not
    taken for one of the state.
    """
    assert not any(inner.op is SOLVE for r in regions_of(node) for inner in everything(r.results)), "a solve in a field"
    travel = _Travel.of(node, choice)
    _refuse_too_many(node, travel.steps * choice.scheme.evaluations)
    if record is not None:
        travel = replace(travel, initial=tuple(OPS["mul"](x, 1.0) for x in travel.initial))
    walked = tuple(_walk(choice.scheme, travel, _fields(node, travel.steps)))
    kept = [x for i, x in enumerate(walked) if i in travel.keep]
    if record is not None:
        record(node, travel.times, walked)
    interval: Interval = node.attrs["interval"]
    results = tuple(map(_stack, zip(*kept, strict=True))) if interval.everywhere else kept[-1]
    found = tuple(result.type for result in results)
    assert found == node.types, f"the grid keeps {found}, the solve has {node.types}"
    return results


MOST_NODES = 2_000_000
"""Operations of one unrolled solve; onnxruntime takes minutes to load a tenth of that."""


def _refuse_too_many(node: Node, evaluations: int) -> None:
    """Raises IsoclineError for a solve whose graph no machine would load."""
    count = evaluations * len(topological(node.attrs["region"].results))
    if count > MOST_NODES:
        raise IsoclineError([messages.too_many_nodes(node.span, count, MOST_NODES)])


@dataclass(frozen=True)
class _Travel:
    """The start, the strides in order, and after how many of them the states are kept."""

    initial: State
    strides: tuple[Stride, ...]
    keep: frozenset[int]

    @property
    def steps(self) -> int:
        return len(self.strides)

    @property
    def times(self) -> tuple[Node, ...]:
        """The times of the grid's nodes: literals, or one value a sample."""
        return tuple(_node(time) for time in (*(item.t for item in self.strides), self.strides[-1].end))

    @classmethod
    def of(cls, node: Node, choice: Discretisation) -> _Travel:
        given = parts(node)
        if isinstance(choice.grid, Grid):
            return cls(given.initial, _known(choice.grid, len(given.initial)), frozenset(choice.grid.keep))
        strides = tuple(_from_input(given, choice.grid))
        return cls(given.initial, strides, frozenset(range(0, len(strides) + 1, choice.grid)))


def _known(grid: Grid, states: int) -> tuple[Stride, ...]:
    """Strides between times that are numbers."""
    times = zip(grid.times, grid.widths, grid.times[1:], strict=False)
    return tuple(stride(t, h, states, end) for t, h, end in times)


def _from_input(given: SolveParts, substeps: int) -> Iterator[Stride]:
    """Strides between times that are values of shape (batch, n) or (n,): t of shape (batch,) or (), h one a
    sample.
    """
    assert given.times is not None, "a number of substeps is a discretisation for times that come with the input"
    count = given.times.size(-1)
    assert isinstance(count, int), "the number of times is known when compiling"
    axis = given.times.type.rank - 1
    nodes = [OPS["select"](given.times, axis=axis, index=index) for index in range(count)]
    for here, there in pairwise(nodes):
        h = (there - here) * (1 / substeps)
        widths = tuple(_broadcast_over(h, state) for state in given.initial)
        inner = [here, *(here + float(j) * h for j in range(1, substeps)), there]
        for t, end in pairwise(inner):
            yield Stride(t, end, h, widths)


def _broadcast_over(h: Node, state: Node) -> Node:
    """h of shape (batch,) as (batch, 1, ..., 1), of the rank of the state."""
    if not h.type.batched or state.type.rank == 1:
        return h
    return OPS["reshape"](h, shape=(BATCH, *(1,) * (state.type.rank - 1)))


def _fields(node: Node, steps: int) -> Iterator[Field]:
    r"""The field of each step: captured values filled in, and the step's slice of each stacked weight.

    With N slices and n steps the weights are constant in time piece by piece: step i takes slice floor((i +
    1/2) N / n).
    """
    given, region = parts(node), node.attrs["region"]
    slices: dict[tuple[Node, int], Node] = {}

    def slice_of(stacked: Node, i: int) -> Node:
        depth = stacked.size(0)
        assert isinstance(depth, int), "the number of slices is known when compiling"
        index = (2 * i + 1) * depth // (2 * steps)
        if (stacked, index) not in slices:
            slices[stacked, index] = OPS["select"](stacked, axis=0, index=index)
        return slices[stacked, index]

    def field_of(own: tuple[Node, ...]) -> Field:
        return lambda t, x: region(_node(t), *x, *given.captured, *own)

    for i in range(steps):
        yield field_of(tuple(slice_of(stacked, i) for stacked in given.stacked))


def _walk(scheme: Scheme, travel: _Travel, fields: Iterator[Field]) -> Iterator[State]:
    """The states at every node of the grid."""
    x = travel.initial
    memory = None
    yield x
    for i, (here, field) in enumerate(zip(travel.strides, fields, strict=True)):
        if i == 0:
            memory = scheme.start(field, x)
        memory, x = scheme.advance(memory, field, here, x)
        if i == 0:
            _check_types(travel.initial, x)
        yield x


def _check_types(before: Sequence[Node], after: Sequence[Node]) -> None:
    """A state that is given once for all samples must be spread before the solve, or its type would change
    under way.
    """
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        assert old.type == new.type, f"state {index} starts as {old.type} and goes on as {new.type}"


def _stack(values: Sequence[Node]) -> Node:
    """(batch, *state) n times -> (batch, n, *state); without a batch axis the time axis is the first."""
    head = (BATCH,) if values[0].type.batched else ()
    slabs = [OPS["reshape"](value, shape=(*head, 1, *value.type.sample)) for value in values]
    return OPS["concat"](*slabs, axis=len(head))


def _node(value: Node | float) -> Node:
    return value if isinstance(value, Node) else constant(float(value))


def _first(results: State) -> Node:
    return _node(results[0])

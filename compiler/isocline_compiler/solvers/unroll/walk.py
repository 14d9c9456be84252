"""What laid-out steps and loops have in common: where the strides are, the field of each step, the way along them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from isocline_compiler.graph import Node, constant
from isocline_compiler.graph.solve import SolveParts, parts
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.ops.indexing import CONCAT, SELECT
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.scheme import Field, Memory, Scheme, State, Stride, stride


@dataclass(frozen=True, eq=False)
class Course:
    """A solve on its grid, for whoever looks at it on the way.

    `times` has shape (n,) or (batch, n). `states` holds, by state, the nodes in the order of the grid: a value (batch,
    *state) each, or, for steps inside of a loop, a block (segments, steps, batch, *state) of zeros that are added to
    the state after each step. The derivative with respect to either is that with respect to the state there.
    """

    times: Node
    states: tuple[tuple[Node, ...], ...]


Record = Callable[[Node, Course], None]
"""Takes a solve with its course."""


@dataclass(frozen=True)
class Travel:
    """The start, the strides in order, and after how many of them the states are kept."""

    initial: State
    strides: tuple[Stride, ...]
    keep: tuple[int, ...]

    @property
    def steps(self) -> int:
        return len(self.strides)

    @property
    def times(self) -> tuple[Node, ...]:
        """The times of the grid's nodes: literals, or one value a sample."""
        return tuple(as_value(time) for time in (*(item.t for item in self.strides), self.strides[-1].end))

    @classmethod
    def of(cls, node: Node, choice: Discretisation) -> Travel:
        given = parts(node)
        if isinstance(choice.grid, Grid):
            return cls(given.initial, _known(choice.grid, len(given.initial)), choice.grid.keep)
        strides = tuple(_from_input(given, choice.grid))
        return cls(given.initial, strides, tuple(range(0, len(strides) + 1, choice.grid)))


def steps_of(node: Node, choice: Discretisation) -> int:
    """Steps of the whole solve."""
    if isinstance(choice.grid, Grid):
        return choice.grid.steps
    times = parts(node).times
    assert times is not None, "a number of substeps is a discretisation for times that come with the input"
    return choice.grid * (int(times.size(-1)) - 1)


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
    nodes = [SELECT(given.times, axis=axis, index=index) for index in range(count)]
    for here, there in pairwise(nodes):
        h = (there - here) * (1 / substeps)
        widths = tuple(broadcast_over(h, state) for state in given.initial)
        inner = [here, *(here + float(j) * h for j in range(1, substeps)), there]
        for t, end in pairwise(inner):
            yield Stride(t, end, h, widths)


def broadcast_over(h: Node, state: Node) -> Node:
    """h of shape (batch,) as (batch, 1, ..., 1), of the rank of the state."""
    if not h.type.batched or state.type.rank == 1:
        return h
    return RESHAPE(h, shape=(BATCH, *(1,) * (state.type.rank - 1)))


def slice_index(step: int, steps: int, depth: int) -> int:
    r"""Which of N slices of weights step i of n takes: floor((i + 1/2) N / n). They are constant in time piece by
    piece.
    """
    return (2 * step + 1) * depth // (2 * steps)


def fields(node: Node, steps: int) -> Iterator[Field]:
    """The field of each step: captured values filled in, and the step's slice of each stacked weight."""
    given, region = parts(node), node.attrs["region"]
    slices: dict[tuple[Node, int], Node] = {}

    def slice_of(stacked: Node, i: int) -> Node:
        depth = stacked.size(0)
        assert isinstance(depth, int), "the number of slices is known when compiling"
        index = slice_index(i, steps, depth)
        if (stacked, index) not in slices:
            slices[stacked, index] = SELECT(stacked, axis=0, index=index)
        return slices[stacked, index]

    def field_of(own: tuple[Node, ...]) -> Field:
        return lambda t, x: region(as_value(t), *x, *given.captured, *own)

    for i in range(steps):
        yield field_of(tuple(slice_of(stacked, i) for stacked in given.stacked))


def walk(scheme: Scheme, initial: State, strides: Sequence[Stride], fields: Iterator[Field]) -> Iterator[State]:
    """The states at every node of the grid."""
    return (x for _, x in remembering(scheme, initial, strides, fields))


_NOT_STARTED: Memory = object()


def remembering(
    scheme: Scheme,
    initial: State,
    strides: Sequence[Stride],
    fields: Iterator[Field],
    memory: Memory = _NOT_STARTED,
) -> Iterator[tuple[Memory, State]]:
    """What the scheme remembers at every node of the grid, and the states; from the start, or from a `memory` on."""
    x = initial
    for i, (here, field) in enumerate(zip(strides, fields, strict=True)):
        if i == 0:
            memory = scheme.start(field, x) if memory is _NOT_STARTED else memory
            yield memory, x
        memory, x = scheme.advance(memory, field, here, x)
        if i == 0:
            _check_types(initial, x)
        yield memory, x


def _check_types(before: Sequence[Node], after: Sequence[Node]) -> None:
    """A state that is given once for all samples must be spread before the solve, or its type would change
    under way.
    """
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        assert old.type == new.type, f"state {index} starts as {old.type} and goes on as {new.type}"


def stack(values: Sequence[Node]) -> Node:
    """(batch, *state) n times -> (batch, n, *state); without a batch axis the new axis is the first."""
    head = (BATCH,) if values[0].type.batched else ()
    slabs = [RESHAPE(value, shape=(*head, 1, *value.type.sample)) for value in values]
    return CONCAT(*slabs, axis=len(head))


def as_value(value: Node | float) -> Node:
    return value if isinstance(value, Node) else constant(float(value))

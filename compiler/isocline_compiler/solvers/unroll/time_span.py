"""What laid-out steps and loops have in common: where the steps are, what each of them reads, the way along them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from isocline_compiler.graph import Node, Nodes, constant
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.ops.indexing import CONCAT, SELECT
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.delays import Remembering
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step, beside
from isocline_compiler.solvers.unroll.controlled import lookups_of_steps, with_rows_of_controls
from isocline_compiler.solvers.unroll.driven import driven, scaled


@dataclass(frozen=True, eq=False)
class TimeSpan:
    """A solve with the steps it takes, in order, and after how many of them its states are kept.

    The increments of its noise are among the rows by now, and the pieces of its controls where each step has one: what
    is read of them is known with the grid.
    """

    solve: Solve
    scheme: Scheme
    steps: tuple[Step, ...]
    keep: tuple[int, ...]

    @classmethod
    def of(cls, solve: Solve, choice: Discretisation) -> TimeSpan:
        count = steps_of(solve, choice)
        lookups = lookups_of_steps(solve, choice)
        solve = with_rows_of_controls(driven(solve, choice.scheme, count), choice, lookups)
        if isinstance(choice.grid, Grid):
            if isinstance(choice.scheme, Remembering):
                solve = choice.scheme.recalling(solve, choice.grid)
            solve = choice.scheme.tabled(solve)
            nodes = zip(choice.grid.begins, choice.grid.widths, choice.grid.ends, strict=True)
            even = len(set(choice.grid.widths)) == 1
            steps = tuple(Step.of(t, h, len(solve.initial), end, even) for t, h, end in nodes)
            return cls(solve, choice.scheme, steps, choice.grid.keep)
        steps = tuple(_from_input(solve, choice.grid))
        return cls(solve, choice.scheme, steps, tuple(range(0, count + 1, choice.grid)))

    @property
    def count(self) -> int:
        """Steps in all."""
        return len(self.steps)

    @property
    def times(self) -> Nodes:
        """The times of the grid's nodes: literals, or one value a sample."""
        return tuple(as_value(time) for time in (*(item.t for item in self.steps), self.steps[-1].end))

    @cached_property
    def field(self) -> Field:
        """The field, its captured values bound."""
        return Field.of(self.solve)

    @cached_property
    def _slices(self) -> dict[tuple[Node, int], Node]:
        return {}

    def ahead(self, first: int = 0) -> Iterator[tuple[Field, Step]]:
        """The field and the step of each step from the `first` on, with their slices of the rows filled in."""
        for i in range(first, self.count):
            yield self.reading(self.steps[i], [self._slice(row, value, i) for row, value in self.rows])

    @property
    def rows(self) -> list[tuple[Row, Node]]:
        return list(zip(self.solve.spec.rows, self.solve.stacked, strict=True))

    def reading(self, step: Step, slices: Sequence[Node]) -> tuple[Field, Step]:
        """A step and its field, which read one slice of each row."""
        pairs = list(zip(self.solve.spec.rows, slices, strict=True))
        own = {row.name: value for row, value in pairs if not row.read_by_field}
        own |= {noise.name: scaled(noise, self.scheme, own[noise.name], step.h) for noise in self.solve.spec.noises}
        field = self.field.at([value for row, value in pairs if row.read_by_field])
        return field, replace(step, rows=own)

    def _slice(self, row: Row, stacked: Node, i: int) -> Node:
        depth = stacked.size(0)
        assert isinstance(depth, int), "the number of slices is known when compiling"
        key = stacked, row.index(i, self.count, depth)
        if key not in self._slices:
            self._slices[key] = SELECT(stacked, axis=0, index=key[1])
        return self._slices[key]


def steps_of(solve: Solve, choice: Discretisation) -> int:
    """Steps of the whole solve."""
    if isinstance(choice.grid, Grid):
        return choice.grid.steps
    assert solve.times is not None, "a number of substeps is a discretisation for times that come with the input"
    return choice.grid * (int(solve.times.size(-1)) - 1)


def _from_input(solve: Solve, substeps: int) -> Iterator[Step]:
    """Steps between times that are values of shape (batch, n) or (n,): t of shape (batch,) or (), h one a sample."""
    assert solve.times is not None, "a number of substeps is a discretisation for times that come with the input"
    count = solve.times.size(-1)
    assert isinstance(count, int), "the number of times is known when compiling"
    axis = solve.times.type.rank - 1
    nodes = [SELECT(solve.times, axis=axis, index=index) for index in range(count)]
    for here, there in pairwise(nodes):
        h = (there - here) * (1 / substeps)
        widths = tuple(beside(h, state) for state in solve.initial)
        inner = [here, *(here + float(j) * h for j in range(1, substeps)), there]
        for t, end in pairwise(inner):
            yield Step(t, end, h, widths)


_NOT_STARTED: Memory = object()


def walk(span: TimeSpan, x: Nodes, memory: Memory = _NOT_STARTED, first: int = 0) -> Iterator[tuple[Memory, Nodes]]:
    """What the scheme remembers at every node of the grid, and the states; from the start, or from a `memory` on."""
    for i, (field, step) in enumerate(span.ahead(first)):
        if i == 0:
            memory = span.scheme.start(field, x) if memory is _NOT_STARTED else memory
            yield memory, x
        before = x
        memory, x = span.scheme.advance(memory, field, step, x)
        if i == 0:
            _check_types(before, x)
        yield memory, x


def _check_types(before: Sequence[Node], after: Sequence[Node]) -> None:
    """A state that is given once for all samples must be spread before the solve, or its type would change
    under way.
    """
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        assert old.type == new.type, f"state {index} starts as {old.type} and goes on as {new.type}"


def stack(values: Sequence[Node]) -> Node:
    """(batch, *state) n times -> (batch, n, *state); without a batch axis the new axis is the first."""
    head = values[0].shape[:1] if values[0].type.batched else ()
    slabs = [RESHAPE(value, shape=(*head, 1, *value.type.sample)) for value in values]
    return CONCAT(*slabs, axis=len(head))


def as_value(value: Node | float) -> Node:
    return value if isinstance(value, Node) else constant(float(value))

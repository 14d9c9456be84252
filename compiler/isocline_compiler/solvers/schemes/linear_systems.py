"""Systems (shift I - J) d = r of the numbers in a sample's states, factored once and solved often.

Few numbers are solved for entry by entry, which is here; of more, groups of states are, one after another
(`grouped_systems.py`).

The entries are nodes of their own, so that what is zero in the Jacobian is never computed: the order of elimination is
the one that fills in least (Markowitz's count, along the diagonal). Rows are not exchanged: the diagonal holds
1/(gamma h), and what makes equations stiff, decay, adds to it. Hairer, Wanner (1996), IV.8; Duff, Erisman, Reid
(2017), 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np

from isocline_compiler.derivatives.reverse_forward import push_forward
from isocline_compiler.graph import Array, Node, Nodes, Operand, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, SELECT
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.grouped_systems import GroupedSystems

Numbers: TypeAlias = "Sequence[Node]"
"""A vector: a value for each number of the states, or one value for all of them."""


class Factored(Protocol):
    """A matrix that is factored."""

    def solve(self, right: Numbers) -> list[Node]:
        """The solution for one right side."""
        ...


class Systems(Protocol):
    """How the vectors, Jacobians and systems of a solve stand in a graph."""

    @property
    def fault(self) -> str | None:
        """Why they cannot be solved."""
        ...

    def flat(self, x: Nodes) -> list[Node]:
        """The states as a vector."""
        ...

    def shaped(self, numbers: Numbers, like: Nodes) -> Nodes:
        """The states that a vector is."""
        ...

    def some(self, found: Sequence[Node | None], like: Nodes) -> list[Node | None]:
        """The vector of what is known of some states; None for zeros."""
        ...

    def width(self, h: Operand) -> Operand:
        """The width of a step, as it multiplies vectors."""
        ...

    def jacobian(self, field: Field, t: Operand, x: Nodes) -> Any:
        """J at (t, x)."""
        ...

    def factored(self, jacobian: Any, shift: Operand | Sequence[Operand]) -> Factored:
        """shift I - J, factored; a shift for each number where there are several."""
        ...

    def paired(self, jacobian: Any, real: Operand, imaginary: Operand) -> Factored:
        """((re + i im) I - J)(u + i v) as the real system of (u, v), factored."""
        ...


Entry: TypeAlias = "Node | float"
Rows: TypeAlias = "dict[int, dict[int, Entry]]"
"""By row and column; what is missing is zero."""

MOST = 24
"""Numbers in the states that are solved for entry by entry."""


def entries_of(solve: Solve) -> int:
    """Numbers in the states of one sample."""
    return sum(prod(int(size) for size in x.type.sample) for x in solve.state_arguments)


def flat(x: Nodes) -> list[Node]:
    """The numbers of the states, one value a sample each."""
    found: list[Node] = []
    for value in x:
        count = prod(int(size) for size in value.type.sample)
        if value.type.sample == ():
            found.append(value)
        else:
            lead = value.shape[: int(value.type.batched)]
            row = RESHAPE(value, shape=(*lead, count))
            found.extend(SELECT(row, axis=len(lead), index=i) for i in range(count))
    return found


def shaped(numbers: Sequence[Node], like: Nodes) -> Nodes:
    """The states that these numbers are."""
    found, place = [], 0
    for value in like:
        count = prod(int(size) for size in value.type.sample)
        mine = [broadcast_like(number, _first(value)) for number in numbers[place : place + count]]
        place += count
        if value.type.sample == ():
            found.append(mine[0])
        else:
            lead = value.shape[: int(value.type.batched)]
            columns = [RESHAPE(number, shape=(*lead, 1)) for number in mine]
            joined = columns[0] if count == 1 else CONCAT(*columns, axis=len(lead))
            found.append(RESHAPE(joined, shape=value.shape))
    return tuple(found)


def _first(value: Node) -> Node:
    """One number a sample of a state, for its type."""
    return flat((value,))[0]


def jacobian(field: Field, t: Operand, x: Nodes, slopes: Sequence[Node | None]) -> Rows:
    """d slopes_i / dx_j, number by number, at (t, x); `slopes` are in terms of the region's arguments."""
    arguments = field.solve.state_arguments
    directions = []
    for place, argument in enumerate(arguments):
        count = prod(int(size) for size in argument.type.sample)
        for entry in range(count):
            unit = broadcast_like(constant(_unit(argument, entry)), argument)
            directions.append(tuple(unit if i == place else None for i in range(len(arguments))))
    given = [item for item in slopes if item is not None]
    pushed = push_forward(given, arguments, directions)
    rows: Rows = {}
    for column, along in enumerate(pushed):
        moved = iter(along)
        start = 0
        for argument, slope in zip(arguments, slopes, strict=True):
            count = prod(int(size) for size in argument.type.sample)
            change = None if slope is None else next(moved)
            if change is not None:
                (filled,) = field.filled([broadcast_like(change, argument)], t, x)
                for entry, number in enumerate(flat((filled,))):
                    rows.setdefault(start + entry, {})[column] = number
            start += count
    return rows


@lru_cache(maxsize=32)
def systems_of(solve: Solve, *, marked: bool = False) -> Systems:
    """The systems of a solve, or of what is `marked` as stiff of it. Raises Fault for an operation without a
    derivative.
    """
    slopes = solve.parts("stiff") if marked else solve.slopes()
    count = entries_of(solve)
    return EntrySystems(slopes, count) if count <= MOST else GroupedSystems.of(solve, slopes)


@dataclass(frozen=True, eq=False)
class EntrySystems:
    """Each of `count` numbers is a value of its own, and so is each entry of a matrix."""

    slopes: tuple[Node | None, ...]
    count: int
    fault: None = None

    def flat(self, x: Nodes) -> list[Node]:
        """The numbers of the states."""
        return flat(x)

    def shaped(self, numbers: Numbers, like: Nodes) -> Nodes:
        """The states that these numbers are."""
        return shaped(numbers, like)

    def some(self, found: Sequence[Node | None], like: Nodes) -> list[Node | None]:
        """The numbers of these states; None for those of the others."""
        numbers: list[Node | None] = []
        for item, x in zip(found, like, strict=True):
            if item is None:
                numbers.extend([None] * len(flat((x,))))
            else:
                numbers.extend(flat((broadcast_like(item, x),)))
        return numbers

    def width(self, h: Operand) -> Operand:
        """As it is."""
        return h

    def jacobian(self, field: Field, t: Operand, x: Nodes) -> Rows:
        """The entries that are not zero."""
        return jacobian(field, t, x, self.slopes)

    def factored(self, jacobian: Rows, shift: Operand | Sequence[Operand]) -> Factors:
        """Eliminated in the order that fills in least."""
        return factored(shifted(jacobian, self.count, shift))

    def paired(self, jacobian: Rows, real: Operand, imaginary: Operand) -> Factors:
        """A system of twice as many numbers."""
        return factored(paired(jacobian, self.count, real, imaginary))


def _unit(argument: Node, entry: int) -> Array:
    shape = tuple(int(size) for size in argument.type.sample)
    unit = np.zeros(prod(shape))
    unit[entry] = 1
    return unit.reshape(shape)


@dataclass(frozen=True, eq=False)
class Factors:
    """L and U of a matrix whose rows and columns are taken in one `order`."""

    order: tuple[int, ...]
    lower: Mapping[int, Mapping[int, Entry]]
    upper: Mapping[int, Mapping[int, Entry]]
    pivots: Mapping[int, Entry]

    def solve(self, right: Sequence[Node]) -> list[Node]:
        """The solution for one right side."""
        found = dict(enumerate(right))
        for place in self.order:
            for below, factor in self.lower[place].items():
                found[below] = found[below] - factor * found[place]
        for place in reversed(self.order):
            rest = found[place]
            for column, entry in self.upper[place].items():
                rest = rest - entry * found[column]
            found[place] = rest / self.pivots[place]
        return [found[place] for place in range(len(right))]


def shifted(jacobian: Rows, count: int, shift: Operand | Sequence[Operand]) -> Rows:
    """shift I - J, or diag(shift) - J."""
    left: Rows = {}
    for i in range(count):
        row, own = jacobian.get(i, {}), shift[i] if isinstance(shift, Sequence) else shift
        left[i] = {j: -1.0 * entry for j, entry in row.items() if j != i}
        left[i][i] = own - row[i] if i in row else own
    return left


def paired(jacobian: Rows, count: int, real: Operand, imaginary: Operand) -> Rows:
    """((re + i im) I - J)(u + i v) as the real system of (u, v)."""
    left: Rows = {}
    for k in range(2):
        for i, row in shifted(jacobian, count, real).items():
            left[i + k * count] = {j + k * count: entry for j, entry in row.items()}
            left[i + k * count][i + (1 - k) * count] = imaginary if k else -1.0 * imaginary
    return left


def factored(rows: Rows) -> Factors:
    """L U of a matrix."""
    left = {i: dict(row) for i, row in rows.items()}
    order: list[int] = []
    lower: dict[int, dict[int, Entry]] = {}
    upper: dict[int, dict[int, Entry]] = {}
    pivots: dict[int, Entry] = {}
    waiting = set(left)
    while waiting:
        pivot = min(waiting, key=lambda i: (_fill(left, waiting, i), i))
        waiting.discard(pivot)
        order.append(pivot)
        pivots[pivot] = left[pivot][pivot]
        upper[pivot] = {j: entry for j, entry in left[pivot].items() if j in waiting}
        lower[pivot] = {}
        for i in sorted(waiting):
            if pivot not in left[i]:
                continue
            factor = left[i].pop(pivot) / pivots[pivot]
            lower[pivot][i] = factor
            for j, entry in upper[pivot].items():
                product = factor * entry
                left[i][j] = left[i][j] - product if j in left[i] else -1.0 * product
    return Factors(tuple(order), lower, upper, pivots)


def _fill(left: Rows, waiting: set[int], pivot: int) -> int:
    """Markowitz's count: how many entries an elimination touches."""
    row = sum(1 for j in left[pivot] if j in waiting and j != pivot)
    column = sum(1 for i in waiting if i != pivot and pivot in left[i])
    return row * column

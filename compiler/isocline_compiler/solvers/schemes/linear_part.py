"""The linear part of what the author marked as stiff: L in x' = L x + n(t, x), and functions phi_k of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import factorial, prod

import numpy as np

from isocline_compiler.derivatives.reverse_forward import dependent, push_forward
from isocline_compiler.graph import (
    ARGUMENT,
    Array,
    Node,
    Nodes,
    Operand,
    constant,
    leaf,
    substitute,
    topological,
    value_of,
)
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, SUB
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import LESS, WHERE
from isocline_compiler.ops.elementwise import ABS, EXP, TANH
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.linear import LINEAR
from isocline_compiler.ops.matrix import MATRIX_EXP
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field

ENTRYWISE = (ADD, SUB, MUL, DIV, NEG)
MOST_ENTRIES = 512
"""Of the states that a matrix couples."""
SERIES = 0.5
"""Arguments below this have phi_2 and higher by their series, where the recurrence would cancel."""


@dataclass(frozen=True, eq=False)
class LinearPart:
    """L of a solve, in terms of its region's arguments: entry by entry, or a matrix over some states side by side.

    `factors` hold l_i for x_i' = l_i x_i + ..., by the places of the states; `matrix` couples the states at `coupled`.
    `varies`: a factor reads a state or the time, so that it holds for the begin of a step only. `offsets` are what the
    stiff part leaves where the states that it is linear in are zero. `fault` says why there is none.
    """

    factors: dict[int, Node]
    coupled: tuple[int, ...] = ()
    matrix: Node | None = None
    offsets: dict[int, Node] | None = None
    varies: bool = False
    fault: str | None = None


@lru_cache(maxsize=32)
def linear_part(solve: Solve) -> LinearPart:
    """The linear part of the stiff terms of a solve."""
    stiff = solve.parts("stiff")
    names = [state.name for state in solve.spec.states]
    arguments = solve.state_arguments
    marked = {i: item for i, item in enumerate(stiff) if item is not None}
    if not marked:
        return LinearPart({}, fault="no part of its equations is marked, as in `x' = stiff(-1000*x) + f(x)`")
    apart = _entrywise(solve, marked)
    crossing = any(_reads(item, [x]) for i, item in marked.items() for j, x in enumerate(arguments) if j != i)
    if apart is not None and not crossing:
        return apart
    together = _coupled(solve, marked, names)
    return apart if apart is not None and together.fault is not None else together


def _entrywise(solve: Solve, marked: dict[int, Node]) -> LinearPart | None:
    """Every marked part as l_i x_i and what does not read x_i; None where one of them has no such form."""
    arguments = solve.state_arguments
    factors = {i: _factor(item, arguments[i]) for i, item in marked.items()}
    known = {i: factor for i, factor in factors.items() if factor is not None}
    if len(known) < len(marked) or any(_reads(factor, [arguments[i]]) for i, factor in known.items()):
        return None
    offsets = {i: _without(item, [arguments[i]]) for i, item in marked.items()}
    varies = any(_reads(factor, [*arguments, solve.time]) for factor in known.values())
    return LinearPart(known, offsets=offsets, varies=varies)


def _factor(result: Node, argument: Node) -> Node | None:
    """l of d(result) = l d(argument) entry by entry; None where entries mix, or there is no l."""
    probe = leaf(ARGUMENT, "v", argument.type)
    ((moved,),) = push_forward([result], [argument], [(probe,)])
    if moved is None:
        return None
    path = dependent(topological([moved]), [probe]) - {probe}
    if any(node.op not in ENTRYWISE or node.shape != probe.shape for node in path):
        return None
    return substitute([moved], {probe: constant(1.0)})[0]


def own_rate(solve: Solve, place: int, group: Sequence[int]) -> Node | None:
    """d of x' = a + d x entry by entry, x the state at this place, where d and a read no state of its group; else None.

    It is in terms of the arguments of the region.
    """
    x, slope = solve.state_arguments[place], solve.slopes([place])[0]
    reached = [solve.state_arguments[i] for i in group]
    if not _reads(slope, reached):
        return constant(0.0)
    rate = None if _reads(slope, [other for other in reached if other is not x]) else _factor(slope, x)
    return None if rate is None or _reads(rate, reached) else rate


def _coupled(solve: Solve, marked: dict[int, Node], names: Sequence[str]) -> LinearPart:
    arguments = solve.state_arguments
    read = [i for i, x in enumerate(arguments) if any(_reads(item, [x]) for item in marked.values())]
    places = tuple(sorted({*marked, *read}))
    probes = {i: leaf(ARGUMENT, "v", arguments[i].type) for i in places}
    wrt = [arguments[i] for i in places]
    (moved,) = push_forward(tuple(marked.values()), wrt, [tuple(probes.values())])
    known = [*arguments, solve.time, *solve.captured_arguments, *solve.row_arguments]
    if any(item is not None and _reads(item, known) for item in moved):
        which = ", ".join(f"`{names[i]}`" for i in marked)
        return LinearPart({}, fault=f"what is marked as stiff of {which} is no constant matrix times the states")
    sizes = [prod(int(size) for size in arguments[i].type.sample) for i in places]
    if sum(sizes) > MOST_ENTRIES:
        return LinearPart({}, fault=f"its stiff part couples {sum(sizes)} entries, of at most {MOST_ENTRIES}")
    linear = dict(zip(marked, moved, strict=True))
    columns = []
    for place in range(len(places)):
        for entry in range(sizes[place]):
            units = [_unit(arguments[i], entry if k == place else None) for k, i in enumerate(places)]
            along = dict(zip(probes.values(), units, strict=True))
            column = [
                constant(np.zeros(size)) if linear.get(i) is None else _flat(substitute([linear[i]], along)[0], size)  # type: ignore[list-item]
                for i, size in zip(places, sizes, strict=True)
            ]
            columns.append(RESHAPE(column[0] if len(column) == 1 else CONCAT(*column, axis=0), shape=(1, sum(sizes))))
    rows = columns[0] if len(columns) == 1 else CONCAT(*columns, axis=0)  # L transposed: a row for each column of L
    offsets = {i: _without(item, wrt) for i, item in marked.items()}
    return LinearPart({}, places, rows, offsets)


def _unit(argument: Node, entry: int | None) -> Node:
    shape = tuple(int(size) for size in argument.type.sample)
    unit = np.zeros(prod(shape))
    if entry is not None:
        unit[entry] = 1
    return constant(unit.reshape((*(1,) * int(argument.type.batched), *shape)))


def _flat(x: Node, size: int) -> Node:
    return RESHAPE(x, shape=(size,)) if x.shape != (size,) else x


def _reads(node: Node, arguments: Sequence[Node]) -> bool:
    return node in dependent(topological([node]), arguments)


def _without(result: Node, arguments: Sequence[Node]) -> Node:
    """The result where these are zero."""
    return substitute([result], {x: broadcast_like(constant(0.0), x) for x in arguments})[0]


# ---------------------------------------------------------------------------------------------------- in a step


@dataclass(frozen=True, eq=False)
class StepOperators:
    """phi_k(c h L) of one step, applied to states side by side."""

    field: Field
    part: LinearPart
    t: Operand
    x: Nodes
    widths: tuple[Operand, ...]

    def phi(self, k: int, c: float, v: Nodes) -> Nodes:
        """phi_k(c h L) v: e^z for k = 0; 1/k! where a state has no linear part."""
        found = [x if k < 2 else (1 / factorial(k)) * x for x in v]
        for i, factor in self._factors.items():
            found[i] = phi(k, (c * self.widths[i]) * factor) * v[i]
        if self.part.matrix is not None:
            moved = self._coupled(k, c, [v[i] for i in self.part.coupled])
            for i, value in zip(self.part.coupled, moved, strict=True):
                found[i] = value
        return tuple(found)

    @property
    def _factors(self) -> dict[int, Node]:
        filled = self.field.filled(list(self.part.factors.values()), self.t, self.x)
        return dict(zip(self.part.factors, filled, strict=True))

    def _coupled(self, k: int, c: float, v: Sequence[Node]) -> list[Node]:
        (matrix,) = self.field.filled([self.part.matrix], self.t, self.x)  # type: ignore[list-item]
        acting = matrix_phi(k, (c * self.widths[self.part.coupled[0]]) * matrix)
        sizes = [prod(int(size) for size in x.type.sample) for x in v]
        sides = [RESHAPE(x, shape=(*x.shape[: x.type.batched], size)) for x, size in zip(v, sizes, strict=True)]
        joined = LINEAR(sides[0] if len(sides) == 1 else CONCAT(*sides, axis=sides[0].type.rank - 1), acting)
        starts = np.cumsum([0, *sizes])
        axis = joined.type.rank - 1
        apart = (
            [joined]
            if len(v) == 1
            else [SLICE(joined, axis=axis, start=int(a), stop=int(b)) for a, b in pairwise(starts)]
        )
        return [RESHAPE(y, shape=x.shape) if y.shape != x.shape else y for x, y in zip(v, apart, strict=True)]

    def rest(self, t: Operand, x: Nodes) -> Nodes:
        """n(t, x) = x' - L x."""
        rest = self.field.rest(t, x)
        offsets = self.part.offsets or {}
        filled = dict(zip(offsets, self.field.filled(list(offsets.values()), t, x), strict=True))
        found = []
        for i, value in enumerate(rest):
            terms = [item for item in (value, filled.get(i)) if item is not None]
            found.append(terms[0] + terms[1] if len(terms) == 2 else terms[0])
        return tuple(found)


def phi(k: int, z: Operand) -> Operand:
    """phi_0 = e^z, phi_{k+1}(z) = (phi_k(z) - 1/k!)/z, phi_k(0) = 1/k!, entry by entry."""
    if not isinstance(z, Node):
        return float(known_phi(k, np.array(z)))
    value = value_of(z)
    if value is not None:
        return constant(known_phi(k, np.asarray(value, dtype=np.float64)))
    if k == 0:
        return EXP(z)
    near = LESS(ABS(z), SERIES)
    apart = WHERE(near, 0.0 * z + 1.0, z)
    if k == 1:  # e^z - 1 = tanh(z/2) (e^z + 1), which does not cancel
        zero = LESS(ABS(z), 1e-30)
        apart = WHERE(zero, 0.0 * z + 1.0, z)
        return WHERE(zero, 0.0 * z + 1.0, TANH(0.5 * z) * (EXP(z) + 1.0) / apart)
    series = constant(1 / factorial(k + 14))
    for j in range(13, -1, -1):
        series = series * z + 1 / factorial(k + j)
    far = (phi(k - 1, apart) - 1 / factorial(k - 1)) / apart
    return WHERE(near, series, far)


def known_phi(k: int, z: Array) -> Array:
    """The same of numbers."""
    if k == 0:
        return np.exp(z)
    series = np.zeros_like(z)
    for j in range(20, -1, -1):
        series = series * z + 1 / factorial(k + j)
    apart = np.where(np.abs(z) < SERIES, 1.0, z)
    below = np.expm1(apart) if k == 1 else known_phi(k - 1, apart) - 1 / factorial(k - 1)
    return np.where(np.abs(z) < SERIES, series, below / apart)


def matrix_phi(k: int, a: Node) -> Node:
    """phi_k of a matrix: a block of the exponential of [[A, I, 0], [0, 0, I], [0, 0, 0]]. Higham (2008), 10.7."""
    if k == 0:
        return MATRIX_EXP(a)
    size = int(a.size(0))
    blocks = [CONCAT(a, constant(np.eye(size, size * k)), axis=1)]
    if k > 1:
        blocks.append(constant(np.eye(size * (k - 1), size * (k + 1), 2 * size)))
    blocks.append(constant(np.zeros((size, size * (k + 1)))))
    whole = MATRIX_EXP(CONCAT(*blocks, axis=0))
    return SLICE(SLICE(whole, axis=0, start=0, stop=size), axis=1, start=k * size, stop=(k + 1) * size)

"""Learned schemes: explicit Runge-Kutta steps on a grid of their own, each with coefficients of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from isocline_compiler.graph import INPUT, Array, Node, Nodes, constant, leaf
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.cost import Cost, emitted_cost
from isocline_compiler.solvers.schemes.explicit import RALSTON2, RALSTON3, RK4
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_dsl import messages

BASES: Mapping[int, Tableau] = MappingProxyType({2: RALSTON2, 3: RALSTON3, 4: RK4})
"""Where the coefficients of so many stages begin."""
ORDER = 2
"""What each step keeps whatever is learned: sum b = 1 and sum b c = 1/2. Measured, it leaves less error than order 1,
and than order 3, with which too little is left to be learned (docs/schemes.md).
"""
ROW = "coefficients"
"""The row that a step reads: the times of its stages, then h a below the diagonal row by row, then h b."""
REFERENCE = "Shaul, Perez, Chen, Thabet, Pumarola, Lipman (2024), Bespoke Solvers for Generative Flow Models, ICLR"

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Bespoke(Scheme):
    r"""An explicit Runge-Kutta scheme whose step n has coefficients of its own.

    k_i = f(t_n + c_ni h_n, x + h_n sum_{j<i} a_nij k_j),   x' = x + h_n sum_i b_ni k_i

    `times` are the nodes, `a` holds for each step the entries below the diagonal, row by row. Raises ValueError unless
    in exact arithmetic sum_i b_ni = 1 and c_ni = sum_j a_nij, and sum_i b_ni c_ni = 1/2 but for rounding: so every step
    is a scheme of order 2 of its own, for fields that depend on time as well.
    """

    base: Tableau
    times: tuple[float, ...]
    a: Rows
    b: Rows
    c: Rows
    name: str = "bespoke"
    order: float = ORDER
    reference: str = REFERENCE
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "error": 1e-3, "of": None, "stages": 4})

    halvings: ClassVar[int] = 8
    """Errors of its steps were learned to cancel: on the first finer grids they do in part, and no order rules yet."""

    @classmethod
    def starting(cls, base: Tableau, times: Sequence[float]) -> Bespoke:
        """The base in every step, nothing learned yet; its coefficients are rounded to fractions of powers of two."""
        steps = len(times) - 1
        matrix = np.tile(base.matrix[np.tril_indices(base.stages, -1)], (steps, 1))
        return cls.rounded(base, times, matrix, np.tile(base.weights, (steps, 1)))

    @classmethod
    def rounded(cls, base: Tableau, times: Sequence[float], a: Array, b: Array) -> Bespoke:
        """With coefficients that are multiples of 2^-44, so that their sums are exact; the last weight is what is left
        of one.
        """
        a, b = np.rint(np.ldexp(a, FRACTION)), np.rint(np.ldexp(b, FRACTION))
        b[:, -1] = 2.0**FRACTION - b[:, :-1].sum(axis=1)
        a, b = np.ldexp(a, -FRACTION), np.ldexp(b, -FRACTION)
        c = np.stack([a[:, _of_row(i)].sum(axis=1) for i in range(base.stages)], axis=1)
        return cls(base, tuple(map(float, times)), _rows(a), _rows(b), _rows(c))

    def __post_init__(self) -> None:
        if not len(self.a) == len(self.b) == len(self.c) == len(self.times) - 1:
            raise ValueError(f"scheme {self.name}: {len(self.times)} nodes need coefficients of one step less")
        for number, (weights, rows, _) in enumerate(self.violations):
            if weights or rows:
                raise ValueError(f"scheme {self.name}, step {number}: a sum is off by {max(weights, rows):.1e}")
        assert self.tableaus  # each checks itself: row sums, and the conditions of its order

    @cached_property
    def violations(self) -> tuple[tuple[float, float, float], ...]:
        """Of each step, in exact arithmetic: |sum b - 1|, the largest |c_i - sum_j a_ij|, |sum b c - 1/2|."""
        every = list(zip(self.a, self.b, self.c, strict=True))
        known = {step: _violations(*step) for step in set(every)}  # on finer grids steps are repeated
        return tuple(known[step] for step in every)

    @cached_property
    def tableaus(self) -> tuple[Tableau, ...]:
        """Each step as a scheme of its own."""
        every = list(zip(self.a, self.b, self.c, strict=True))
        known = {
            (a, b, c): Tableau(
                f"{self.name} in step {n}", ORDER, tuple(a[_of_row(i)] for i in range(len(b))), b, c, self.reference
            )
            for n, (a, b, c) in enumerate(dict.fromkeys(every))
        }
        return tuple(known[step] for step in every)

    @property
    def past(self) -> str:
        """Delays beside are not read."""
        return "its learned grid has no nodes where they look back"

    @property
    def entrywise(self) -> bool:
        """It adds multiples of slopes."""
        return True

    @property
    def steps(self) -> int:
        """How many have coefficients."""
        return len(self.a)

    @property
    def stages(self) -> int:
        """Slopes of a step."""
        return self.base.stages

    @property
    def title(self) -> str:
        """Its name with where it began."""
        return f"{self.name} from {self.base.name}"

    def onto(self, times: Sequence[float]) -> Scheme:
        """On its own grid itself; on another the coefficients of the step at the same part of the way, which makes it a
        scheme whose order can be observed, and no longer the one that was learned.
        """
        times = tuple(map(float, times))
        if times == self.times:
            return self
        count = len(times) - 1
        places = [(2 * i + 1) * self.steps // (2 * count) for i in range(count)]
        a, b, c = (tuple(rows[place] for place in places) for rows in (self.a, self.b, self.c))
        return replace(self, times=times, a=a, b=b, c=c)

    @cached_property
    def table(self) -> Array:
        """What each step reads, (steps, numbers): times, h a, h b."""
        widths = np.diff(np.array(self.times))[:, None]
        times = np.array(self.times[:-1])[:, None] + widths * np.array(self.c)
        return np.concatenate([times, widths * np.array(self.a), widths * np.array(self.b)], axis=1)

    def rows(self) -> Node:
        """The table as a value."""
        return constant(self.table)

    def tabled(self, solve: Solve) -> Solve:
        """The solve with the coefficients of each step as a row."""
        return solve.with_rows([Row(ROW, "coefficients", "each")], [self.rows()])

    def of_step(self, i: int) -> Scheme:
        """The coefficients of that step as a scheme of their own."""
        return self.tableaus[i]

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step, with the coefficients that it reads; nothing is remembered."""
        row, stages, slopes = step.rows[ROW], self.stages, list[Nodes]()
        for i in range(stages):
            place = stages + i * (i - 1) // 2
            stage = _moved(x, [_number(row, place + j) for j in range(i)], slopes)
            slopes.append(field(_number(row, i), stage))
        last = stages + stages * (stages - 1) // 2
        return memory, _moved(x, [_number(row, last + i) for i in range(stages)], slopes)

    def fits(self, solve: Solve) -> Misfit | None:
        """An explicit scheme on a grid that is known."""
        if solve.spec.interval.times is None:
            why = "its grid is learned for times that are known, and these come with the input"
            return lambda span: messages.scheme_does_not_fit(span, self.name, why)
        return super().fits(solve)

    def cost(self, solve: Solve) -> Cost:
        """That of a step whose coefficients are numbers."""
        return emitted_cost(self.tableaus[0], solve)

    def stability(self, z: Array) -> Array:
        """R(z) of the step that makes it largest."""
        every = np.stack([tableau.stability(z) for tableau in dict.fromkeys(self.tableaus)])
        largest: Array = np.take_along_axis(every, np.abs(every).argmax(axis=0)[None], axis=0)[0]
        return largest


@dataclass(frozen=True)
class Unlearned(Bespoke):
    """The same while it is learned: the table of coefficients is an input of the graph, under the name of the solve."""

    solve: str = ""

    def onto(self, times: Sequence[float]) -> Scheme:
        """Itself: where its nodes are is learned, too."""
        return self

    @cached_property
    def leaf(self) -> Node:
        """The input that is the table."""
        return leaf(INPUT, f"{ROW} of {self.solve}", TensorType("real", self.table.shape))

    def rows(self) -> Node:
        """The input."""
        return self.leaf


FRACTION = 44
"""Coefficients are multiples of 2 to minus this: numbers up to 256 and their sums are exact in double precision."""


def clock(scheme: Bespoke) -> float:
    """How far the table that steps read is from keeping time, relative to the way: the weights of all steps sum up to
    it, and each stage is as late as its slopes have carried a clock x' = 1.
    """
    table, stages = scheme.table, scheme.stages
    last = stages + stages * (stages - 1) // 2
    way = scheme.times[-1] - scheme.times[0]
    lost = [abs(float(table[:, last:].sum()) - way)]
    for i in range(stages):
        moved = table[:, stages:last][:, _of_row(i)].sum(axis=1)
        lost.append(float(np.abs(table[:, i] - np.array(scheme.times[:-1]) - moved).max()))
    return max(lost) / max(abs(way), *map(abs, scheme.times))


def _violations(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> tuple[float, float, float]:
    entries, weights, nodes = (list(map(Fraction, item)) for item in (a, b, c))
    rows = max(abs(sum(entries[_of_row(i)], Fraction(0)) - node) for i, node in enumerate(nodes))
    second = sum((x * y for x, y in zip(weights, nodes, strict=True)), Fraction(0)) - Fraction(1, 2)
    return float(abs(sum(weights, Fraction(0)) - 1)), float(rows), float(abs(second))


def _rows(x: Array) -> Rows:
    return tuple(tuple(map(float, row)) for row in x)


def _of_row(i: int) -> slice:
    """The entries of row i of a matrix below its diagonal."""
    return slice(i * (i - 1) // 2, i * (i + 1) // 2)


def _number(row: Node, place: int) -> Node:
    return SELECT(row, axis=0, index=place)


def _moved(x: Nodes, coefficients: Sequence[Node], slopes: Sequence[Nodes]) -> Nodes:
    """x + sum_j w_j k_j, state by state; slopes are summed first, as a sum rounds at the size of its result."""
    if not coefficients:
        return x
    found = []
    for place, value in enumerate(x):
        total = coefficients[0] * slopes[0][place]
        for weight, slope in zip(coefficients[1:], slopes[1:], strict=False):
            total = total + weight * slope[place]
        found.append(value + total)
    return tuple(found)


__all__ = ["BASES", "ROW", "Bespoke", "Unlearned", "clock"]

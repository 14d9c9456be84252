"""What schemes of fractional order have in common: their grid, the weights of the past, and tables that go round."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gamma
from typing import ClassVar

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, Operand, constant
from isocline_compiler.graph.fractional import known_order, orders_of
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.elementwise import EXP, LOG, SIN
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import EXPAND, RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.cost import Cost, emitted_cost
from isocline_compiler.solvers.schemes.fractional_weights import (
    Lags,
    Order,
    Weights,
    as_value,
    reciprocal_gamma,
)
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step

COUNTED = tuple(0.125 * i for i in range(33))
"""The grid of a scheme whose cost is counted before it has one."""
EVEN = 1e-9
"""By how much of themselves equal steps may differ: their times are rounded."""


def orders_in_turn(solve: Solve) -> list[Order]:
    """The order of each state of a solve whose captured values are bound, 1 of an ordinary equation."""
    known = {place: known_order(order) for place, order in orders_of(solve).items()}
    found: list[Order] = [1.0] * len(solve.initial)
    for place, order in orders_of(solve).items():
        value = known[place]
        found[place] = order if value is None else value
    return found


@dataclass(frozen=True)
class Remembers(Scheme):
    """What the schemes of fractional order have in common: they know their grid, and sum over the past with weights.

    `order` is that for a = 1/2 where the solution is smooth. A solution of smooth equations is not, at its start: it
    begins like t^a, and there the error of all of them falls with the step itself.
    """

    name: str
    order: float
    reference: str
    times: tuple[float, ...] = COUNTED
    fractional: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    @property
    def past(self) -> str:
        """Delays beside are not read."""
        return "it knows none"

    def onto(self, times: Sequence[float]) -> Scheme:
        """On a grid of these nodes."""
        return replace(self, times=tuple(times))

    @cached_property
    def widths(self) -> Array:
        return np.diff(np.array(self.times))

    @cached_property
    def even(self) -> bool:
        """Whether all steps are as wide."""
        return bool(np.ptp(self.widths) <= EVEN * self.widths.max())

    @cached_property
    def lags(self) -> Lags:
        return Lags.of(self.times, self.even)

    def cost(self, solve: Solve) -> Cost:
        """Counted on as many even steps: a step of another grid finds its weights among its rows."""
        return emitted_cost(replace(self, times=tuple(0.125 * i for i in range(len(self.times)))), solve)

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """An equation of order one half whose solution is smooth."""
        return (SMOOTH,)

    @abstractmethod
    def weights_of(self, order: Order) -> Mapping[str, Weights]:
        """The weights of one order by name: a row for all steps where they are even, else one for each step."""

    def tabled(self, solve: Solve) -> Solve:
        """With the weights of each step as rows, where steps differ."""
        if self.even:
            return solve
        rows, stacked = [], []
        for i, order in enumerate(orders_in_turn(Field.of(solve).solve)):
            for key, value in self.weights_of(order).items():
                rows.append(Row(f"past {key} {i}", "coefficients", "each"))
                stacked.append(as_value(value))
        return solve.with_rows(rows, stacked)

    @cached_property
    def _known(self) -> dict[Order, dict[str, Node]]:
        return {}

    def weights(self, field: Field, step: Step, place: int) -> dict[str, Node]:
        """The weights of this step for the state at a place."""
        order = orders_in_turn(field.solve)[place]
        if not self.even:
            names = self.weights_of(1.0)
            return {key: step.rows[f"past {key} {place}"] for key in names if f"past {key} {place}" in step.rows}
        if order not in self._known:
            self._known[order] = {key: as_value(value) for key, value in self.weights_of(order).items()}
        return self._known[order]


def raised(h: Operand, order: Order, plus: float) -> Operand:
    """h^a / Gamma(a + plus)."""
    scale = reciprocal_gamma(order, plus)
    if isinstance(h, Node) or isinstance(order, Node):
        width = LOG(h) if isinstance(h, Node) else float(np.log(h))
        found: Node = EXP(width * order) * scale
        return found
    return float(float(h) ** order * scale)


def empty(x: Node, rows: int) -> Node:
    """(batch, rows, ...) of zeros."""
    lead = x.shape[: int(x.type.batched)]
    row = RESHAPE(broadcast_like(constant(0.0), x), shape=(*lead, 1, *x.type.sample))
    return EXPAND(row, shape=(*lead, rows, *x.type.sample))


def summed(table: Node, weights: Node) -> Node:
    """sum_k w_k table_k: (batch, n, ...) -> (batch, ...)."""
    axis = int(table.type.batched)
    shape = (*(1,) * axis, int(table.size(axis)), *(1,) * len(table.type.sample[1:]))
    return REDUCE_SUM(table * RESHAPE(weights, shape=shape), axes=(axis,), keepdims=False)


def moved(table: Node, x: Node) -> Node:
    """The table with one row more, and without its first."""
    axis = int(table.type.batched)
    row = RESHAPE(x, shape=(*x.shape[:axis], 1, *x.type.sample))
    if table.size(axis) == 1:
        return row
    return CONCAT(SLICE(table, axis=axis, start=1, stop=int(table.size(axis))), row, axis=axis)


def _smooth(t: Node, x: Nodes) -> list[Node]:
    """D^(1/2) t^2 = Gamma(3)/Gamma(5/2) t^(3/2)."""
    scale = 2.0 * (1.0 / gamma(2.5))
    square = t * t
    return [scale * EXP(0.75 * LOG(square + 1e-300)) + SIN(square) - SIN(x[0])]


SMOOTH = OrderProblem(
    "fractional", ("x",), _smooth, lambda t, _: [t**2], 1.0, orders=(0.5,),
)  # fmt: skip
"""D^(1/2) x = 2 t^(3/2)/Gamma(5/2) + sin t^2 - sin x, x(0) = 0: nonlinear, solved by x = t^2."""

r"""Schemes for Caputo derivatives of order a in (0, 1]: D^a x = f(t, x), x = x_0 + I^a f.

What all steps before have left is a table that goes round, the latest last, zeros where the start was not yet: one sum
with weights gives the past, laid out and in loops. The sum of exponentials remembers numbers that do not grow with the
steps. States of an ordinary equation beside are of order 1, where all of these are schemes for x' = f.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from isocline_compiler.graph import Node, Nodes, Operand
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.shaping import EXPAND, RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.fractional_tables import (
    EVEN,
    Remembers,
    empty,
    moved,
    orders_in_turn,
    raised,
    summed,
)
from isocline_compiler.solvers.schemes.fractional_weights import (
    Exponentials,
    Order,
    Weights,
    as_value,
    decays,
    letnikov,
    reciprocal_gamma,
)
from isocline_compiler.solvers.schemes.implicit import Solved
from isocline_compiler.solvers.schemes.linear_systems import EntrySystems, Factored, systems_of
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme, Search
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fractional as told

# ---------------------------------------------------------------------------------------------------- implicit


@dataclass(frozen=True)
class Tables:
    """The first states, and what each step left, by state."""

    first: Nodes
    tables: Nodes


@dataclass(frozen=True)
class Differences(Remembers, Solved):
    """A sum over the past plus x/b equals f(t, x) at the end of a step, solved by simplified Newton steps."""

    iterations: int = 3
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "iterations": 3})

    def cheaper(self) -> tuple[Scheme, ...]:
        """With fewer iterations: of what is nearly linear one is enough."""
        return tuple(replace(self, iterations=count) for count in range(1, self.iterations))

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With as many iterations as are asked for."""
        return replace(self, iterations=int(options.get("iterations", self.iterations)))

    def fits(self, solve: Solve) -> Misfit | None:
        """Of more numbers than are solved for entry by entry, the orders are one."""
        misfit = super().fits(solve)
        if misfit is not None or isinstance(systems_of(solve), EntrySystems):
            return misfit
        if len(set(orders_in_turn(Field.of(solve).solve))) == 1:
            return None
        return lambda span: messages.scheme_does_not_fit(span, self.name, "many states are of several orders")

    def start(self, field: Field, x: Nodes) -> Memory:
        """Nothing was before the first step."""
        return Tables(x, tuple(empty(value, max(len(self.times) - 2, 1)) for value in x))

    def _implicit(self, field: Field, step: Step, x: Nodes, known: Nodes, own: Sequence[Operand]) -> Nodes:
        """y = known + own f(t, y) at the end of a step."""
        systems = systems_of(field.solve)
        numbers, base = systems.flat(x), systems.flat(known)
        if isinstance(systems, EntrySystems):
            each = [1.0 / b for b, value in zip(own, x, strict=True) for _ in systems.flat((value,))]
            factors: Factored = systems.factored(systems.jacobian(field, step.t, x), each)
        else:
            each = [systems.width(1.0 / own[0])] * len(numbers)
            factors = systems.factored(systems.jacobian(field, step.t, x), each[0])
        for _ in range(self.iterations):
            slopes = systems.flat(field(step.end, systems.shaped(numbers, x)))
            rest = [f - c * (y - k) for f, c, y, k in zip(slopes, each, numbers, base, strict=True)]
            numbers = [y + d for y, d in zip(numbers, factors.solve(rest), strict=True)]
        return systems.shaped(numbers, x)


@dataclass(frozen=True)
class L1(Differences):
    r"""L1: the solution is a straight line on each step, its Caputo derivative at the end of a step f there.

    sum_k (x_k+1 - x_k)/h_k [(t - t_k)^(1-a) - (t - t_k+1)^(1-a)] / Gamma(2-a) = f(t, x(t)), t the end of the step. The
    order is 2 - a. Oldham, Spanier (1974), 8.2; Lin, Xu (2007), J. Comput. Phys. 225, 1533-1552.
    """

    def weights_of(self, order: Order) -> Mapping[str, Weights]:
        """Of the changes of the state."""
        return {"changes": self.lags.l1(order)}

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the changes of the states in each step."""
        orders = orders_in_turn(field.solve)
        own = [1.0 / raised_back(step.h, order) for order in orders]
        known = tuple(
            value - b * summed(table, self.weights(field, step, i)["changes"])
            for i, (value, table, b) in enumerate(zip(x, memory.tables, own, strict=True))
        )
        after = self._implicit(field, step, x, known, own)
        tables = tuple(moved(table, b - a) for table, a, b in zip(memory.tables, x, after, strict=True))
        return Tables(memory.first, tables), after


def raised_back(h: Operand, order: Order) -> Operand:
    """h^-a / Gamma(2 - a)."""
    return raised(h, -1.0 * order, 2.0) if isinstance(order, Node) else raised(h, -order, 2.0)


@dataclass(frozen=True)
class Letnikov(Differences):
    r"""Gruenwald and Letnikov: h^-a sum_k w_k (x_n-k - x_0) = f(t_n, x_n), w_k = w_k-1 (1 - (1 + a)/k), w_0 = 1.

    Of x - x_0, whose derivatives of Riemann-Liouville and of Caputo are one. Steps are equal, and the order is 1, that
    of L1 on such steps where a solution begins like t^a: it is tried where it is named.
    Podlubny (1999), Fractional Differential Equations, 7; Lubich (1986), SIAM J. Math. Anal. 17, 704-719.
    """

    search: ClassVar[Search] = "named"

    def fits(self, solve: Solve) -> Misfit | None:
        """The times are equally far apart."""
        times = np.diff(np.array(solve.spec.interval.times or (0.0, 1.0)))
        if np.ptp(times) > EVEN * np.abs(times).max():
            return lambda span: messages.scheme_does_not_fit(span, self.name, "the times are not equally far apart")
        return super().fits(solve)

    def weights_of(self, order: Order) -> Mapping[str, Weights]:
        """Of the states since the start."""
        return {"states": letnikov(order, max(len(self.times) - 2, 1))}

    def tabled(self, solve: Solve) -> Solve:
        """Nothing: raises IsoclineError where steps differ."""
        if not self.even:
            raise IsoclineError([told.grid_not_even(solve.span, self.name, solve.spec.field)])
        return solve

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the states less the first."""
        own = [raised(step.h, order, 1.0) / reciprocal_gamma(order, 1.0) for order in orders_in_turn(field.solve)]
        known = tuple(
            first - summed(table, self.weights(field, step, i)["states"])
            for i, (first, table) in enumerate(zip(memory.first, memory.tables, strict=True))
        )
        after = self._implicit(field, step, x, known, own)
        tables = tuple(moved(table, y - a) for table, a, y in zip(memory.tables, memory.first, after, strict=True))
        return Tables(memory.first, tables), after


# ---------------------------------------------------------------------------------------------------- explicit


@dataclass(frozen=True)
class Predicted(Remembers):
    """Predicted with the slope at the begin of a step, corrected with that at its end, both after the same past.

    p = x_0 + past + h^a/Gamma(1+a) f_n, then x = p + h^a/Gamma(2+a) (f(t, p) - f_n): of order min(2, 1 + 2a).
    Diethelm, Ford, Freed (2002), Nonlinear Dyn. 29, 3-22; Deng (2007), J. Comput. Phys. 227, 1510-1522.
    """

    def _stepped(self, first: Nodes, past: Nodes, field: Field, step: Step, x: Nodes) -> tuple[Nodes, Nodes, Nodes]:
        """The states after a step, the slopes at its begin, and how they change in it."""
        orders = orders_in_turn(field.solve)
        slopes = field(step.t, x)
        parts = list(zip(orders, first, past, slopes, strict=True))
        ahead = tuple(x0 + p + raised(step.h, order, 1.0) * f for order, x0, p, f in parts)
        found = field(step.end, ahead)
        rise = [raised(step.h, order, 2.0) for order in orders]
        after = tuple(y + r * (g - f) for y, r, g, f in zip(ahead, rise, found, slopes, strict=True))
        changes = tuple(g - f for g, f in zip(field(step.end, after), slopes, strict=True))
        return after, slopes, changes


@dataclass(frozen=True)
class SlopeTables:
    """The first states, the slopes with which steps began, and their changes in each, by state."""

    first: Nodes
    slopes: Nodes
    changes: Nodes


@dataclass(frozen=True)
class AdamsBashforthMoulton(Predicted):
    """The past as the integral of lines between the slopes of each step."""

    def weights_of(self, order: Order) -> Mapping[str, Weights]:
        """Of the slopes with which steps began, and of their changes."""
        return {"slopes": self.lags.rectangle(order), "changes": self.lags.ramp(order)}

    def start(self, field: Field, x: Nodes) -> Memory:
        """Nothing was before the first step."""
        tables = tuple(empty(value, max(len(self.times) - 2, 1)) for value in x)
        return SlopeTables(x, tables, tables)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step."""
        past = []
        for i, (slopes, changes) in enumerate(zip(memory.slopes, memory.changes, strict=True)):
            weights = self.weights(field, step, i)
            past.append(summed(slopes, weights["slopes"]) + summed(changes, weights["changes"]))
        after, slope, change = self._stepped(memory.first, tuple(past), field, step, x)
        tables = (tuple(map(moved, *item)) for item in ((memory.slopes, slope), (memory.changes, change)))
        return SlopeTables(memory.first, *tables), after


@dataclass(frozen=True)
class SumOfExponentials(Predicted):
    """The past as a sum of memories that decay, y_j' = -s_j y_j + f: as many for a step as for a million.

    The kernel is met to 1e-8 of itself from one step on; the step that is taken has the kernel itself.
    """

    @cached_property
    def kernel(self) -> Exponentials:
        return Exponentials.of(self.times)

    def weights_of(self, order: Order) -> Mapping[str, Weights]:
        """Of the memories, and what a step makes of each of them, of its slope and of the change of that."""
        widths = self.widths[0] if self.even else self.widths
        decay, first, second = decays(self.kernel.rates, np.asarray(widths))
        own = as_value(self.kernel.weights(order))
        shape = (len(self.kernel.rates),)
        kept = own if self.even else EXPAND(RESHAPE(own, shape=(1, *shape)), shape=(len(self.widths), *shape))
        return {"weights": kept, "decay": decay, "slopes": first, "changes": second}

    def start(self, field: Field, x: Nodes) -> Memory:
        """Memories of nothing."""
        return Tables(x, tuple(empty(value, len(self.kernel.rates)) for value in x))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the memories."""
        weights = [self.weights(field, step, i) for i in range(len(x))]
        faded = [table * _column(item["decay"], table) for table, item in zip(memory.tables, weights, strict=True)]
        past = tuple(summed(table, item["weights"]) for table, item in zip(faded, weights, strict=True))
        after, slopes, changes = self._stepped(memory.first, past, field, step, x)
        tables = tuple(
            table + _column(item["slopes"], table) * _row(f) + _column(item["changes"], table) * _row(g)
            for table, item, f, g in zip(faded, weights, slopes, changes, strict=True)
        )
        return Tables(memory.first, tables), after


def _column(weights: Node, table: Node) -> Node:
    axis = int(table.type.batched)
    return RESHAPE(weights, shape=(*(1,) * axis, int(table.size(axis)), *(1,) * len(table.type.sample[1:])))


def _row(x: Node) -> Node:
    return RESHAPE(x, shape=(*x.shape[: int(x.type.batched)], 1, *x.type.sample))


# fmt: off
FRACTIONAL: tuple[Scheme, ...] = (
    L1("l1", 1.5, "Oldham, Spanier (1974), 8.2; Lin, Xu (2007): order 2 - a, implicit"),
    Letnikov("gl", 1, "Gruenwald (1867); Letnikov (1868); Lubich (1986): of x - x_0, implicit, equal steps"),
    AdamsBashforthMoulton(
        "fractional_abm", 2, "Diethelm, Ford, Freed (2002); Deng (2007): order min(2, 1 + 2a), explicit",
    ),
    SumOfExponentials(
        "soe", 2, "Jiang et al. (2017); McLean (2018): the same steps in constant memory, the kernel met to 1e-8",
    ),
)

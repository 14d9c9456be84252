"""Runge-Kutta schemes as data: a Butcher tableau that checks itself, and the step that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, Operand
from isocline_compiler.ops.arithmetic import REST
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.trees import failed_condition

Number: TypeAlias = float | Fraction
TOLERANCE = 1e-12
"""Of a row sum or an order condition: published coefficients carry 15 digits or more, and the smallest
1/gamma is 1/40320.
"""


@dataclass(frozen=True)
class Tableau(Scheme):
    r"""k_i = f(t + c_i h, x + h sum_j a_ij k_j),   x' = x + h sum_i b_i k_i.

    `a` holds the rows below the diagonal (row i has i entries) or, for an implicit scheme, full rows.
    `embedded` are the weights of a second solution of order `embedded_order`. Raises ValueError when a row
    sum differs from its c, or an order condition up to `order` fails. Hairer, Norsett, Wanner (1993),
    II.1-II.2.
    """

    name: str
    order: int
    a: tuple[tuple[Number, ...], ...]
    b: tuple[Number, ...]
    c: tuple[Number, ...]
    reference: str
    embedded: tuple[Number, ...] | None = None
    embedded_order: int = 0
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "compensated": False})
    finds_events: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_shape()
        for row, (total, node) in enumerate(zip(self.matrix.sum(axis=1), self.nodes, strict=True)):
            self._require(abs(total - node) <= TOLERANCE, f"row {row} sums to {total!r}, but c is {node!r}")
        failed = failed_condition(self.matrix, self.weights, self.order, TOLERANCE)
        self._require(failed is None, str(failed))
        if self.embedded is not None:
            second = np.array(self.embedded, dtype=np.float64)
            failed = failed_condition(self.matrix, second, self.embedded_order, TOLERANCE)
            self._require(failed is None, f"embedded: {failed}")

    def _check_shape(self) -> None:
        stages, widths = len(self.b), tuple(map(len, self.a))
        self._require(self.order >= 1 and stages >= 1, "a scheme has an order and a stage, both at least 1")
        self._require(len(self.c) == stages == len(self.a), f"{stages} weights need as many rows and nodes")
        self._require(widths in (tuple(range(stages)), (stages,) * stages), f"rows of lengths {widths}")
        self._require(self.embedded is None or len(self.embedded) == stages, "the embedded weights are one a stage")

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise ValueError(f"scheme {self.name}: {message}")

    @cached_property
    def matrix(self) -> Array:
        """A as a square float64 array."""
        full = np.zeros((self.stages, self.stages))
        for i, row in enumerate(self.a):
            full[i, : len(row)] = [float(entry) for entry in row]
        return full

    @cached_property
    def weights(self) -> Array:
        """b as a float64 array."""
        return np.array([float(entry) for entry in self.b])

    @cached_property
    def nodes(self) -> Array:
        """c as a float64 array."""
        return np.array([float(entry) for entry in self.c])

    @property
    def stages(self) -> int:
        """How many slopes the tableau defines."""
        return len(self.b)

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The stages that the solution depends on; an FSAL stage serves only the error estimate of adaptive
        steps.
        """
        wanted = {i for i in range(self.stages) if self.b[i]}
        for _ in range(self.stages):
            wanted |= {j for i in wanted for j in range(self.stages) if self.matrix[i, j]}
        return tuple(sorted(wanted))

    @cached_property
    def explicit(self) -> bool:
        """Each stage needs only those before it."""
        return not np.triu(self.matrix).any()

    @property
    def entrywise(self) -> bool:
        """An explicit one adds multiples of slopes."""
        return self.explicit

    @property
    def fsal(self) -> bool:
        """First same as last: the last stage is the slope at the new point, the first of the next step."""
        return self.stages > 1 and self.c[-1] == 1 and bool(np.array_equal(self.matrix[-1], self.weights))

    @property
    def symplectic(self) -> bool:
        """b_i a_ij + b_j a_ji = b_i b_j: quadratic invariants are kept. Sanz-Serna (1988)."""
        m = self.weights[:, None] * self.matrix
        return bool(np.allclose(m + m.T, np.outer(self.weights, self.weights), rtol=0, atol=TOLERANCE))

    def stability(self, z: Array) -> Array:
        """R(z) = 1 + z b^T (I - z A)^-1 1: the growth over a step on x' = lambda x with z = h lambda, any
        shape.
        """
        z = np.asarray(z, dtype=np.complex128)
        system = np.eye(self.stages) - z[..., None, None] * self.matrix
        slopes = np.linalg.solve(system, np.ones((*z.shape, self.stages, 1)))[..., 0]
        return np.asarray(1 + z * (slopes @ self.weights))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        return memory, runge_kutta_step(self, field, step, x)

    def increments(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes, Nodes]:
        """h sum_i b_i k_i, state by state; of what rounding takes from each h b_i the sum, times one of the slopes.

        The slopes differ by O(h), so that sum is what a long solve would see: a clock that goes wrong.
        """
        slopes = runge_kutta_slopes(self, field, step, x)
        last = slopes[max(i for i in slopes if self.b[i])]
        rests = tuple(
            REST(k, of=tuple(float(h * b) for b in self.weights if b)) if isinstance(h, float | int) else 0.0 * k
            for k, h in zip(last, step.widths, strict=True)
        )
        return memory, combined(step.widths, self.b, slopes), rests


def runge_kutta_step(tableau: Tableau, field: Field, step: Step, x: Nodes) -> Nodes:
    """The states after one explicit Runge-Kutta step."""
    return _moved(x, combined(step.widths, tableau.b, runge_kutta_slopes(tableau, field, step, x)))


def runge_kutta_slopes(
    tableau: Tableau, field: Field, step: Step, x: Nodes, stages: Sequence[int] | None = None
) -> dict[int, Nodes]:
    r"""The slopes of one explicit Runge-Kutta step, by the number of the stage.

    k_i = f(t + c_i h, x + h sum_{j<i} a_ij k_j),   x' = x + h sum_i b_i k_i

    Evaluates the field once a stage that matters, or once for each of the `stages`, if they are said. Zero coefficients
    leave nothing behind; where h is a number, h a_ij is one too. Raises NotImplementedError for an implicit tableau.
    Hairer, Norsett, Wanner (1993), II.1.
    """
    if not tableau.explicit:
        raise NotImplementedError(f"scheme {tableau.name} is implicit")
    slopes: dict[int, Nodes] = {}
    for i in tableau.used if stages is None else stages:
        stage = _moved(x, combined(step.widths, tableau.a[i], slopes))
        slopes[i] = field(step.time(float(tableau.c[i])), stage)
    return slopes


def _moved(x: Nodes, moves: Nodes) -> Nodes:
    """The states with what is added to them: nothing leaves them as they are."""
    return tuple(value + move for value, move in zip(x, moves, strict=True)) if moves else x


def combined(widths: tuple[Operand, ...], row: tuple[Number, ...], slopes: dict[int, Nodes]) -> Nodes:
    """h sum_j row_j k_j, state by state; nothing where the row is empty."""
    terms = [(float(row[j]), slope) for j, slope in slopes.items() if j < len(row) and row[j]]
    return tuple(_along(h, [(c, slope[s]) for c, slope in terms]) for s, h in enumerate(widths)) if terms else ()


def _along(h: Operand, terms: list[tuple[float, Node]]) -> Node:
    """sum (h c) k where h is a number, else h sum c k: the fewest products either way.

    The slopes are summed before a state is added: each sum rounds at the size of its result, and the state is the
    largest of all.
    """
    if isinstance(h, float | int):
        return _sum([_scaled(h * coefficient, slope) for coefficient, slope in terms])
    return h * _sum([_scaled(coefficient, slope) for coefficient, slope in terms])


def _scaled(coefficient: float, slope: Node) -> Node:
    return slope if coefficient == 1 else coefficient * slope


def _sum(terms: list[Node]) -> Node:
    """Left to right; no zero to start from, which would be one more node."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total

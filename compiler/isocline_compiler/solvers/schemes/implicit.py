"""Implicit Runge-Kutta schemes with a fixed number of Newton's iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction as Q
from functools import cached_property
from math import sqrt
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from isocline_compiler.graph import Array, Fault, Node, Nodes, Operand
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.linear_systems import EntrySystems, Factored, Numbers, Systems, systems_of
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme, Search
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_dsl import messages


class Solved(Scheme):
    """What solves systems of equations for the numbers in the states."""

    marked: ClassVar[bool] = False
    """Whether for what is marked as stiff alone."""

    def fits(self, solve: Solve) -> Misfit | None:
        """They are not too many that are coupled, and their equations have a Jacobian."""
        fault = None
        if not solve.spec.noises:
            try:
                known = systems_of(solve, marked=self.marked)
                fault = known.fault
                if fault is None and isinstance(known, EntrySystems):
                    known.jacobian(Field.of(solve).at(solve.row_arguments), 0.0, solve.state_arguments)
            except Fault:
                fault = "an operation in it has no derivative"
        if fault is None:
            return super().fits(solve)
        return lambda span: messages.scheme_does_not_fit(span, self.name, str(fault))


def plus(x: Numbers, *terms: tuple[Operand, Numbers]) -> list[Node]:
    """x + sum c y, without what is zero."""
    found = list(x)
    for factor, values in terms:
        if not isinstance(factor, Node) and factor == 0:
            continue
        one = not isinstance(factor, Node) and factor == 1
        found = [a + (b if one else factor * b) for a, b in zip(found, values, strict=True)]
    return found


@dataclass(frozen=True, eq=False)
class _Newton:
    """What the iterations of one step have in common: vectors, J at (t, x), and slopes at the times of the stages."""

    systems: Systems
    field: Field
    step: Step
    x: Nodes
    nodes: Array

    @property
    def h(self) -> Operand:
        return self.systems.width(self.step.h)

    @cached_property
    def numbers(self) -> list[Node]:
        return self.systems.flat(self.x)

    @cached_property
    def jacobian(self) -> Any:
        return self.systems.jacobian(self.field, self.step.t, self.x)

    def slopes(self, stage: int, y: Numbers) -> list[Node]:
        """f of a stage."""
        time = self.step.time(float(self.nodes[stage]))
        return self.systems.flat(self.field(time, self.systems.shaped(y, self.x)))


@dataclass(frozen=True)
class ImplicitRungeKutta(Solved):
    r"""Y_i = x + h sum_j a_ij f(t + c_j h, Y_j),   x' = x + h sum_i b_i f(t + c_i h, Y_i), by simplified Newton steps.

    The Jacobian J is that at (t, x), one for all stages and `iterations`. Where rows end on the diagonal, stages are
    solved one after another, (1/(h a_ii) - J) dY = f(Y) - (Y - x - ...)/(h a_ii); else together, in the eigenvectors of
    A^-1: a system of real numbers for each real eigenvalue, one of pairs for two that are conjugate. How far the
    iterations are from their limit is measured with the certificate. Hairer, Wanner (1996), IV.8.
    """

    tableau: Tableau
    iterations: int = 3
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "iterations": 3})
    search: ClassVar[Search] = "stiff"
    divides: ClassVar[bool] = True

    def cheaper(self) -> tuple[Scheme, ...]:
        """With fewer iterations: of what is nearly linear one is enough."""
        return tuple(replace(self, iterations=count) for count in range(1, self.iterations))

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.tableau.name

    @property
    def order(self) -> float:  # type: ignore[override]
        return self.tableau.order

    @property
    def reference(self) -> str:  # type: ignore[override]
        return self.tableau.reference

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With as many iterations as are asked for."""
        return replace(self, iterations=int(options.get("iterations", self.iterations)))

    def stability(self, z: Array) -> Array:
        """R(z) of the tableau: what the iterations converge to."""
        return self.tableau.stability(z)

    @cached_property
    def diagonal(self) -> bool:
        """Whether stages are solved one after another."""
        return not np.triu(self.tableau.matrix, 1).any()

    @cached_property
    def stiffly_accurate(self) -> bool:
        """Whether the last stage is the solution."""
        return bool(np.array_equal(self.tableau.matrix[-1], self.tableau.weights))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        newton = _Newton(systems_of(field.solve), field, step, x, self.tableau.nodes)
        moved = self._in_turn if self.diagonal else self._together
        return memory, newton.systems.shaped(moved(newton), x)

    def _in_turn(self, newton: _Newton) -> list[Node]:
        a, h, numbers = self.tableau.matrix, newton.h, newton.numbers
        factors: dict[float, Factored] = {}
        slopes: list[list[Node]] = []
        y = list(numbers)
        for i in range(self.tableau.stages):
            known = plus(numbers, *((float(a[i, j]) * h, slopes[j]) for j in range(i) if a[i, j]))
            own = float(a[i, i])
            if own == 0:
                y = known
                slopes.append(newton.slopes(i, y))
                continue
            shift = 1.0 / (own * h)
            if own not in factors:
                factors[own] = newton.systems.factored(newton.jacobian, shift)
            y = list(y)
            for _ in range(self.iterations):
                found = newton.slopes(i, y)
                rest = [f - shift * (v - k) for f, v, k in zip(found, y, known, strict=True)]
                y = plus(y, (1.0, factors[own].solve(rest)))
            slopes.append([shift * (v - k) for v, k in zip(y, known, strict=True)])
        if self.stiffly_accurate:
            return y
        return plus(numbers, *((float(b) * h, k) for b, k in zip(self.tableau.weights, slopes, strict=True) if b))

    @cached_property
    def _eigen(self) -> tuple[list[tuple[complex, slice]], Array, Array, Array]:
        """Eigenvalues of A^-1 with their places, T, T^-1 and A^-1; of two conjugate vectors T holds both parts."""
        inverse = np.linalg.inv(self.tableau.matrix)
        values, vectors = np.linalg.eig(inverse)
        blocks: list[tuple[complex, slice]] = []
        columns: list[Array] = []
        for value, vector in zip(values, vectors.T, strict=True):
            if abs(value.imag) < 1e-9:
                blocks.append((complex(value.real), slice(len(columns), len(columns) + 1)))
                columns.append(vector.real / np.abs(vector.real).max())
            elif value.imag > 0:
                blocks.append((complex(value), slice(len(columns), len(columns) + 2)))
                columns.extend([vector.real, vector.imag])
        basis = np.array(columns).T
        return blocks, basis, np.linalg.inv(basis), inverse

    def _together(self, newton: _Newton) -> list[Node]:
        blocks, basis, back, inverse = self._eigen
        numbers, systems, jacobian = newton.numbers, newton.systems, newton.jacobian
        count, per = len(numbers), 1.0 / newton.h
        factors = [
            systems.factored(jacobian, value.real * per)
            if value.imag == 0
            else systems.paired(jacobian, value.real * per, -value.imag * per)
            for value, _ in blocks
        ]
        z: list[list[Node]] | None = None
        for _ in range(self.iterations):
            stages = [list(numbers) if z is None else plus(numbers, (1.0, item)) for item in z or [None] * len(basis)]  # type: ignore[list-item]
            found = [newton.slopes(i, y) for i, y in enumerate(stages)]
            if z is not None:
                found = [
                    plus(f, *((-float(c) * per, item) for c, item in zip(row, z, strict=True)))
                    for f, row in zip(found, inverse, strict=True)
                ]
            turned = [_combined(row, found) for row in back]
            moves: list[list[Node]] = []
            for (_, place), factor in zip(blocks, factors, strict=True):
                solved = factor.solve([number for part in turned[place] for number in part])
                moves.extend(solved[i : i + count] for i in range(0, len(solved), count))
            change = [_combined(row, moves) for row in basis]
            z = change if z is None else [plus(item, (1.0, more)) for item, more in zip(z, change, strict=True)]
        assert z is not None, "at least one iteration"
        if self.stiffly_accurate:
            return plus(numbers, (1.0, z[-1]))
        return plus(numbers, (1.0, _combined(self.tableau.weights @ inverse, z)))


def _combined(row: Array, values: Sequence[Numbers]) -> list[Node]:
    """sum_j row_j values_j."""
    terms = [(float(c), item) for c, item in zip(row, values, strict=True) if abs(c) > 1e-14]
    first = [terms[0][0] * number for number in terms[0][1]]
    return plus(first, *terms[1:])


GAMMA2 = 1 - 1 / sqrt(2)
"""Of the diagonally implicit schemes of two implicit stages that are L-stable."""
ROOT6 = sqrt(6)

# fmt: off
IMPLICIT = tuple(map(ImplicitRungeKutta, (
    Tableau(
        name="implicit_euler", order=1, a=((1,),), b=(1,), c=(1,),
        reference="Euler (1768); Hairer, Wanner (1996), IV.3: L-stable",
    ),
    Tableau(
        name="implicit_midpoint", order=2, a=((Q(1, 2),),), b=(1,), c=(Q(1, 2),),
        reference="Gauss's scheme of one stage; Hairer, Wanner (1996), IV.5: A-stable, symplectic",
    ),
    Tableau(
        name="trapezoid", order=2, a=((0, 0), (Q(1, 2), Q(1, 2))), b=(Q(1, 2), Q(1, 2)), c=(0, 1),
        reference="Crank, Nicolson (1947), Proc. Camb. Phil. Soc. 43, 50-67: A-stable, symmetric",
    ),
    Tableau(
        name="sdirk2", order=2, a=((GAMMA2, 0), (1 - GAMMA2, GAMMA2)), b=(1 - GAMMA2, GAMMA2), c=(GAMMA2, 1),
        reference="Alexander (1977), SIAM J. Numer. Anal. 14, 1006-1021: L-stable, stiffly accurate",
    ),
    Tableau(
        name="trbdf2", order=2,
        a=((0, 0, 0), (GAMMA2, GAMMA2, 0), (sqrt(2) / 4, sqrt(2) / 4, GAMMA2)),
        b=(sqrt(2) / 4, sqrt(2) / 4, GAMMA2), c=(0, 2 * GAMMA2, 1),
        reference="Bank et al. (1985), IEEE Trans. CAD 4, 436-451; Hosea, Shampine (1996): L-stable",
    ),
    Tableau(
        name="radau5", order=5,
        a=(
            ((88 - 7 * ROOT6) / 360, (296 - 169 * ROOT6) / 1800, (-2 + 3 * ROOT6) / 225),
            ((296 + 169 * ROOT6) / 1800, (88 + 7 * ROOT6) / 360, (-2 - 3 * ROOT6) / 225),
            ((16 - ROOT6) / 36, (16 + ROOT6) / 36, 1 / 9),
        ),
        b=((16 - ROOT6) / 36, (16 + ROOT6) / 36, 1 / 9), c=((4 - ROOT6) / 10, (4 + ROOT6) / 10, 1),
        reference="Ehle (1969); Hairer, Wanner (1996), IV.5, IV.8: Radau IIA of three stages, L-stable",
    ),
)))

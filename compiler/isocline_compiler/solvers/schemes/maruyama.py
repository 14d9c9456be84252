"""Euler and Maruyama's scheme, and two of the same order for drifts that grow or are stiff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from isocline_compiler.graph import Array, Node, Nodes
from isocline_compiler.graph.solve import SolveSpec
from isocline_compiler.ops.elementwise import SQRT, SQUARE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic, drifted, increments, moved, span


class EulerMaruyama(Stochastic):
    """The Euler-Maruyama scheme: x' = x + f h + g dW."""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        noise = field.stir(step.t, x, increments(field, step))
        return memory, moved(drifted(step, x, field(step.t, x)), noise)


class TamedEuler(Stochastic):
    r"""The tamed Euler scheme: x' = x + f h / (1 + |h| |f|) + g dW, with the Euclidean norm of the drift.

    Where the drift grows faster than x (-x^3), paths of the Euler-Maruyama scheme run away on every grid, and their
    moments with them; here a step moves x by less than 1 besides the noise. The norm is that of the states that the
    author declared: what is integrated along them is tamed by the same factor and changes none of them.
    """

    def _misfit(self, spec: SolveSpec) -> str | None:
        if spec.places("tangent"):
            return "the derivative of its steps is not a step of the varied equations"
        return super()._misfit(spec)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        slopes = field(step.t, x)
        norm = SQRT(_sum([_square_of_sample(slopes[i]) for i in field.spec.own]))
        tamed = tuple(k / (1.0 + span(h) * _over(norm, k)) for k, h in zip(slopes, step.widths, strict=True))
        return memory, moved(drifted(step, x, tamed), field.stir(step.t, x, increments(field, step)))


def _square_of_sample(x: Node) -> Node:
    """The sum of the squares of a sample's entries, (batch,)."""
    squares = SQUARE(x)
    return squares if x.type.rank == 1 else REDUCE_SUM(squares, axes=tuple(range(1, x.type.rank)), keepdims=False)


def _over(number: Node, x: Node) -> Node:
    """(batch,) as (batch, 1, ..., 1), of the rank of x."""
    return number if x.type.rank == 1 else RESHAPE(number, shape=(number.shape[0], *(1,) * (x.type.rank - 1)))


def _sum(terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@dataclass(frozen=True, eq=False, kw_only=True)
class ImplicitEulerMaruyama(Stochastic):
    r"""The drift-implicit Euler-Maruyama scheme, for states that are numbers: x' = x + f(t + h, x') h + g(t, x) dW.

    `iterations` of Newton's method from y_0 = x + g dW: (1 - h J(y)) d = x + g dW + h f(y) - y, y <- y + d. Of a linear
    drift one is exact. The equations are eliminated without exchanging rows: where the symmetric part of J is negative,
    as of what decays, that of 1 - h J is positive, and no pivot is zero.
    """

    iterations: int = 2
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "iterations": 2})

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With as many iterations as are asked for."""
        return replace(self, iterations=int(options.get("iterations", self.iterations)))

    def _misfit(self, spec: SolveSpec) -> str | None:
        shapes = {state.shape for state in spec.states}
        if shapes - {()}:
            return "it solves for states that are numbers, and one of these is an array"
        return super()._misfit(spec)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        known = moved(x, field.stir(step.t, x, increments(field, step)))
        y = known
        for _ in range(self.iterations):
            target = drifted(step, known, field(step.end, y))
            system = [
                [float(i == j) - h * entry for j, entry in enumerate(row)]
                for i, (h, row) in enumerate(zip(step.widths, field.jacobian(step.end, y), strict=True))
            ]
            moves = eliminated(system, [a - b for a, b in zip(target, y, strict=True)])
            y = tuple(a + move for a, move in zip(y, moves, strict=True))
        return memory, y

    def stability(self, z: Array) -> Array:
        """R(z) = 1 / (1 - z), of the drift."""
        return 1 / (1 - z)


def eliminated(system: Sequence[Sequence[Node]], right: Sequence[Node]) -> list[Node]:
    """The solution of a system of linear equations, by Gauss's elimination in the order of the rows."""
    rows = [[*row, value] for row, value in zip(system, right, strict=True)]
    count = len(rows)
    for i in range(count):
        for below in range(i + 1, count):
            factor = rows[below][i] / rows[i][i]
            rows[below] = [a - factor * b for a, b in zip(rows[below], rows[i], strict=True)]
    found: dict[int, Node] = {}
    for i in reversed(range(count)):
        rest = _sum([rows[i][-1], *(-rows[i][j] * found[j] for j in range(i + 1, count))])
        found[i] = rest / rows[i][i]
    return [found[i] for i in range(count)]


EULER_MARUYAMA = EulerMaruyama(
    name="euler_maruyama", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0}, calculi=("ito",),
    reference="Maruyama (1955), Rend. Circ. Mat. Palermo 4, 48-90", jumps=True,
)  # fmt: skip

TAMED_EULER = TamedEuler(
    name="tamed_euler", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0}, calculi=("ito",),
    reference="Hutzenthaler, Jentzen, Kloeden (2012), Ann. Appl. Probab. 22, 1611-1641",
)  # fmt: skip

IMPLICIT_EULER_MARUYAMA = ImplicitEulerMaruyama(
    name="implicit_euler_maruyama", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0}, calculi=("ito",),
    reference="Kloeden, Platen (1992), 12.2",
)  # fmt: skip

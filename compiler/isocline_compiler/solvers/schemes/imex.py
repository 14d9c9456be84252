"""Implicit-explicit schemes: what is marked as stiff is solved for, the rest is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from isocline_compiler.derivatives.reverse_forward import dependent, push_forward
from isocline_compiler.graph import ARGUMENT, Array, Node, Nodes, Operand, leaf, topological
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field, Stirred
from isocline_compiler.solvers.schemes.implicit import Solved, plus
from isocline_compiler.solvers.schemes.linear_systems import Factored, Systems, systems_of
from isocline_compiler.solvers.schemes.problems import FORCED_DECAY, GATED, ROTATED, OrderProblem
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages


@dataclass(frozen=True)
class Imex(Solved):
    r"""Y_i = x + h sum_{j<i} a^_ij n(Y_j) + h sum_{j<=i} a_ij g(Y_j), x' = x + h sum_i b^_i n(Y_i) + b_i g(Y_i).

    g is what is marked as stiff, n the rest. Each stage is solved for by Newton's method with the Jacobian of g at the
    begin of the step: by one iteration where g is linear, else by as many as are asked for. Raises ValueError where
    the rows of the two tableaus do not sum to the same times. Ascher, Ruuth,
    Spiteri (1997), Appl. Numer. Math. 25, 151-167.
    """

    name: str
    order: float
    explicit: tuple[tuple[float, ...], ...]
    implicit: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], tuple[float, ...]]
    reference: str
    iterations: int = 2
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "iterations": 2})
    marked: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        sums = [[sum(row) for row in rows] for rows in (self.explicit, self.implicit)]
        if not np.allclose(sums[0], sums[1], rtol=0, atol=1e-12):
            raise ValueError(f"scheme {self.name}: its stages are at {sums[0]} and at {sums[1]}")
        b, c = np.array(self.weights), np.array(sums[0])
        for power in range(1, int(self.order) + 1):
            if not np.allclose(b @ c ** (power - 1), 1 / power, rtol=0, atol=1e-12):
                raise ValueError(f"scheme {self.name}: its weights are not of order {power}")

    @property
    def splits(self) -> bool:
        """The marked part is implicit, the rest is not."""
        return True

    def cheaper(self) -> tuple[Scheme, ...]:
        """With fewer iterations: of what is nearly linear one is enough."""
        return tuple(replace(self, iterations=count) for count in range(1, self.iterations))

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With as many iterations as are asked for."""
        return replace(self, iterations=int(options.get("iterations", self.iterations)))

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Those with a marked part."""
        return FORCED_DECAY, ROTATED, GATED

    def fits(self, solve: Solve) -> Misfit | None:
        """Something must be marked."""
        if not any(item is not None for item in solve.parts("stiff")) and not solve.spec.noises:
            fault = "no part of its equations is marked, as in `x' = stiff(-1000*x) + f(x)`"
            return lambda span: messages.scheme_does_not_fit(span, self.name, fault)
        return super().fits(solve)

    def stability(self, z: Array) -> Array:
        """R(z) of the implicit part."""
        count = len(self.implicit)
        a = np.array([[*row, *[0.0] * (count - len(row))] for row in self.implicit])
        flat = np.asarray(z, dtype=np.complex128)
        solved = np.linalg.solve(np.eye(count) - flat[..., None, None] * a, np.ones((*flat.shape, count, 1)))[..., 0]
        return np.asarray(1 + flat * (solved @ np.array(self.weights[1])))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        systems = systems_of(field.solve, marked=True)
        numbers, h = systems.flat(x), systems.width(step.h)
        jacobian = systems.jacobian(field, step.t, x)
        iterations = 1 if _is_linear(field.solve, field.solve.parts("stiff")) else self.iterations
        factors: dict[float, Factored] = {}
        free: list[list[Node]] = []
        stiff: list[list[Node]] = []
        for i, (left, right) in enumerate(zip(self.explicit, self.implicit, strict=True)):
            time, own = step.time(round(sum(left), 14)), right[i]
            known = plus(numbers, *((a * h, n) for a, n in zip(left, free, strict=False) if a))
            known = plus(known, *((a * h, g) for a, g in zip(right, stiff, strict=False) if a))
            y = known
            if own:
                shift = 1.0 / (own * h)
                if own not in factors:
                    factors[own] = systems.factored(jacobian, shift)
                y = list(numbers) if i == 0 else y
                for _ in range(iterations):
                    rest = [
                        g - shift * (v - k)
                        for g, v, k in zip(_part(systems, field.stiff, time, y, x), y, known, strict=True)
                    ]
                    y = plus(y, (1.0, factors[own].solve(rest)))
            later = [*self.weights, *(r for rows_ in (self.explicit, self.implicit) for r in rows_[i + 1 :])]
            if any(len(r) > i and r[i] for r in later):
                stiff.append(
                    [shift * (v - k) for v, k in zip(y, known, strict=True)]
                    if own
                    else _part(systems, field.stiff, time, y, x)
                )
                free.append(_part(systems, field.rest, time, y, x))
        moves = [(b * h, n) for b, n in zip(self.weights[0], free, strict=False) if b]
        moves += [(b * h, g) for b, g in zip(self.weights[1], stiff, strict=False) if b]
        return memory, systems.shaped(plus(numbers, *moves), x)


def _is_linear(solve: Solve, marked: tuple[Node | None, ...]) -> bool:
    """Whether the Jacobian of the marked part reads no state."""
    probes = tuple(leaf(ARGUMENT, "v", item.type) for item in solve.state_arguments)
    (moved,) = push_forward([item for item in marked if item is not None], solve.state_arguments, [probes])
    found = [item for item in moved if item is not None]
    return not set(found) & dependent(topological(found), solve.state_arguments)


def _part(systems: Systems, of: Callable[..., Stirred], time: Operand, y: list[Node], like: Nodes) -> list[Node]:
    """A part of the slopes at numbers y; zero where a state has none."""
    states = systems.shaped(y, like)
    found = of(time, states)
    return systems.flat(tuple(0.0 * x if item is None else item for item, x in zip(found, states, strict=True)))


G = 1 - 1 / sqrt(2)
D = 1 - 1 / (2 * G)

# fmt: off
IMEX = (
    Imex(
        name="imex_euler", order=1, explicit=((0.0, 0.0), (1.0, 0.0)), implicit=((0.0, 0.0), (0.0, 1.0)),
        weights=((1.0, 0.0), (0.0, 1.0)),
        reference="Ascher, Ruuth, Spiteri (1997), Appl. Numer. Math. 25, 151-167: (1, 1, 1), L-stable",
    ),
    Imex(
        name="ars222", order=2,
        explicit=((0.0, 0.0, 0.0), (G, 0.0, 0.0), (D, 1 - D, 0.0)),
        implicit=((0.0, 0.0, 0.0), (0.0, G, 0.0), (0.0, 1 - G, G)),
        weights=((D, 1 - D, 0.0), (0.0, 1 - G, G)),
        reference="Ascher, Ruuth, Spiteri (1997), Appl. Numer. Math. 25, 151-167: (2, 2, 2), L-stable",
    ),
)

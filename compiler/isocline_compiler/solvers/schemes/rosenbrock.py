"""Linearly implicit schemes: the Jacobian stands in the scheme itself, and nothing is iterated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import ClassVar, TypeAlias

import numpy as np

from isocline_compiler.derivatives.reverse_forward import push_forward
from isocline_compiler.graph import Array, Node, Nodes, constant
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.implicit import Solved, plus
from isocline_compiler.solvers.schemes.linear_systems import systems_of
from isocline_compiler.solvers.schemes.scheme import Search
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.trees import density, show, trees, vertices

Rows: TypeAlias = "tuple[tuple[float, ...], ...]"
TOLERANCE = 1e-9
"""Published coefficients have ten digits or more."""


@dataclass(frozen=True)
class Rosenbrock(Solved):
    r"""A Rosenbrock scheme: s systems of one matrix a step, with the Jacobian J and the derivative f_t at its begin.

    (1/(gamma h) - J) u_i = f(t + alpha_i h, x + sum_{j<i} a_ij u_j) + sum_{j<i} (c_ij / h) u_j + gamma_i h f_t
    x' = x + sum_i m_i u_i

    Raises ValueError when a condition of order fails: with alpha_ij and beta_ij = alpha_ij + gamma_ij, made of a and c,
    those of Runge-Kutta schemes with beta where a vertex has one branch, and alpha where it has more. Hairer, Wanner
    (1996), IV.7, (7.25), table 7.1.
    """

    name: str
    order: float
    gamma: float
    a: Rows
    c: Rows
    m: tuple[float, ...]
    reference: str
    search: ClassVar[Search] = "stiff"
    divides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for size in range(1, int(self.order) + 1):
            for tree in trees(size):
                found = float(self._weights @ self._elementary(tree))
                if abs(found - 1 / density(tree)) > TOLERANCE:
                    condition = f"order {vertices(tree)} condition of the tree {show(tree)}"
                    raise ValueError(f"scheme {self.name}: {condition}: {found!r} instead of 1/{density(tree)}")

    @property
    def past(self) -> str:
        """f_t is taken of what the field itself says of the time."""
        return "it takes the derivative of the field with respect to the time, in which the past has a part"

    @cached_property
    def _matrices(self) -> tuple[Array, Array]:
        """alpha and Gamma: Gamma^-1 = I/gamma - C, alpha = A Gamma."""
        count = len(self.m)
        a, c = np.zeros((count, count)), np.zeros((count, count))
        for i in range(count):
            a[i, :i], c[i, :i] = self.a[i], self.c[i]
        spread = np.linalg.inv(np.eye(count) / self.gamma - c)
        return a @ spread, spread

    @property
    def _weights(self) -> Array:
        return np.array(self.m) @ self._matrices[1]

    def _elementary(self, tree: object) -> Array:
        alpha, spread = self._matrices
        children: Sequence[object] = tree  # type: ignore[assignment]
        chosen = alpha + spread if len(children) == 1 else alpha
        parts = [chosen @ self._elementary(child) for child in children]
        return np.asarray(np.prod(parts, axis=0) * np.ones(len(self.m)))

    def stability(self, z: Array) -> Array:
        """R(z) = 1 + z b^T (I - z B)^-1 1, B = (alpha_ij + gamma_ij)."""
        alpha, spread = self._matrices
        flat = np.asarray(z, dtype=np.complex128)
        system = np.eye(len(self.m)) - flat[..., None, None] * (alpha + spread)
        slopes = np.linalg.solve(system, np.ones((*flat.shape, len(self.m), 1)))[..., 0]
        return np.asarray(1 + flat * (slopes @ self._weights))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        systems = systems_of(field.solve)
        numbers, h = systems.flat(x), systems.width(step.h)
        factors = systems.factored(systems.jacobian(field, step.t, x), 1.0 / (self.gamma * h))
        changes = systems.some(_change_in_time(field, step, x), x)
        alpha, spread = self._matrices
        moves: list[list[Node]] = []
        known: dict[tuple[float, ...], list[Node]] = {}
        for i in range(len(self.m)):
            place = (round(float(alpha[i].sum()), 12), *self.a[i])
            while place and place[-1] == 0:
                place = place[:-1]
            if place not in known:
                y = plus(numbers, *zip(self.a[i], moves, strict=True))
                time = step.time(round(float(alpha[i].sum()), 12))
                known[place] = systems.flat(field(time, systems.shaped(y, x)))
            right = plus(known[place], *((c * (1.0 / h), u) for c, u in zip(self.c[i], moves, strict=True) if c))
            total = float(spread[i].sum())
            if abs(total) > 1e-12:
                right = [r if f_t is None else r + (total * h) * f_t for r, f_t in zip(right, changes, strict=True)]
            moves.append(factors.solve(right))
        return memory, systems.shaped(plus(numbers, *zip(self.m, moves, strict=True)), x)


def _change_in_time(field: Field, step: Step, x: Nodes) -> list[Node | None]:
    """df/dt of every state; None where it is zero."""
    time = field.solve.time
    (moved,) = push_forward(field.solve.slopes(), [time], [(broadcast_like(constant(1.0), time),)])
    filled = iter(field.filled([item for item in moved if item is not None], step.t, x))
    return [None if item is None else next(filled) for item in moved]


ROS2 = 1 - 1 / sqrt(2)

# fmt: off
ROSENBROCK = (
    Rosenbrock(
        name="ros2", order=2, gamma=ROS2, a=((), (1 / ROS2,)), c=((), (-2 / ROS2,)),
        m=(1.5 / ROS2, 0.5 / ROS2),
        reference="Verwer, Spee, Blom, Hundsdorfer (1999), SIAM J. Sci. Comput. 20, 1456-1480: L-stable",
    ),
    Rosenbrock(
        name="ros3p", order=3, gamma=0.7886751345948129,
        a=((), (1.267949192431123,), (1.267949192431123, 0.0)),
        c=((), (-1.607695154586736,), (-3.464101615137755, -1.732050807568877)),
        m=(2.0, 0.5773502691896258, 0.4226497308103742),
        reference="Lang, Verwer (2001), BIT 41, 731-738: A-stable, no loss of order for parabolic equations",
    ),
    Rosenbrock(
        name="rodas4", order=4, gamma=0.25,
        a=(
            (), (1.544000000000000,), (0.9466785280815826, 0.2557011698983284),
            (3.314825187068521, 2.896124015972201, 0.9986419139977817),
            (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
            (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
        ),
        c=(
            (), (-5.6688,), (-2.430093356833875, -0.2063599157091915),
            (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
            (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
            (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
        ),
        m=(1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0, 1.0),
        reference="Hairer, Wanner (1996), VI.4: RODAS, stiffly accurate, L-stable",
    ),
)

"""Schemes of many families once more, from the literature: what solves that name their scheme are walked with.

Nothing of the compiler's schemes is read: coefficients are those of the papers, or follow from conditions that define
them (moments of Adams's weights, collocation of Radau's stages), Jacobians are torch's and systems are LAPACK's. States
are rows (samples, numbers), and steps may be uneven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import acosh, cosh, sinh, sqrt
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.certify.spectrum import jacobians
from isocline_compiler.graph import Array

Slopes: TypeAlias = "Callable[[float | Tensor, Tensor, int], Tensor]"
"""x' at (t, x) in step i."""


class NoSecondWalk(Exception):
    """Equations that the second steps do not know."""


@dataclass(frozen=True)
class Equations:
    """x' = f(t, x), of which `stiff` is the part that is marked; `owner` says which state a number belongs to.
    What is learned of the `options` is one number a step.
    """

    f: Slopes
    stiff: Slopes | None
    owner: Array
    options: Mapping[str, int | Tensor]

    def rest(self, t: float | Tensor, x: Tensor, i: int) -> Tensor:
        """f without what is marked."""
        return self.f(t, x, i) - self.marked(t, x, i)

    def marked(self, t: float | Tensor, x: Tensor, i: int) -> Tensor:
        """What is marked as stiff."""
        if self.stiff is None:
            raise NoSecondWalk("no part is marked")
        return self.stiff(t, x, i)

    def in_time(self, t: float, x: Tensor, i: int) -> Tensor:
        """df/dt: the derivative by v of v . f's reverse mode in t, which is linear in v."""
        time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
        v = torch.ones_like(x, requires_grad=True)
        with torch.enable_grad():
            total = (self.f(time, x.detach(), i) * v).sum()
            (slope,) = torch.autograd.grad(total, time, create_graph=True, materialize_grads=True)
            if not slope.requires_grad:
                return torch.zeros_like(x)
            (found,) = torch.autograd.grad(slope, v, materialize_grads=True)
        return found.detach()

    def jacobian(self, of: Slopes, t: float, x: Tensor, i: int) -> Tensor:
        """df/dx of each sample."""
        return torch.from_numpy(jacobians(lambda y: of(t, y, i), x))


Path: TypeAlias = "list[Tensor]"
Walk: TypeAlias = "Callable[[Equations, Tensor, Sequence[float]], Path]"
"""The states at every time of a grid."""


def steps_of(times: Sequence[float]) -> list[tuple[int, float, float, float]]:
    return [(i, a, b, b - a) for i, (a, b) in enumerate(pairwise(times))]


# ---------------------------------------------------------------------------------------------------- in turn


def _momenta(equations: Equations, x: Tensor, t: float, friction: bool) -> Tensor:
    """Which numbers are momenta, by which states move which at a state near the start; the first is a position."""
    count = int(equations.owner.max()) + 1
    near = x + 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal(x.shape)) * (1 + x.abs())
    there: Array = (equations.jacobian(equations.f, t, near, 0) != 0).any(dim=0).numpy()
    moves = np.array([[there[np.ix_(equations.owner == i, equations.owner == j)].any() for j in range(count)]
                      for i in range(count)])  # fmt: skip
    if friction:
        positions: list[int] = []
        for i in range(count):
            if not moves[i, i] and not any(moves[i, j] or moves[j, i] for j in positions):
                positions.append(i)
        return torch.tensor(~np.isin(equations.owner, positions))
    side = {0: False}
    for _ in range(count):
        for i in list(side):
            side |= {j: not side[i] for j in range(count) if (moves[i, j] or moves[j, i]) and j not in side}
    if len(side) < count or any(moves[i, j] and side[i] == side[j] for i in range(count) for j in range(count)):
        raise NoSecondWalk("states that do not move each other in turn alone")
    return torch.tensor([side[int(i)] for i in equations.owner])


def in_turn(moves: Sequence[tuple[str, float]], friction: bool = False) -> Walk:
    """Kicks of the momenta and drifts of the positions, each at the time up to which the others have moved."""

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        momenta = _momenta(equations, x, times[0], friction)
        path = [x]
        for i, t, _, h in steps_of(times):
            clock = {"kick": t, "drift": t}
            x = path[-1]
            for move, part in moves:
                moved = momenta if move == "kick" else ~momenta
                other = "drift" if move == "kick" else "kick"
                x = torch.where(moved, x + part * h * equations.f(clock[other], x, i), x)
                clock[move] += part * h
            path.append(x)
        return path

    return walk


def damped_back(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
    """q <- q + h f(t, p), then p = p_0 + h g(t + h, q, p) by Newton's method, a system of all numbers."""
    momenta = _momenta(equations, x, times[0], friction=True)
    path = [x]
    for i, t, end, h in steps_of(times):
        x = path[-1]
        x = known = torch.where(momenta, x, x + h * equations.f(t, x, i))
        for _ in range(NEWTON):
            miss = torch.where(momenta, x - known - h * equations.f(end, x, i), 0.0)
            j = torch.where(momenta[:, None] & momenta, equations.jacobian(equations.f, end, x, i), 0.0)
            x = x - torch.linalg.solve(torch.eye(x.shape[1], dtype=x.dtype) - h * j, miss)
        path.append(x)
    return path


NEWTON = 8
"""Iterations after which nothing moves any more."""
VERLET = (("kick", 0.5), ("drift", 1.0), ("kick", 0.5))
CUBE = 2 ** (1 / 3)
YOSHIDA = tuple((move, w * part) for w in (1 / (2 - CUBE), -CUBE / (2 - CUBE), 1 / (2 - CUBE)) for move, part in VERLET)
"""Yoshida (1990), Phys. Lett. A 150, (2.12)."""
R19 = sqrt(19)
ALPHA = ((146 + 5 * R19) / 540, (-2 + 10 * R19) / 135, 1 / 5, (-23 - 20 * R19) / 270, (14 - R19) / 108)
MCLACHLAN = tuple(
    item
    for a, b in zip(ALPHA, ALPHA[::-1], strict=True)
    for item in (("drift", b), ("kick", b), ("kick", a), ("drift", a))
)
"""McLachlan (1995), 4.2: symplectic Euler behind its adjoint, five times."""

IN_TURN: Mapping[str, Walk] = {
    "symplectic_euler": in_turn((("kick", 1.0), ("drift", 1.0))),
    "coupling": in_turn((("drift", 1.0), ("kick", 1.0))),
    "momentum": in_turn((("kick", 1.0), ("drift", 1.0)), friction=True),
    "momentum_adjoint": damped_back,
    "leapfrog": in_turn(VERLET),
    "leapfrog_position": in_turn((("drift", 0.5), ("kick", 1.0), ("drift", 0.5))),
    "yoshida4": in_turn(YOSHIDA),
    "mclachlan4": in_turn(MCLACHLAN),
}

# ---------------------------------------------------------------------------------------------------- multistep


def _weights(places: Sequence[float], h: float) -> Array:
    """w with sum_j w_j p(c_j) = int_0^h p for all polynomials of so many terms."""
    scaled = np.array(places) / h
    powers = np.vander(scaled, increasing=True).T
    return np.asarray(h * np.linalg.solve(powers, 1 / np.arange(1, len(scaled) + 1)))


RUNGE = {
    2: (((), (1.0,)), (1 / 2, 1 / 2)),
    3: (((), (1 / 2,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6)),
    4: (((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}
"""Heun's, Kutta's of order 3, and the classical scheme."""


def _started(order: int, f: Slopes, t: float, h: float, x: Tensor, i: int) -> Tensor:
    rows, b = RUNGE[order]
    k: list[Tensor] = []
    for row in rows:
        y = x + h * sum((a * s for a, s in zip(row, k, strict=True)), torch.zeros_like(x))
        k.append(f(t + sum(row) * h, y, i))
    return x + h * sum((w * s for w, s in zip(b, k, strict=True)), torch.zeros_like(x))


def adams(count: int, corrected: bool = False) -> Walk:
    """Adams and Bashforth of `count` steps; `corrected`: predicted so, evaluated, and by Moulton's weights again."""

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        path = [x]
        slopes: list[Tensor] = []
        for i, t, end, h in steps_of(times):
            x = path[-1]
            slopes = [equations.f(t, x, i), *slopes][:count]
            if len(slopes) < count:
                path.append(_started(count, equations.f, t, h, x, i))
                continue
            places = [times[i - j] - t for j in range(count)]
            y = x + sum(w * k for w, k in zip(_weights(places, h), slopes, strict=True))
            if corrected:
                known = [equations.f(end, y, i), *slopes[: count - 1]]
                y = x + sum(w * k for w, k in zip(_weights([h, *places[: count - 1]], h), known, strict=True))
            path.append(y)
        return path

    return walk


def two_step(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
    """x_{n+1} = (1 - r^2) x_n + r^2 x_{n-1} + h (1 + r) f_n, r = h / h_before: exact for parabolas; Heun's at first."""
    path, before = [x], None
    for i, t, _, h in steps_of(times):
        x = path[-1]
        if before is None:
            path.append(_started(2, equations.f, t, h, x, i))
        else:
            r = h / before
            path.append((1 - r * r) * x + r * r * path[-2] + h * (1 + r) * equations.f(t, x, i))
        before = h
    return path


def lm_resnet(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
    """Lu, Zhong, Li, Dong (2018), as their code has it: x_{n+1} = h f(x_n) + l x_n + (1 - l) x_{n-1}, l = 1 - k."""
    k, path = equations.options["k"], [x, x]
    for i, t, _, h in steps_of(times):
        own = 1 - float(k[i] if isinstance(k, Tensor) else k)
        path.append(h * equations.f(t, path[-1], i) + own * path[-1] + (1 - own) * path[-2])
    return path[1:]


def chebyshev(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
    """Sommeijer, Shampine, Verwer (1998), (2.1) to (2.6), with T_j(w) = cosh(j arcosh w)."""
    stages = int(equations.options["stages"])
    w0 = 1 + 2 / (13 * stages**2)
    r = acosh(w0)
    t_of = [cosh(j * r) for j in range(stages + 1)]
    d_of = [j * sinh(j * r) / sinh(r) for j in range(stages + 1)]
    dd_of = [(j * j * t_of[j] - w0 * d_of[j]) / (w0**2 - 1) for j in range(stages + 1)]
    w1 = d_of[stages] / dd_of[stages]
    b = [0.0, 0.0, *(dd_of[j] / d_of[j] ** 2 for j in range(2, stages + 1))]
    b[0] = b[1] = b[2]
    path = [x]
    for i, t, _, h in steps_of(times):
        first = path[-1]
        slope = equations.f(t, first, i)
        old, y, c_old, c = first, first + b[1] * w1 * h * slope, 0.0, b[1] * w1
        for j in range(2, stages + 1):
            mu, nu, moved = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
            back = -(1 - b[j - 1] * t_of[j - 1]) * moved
            ahead = (1 - mu - nu) * first + mu * y + nu * old + moved * h * equations.f(t + c * h, y, i)
            old, y = y, ahead + back * h * slope
            c_old, c = c, mu * c + nu * c_old + moved + back
        path.append(y)
    return path


EXPLICIT: Mapping[str, Walk] = {
    **IN_TURN,
    "midpoint2": two_step,
    "lm2": lm_resnet,
    "ab2": adams(2),
    "ab3": adams(3),
    "ab4": adams(4),
    "abm": adams(4, corrected=True),
    "rkc2": chebyshev,
}

"""Implicit and exponential schemes once more: the second walk of solves whose scheme is one of them.

Radau's table follows from collocation; all stages are one system, which LAPACK solves. phi_k is a block of the
exponential of a larger matrix, which is torch's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.certify.second_steps import EXPLICIT, Equations, NoSecondWalk, Path, Walk, steps_of
from isocline_compiler.graph import Array

Tables: TypeAlias = "tuple[Array, Array, Array]"


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    found: Tensor = torch.linalg.solve(matrix, right.unsqueeze(-1))
    return found.squeeze(-1)


S2 = sqrt(2)
G = 1 - 1 / S2


def _radau() -> Tables:
    """Collocation at the zeros of the second derivative of x^2 (x - 1)^3: int_0^{c_i} p for quadratic p."""
    nodes = np.sort(np.roots(np.polyder(np.poly([0, 0, 1, 1, 1]), 2)).real)
    powers = np.vander(nodes, increasing=True)
    reached = nodes[:, None] ** np.arange(1, 4) / np.arange(1, 4)
    a = reached @ np.linalg.inv(powers)
    return a, a[-1], nodes


def _table(*rows: Sequence[float], weights: Sequence[float] | None = None) -> Tables:
    a = np.array(rows)
    return a, a[-1] if weights is None else np.array(weights), a.sum(1)


TABLES: Mapping[str, Tables] = {
    "implicit_euler": _table((1.0,)),
    "implicit_midpoint": _table((0.5,), weights=(1.0,)),
    "trapezoid": _table((0.0, 0.0), (0.5, 0.5)),
    "sdirk2": _table((G, 0.0), (1 - G, G)),
    "trbdf2": _table((0.0, 0.0, 0.0), (G, G, 0.0), (1 / (2 * S2), 1 / (2 * S2), G)),
    "radau5": _radau(),
}
"""Hairer, Wanner (1996), IV.3, IV.5; Alexander (1977); Hosea, Shampine (1996), Appl. Numer. Math. 20, 21-37."""


def implicit(name: str) -> Walk:
    """All stages z_i = h sum_j a_ij f(x + z_j) at once, or one after another; simplified Newton, J of the begin."""

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        path, iterations = [x], int(equations.options["iterations"])
        step = _together if np.triu(TABLES[name][0], 1).any() else _one_by_one
        for i, t, _, h in steps_of(times):
            jacobian = equations.jacobian(equations.f, t, path[-1], i)
            path.append(step(TABLES[name], equations, jacobian, path[-1], (i, t, h), iterations))
        return path

    return walk


def _together(
    table: Tables, equations: Equations, jacobian: Tensor, x: Tensor, step: tuple[int, float, float], iterations: int
) -> Tensor:
    (a, b, c), (i, t, h) = table, step
    rows, size = x.shape
    system = torch.eye(len(b) * size, dtype=x.dtype) - h * torch.stack(
        [torch.kron(torch.tensor(a), j) for j in jacobian]
    )
    z = torch.zeros(rows, len(b), size, dtype=x.dtype)
    for _ in range(iterations):
        slopes = torch.stack([equations.f(t + float(p) * h, x + z[:, k], i) for k, p in enumerate(c)], 1)
        rest = z - h * torch.einsum("kj,bjs->bks", torch.tensor(a), slopes)
        z = z - _solved(system, rest.reshape(rows, -1)).reshape(z.shape)
    return x + torch.einsum("k,bks->bs", torch.tensor(b @ np.linalg.inv(a)), z)


def _one_by_one(
    table: Tables, equations: Equations, jacobian: Tensor, x: Tensor, step: tuple[int, float, float], iterations: int
) -> Tensor:
    (a, b, c), (i, t, h) = table, step
    slopes: list[Tensor] = []
    y, one = x, torch.eye(x.shape[1], dtype=x.dtype)
    for k, own in enumerate(np.diag(a)):
        known = x + h * sum((float(w) * s for w, s in zip(a[k], slopes, strict=False)), torch.zeros_like(x))
        time = t + float(c[k]) * h
        if own == 0:
            y = known
            slopes.append(equations.f(time, y, i))
            continue
        for _ in range(iterations):
            y = y - _solved(one - h * own * jacobian, y - known - h * own * equations.f(time, y, i))
        slopes.append((y - known) / (h * own))
    return x + h * sum((float(w) * s for w, s in zip(b, slopes, strict=True)), torch.zeros_like(x))


RODAS = (
    0.25,
    (
        (), (1.544,), (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0),
    ),
    (
        (), (-5.6688,), (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0, 1.0),
)  # fmt: skip
R3 = sqrt(3)
ROSENBROCK = {
    "ros2": (G, ((), (1 / G,)), ((), (-2 / G,)), (3 / (2 * G), 1 / (2 * G))),
    "ros3p": (
        0.5 + R3 / 6, ((), (3 - R3,), (3 - R3, 0.0)), ((), (6 * R3 - 12,), (-2 * R3, -R3)),
        (2.0, 1 / R3, 1 - 1 / R3),
    ),
    "rodas4": RODAS,
}  # fmt: skip


def rosenbrock(name: str) -> Walk:
    """(I/(h gamma) - J) u_i = f(t + alpha_i h, x + sum a_ij u_j) + sum (c_ij/h) u_j + gamma_i h f_t, x += sum m u.

    Hairer, Wanner (1996), IV.7, (7.25), and the tables of their code RODAS; Verwer et al. (1999); Lang, Verwer (2001).
    """
    gamma, a, c, m = ROSENBROCK[name]
    lower = np.zeros((2, len(m), len(m)))
    for place, rows in enumerate((a, c)):
        for k, row in enumerate(rows):
            lower[place, k, :k] = row
    gammas = np.linalg.inv(np.eye(len(m)) / gamma - lower[1])
    alphas = (lower[0] @ gammas).sum(1)

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        path, one = [x], torch.eye(x.shape[1], dtype=x.dtype)
        for i, t, _, h in steps_of(times):
            x = path[-1]
            system = one / (h * gamma) - equations.jacobian(equations.f, t, x, i)
            f_t, u = equations.in_time(t, x, i), list[Tensor]()
            for k in range(len(m)):
                y = x + sum((w * v for w, v in zip(a[k], u, strict=True)), torch.zeros_like(x))
                right = equations.f(t + float(alphas[k]) * h, y, i) + float(gammas[k].sum()) * h * f_t
                u.append(_solved(system, right + sum((w / h * v for w, v in zip(c[k], u, strict=True)), 0 * x)))
            path.append(x + sum((w * v for w, v in zip(m, u, strict=True)), torch.zeros_like(x)))
        return path

    return walk


DELTA = 1 - 1 / (2 * G)
ARS = {
    "imex_euler": (((0.0, 0.0), (1.0, 0.0)), ((0.0, 0.0), (0.0, 1.0)), (1.0, 0.0), (0.0, 1.0)),
    "ars222": (
        ((0.0, 0.0, 0.0), (G, 0.0, 0.0), (DELTA, 1 - DELTA, 0.0)), ((0.0, 0.0, 0.0), (0.0, G, 0.0), (0.0, 1 - G, G)),
        (DELTA, 1 - DELTA, 0.0), (0.0, 1 - G, G),
    ),
}  # fmt: skip
"""Ascher, Ruuth, Spiteri (1997), 2.1 and 2.6: the explicit table, the implicit one, and their weights."""


def half_implicit(name: str) -> Walk:
    """Stages explicit in the rest, implicit in what is marked, with the Jacobian of that at the begin."""
    left, right, b, c = ARS[name]

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        path, one = [x], torch.eye(x.shape[1], dtype=x.dtype)
        for i, t, _, h in steps_of(times):
            x = path[-1]
            jacobian = equations.jacobian(equations.marked, t, x, i)
            free: list[Tensor] = []
            stiff: list[Tensor] = []
            for row, other in zip(left, right, strict=True):
                time, own = t + sum(row) * h, other[len(free)]
                y = x + h * sum((w * k for w, k in zip(row, free, strict=False)), torch.zeros_like(x))
                y = known = y + h * sum((w * k for w, k in zip(other, stiff, strict=False)), torch.zeros_like(x))
                for _ in range(int(equations.options["iterations"]) if own else 0):
                    rest = y - known - h * own * equations.marked(time, y, i)
                    y = y - _solved(one - h * own * jacobian, rest)
                stiff.append((y - known) / (h * own) if own else equations.marked(time, y, i))
                free.append(equations.rest(time, y, i))
            moves = zip((*b, *c), (*free, *stiff), strict=True)
            path.append(x + h * sum((w * k for w, k in moves), torch.zeros_like(x)))
        return path

    return walk


# ---------------------------------------------------------------------------------------------------- exponential


def phis(z: Tensor, most: int) -> list[Tensor]:
    """phi_0 to phi_most of matrices: the first row of blocks of exp [[Z, I, 0], [0, 0, I], ...]."""
    rows, n = z.shape[0], z.shape[1]
    whole = torch.zeros(rows, n * (most + 1), n * (most + 1), dtype=z.dtype)
    whole[:, :n, :n] = z
    for k in range(most):
        whole[:, k * n : (k + 1) * n, (k + 1) * n : (k + 2) * n] = torch.eye(n, dtype=z.dtype)
    found = torch.linalg.matrix_exp(whole)
    return [found[:, :n, k * n : (k + 1) * n] for k in range(most + 1)]


def exponential(name: str) -> Walk:
    """Hochbruck, Ostermann (2010); Cox, Matthews (2002); Krogstad (2005); Lu et al. (2022): L is d(marked)/dx."""

    def walk(equations: Equations, x: Tensor, times: Sequence[float]) -> Path:
        path: Path = [x]
        before: tuple[Tensor, float] | None = None
        for i, t, end, h in steps_of(times):
            x = path[-1]
            linear = _rates(name, equations, (t, end, i), x)

            def n(time: float, y: Tensor, linear: Tensor = linear, i: int = i) -> Tensor:
                return equations.f(time, y, i) - _applied(linear, y)

            now = n(t, x)
            p = [lambda v, m=m: _applied(m, v) for m in phis(h * linear, 3)]
            q = [lambda v, m=m: _applied(m, v) for m in phis(h / 2 * linear, 2)]
            euler, half = p[0](x) + h * p[1](now), q[0](x) + h / 2 * q[1](now)
            if name == "exponential_euler":
                y = euler
            elif name == "exponential_midpoint":
                y = p[0](x) + h * p[1](n(t + h / 2, half))
            elif name == "etd_rk2":
                y = euler + h * p[2](n(end, euler) - now)
            elif name == "etd_ab2":
                y = euler if before is None else euler + h * h / before[1] * p[2](now - before[0])
            elif name == "dpm_solver_2m":
                ahead = now if before is None else now + h / (2 * before[1]) * (now - before[0])
                y = p[0](x) + h * p[1](ahead)
            else:
                na = n(t + h / 2, half)
                nb = n(t + h / 2, half + h * q[2](na - now))
                nc = n(end, euler + 2 * h * p[2](nb - now))
                y = euler + h * (p[2](-3 * now + 2 * na + 2 * nb - nc) + 4 * p[3](now - na - nb + nc))
            path.append(y)
            before = (now, h)
        return path

    return walk


def _applied(matrix: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("bij,bj->bi", matrix, x)


def _rates(name: str, equations: Equations, step: tuple[float, float, int], x: Tensor) -> Tensor:
    """L of a step: d(marked)/dx where it is the same everywhere, else what each number does to itself (Rush, Larsen
    1978). A scheme of several stages holds rates that change fixed in its own way.
    """
    t, end, i = step
    linear = equations.jacobian(equations.marked, t, x, i)
    if torch.equal(linear, equations.jacobian(equations.marked, end, 1.1 * x + 0.1, i)):
        return linear
    if name != "exponential_euler":
        raise NoSecondWalk("rates that change within a step")
    return torch.diag_embed(torch.diagonal(linear, dim1=1, dim2=2))


STEPS: Mapping[str, Walk] = {
    **EXPLICIT,
    **{name: implicit(name) for name in TABLES},
    **{name: rosenbrock(name) for name in ROSENBROCK},
    **{name: half_implicit(name) for name in ARS},
    **{
        name: exponential(name)
        for name in (
            "exponential_euler", "exponential_midpoint", "etd_rk2", "etd_ab2", "dpm_solver_2m", "etd_rk4",
        )
    },
}  # fmt: skip

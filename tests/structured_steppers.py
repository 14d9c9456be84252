"""Plain numpy steppers for schemes that need more of a field than its slopes, written from the papers.

Nothing of the compiler is in them. Jacobians are by complex steps; phi_k by quadrature of its integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.linalg import expm
from scipy.optimize import fsolve

Array = np.ndarray
Slopes = Callable[[float, Array], Array]


def jacobian(f: Slopes, t: float, x: Array) -> Array:
    """df/dx by complex steps."""
    size, tiny = len(x), 1e-30
    columns = [np.imag(f(t, x + 1j * tiny * np.eye(size)[i])) / tiny for i in range(size)]
    return np.array(columns).T


def change_in_time(f: Slopes, t: float, x: Array) -> Array:
    """df/dt by a complex step."""
    return np.imag(f(t + 1e-30j, x.astype(complex))) / 1e-30


# ---------------------------------------------------------------------------------------------------- in turn


def splitting(moves: Sequence[tuple[str, float]], f: Slopes, x: Array, times: Array) -> Array:
    """("kick", b) and ("drift", a) one after another; the second half of the states is kicked, the first drifts."""
    path, half = [x], len(x) // 2
    for t, end in pairwise(times):
        h, x = end - t, path[-1].copy()
        of_positions, of_momenta = t, t
        for move, part in moves:
            if move == "kick":
                x[half:] += part * h * f(of_positions, x)[half:]
                of_momenta += part * h
            else:
                x[:half] += part * h * f(of_momenta, x)[:half]
                of_positions += part * h
        path.append(x)
    return np.array(path)


def momentum_back(f: Slopes, x: Array, times: Array) -> Array:
    """The adjoint of kick and drift: the first half moves, then the second to p with p = p_0 + h g(t + h, q, p)."""
    path, half = [x], len(x) // 2
    for t, end in pairwise(times):
        h, x = end - t, path[-1].copy()
        x[:half] += h * f(t, x)[:half]

        def missed(p: Array, x: Array = x, h: float = h, end: float = end) -> Array:
            return p - x[half:] - h * f(end, np.concatenate([x[:half], p]))[half:]

        x[half:] = fsolve(missed, x[half:], xtol=1e-14)
        path.append(x)
    return np.array(path)


LEAPFROG = [("kick", 1 / 2), ("drift", 1.0), ("kick", 1 / 2)]


def yoshida() -> list[tuple[str, float]]:
    """Yoshida (1990): x1 = 1/(2 - 2^(1/3)), x0 = -2^(1/3)/(2 - 2^(1/3)), three leapfrog steps."""
    outer = 1 / (2 - 2 ** (1 / 3))
    return [(move, part * w) for w in (outer, -(2 ** (1 / 3)) * outer, outer) for move, part in LEAPFROG]


def mclachlan() -> list[tuple[str, float]]:
    """Hairer, Lubich, Wanner (2006), V (3.6): a step of the adjoint of symplectic Euler before each one of itself."""
    r = math.sqrt(19)
    alpha = [(146 + 5 * r) / 540, (-2 + 10 * r) / 135, 1 / 5, (-23 - 20 * r) / 270, (14 - r) / 108]
    return [
        item
        for a, b in zip(alpha, reversed(alpha), strict=True)
        for item in (("drift", b), ("kick", b), ("kick", a), ("drift", a))
    ]


MOVES = {
    "symplectic_euler": [("kick", 1.0), ("drift", 1.0)],
    "momentum": [("kick", 1.0), ("drift", 1.0)],
    "coupling": [("drift", 1.0), ("kick", 1.0)],
    "leapfrog": LEAPFROG,
    "leapfrog_position": [("drift", 1 / 2), ("kick", 1.0), ("drift", 1 / 2)],
    "yoshida4": yoshida(),
    "mclachlan4": mclachlan(),
}

# ---------------------------------------------------------------------------------------------------- multistep

ADAMS = {
    "ab2": ([3 / 2, -1 / 2], None),
    "ab3": ([23 / 12, -16 / 12, 5 / 12], None),
    "ab4": ([55 / 24, -59 / 24, 37 / 24, -9 / 24], None),
    "abm": ([55 / 24, -59 / 24, 37 / 24, -9 / 24], [9 / 24, 19 / 24, -5 / 24, 1 / 24]),
}
"""Hairer, Norsett, Wanner (1993), III.1, (1.5) and (1.9): of equal steps, the latest slope first."""


def _heun(f: Slopes, t: float, h: float, x: Array) -> Array:
    k = f(t, x)
    return x + h / 2 * (k + f(t + h, x + h * k))


def _kutta3(f: Slopes, t: float, h: float, x: Array) -> Array:
    k1 = f(t, x)
    k2 = f(t + h / 2, x + h / 2 * k1)
    return x + h / 6 * (k1 + 4 * k2 + f(t + h, x + h * (2 * k2 - k1)))


def _rk4(f: Slopes, t: float, h: float, x: Array) -> Array:
    k1 = f(t, x)
    k2 = f(t + h / 2, x + h / 2 * k1)
    k3 = f(t + h / 2, x + h / 2 * k2)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, x + h * k3))


def adams(name: str, f: Slopes, x: Array, times: Array) -> Array:
    """Adams and Bashforth, and Moulton after them; started by a scheme of Runge-Kutta of the same order."""
    explicit, implicit = ADAMS[name]
    start = {2: _heun, 3: _kutta3, 4: _rk4}[len(explicit)]
    path, slopes = [x], []
    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        slopes = [f(t, x), *slopes][: len(explicit)]
        if len(slopes) < len(explicit):
            path.append(start(f, t, h, x))
            continue
        y = x + h * sum(b * k for b, k in zip(explicit, slopes, strict=True))
        if implicit is not None:
            y = x + h * sum(b * k for b, k in zip(implicit, [f(end, y), *slopes[:-1]], strict=True))
        path.append(y)
    return np.array(path)


def two_step_midpoint(f: Slopes, x: Array, times: Array) -> Array:
    path = [x, _heun(f, times[0], times[1] - times[0], x)]
    for t, end in pairwise(times[1:]):
        path.append(path[-2] + 2 * (end - t) * f(t, path[-1]))
    return np.array(path)


def lm_resnet(k: float, f: Slopes, x: Array, times: Array) -> Array:
    """Lu, Zhong, Li, Dong (2018), (5); a plain residual block at first."""
    path = [x, x + (times[1] - times[0]) * f(times[0], x)]
    for t, end in pairwise(times[1:]):
        path.append((1 - k) * path[-1] + k * path[-2] + (end - t) * f(t, path[-1]))
    return np.array(path)


# ---------------------------------------------------------------------------------------------------- exponential

NODES, WEIGHTS = np.polynomial.legendre.leggauss(30)


def phi(k: int, z: Array) -> Array:
    """int_0^1 e^{(1-s) Z} s^{k-1}/(k-1)! ds by Gauss's quadrature."""
    if k == 0:
        return expm(z)
    s = (NODES + 1) / 2
    values = [expm((1 - p) * z) * p ** (k - 1) / math.factorial(k - 1) for p in s]
    return sum(w / 2 * value for w, value in zip(WEIGHTS, values, strict=True))


def exponential(name: str, f: Slopes, rates: Slopes, x: Array, times: Array) -> Array:
    """Hochbruck, Ostermann (2010), 2.3; Cox, Matthews (2002), (4), (22), (23); Krogstad (2005), (51); Lu (2022)."""
    path, before = [x], None
    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        linear = rates(t, x)
        z = h * linear

        def n(time: float, y: Array, linear: Array = linear) -> Array:
            return f(time, y) - linear @ y

        now = n(t, x)
        euler = phi(0, z) @ x + h * phi(1, z) @ now
        match name:
            case "exponential_euler":
                y = euler
            case "exponential_midpoint":
                half = phi(0, z / 2) @ x + h / 2 * phi(1, z / 2) @ now
                y = phi(0, z) @ x + h * phi(1, z) @ n(t + h / 2, half)
            case "etd_rk2":
                y = euler + h * phi(2, z) @ (n(end, euler) - now)
            case "etd_ab2":
                y = euler if before is None else euler + h * phi(2, z) @ (now - before)
            case "dpm_solver_2m":
                data = now if before is None else 1.5 * now - 0.5 * before
                y = phi(0, z) @ x + h * phi(1, z) @ data
            case "etd_rk4":
                a = phi(0, z / 2) @ x + h / 2 * phi(1, z / 2) @ now
                na = n(t + h / 2, a)
                b = phi(0, z / 2) @ x + h * (phi(1, z / 2) / 2 - phi(2, z / 2)) @ now + h * phi(2, z / 2) @ na
                nb = n(t + h / 2, b)
                c = phi(0, z) @ x + h * (phi(1, z) - 2 * phi(2, z)) @ now + 2 * h * phi(2, z) @ nb
                nc = n(end, c)
                y = phi(0, z) @ x + h * (
                    (4 * phi(3, z) - 3 * phi(2, z) + phi(1, z)) @ now
                    + (2 * phi(2, z) - 4 * phi(3, z)) @ (na + nb)
                    + (4 * phi(3, z) - phi(2, z)) @ nc
                )
        before = now
        path.append(y)
    return np.array(path)


# ---------------------------------------------------------------------------------------------------- implicit


def implicit_runge_kutta(a: Array, b: Array, c: Array, iterations: int, f: Slopes, x: Array, times: Array) -> Array:
    """Simplified Newton on all stages at once, or on one after another where the matrix is triangular."""
    path, count = [x], len(b)
    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        size, j = len(x), jacobian(f, t, x)
        if np.triu(a, 1).any():
            z = np.zeros(count * size)
            system = np.eye(count * size) - h * np.kron(a, j)
            for _ in range(iterations):
                slopes = np.array([f(t + c[i] * h, x + z[i * size : (i + 1) * size]) for i in range(count)])
                z = z - np.linalg.solve(system, z - h * (a @ slopes).ravel())
            slopes = np.linalg.solve(h * a, z.reshape(count, size))
        else:
            slopes, y = np.zeros((count, size)), x
            for i in range(count):
                known = x + h * a[i, :i] @ slopes[:i]
                if a[i, i] == 0:
                    y, slopes[i] = known, f(t + c[i] * h, known)
                    continue
                for _ in range(iterations):
                    rest = y - known - h * a[i, i] * f(t + c[i] * h, y)
                    y = y - np.linalg.solve(np.eye(size) - h * a[i, i] * j, rest)
                slopes[i] = (y - known) / (h * a[i, i])
        path.append(x + h * b @ slopes)
    return np.array(path)


def rosenbrock(alpha: Array, gamma: Array, b: Array, f: Slopes, x: Array, times: Array) -> Array:
    """Hairer, Wanner (1996), IV.7, (7.4): k_i = h f(...) + gamma_i h^2 f_t + h J sum_j gamma_ij k_j."""
    path, count = [x], len(b)
    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        j, f_t = jacobian(f, t, x), change_in_time(f, t, x)
        k = np.zeros((count, len(x)))
        for i in range(count):
            right = h * f(t + alpha[i].sum() * h, x + alpha[i] @ k) + gamma[i].sum() * h**2 * f_t
            right = right + h * j @ (gamma[i, :i] @ k[:i])
            k[i] = np.linalg.solve(np.eye(len(x)) - h * gamma[i, i] * j, right)
        path.append(x + b @ k)
    return np.array(path)


def implicit_explicit(name: str, iterations: int, n: Slopes, g: Slopes, x: Array, times: Array) -> Array:
    """Ascher, Ruuth, Spiteri (1997), 2.1 and 2.6, stage by stage; n explicit, g implicit."""
    gamma = 1 - 1 / math.sqrt(2)
    delta = 1 - 1 / (2 * gamma)
    path = [x]

    def solved(known: Array, start: Array, time: float, width: float, j: Array) -> Array:
        y = start
        for _ in range(iterations):
            y = y - np.linalg.solve(np.eye(len(y)) - width * j, y - known - width * g(time, y))
        return y

    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        j, first = jacobian(g, t, x), n(t, x)
        if name == "imex_euler":
            known = x + h * first
            path.append(solved(known, known, end, h, j))
            continue
        known = x + h * gamma * first
        y1 = solved(known, known, t + gamma * h, gamma * h, j)
        k1, n1 = (y1 - known) / (gamma * h), n(t + gamma * h, y1)
        known = x + h * (delta * first + (1 - delta) * n1) + h * (1 - gamma) * k1
        path.append(solved(known, known, end, gamma * h, j))
    return np.array(path)


def chebyshev(stages: int, f: Slopes, x: Array, times: Array) -> Array:
    """Sommeijer, Shampine, Verwer (1998), (2.1) to (2.6), with T_j(w) = cosh(j arcosh w)."""
    w0 = 1 + 2 / (13 * stages**2)
    r = math.acosh(w0)
    t = [math.cosh(j * r) for j in range(stages + 1)]
    d = [j * math.sinh(j * r) / math.sinh(r) for j in range(stages + 1)]
    dd = [(j**2 * t[j] - w0 * d[j]) / (w0**2 - 1) for j in range(stages + 1)]
    w1 = d[stages] / dd[stages]
    b = [0.0, 0.0, *(dd[j] / d[j] ** 2 for j in range(2, stages + 1))]
    b[0] = b[1] = b[2]
    # in the variable of time the scheme is one of x' = 1: the places of the stages
    c = [0.0, b[1] * w1]
    for j in range(2, stages + 1):
        m, v = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
        mt = 2 * b[j] * w1 / b[j - 1]
        c.append(m * c[-1] + v * c[-2] + mt - (1 - b[j - 1] * t[j - 1]) * mt)
    path = [x]
    for begin, end in pairwise(times):
        h, y0 = end - begin, path[-1]
        f0 = f(begin, y0)
        old, y = y0, y0 + b[1] * w1 * h * f0
        for j in range(2, stages + 1):
            m, v = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
            mt = 2 * b[j] * w1 / b[j - 1]
            gt = -(1 - b[j - 1] * t[j - 1]) * mt
            ahead = (1 - m - v) * y0 + m * y + v * old + mt * h * f(begin + c[j - 1] * h, y) + gt * h * f0
            old, y = y, ahead
        path.append(y)
    return np.array(path)

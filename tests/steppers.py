"""Plain numpy steppers, one for each family of schemes, written from the papers: nothing of the compiler is in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Array = np.ndarray
Slopes = Callable[[float, Array], Array]


def runge_kutta(a: Array, b: Array, c: Array, f: Slopes, x: Array, times: Array):
    """Hairer, Norsett, Wanner (1993), II.1, explicit: the states at every time."""
    path = [x]
    for t, end in pairwise(times):
        h = end - t
        k: list[Array] = []
        for i in range(len(b)):
            k.append(f(t + c[i] * h, x + h * sum((a[i][j] * k[j] for j in range(i)), np.zeros_like(x))))
        x = x + h * sum((b[i] * k[i] for i in range(len(b))), np.zeros_like(x))
        path.append(x)
    return np.array(path)


def adams_bashforth_2(f: Slopes, x: Array, times: Array):
    """Bashforth (1883), two steps, started by Heun (1900)."""
    h = times[1] - times[0]
    before = f(times[0], x)
    path = [x, x + h / 2 * (before + f(times[1], x + h * before))]
    for t in times[1:-1]:
        here = f(t, path[-1])
        path.append(path[-1] + h * (1.5 * here - 0.5 * before))
        before = here
    return np.array(path)


def symplectic_euler(f: Slopes, x: Array, times: Array):
    """de Vogelaere (1956): the momenta first, then the positions with the new momenta."""
    path, half = [x], len(x) // 2
    for t, end in pairwise(times):
        h, x = end - t, path[-1].copy()
        x[half:] = x[half:] + h * f(t, x)[half:]
        x[:half] = x[:half] + h * f(t, x)[:half]
        path.append(x)
    return np.array(path)


def implicit_euler_one_newton(f: Slopes, x: Array, times: Array, jacobian: Callable[[float, Array], Array]):
    """Newton's method once, from the state itself: (1 - h J) d = h f."""
    path = [x]
    for t, end in pairwise(times):
        h, x = end - t, path[-1]
        path.append(x + h * f(end, x) / (1 - h * jacobian(end, x)))
    return np.array(path)


# ---------------------------------------------------------------------------------------------------- noise


@dataclass(frozen=True)
class Noisy:
    """dx = f dt + b dW: x is (states, paths), f(t, x) too, b(t, x) is (states, channels, paths), and db(t, x) its
    derivative, (states, channels, states, paths). `ito` says whose integral is meant, `diagonal` whether channel j
    drives state j alone.
    """

    f: Slopes
    b: Slopes
    db: Slopes
    ito: bool = True
    diagonal: bool = False

    def stir(self, t: float, x: Array, dw: Array) -> Array:
        """b dW, with dW (channels, paths)."""
        return np.einsum("scp,cp->sp", self.b(t, x) * np.ones((1, 1, x.shape[1])), dw)

    def products(self, t: float, x: Array) -> Array:
        """L_i b_j, (states, i, j, paths)."""
        many = np.ones(x.shape[1])
        return np.einsum("scrp,rip->sicp", self.db(t, x) * many, self.b(t, x) * many)


StepOf = Callable[[Noisy, float, float, Array, Array, Array], Array]


def with_noise(step: StepOf, equation: Noisy, x: Array, times: Array, normals: Array, areas: Array):
    """The states at every time, (times, states, paths), with `normals` and `areas`, (paths, steps, channels)."""
    path = [x]
    for i, (t, end) in enumerate(pairwise(times)):
        h = end - t
        dw, da = math.sqrt(h) * normals[:, i].T, math.sqrt(h / 12) * areas[:, i].T
        path.append(step(equation, t, h, path[-1], dw, da))
    return np.array(path)


def euler_maruyama(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Maruyama (1955)."""
    return x + h * e.f(t, x) + e.stir(t, x, dw)


def tamed_euler(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Hutzenthaler, Jentzen, Kloeden (2012), (4)."""
    f = e.f(t, x)
    return x + h * f / (1 + h * np.linalg.norm(f, axis=0)) + e.stir(t, x, dw)


def implicit_euler_maruyama(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Kloeden, Platen (1992), (12.2.4), by two iterations of Newton's method from x + b dW, path by path."""
    known = x + e.stir(t, x, dw)
    y, unit = known, np.eye(len(x))
    for _ in range(2):
        # the complex step: df/dx_j is the imaginary part of f(x + i d e_j) / d, without cancellation
        jacobian = np.array([np.imag(e.f(t + h, y + 1e-30j * column[:, None])) / 1e-30 for column in unit])
        left = unit[None] - h * jacobian.transpose(2, 1, 0)
        right = known + h * e.f(t + h, y) - y
        y = y + np.linalg.solve(left, right.T[..., None])[..., 0].T
    return y


def milstein(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Kloeden, Platen (1992), (10.3.3) and (10.3.16), with I_(i,j) = (dW_i dW_j - [i = j] h) / 2."""
    integrals = np.einsum("ip,jp->ijp", dw, dw) / 2
    if e.ito:
        integrals -= h / 2 * np.eye(len(dw))[:, :, None]
    return euler_maruyama(e, t, h, x, dw, da) + np.einsum("sijp,ijp->sp", e.products(t, x), integrals)


def milstein_free(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Kloeden, Platen (1992), 11.1: a supporting value for each channel, one for all of diagonal noise."""
    after = euler_maruyama(e, t, h, x, dw, da)
    here = e.b(t, x) * np.ones((1, 1, x.shape[1]))
    for i in range(len(dw)):
        along = here.sum(axis=1) if e.diagonal else here[:, i]
        there = e.b(t, x + h * e.f(t, x) + math.sqrt(h) * along)
        for j in [i] if e.diagonal else range(len(dw)):
            after = after + (there - here)[:, j] * (dw[i] * dw[j] - (h if i == j else 0)) / (2 * math.sqrt(h))
    return after


def rossler_sri(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Rossler (2010), stages for each channel, with the coefficients that torchsde has."""
    from torchsde._core.methods.tableaus import srid2 as tableau

    i10 = h * (dw / 2 + da)
    i11, i111 = (dw**2 - h) / 2, (dw**3 - 3 * h * dw) / 6
    count, channels = tableau.STAGES, range(len(dw))
    h0: list[Array] = []
    h1: list[list[Array]] = []

    def column(j: int, channel: int) -> Array:
        place = h1[j][channel]
        return (e.b(t + tableau.C1[j] * h, place) * np.ones((1, 1, x.shape[1])))[:, channel]

    def slope(j: int) -> Array:
        return e.f(t + tableau.C0[j] * h, h0[j])

    for i in range(count):
        first = x + sum((tableau.A0[i][j] * h * slope(j) for j in range(i)), np.zeros_like(x))
        for k in channels:
            first = first + sum((tableau.B0[i][j] * column(j, k) * i10[k] / h for j in range(i)), np.zeros_like(x))
        h1.append([
            x + sum(
                (tableau.A1[i][j] * h * slope(j) + tableau.B1[i][j] * math.sqrt(h) * column(j, k) for j in range(i)),
                np.zeros_like(x),
            )
            for k in channels
        ])  # fmt: skip
        h0.append(first)
    after = x + sum((tableau.alpha[i] * h * slope(i) for i in range(count)), np.zeros_like(x))
    for i in range(count):
        for k in channels:
            weight = tableau.beta1[i] * dw[k] + tableau.beta2[i] * i11[k] / math.sqrt(h)
            weight = weight + tableau.beta3[i] * i10[k] / h + tableau.beta4[i] * i111[k] / h
            after = after + column(i, k) * weight
    return after


def rossler_sra(stages: int):
    """Rossler (2010), SRA1, SRA2 and SRA3: their tables, typed again."""
    a0, b0, c0, alpha = {
        1: ([[], [3 / 4]], [[], [3 / 2]], [0, 3 / 4], [1 / 3, 2 / 3]),
        2: ([[], [3 / 4]], [[], [3 / 2]], [0, 3 / 4], [1 / 3, 2 / 3]),
        3: ([[], [1], [1 / 4, 1 / 4]], [[], [0], [1, 1 / 2]], [0, 1, 1 / 2], [1 / 6, 1 / 6, 2 / 3]),
    }[stages]
    c1, beta1, beta2 = {
        1: ([1, 0], [1, 0], [-1, 1]),
        2: ([1 / 3, 1], [0, 1], [3 / 2, -3 / 2]),
        3: ([1, 0, 0], [1, 0, 0], [-1, 1, 0]),
    }[stages]

    def step(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
        i10 = dw / 2 + da
        k: list[Array] = []
        after = x
        for i in range(len(alpha)):
            place = x
            for j in range(i):
                place = place + a0[i][j] * h * k[j] + b0[i][j] * e.stir(t + c1[j] * h, x, i10)
            k.append(e.f(t + c0[i] * h, place))
            after = after + alpha[i] * h * k[i] + e.stir(t + c1[i] * h, x, beta1[i] * dw + beta2[i] * i10)
        return after

    return step


def shark(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Foster, dos Reis, Strange (2023), (6.1), and what a diffusion that depends on time adds."""
    first = e.f(t, x + e.stir(t, x, da))
    second = e.f(t + 5 / 6 * h, x + 5 / 6 * h * first + e.stir(t, x, 5 / 6 * dw + da))
    late = e.stir(t + h, x, dw / 2 - da) - e.stir(t, x, dw / 2 - da)
    return x + h * (0.4 * first + 0.6 * second) + e.stir(t, x, dw) + late


def stratonovich_heun(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Rumelin (1982): the trapezoidal rule from Euler's prediction."""
    y = x + h * e.f(t, x) + e.stir(t, x, dw)
    return x + h / 2 * (e.f(t, x) + e.f(t + h, y)) + e.stir(t, x, dw) / 2 + e.stir(t + h, y, dw) / 2


def stratonovich_midpoint(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Rumelin (1982): from Euler's prediction for half of the step."""
    y = x + h / 2 * e.f(t, x) + e.stir(t, x, dw) / 2
    return x + h * e.f(t + h / 2, y) + e.stir(t + h / 2, y, dw)


def euler_heun(e: Noisy, t: float, h: float, x: Array, dw: Array, da: Array):
    """Euler's rule for f, the trapezoidal rule for b."""
    noise = e.stir(t, x, dw)
    return x + h * e.f(t, x) + (noise + e.stir(t + h, x + noise, dw)) / 2


def reversible_heun(equation: Noisy, x: Array, times: Array, normals: Array):
    """Kidger, Foster, Li, Lyons (2021), algorithm 1: f and b along z are kept."""
    path, z, t = [x], x, times[0]
    f, b = equation.f(t, z), equation.b(t, z)
    many = np.ones((1, 1, x.shape[1]))
    for i, (t, end) in enumerate(pairwise(times)):
        h, dw = end - t, math.sqrt(end - t) * normals[:, i].T
        z = 2 * path[-1] - z + f * h + np.einsum("scp,cp->sp", b * many, dw)
        later = equation.f(end, z), equation.b(end, z)
        noise = np.einsum("scp,cp->sp", (b + later[1]) * many, dw)
        path.append(path[-1] + h / 2 * (f + later[0]) + noise / 2)
        f, b = later
    return np.array(path)


STEPS: Mapping[str, StepOf] = {
    "euler_maruyama": euler_maruyama, "toy_euler_maruyama": euler_maruyama, "tamed_euler": tamed_euler,
    "implicit_euler_maruyama": implicit_euler_maruyama, "milstein": milstein,
    "milstein_free": milstein_free, "srk": rossler_sri, "sra1": rossler_sra(1), "sra2": rossler_sra(2),
    "sra3": rossler_sra(3), "shark": shark, "euler_heun": euler_heun, "stratonovich_heun": stratonovich_heun,
    "stratonovich_midpoint": stratonovich_midpoint,
}  # fmt: skip
"""By the names of schemes, those that need no memory."""

"""Plain numpy steppers, one for each family of schemes, written from the papers: nothing of the compiler is in them."""

from __future__ import annotations

import math
from collections.abc import Callable
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


def euler_maruyama(f: Slopes, g: Slopes, x: Array, times: Array, normals: Array):
    """Maruyama (1955): `normals`, (paths, steps)."""
    path = [x]
    for i, (t, end) in enumerate(pairwise(times)):
        h, x = end - t, path[-1]
        path.append(x + h * f(t, x) + g(t, x) * math.sqrt(h) * normals[:, i])
    return np.array(path)

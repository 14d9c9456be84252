"""The nonstiff suite written for scipy: nothing here comes from the compiler.

Hull, Enright, Fellen, Sedgwick (1972), Comparing numerical methods for ordinary differential equations, SIAM J. Numer.
Anal. 9, 603-637. Each problem runs over 0..20; its start is scaled by s, or moved by s - 1 where it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.acceptance.measured import Array, Problem

TIMES = np.arange(21.0)
Slopes = Callable[[float, Array], Any]


def _scaled(name: str, slopes: Slopes, start: Any, **more: Any) -> Problem:
    return Problem(name, slopes, lambda s: s * np.atleast_1d(np.asarray(start, dtype=float)), TIMES, **more)


def _b4(t: float, y: Array) -> list[float]:
    r = np.hypot(y[0], y[1])
    return [-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r]


def _matrix(below: Array, diagonal: Array, above: Array) -> Slopes:
    full = np.diag(diagonal) + np.diag(below, -1) + np.diag(above, 1)
    return lambda t, y: full @ y


def _chain(rates: Array) -> Slopes:
    """Decay from one nucleus to the next; the last is stable."""
    return _matrix(rates, np.append(-rates, 0.0), np.zeros(len(rates)))


def _lines(count: int) -> Slopes:
    """u_t = u_xx by the method of lines."""
    return _matrix(np.ones(count - 1), np.full(count, -2.0), np.ones(count - 1))


def _first(count: int) -> Array:
    return np.eye(count)[0]


GRAVITY, SUN = 2.95912208286, 1.00000597682
MASSES = np.array([0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 0.00000277777777778])
PLACES = np.array(
    [3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728, 11.2630437207,
     14.6952576794, 6.27960525067, -30.1552268759, 1.65699966404, 1.43785752721, -21.1238353380, 28.4465098142,
     15.3882659679]
)  # fmt: skip
SPEEDS = np.array(
    [-0.557160570446, 0.505696783289, 0.230578543901, -0.415570776342, 0.365682722812, 0.169143213293,
     -0.325325669158, 0.189706021964, 0.0877265322780, -0.0240476254170, -0.287659532608, -0.117219543175,
     -0.176860753121, -0.216393453025, -0.0148647893090]
)  # fmt: skip


def planets(t: float, y: Array) -> Array:
    """The five outer bodies in coordinates of the sun, which they pull as well: body by body, as it is printed."""
    place = y[:15].reshape(5, 3)
    pull = np.zeros((5, 3))
    for j in range(5):
        pull[j] = -(SUN + MASSES[j]) * place[j] / np.linalg.norm(place[j]) ** 3
        for k in range(5):
            if k != j:
                apart = place[k] - place[j]
                direct, of_sun = apart / np.linalg.norm(apart) ** 3, place[k] / np.linalg.norm(place[k]) ** 3
                pull[j] += MASSES[k] * (direct - of_sun)
    return np.concatenate([y[15:], GRAVITY * pull.ravel()])


def _orbit(t: float, y: Array) -> list[float]:
    r = np.hypot(y[0], y[1])
    return [y[2], y[3], -y[0] / r**3, -y[1] / r**3]


def _kepler(name: str, e: float, **more: Any) -> Problem:
    return Problem(name, _orbit, lambda s: [s * (1 - e), 0, 0, np.sqrt((1 + e) / (1 - e))], TIMES, **more)


ALL = (
    _scaled("a1", lambda t, y: -y, 1),
    _scaled("a2", lambda t, y: -(y**3) / 2, 1),
    _scaled("a3", lambda t, y: y * np.cos(t), 1),
    _scaled("a4", lambda t, y: y / 4 * (1 - y / 20), 1),
    _scaled("a5", lambda t, y: (y - t) / (y + t), 4),
    _scaled("b1", lambda t, y: [2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])], [1, 3]),
    _scaled("b2", lambda t, y: [-y[0] + y[1], y[0] - 2 * y[1] + y[2], y[1] - y[2]], [2, 0, 1]),
    _scaled("b3", lambda t, y: [-y[0], y[0] - y[1] ** 2, y[1] ** 2], [1, 0, 0]),
    _scaled("b4", _b4, [3, 0, 0]),
    _scaled("b5", lambda t, y: [y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]], [0, 1, 1]),
    _scaled("c1", _chain(np.ones(9)), _first(10)),
    _scaled("c2", _chain(np.arange(1.0, 10.0)), _first(10)),
    _scaled("c3", _lines(10), _first(10)),
    _scaled("c4", _lines(51), _first(51)),
    Problem(
        "c5", planets, lambda s: np.concatenate([s * PLACES, SPEEDS]), TIMES,
        outputs={"y": slice(0, 15), "v": slice(15, 30)},
    ),
    _kepler("d1", 0.1),
    _kepler("d2", 0.3),
    _kepler("d3", 0.5),
    _kepler("d4", 0.7),
    _kepler("d5", 0.9, low=0.99, high=1.01),
    _scaled(
        "e1", lambda t, y: [y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])],
        [0.6713967071418030, 0.09540051444747446],
    ),
    _scaled("e2", lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]], [2, 0]),
    Problem("e3", lambda t, y: [y[1], y[0] ** 3 / 6 - y[0] + 2 * np.sin(2.78535 * t)], lambda s: [s - 1, 0], TIMES),
    _scaled("e4", lambda t, y: [y[1], 0.032 - 0.4 * y[1] ** 2], [30, 0]),
    Problem("e5", lambda t, y: [y[1], np.sqrt(1 + y[1] ** 2) / (25 - t)], lambda s: [s - 1, s - 1], TIMES),
)  # fmt: skip
PROBLEMS = {problem.name: problem for problem in ALL}

__all__ = ["PROBLEMS"]

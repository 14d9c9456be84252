"""Stabilised explicit schemes: many stages for a long interval of stability, for parabolic equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.polynomial import chebyshev

from isocline_compiler.graph import Array, Nodes
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme, Search
from isocline_compiler.solvers.schemes.step import Memory, Step

DAMPING = 2 / 13


@dataclass(frozen=True)
class Chebyshev:
    """The coefficients of the recurrence of s stages."""

    mu: tuple[float, ...]
    nu: tuple[float, ...]
    slope: tuple[float, ...]
    first: tuple[float, ...]
    times: tuple[float, ...]


@dataclass(frozen=True)
class RungeKuttaChebyshev(Scheme):
    r"""The Runge-Kutta-Chebyshev scheme of order 2: s stages, stable on (-0.65 (s + 1)^2, 0).

    Y_1 = x + mu~_1 h f_0,   Y_j = (1 - mu_j - nu_j) x + mu_j Y_{j-1} + nu_j Y_{j-2} + mu~_j h f_{j-1} + gamma~_j h f_0

    with the coefficients of Chebyshev polynomials, damped by 2/13: R(z) = a_s + b_s T_s(w_0 + w_1 z). Sommeijer,
    Shampine, Verwer (1998); Verwer, Hundsdorfer, Sommeijer (1990).
    """

    stages: int = 10
    name: str = "rkc2"
    order: float = 2
    reference: str = "Sommeijer, Shampine, Verwer (1998), J. Comput. Appl. Math. 88, 315-326: RKC"
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "stages": 10})
    search: ClassVar[Search] = "stiff"
    finds_events: ClassVar[bool] = True

    def variants(self) -> tuple[Scheme, ...]:
        """With more stages the longer, the stiffer the equations."""
        return tuple(replace(self, stages=count) for count in (10, 30))

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With as many stages as are asked for."""
        return replace(self, stages=int(options.get("stages", self.stages)))

    @cached_property
    def _polynomials(self) -> tuple[float, float, Array, Array]:
        """w_0, w_1, a_j and b_j."""
        w0 = 1 + DAMPING / self.stages**2
        t, first, second = (
            np.array(
                [
                    chebyshev.chebval(w0, chebyshev.chebder(np.eye(self.stages + 1)[j], m))
                    for j in range(self.stages + 1)
                ]
            )
            for m in range(3)
        )
        b = np.zeros(self.stages + 1)
        b[2:] = second[2:] / first[2:] ** 2
        b[:2] = b[2]
        return w0, float(first[-1] / second[-1]), 1 - b * t, b

    @cached_property
    def coefficients(self) -> Chebyshev:
        """Those of every stage."""
        w0, w1, a, b = self._polynomials
        mu, nu, slope, first, times = [0.0], [0.0], [b[1] * w1], [0.0], [0.0, b[1] * w1]
        for j in range(2, self.stages + 1):
            mu.append(2 * b[j] * w0 / b[j - 1])
            nu.append(-b[j] / b[j - 2])
            slope.append(2 * b[j] * w1 / b[j - 1])
            first.append(-a[j - 1] * slope[-1])
            times.append(mu[-1] * times[-1] + nu[-1] * times[-2] + slope[-1] + first[-1])
        return Chebyshev(*(tuple(map(float, item)) for item in (mu, nu, slope, first, times)))

    def stability(self, z: Array) -> Array:
        """R(z) = a_s + b_s T_s(w_0 + w_1 z)."""
        w0, w1, a, b = self._polynomials
        return np.asarray(a[-1] + b[-1] * chebyshev.chebval(w0 + w1 * np.asarray(z), np.eye(self.stages + 1)[-1]))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered. The stages are sums of what differs from x, which is small."""
        k = self.coefficients
        slopes = tuple(h * f for h, f in zip(step.widths, field(step.t, x), strict=True))
        before: Nodes | None = None
        here = tuple(k.slope[0] * f for f in slopes)
        for j in range(1, self.stages):
            y = tuple(a + d for a, d in zip(x, here, strict=True))
            again = field(step.time(k.times[j]), y)
            ahead = [
                k.mu[j] * d + (k.slope[j] * h) * f + k.first[j] * f0
                for d, h, f, f0 in zip(here, step.widths, again, slopes, strict=True)
            ]
            if before is not None:
                ahead = [value + k.nu[j] * old for value, old in zip(ahead, before, strict=True)]
            before, here = here, tuple(ahead)
        return memory, tuple(a + d for a, d in zip(x, here, strict=True))


STABILISED = (RungeKuttaChebyshev(),)

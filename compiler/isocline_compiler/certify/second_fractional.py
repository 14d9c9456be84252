"""Steps of fractional order a second time: every sum is over all of the past, in numpy, and nothing is remembered.

On an even grid the sum of step n is a product of the states or slopes with the end of one row of weights, a discrete
convolution: 10^4 steps take 10^8 products.

Equations are those of the schemes' papers; Jacobians are torch's, systems LAPACK's. The rates and weights of a sum of
exponentials are taken from the scheme, whose error of the kernel is measured in the tests; its recursion is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gamma
from typing import TypeAlias

import numpy as np

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.certify.fractional import FractionalField
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.solvers.schemes.fractional_weights import Exponentials
from isocline_compiler.training.clock import States

EVEN = 1e-9
"""How much the steps of an even grid may differ, of their width: what rounding leaves."""

Weights: TypeAlias = "Callable[[float, int], Array]"
"""(order, n) -> what each of the steps before is multiplied by in step n."""


@dataclass
class _Way:
    """What was passed: the states and, on each step, the slopes at its begin and end, a row for each; the orders of the
    entries. On an `even` grid a weight depends on how long ago its step was, and those of the last step have them all.
    """

    field: FractionalField
    t: Array
    x: Array
    begin: Array
    end: Array
    even: bool
    known: dict[tuple[str, float], Array] = dataclasses.field(default_factory=dict)

    @property
    def orders(self) -> Array:
        return self.field.orders

    def summed(self, name: str, weights: Weights, n: int, values: Array) -> Array:
        """sum_k w_k(a) values_k over the steps before step n, entry by entry."""
        found: Array = np.zeros_like(self.x[0])
        for a, places in self._places:
            found[places] = self._weights(name, weights, a, n) @ values[:, places]
        return found

    @cached_property
    def _places(self) -> list[tuple[float, Array]]:
        """Each order with the entries that have it."""
        return [(float(a), np.flatnonzero(self.orders == a)) for a in np.unique(self.orders)]

    def _weights(self, name: str, weights: Weights, a: float, n: int) -> Array:
        if not self.even:
            return weights(a, n)
        last = len(self.t) - 1
        if (name, a) not in self.known:
            self.known[name, a] = weights(a, last)
        return self.known[name, a][last - n :]

    @cached_property
    def kernel(self) -> Exponentials:
        """The sum of exponentials on this grid."""
        return Exponentials.of(tuple(self.t))

    def gammas(self, plus: float, sign: float = 1.0) -> Array:
        return np.array([gamma(sign * a + plus) for a in self.orders])


def _l1(way: _Way, n: int, iterations: int) -> Array:
    t, x = way.t, way.x

    def changes(a: float, n: int) -> Array:
        late, early = t[n] - t[1:n], t[n] - t[: n - 1]
        return np.asarray((early ** (1 - a) - late ** (1 - a)) / (np.diff(t[:n]) * gamma(2 - a)))

    own = (t[n] - t[n - 1]) ** way.orders * way.gammas(2.0, -1.0)
    past = way.summed("l1", changes, n, np.diff(x[:n], axis=0))
    return _implicit(way, n, x[n - 1] - own * past, own, iterations)


def _letnikov(way: _Way, n: int, iterations: int) -> Array:
    t, x = way.t, way.x

    def states(a: float, n: int) -> Array:
        k = np.arange(1, n + 1)
        return np.cumprod((k - 1 - a) / k)[::-1]

    past = way.summed("gl", states, n, x[:n] - x[0])
    return _implicit(way, n, x[0] - past, (t[n] - t[n - 1]) ** way.orders, iterations)


def _implicit(way: _Way, n: int, known: Array, own: Array, iterations: int) -> Array:
    """y = known + own f(t, y), the Jacobian that of the begin of the step."""
    field, x = way.field, way.x[n - 1]
    rows = field.flat.rows if all(field.flat.batched) else 1
    jacobian = field.jacobian(float(way.t[n - 1]), x, rows)
    y: Array = x.copy()
    for _ in range(iterations):
        rest = (field(float(way.t[n]), y) - (y - known) / own).reshape(rows, -1)
        shift = np.stack([np.diag(row) for row in (1 / own).reshape(rows, -1)])
        y = y + np.linalg.solve(shift - jacobian, rest[..., None]).reshape(-1)
    return y


def _corrected(way: _Way, n: int, past: Array) -> Array:
    """Predicted with the slope at the begin of the step, corrected with that at its end."""
    h, begin = way.t[n] - way.t[n - 1], way.begin[n - 1]
    ahead = way.x[0] + past + h**way.orders / way.gammas(1.0) * begin
    return np.asarray(ahead + h**way.orders / way.gammas(2.0) * (way.field(float(way.t[n]), ahead) - begin))


def _moulton(way: _Way, n: int, iterations: int) -> Array:
    t = way.t

    def both(a: float, n: int) -> tuple[Array, Array]:
        low, high, h = t[n] - t[1:n], t[n] - t[: n - 1], np.diff(t[:n])
        ends = (high ** (1 + a) - low ** (1 + a)) / (h * gamma(2 + a)) - low**a / gamma(1 + a)
        return (high**a - low**a) / gamma(1 + a) - ends, ends

    return _corrected(way, n, _trapezoid("fractional_abm", way, both, n))


def _trapezoid(name: str, way: _Way, both: Callable[[float, int], tuple[Array, Array]], n: int) -> Array:
    """The integrals over the steps before step n, of straight lines between the slopes at their begins and ends."""
    begins = way.summed(f"{name} begins", lambda a, m: both(a, m)[0], n, way.begin[: n - 1])
    return begins + way.summed(f"{name} ends", lambda a, m: both(a, m)[1], n, way.end[: n - 1])


def _exponentials(way: _Way, n: int, iterations: int) -> Array:
    t, kernel = way.t, way.kernel

    def both(a: float, n: int) -> tuple[Array, Array]:
        s, h, w = kernel.rates[1:], np.diff(t[:n]), np.asarray(kernel.weights(a))
        late, width = np.exp(-np.outer(t[n] - t[1:n], s)), np.outer(h, s)
        rising = (width - 1 + np.exp(-width)) / width**2
        rising = np.where(width < 1e-3, 0.5 - width / 6 + width**2 / 24 - width**3 / 120, rising)
        ends = h * (w[0] / 2 + (late * rising) @ w[1:])
        return h * (w[0] + (late * -np.expm1(-width) / width) @ w[1:]) - ends, ends

    return _corrected(way, n, _trapezoid("soe", way, both, n))


StepOf: TypeAlias = "Callable[[_Way, int, int], Array]"
STEPS: Mapping[str, StepOf] = {
    "l1": _l1, "gl": _letnikov, "fractional_abm": _moulton, "soe": _exponentials,
}  # fmt: skip
"""One step from all that was passed, by the name of its scheme."""


def second_fractional(node: Node, bound: TorchField, initial: States, times: list[float], count: int) -> States:
    """The states at every kept time, (times, ...), equally many steps between two of them."""
    scheme = spec_of(node).scheme
    assert scheme is not None, "the solve states its scheme"
    each = count // (len(times) - 1)
    whole = np.concatenate([np.linspace(a, b, each + 1)[:-1] for a, b in pairwise(times)])
    t, flat = np.append(whole, times[-1]), FlatStates.of(node, initial)
    field = FractionalField(node, bound, flat, initial)
    h, start = np.diff(t), flat.joined(initial)
    x, begin, end = np.zeros((3, len(t), len(start)))
    way = _Way(field, t, x, begin, end, bool(np.allclose(h, h.mean(), rtol=EVEN, atol=0)))
    way.x[0] = start
    for n in range(1, len(t)):
        way.begin[n - 1] = way.end[n - 2] if n > 1 else field(float(t[0]), start)
        way.x[n] = STEPS[scheme.name](way, n, int(scheme.options.get("iterations", 0)))
        way.end[n - 1] = field(float(t[n]), way.x[n])
    return flat.apart(way.x[::each])


__all__ = ["STEPS", "second_fractional"]

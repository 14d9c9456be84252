"""Steps of fractional order a second time: every sum written out over all of the past, in numpy, nothing remembered.

Equations are those of the schemes' papers; Jacobians are torch's, systems LAPACK's. The rates and weights of a sum of
exponentials are taken from the scheme, whose error of the kernel is measured in the tests; its recursion is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass
class _Way:
    """What was passed: states and, on each step, the slopes at its begin and end; the orders of the entries."""

    field: FractionalField
    t: Array
    x: list[Array]
    begin: list[Array]
    end: list[Array]

    @property
    def orders(self) -> Array:
        return self.field.orders

    def each(self, sum_of: Callable[[float], Array], values: list[Array]) -> Array:
        """sum_k w_k(a) values_k, entry by entry."""
        found = np.zeros_like(self.x[0])
        for a in np.unique(self.orders):
            mask = self.orders == a
            for w, value in zip(sum_of(float(a)), values, strict=True):
                found[mask] += w * value[mask]
        return found

    def gammas(self, plus: float, sign: float = 1.0) -> Array:
        return np.array([gamma(sign * a + plus) for a in self.orders])


def _l1(way: _Way, n: int, iterations: int) -> Array:
    t, x = way.t, way.x

    def changes(a: float) -> Array:
        steps = [((t[n] - t[k]) ** (1 - a) - (t[n] - t[k + 1]) ** (1 - a)) / (t[k + 1] - t[k]) for k in range(n - 1)]
        return np.array(steps) / gamma(2 - a)

    own = (t[n] - t[n - 1]) ** way.orders * way.gammas(2.0, -1.0)
    past = way.each(changes, [x[k + 1] - x[k] for k in range(n - 1)])
    return _implicit(way, n, x[-1] - own * past, own, iterations)


def _letnikov(way: _Way, n: int, iterations: int) -> Array:
    t, x = way.t, way.x

    def states(a: float) -> Array:
        w = [1.0]
        for k in range(1, n + 1):
            w.append(w[-1] * (k - 1 - a) / k)
        return np.array([w[n - k] for k in range(n)])

    past = way.each(states, [value - x[0] for value in x[:n]])
    return _implicit(way, n, x[0] - past, (t[n] - t[n - 1]) ** way.orders, iterations)


def _implicit(way: _Way, n: int, known: Array, own: Array, iterations: int) -> Array:
    """y = known + own f(t, y), the Jacobian that of the begin of the step."""
    field, x = way.field, way.x[-1]
    rows = field.flat.rows if all(field.flat.batched) else 1
    jacobian = field.jacobian(float(way.t[n - 1]), x, rows)
    y = x.copy()
    for _ in range(iterations):
        rest = (field(float(way.t[n]), y) - (y - known) / own).reshape(rows, -1)
        shift = np.stack([np.diag(row) for row in (1 / own).reshape(rows, -1)])
        y = y + np.linalg.solve(shift - jacobian, rest[..., None]).reshape(-1)
    return y


def _corrected(way: _Way, n: int, past: Array) -> Array:
    """Predicted with the slope at the begin of the step, corrected with that at its end."""
    h, begin = way.t[n] - way.t[n - 1], way.begin[-1]
    ahead = way.x[0] + past + h**way.orders / way.gammas(1.0) * begin
    return np.asarray(ahead + h**way.orders / way.gammas(2.0) * (way.field(float(way.t[n]), ahead) - begin))


def _moulton(way: _Way, n: int, iterations: int) -> Array:
    t = way.t
    low, high, h = t[n] - t[1:n], t[n] - t[: n - 1], np.diff(t[:n])

    def ends(a: float) -> Array:
        return np.asarray((high ** (1 + a) - low ** (1 + a)) / (h * gamma(2 + a)) - low**a / gamma(1 + a))

    def begins(a: float) -> Array:
        return np.asarray((high**a - low**a) / gamma(1 + a) - ends(a))

    return _corrected(way, n, way.each(begins, way.begin[: n - 1]) + way.each(ends, way.end[: n - 1]))


def _exponentials(way: _Way, n: int, iterations: int) -> Array:
    t, kernel = way.t, Exponentials.of(tuple(way.t))
    s, h = kernel.rates[1:], np.diff(t[:n])
    late, width = np.exp(-np.outer(t[n] - t[1:n], s)), np.outer(h, s)
    rising = (width - 1 + np.exp(-width)) / width**2
    rising = np.where(width < 1e-3, 0.5 - width / 6 + width**2 / 24 - width**3 / 120, rising)
    whole = -np.expm1(-width) / width

    def ends(a: float) -> Array:
        w = np.asarray(kernel.weights(a))
        return np.asarray(h * (w[0] / 2 + (late * rising) @ w[1:]))

    def begins(a: float) -> Array:
        w = np.asarray(kernel.weights(a))
        return np.asarray(h * (w[0] + (late * whole) @ w[1:]) - ends(a))

    return _corrected(way, n, way.each(begins, way.begin[: n - 1]) + way.each(ends, way.end[: n - 1]))


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
    way = _Way(field, t, [flat.joined(initial)], [], [])
    for n in range(1, len(t)):
        way.begin.append(field(float(t[n - 1]), way.x[-1]))
        way.x.append(STEPS[scheme.name](way, n, int(scheme.options.get("iterations", 0))))
        way.end.append(field(float(t[n]), way.x[-1]))
    return flat.apart(np.stack(way.x[::each]))


__all__ = ["STEPS", "second_fractional"]

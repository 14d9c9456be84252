r"""References of fractional order, from two families that share neither grid nor weights: x = x_0 + I^a f(t, x).

*A graded mesh.* On t_k = T (k/n)^r, which is fine where the solution begins like t^a, f is a line on each piece, its
fractional integral is known, and x at the end of a piece is iterated until it rests. Meshes are doubled, and two of
them extrapolated, until the solution moves less than a tolerance. Diethelm, Ford, Freed (2004), Numer. Algorithms 36;
Stynes, O'Riordan, Gracia (2017), SIAM J. Numer. Anal. 55, 1057-1079: why graded.

*Collocation.* In s = (t/T)^(1/q), where t^a is s^(q a) and as good as a polynomial, f is one polynomial through
Chebyshev's points. I^a of it is a Gauss-Jacobi sum: the kernel is (1 - w)^(a-1) times what is smooth, for s w in place
of s. The equations of all points are solved by Newton's method, points are added until the solution rests.
Trefethen (2013), Approximation Theory and Approximation Practice, 5; Zayernouri, Karniadakis (2014), SIAM J. Sci.
Comput. 36, A40-A62.

Each says how far its last two solutions are from each other; what is believed is what both agree on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, gamma
from typing import Literal

import numpy as np
import torch
from scipy.special import roots_jacobi
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.certify.spectrum import jacobians
from isocline_compiler.graph import Array, Node, Nodes, Region
from isocline_compiler.graph.fractional import orders_of
from isocline_compiler.graph.solve import Solve
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.clock import Clock, States
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

MESHES = (128, 256, 512, 1024, 2048, 4096)
"""Pieces of the graded meshes."""
POINTS = (16, 24, 36, 54, 80, 120, 180)
"""Points of collocation."""
SETTLED, ITERATIONS = 1e-15, 60
"""How little moves when an iteration rests, in the size of the solution, and how often it may go on."""
REGULAR = 3.0
"""q a is as much at least: so often the solution can be differentiated in s."""
THIN = 1e-5
"""A piece that is thinner, beside its distance, has no kernel but its middle: both sides of a jump are such."""
LARGEST_SYSTEM = 4096
"""Unknowns of a sample that Newton's method solves for."""

Method = Literal["graded", "collocation"]


@dataclass(frozen=True, eq=False)
class FractionalField:
    """The field of one solve in torch on vectors of all samples, and the order of each entry."""

    node: Node
    bound: TorchField
    flat: FlatStates
    initial: States

    @cached_property
    def solve(self) -> Solve:
        return Solve.of(self.node)

    def _bound(self, results: Nodes) -> TorchField:
        held = self.bound.bound
        region = Region(self.solve.region.arguments, results)
        return FieldProgram(region, len(self.solve.initial), len(held.captured)).bind(held.run, held.captured)

    @cached_property
    def _slopes(self) -> TorchField:
        return self._bound(self.solve.slopes())

    @cached_property
    def orders(self) -> Array:
        """The order of each entry of the vector."""
        known = orders_of(self.solve)
        start = torch.tensor(0.0, dtype=torch.float64)
        found = dict(zip(known, self._bound(tuple(known.values()))(start, self.initial), strict=True))
        whole = [torch.full_like(x, float(found.get(i, torch.tensor(1.0)))) for i, x in enumerate(self.initial)]
        return self.flat.joined(tuple(whole))

    def tensor(self, t: float, x: Tensor) -> Tensor:
        """D^a x at (t, x)."""
        states = self.flat.apart_tensor(x)
        found = self._slopes(torch.tensor(t, dtype=torch.float64), states)
        return self.flat.joined_tensor(tuple(f.expand_as(s) for f, s in zip(found, states, strict=True)))

    def __call__(self, t: float, x: Array) -> Array:
        with torch.no_grad():
            return self.tensor(t, torch.from_numpy(x)).numpy()

    def jacobian(self, t: float, x: Array, rows: int) -> Array:
        """df/dx of each sample, (rows, m, m)."""
        at = torch.from_numpy(np.ascontiguousarray(x)).reshape(rows, -1)
        return jacobians(lambda y: self.tensor(t, y.reshape(-1)).reshape(rows, -1), at)

    def failed(self, t: float, reason: str) -> IsoclineError:
        name, hint = self.solve.spec.field, "shorten the solve"
        return IsoclineError([messages.reference_failed(self.node.span, name, f"{t:.6g}", reason, hint)])


@dataclass(frozen=True)
class FractionalWalk:
    """Solves to a tolerance, of each entry in the largest that its state has in its sample."""

    method: Method
    tolerance: float

    def __call__(
        self, node: Node, bound: TorchField, initial: States, breaks: Breaks | None = None
    ) -> tuple[States, int]:
        """The states at every stop, (stops, ...), and how often the field was asked."""
        flat = FlatStates.of(node, initial)
        field = FractionalField(node, bound, flat, initial)
        stops = np.array(Clock.of(node, None).stops)
        work = _Graded(field, stops, breaks or Breaks()) if self.method == "graded" else _Collocated(field, stops)
        path = work.solved(self.tolerance)
        return flat.apart(path), work.taken


def _apart(field: FractionalField, one: Array, other: Array) -> float:
    """How far two paths are from each other, in the size of the state in its sample."""
    size = field.flat.largest(np.abs(other))
    scale = np.maximum(size.max(axis=0), 1e-12 * float(size.max()) + 1e-300)
    return float((np.abs(one - other) / scale).max())


@dataclass
class _Graded:
    field: FractionalField
    stops: Array
    breaks: Breaks
    taken: int = 0

    def solved(self, tolerance: float) -> Array:
        """The path at the stops, (stops, n), extrapolated from the last two meshes."""
        plain: list[Array] = []
        best: Array | None = None
        for count in MESHES:
            plain.append(self._walked(count))
            if len(plain) < 2:
                continue
            found = (4 * plain[-1] - plain[-2]) / 3
            if best is not None and _apart(self.field, found, best) <= tolerance:
                return found
            best = found
        assert best is not None, "there are several meshes"
        return best

    def mesh(self, count: int) -> Array:
        """Fine at the start; the stops and both sides of the jumps are among its times."""
        start, horizon = self.stops[0], self.stops[-1] - self.stops[0]
        grading = max(1.0, 3.0 / (1.0 + float(self.field.orders.min())))
        graded = start + horizon * (np.arange(count + 1) / count) ** grading
        known = [*self.stops, *(t for jump in self.breaks.jumps for t in (jump.before, jump.after))]
        apart = np.abs(graded[:, None] - np.array(known)).min(axis=1) > 0.1 * horizon / count**2
        return np.unique([*graded[apart], *known])

    def _walked(self, count: int) -> Array:
        t, field = self.mesh(count), self.field
        x0, orders = field.flat.joined(field.initial), field.orders
        groups = [(float(a), orders == a) for a in np.unique(orders)]
        h, f = np.diff(t), np.empty((len(t), len(x0)))
        x = x0.copy()
        f[0] = field(float(t[0]), x)
        path = {float(t[0]): x0}
        for m in range(1, len(t)):
            known, own = x0.copy(), np.empty_like(x0)
            for a, mask in groups:
                weights = _lines(t[m] - t[: m + 1], h[:m], a)
                known[mask] += weights[:-1] @ f[:m, mask]
                own[mask] = weights[-1]
            for _ in range(ITERATIONS):
                self.taken += 1
                before, x = x, known + own * field(float(t[m]), x)
                if not np.isfinite(x).all():
                    raise field.failed(float(t[m]), "the solution has no end")
                if (np.abs(x - before) <= SETTLED * np.maximum(np.abs(x).max(), 1e-300)).all():
                    break
            f[m] = field(float(t[m]), x)
            path[float(t[m])] = x
        return np.stack([path[float(stop)] for stop in self.stops])


def _lines(back: Array, h: Array, a: float) -> Array:
    """What multiplies f at each time of a mesh in I^a f, f a line on each piece; `back` is t less those times."""
    low, high = back[1:], back[:-1]
    whole = (high**a - low**a) / gamma(1 + a)
    rise = (high ** (1 + a) - low ** (1 + a)) / (h * gamma(2 + a)) - low**a / gamma(1 + a)
    rise = np.where(h < THIN * high, whole / 2, rise)
    weights = np.zeros(len(back))
    weights[:-1] += whole - rise
    weights[1:] += rise
    return weights


@dataclass
class _Collocated:
    field: FractionalField
    stops: Array
    taken: int = 0

    @cached_property
    def horizon(self) -> float:
        return float(self.stops[-1] - self.stops[0])

    @cached_property
    def power(self) -> int:
        """q of t = T s^q: a whole number, so that what is smooth in t is smooth in s."""
        return ceil(REGULAR / float(self.field.orders.min()))

    @cached_property
    def rows(self) -> int:
        return self.field.flat.rows if all(self.field.flat.batched) else 1

    def solved(self, tolerance: float) -> Array:
        """The path at the stops, (stops, n)."""
        before: Array | None = None
        guess: tuple[Array, Array] | None = None
        for count in POINTS:
            if count * len(self.field.orders) // self.rows > LARGEST_SYSTEM:
                break
            path, guess = self._at(count, guess)
            if before is not None and _apart(self.field, path, before) <= 0.1 * tolerance:
                return path
            before = path
        if before is None:
            raise self.field.failed(self.stops[0], "there are too many states for collocation")
        return before

    def _at(self, count: int, guess: tuple[Array, Array] | None) -> tuple[Array, tuple[Array, Array]]:
        nodes = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
        x0, orders = self.field.flat.joined(self.field.initial), self.field.orders
        times = self.stops[0] + self.horizon * nodes**self.power
        into = ((self.stops - self.stops[0]) / self.horizon) ** (1 / self.power)
        matrices = [(orders == a, self._integrals(nodes, nodes, float(a))) for a in np.unique(orders)]
        x = np.repeat(x0[None], count, axis=0) if guess is None else _through(guess[0], nodes) @ guess[1]
        f = self._newton(times, x, x0, matrices)
        path = np.repeat(x0[None], len(into), axis=0)
        for a in np.unique(orders):
            mask = orders == a
            path[:, mask] += self._integrals(nodes, into, float(a)) @ f[:, mask]
        return path, (nodes, x)

    def _integrals(self, nodes: Array, at: Array, a: float) -> Array:
        """I^a at some s of the polynomials that are 1 at one node, 0 at the others: (at, nodes)."""
        z, weight = roots_jacobi(2 * len(nodes) + 40, a - 1, 0)
        w, weight = (1 + z) / 2, weight / 2.0**a
        whole = sum(w**j for j in range(self.power))
        weight = weight * self.power * w ** (self.power - 1) * whole ** (a - 1)
        scale = (self.horizon * at**self.power) ** a / gamma(a)
        return np.stack([c * (weight @ _through(nodes, s * w)) for s, c in zip(at, scale, strict=True)])

    def _newton(self, times: Array, x: Array, x0: Array, matrices: list[tuple[Array, Array]]) -> Array:
        """f at the points of x = x_0 + I^a f, solved in place."""
        count, rows = len(times), self.rows
        width = x.shape[1] // rows
        for _ in range(ITERATIONS):
            f = np.stack([self.field(float(t), y) for t, y in zip(times, x, strict=True)])
            self.taken += count
            rest = x0 - x
            for mask, matrix in matrices:
                rest[:, mask] += matrix @ f[:, mask]
            if not np.isfinite(rest).all():
                raise self.field.failed(float(times[-1]), "the solution has no end")
            if np.abs(rest).max() <= 1e-14 * max(float(np.abs(x).max()), 1e-300):
                return f
            slopes = np.stack([self.field.jacobian(float(t), y, rows) for t, y in zip(times, x, strict=True)])
            step = np.empty_like(x)
            entry = np.stack([matrix for _, matrix in matrices])
            which = np.argmax([mask[:width] for mask, _ in matrices], axis=0)
            for row in range(rows):
                # d_i - sum_j A_ij J_j d_j = rest_i, A that of the order of the entry
                system = -np.einsum("mij,jmn->imjn", entry[which], slopes[:, row]).reshape(count * width, -1)
                system[np.diag_indices_from(system)] += 1
                own = slice(row * width, (row + 1) * width)
                step[:, own] = np.linalg.solve(system, rest[:, own].reshape(-1)).reshape(count, width)
            x += step
            if np.abs(step).max() <= 1e-13 * float(np.abs(x).max()):
                break
        return np.stack([self.field(float(t), y) for t, y in zip(times, x, strict=True)])


def _through(nodes: Array, at: Array) -> Array:
    """The values at some places of the polynomials through Chebyshev's points of (0, 1), (at, nodes): barycentric."""
    count = len(nodes)
    sides = (-1.0) ** np.arange(count) * np.sin(np.pi * (np.arange(count) + 0.5) / count)
    apart = np.asarray(at)[:, None] - nodes
    met = apart == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = sides / apart
        found = terms / terms.sum(axis=1, keepdims=True)
    found[met.any(axis=1)] = met[met.any(axis=1)]
    return np.asarray(found)


__all__ = ["FractionalField", "FractionalWalk"]

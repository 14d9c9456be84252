r"""Rossler's stochastic Runge-Kutta schemes of strong order 3/2 as data: tableaus that check their own conditions.

Both families read dW and I_(1,0) = int_0^h W_s ds. Rossler (2010), SIAM J. Numer. Anal. 48, 922-952.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes
from isocline_compiler.solvers.field import Field, Stirred
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import (
    Increments,
    Stochastic,
    beside,
    increments,
    moved,
    ones,
    root,
    scaled,
    span,
    time_integrals,
    total,
)
from isocline_compiler.solvers.schemes.tableau import TOLERANCE, Number

Row: TypeAlias = tuple[Number, ...]
Rows: TypeAlias = tuple[Row, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class StochasticTableau(Stochastic):
    """What both families share: the drift's stages a0, alpha, c0, and c1, the nodes of the diffusion.

    Rows of matrices end where zeros follow. Raises ValueError when a condition of the strong order 3/2 fails.
    """

    a0: Rows
    alpha: Row
    c0: Row
    c1: Row
    normals: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, found, expected in (*self._sums(), *self.conditions()):
            if not abs(found - expected) <= TOLERANCE:
                raise ValueError(f"scheme {self.name}: {name} is {found!r} instead of {expected!r}")

    def _sums(self) -> Iterator[tuple[str, float, float]]:
        for i, (found, node) in enumerate(zip(self.matrix(self.a0).sum(axis=1), self.c0, strict=True)):
            yield f"row {i} of a0", float(found), float(node)

    @abstractmethod
    def conditions(self) -> Iterator[tuple[str, float, float]]:
        """The conditions of strong order 3/2: what each is about, its left side, its right side."""

    @property
    def stages(self) -> int:
        """Of the drift and of the diffusion alike."""
        return len(self.alpha)

    def matrix(self, rows: Rows) -> Array:
        """A square float64 array, its rows filled up with zeros."""
        full = np.zeros((self.stages, self.stages))
        for i, row in enumerate(rows):
            full[i, : len(row)] = [float(entry) for entry in row]
        return full

    @cached_property
    def slopes_used(self) -> frozenset[int]:
        """The stages of the drift that anything reads."""
        below = self.matrix(self.a0).any(axis=0) | np.array([bool(entry) for entry in self.alpha])
        return frozenset(int(i) for i in np.flatnonzero(below | self._read_by_diffusion()))

    def _read_by_diffusion(self) -> Array:
        return np.zeros(self.stages, dtype=bool)


@dataclass(frozen=True, eq=False, kw_only=True)
class SRA(StochasticTableau):
    r"""For additive noise, any number of channels:

    H_i = x + h sum_j a0_ij f(t + c0_j h, H_j) + sum_j g(t + c1_j h) (w0_ij dW + b0_ij I_(1,0) / h)
    x'  = x + h sum_i alpha_i f(t + c0_i h, H_i) + sum_i g(t + c1_i h) (beta1_i dW + beta2_i I_(1,0) / h)

    Rossler's schemes have w0 = 0; with it, schemes on shifted stages are of this form too (Foster, dos Reis, Strange).
    The noise of a stage, p dW + q H with p = (w0 + b0 / 2) 1 and q = b0 1, has to be to the drift what the path is: of
    its mean with dW and with H, and of its mean square, the last three conditions say so.
    """

    b0: Rows
    beta1: Row
    beta2: Row
    w0: Rows = ()

    def conditions(self) -> Iterator[tuple[str, float, float]]:
        """Those of Rossler (2010) for additive noise, with the noise of the stages split in dW and H."""
        e, c1 = np.ones(self.stages), np.array(self.c1, dtype=np.float64)
        alpha, beta1, beta2 = (np.array(row, dtype=np.float64) for row in (self.alpha, self.beta1, self.beta2))
        p, q = self.matrix(self.w0) @ e + self.matrix(self.b0) @ e / 2, self.matrix(self.b0) @ e
        yield "alpha 1", float(alpha @ e), 1.0
        yield "beta1 1", float(beta1 @ e), 1.0
        yield "beta2 1", float(beta2 @ e), 0.0
        yield "beta1 c1", float(beta1 @ c1), 1.0
        yield "beta2 c1", float(beta2 @ c1), -1.0
        yield "alpha a0 1", float(alpha @ self.matrix(self.a0) @ e), 0.5
        yield "alpha p", float(alpha @ p), 0.5
        yield "alpha q", float(alpha @ q), 1.0
        yield "alpha (p^2 + q^2 / 12)", float(alpha @ (p**2 + q**2 / 12)), 0.5

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw, di = increments(field, step), time_integrals(field, step)
        times = [step.time(float(c)) for c in self.c1]

        def noise(first: Sequence[Number], second: Sequence[Number]) -> list[Stirred]:
            pairs = [(float(a), float(b)) for a, b in zip(_filled(first, self), _filled(second, self), strict=True)]
            return [field.stir(times[j], x, combined([(a, dw), (b, di)])) for j, (a, b) in enumerate(pairs) if a or b]

        slopes: dict[int, Nodes] = {}
        for i in sorted(self.slopes_used):
            w0 = self.w0[i] if self.w0 else ()
            parts = [*_drift(step, self.a0[i], slopes), *noise(w0, self.b0[i])]
            slopes[i] = field(step.time(float(self.c0[i])), moved(x, total(parts)) if parts else x)
        return memory, moved(x, total([*_drift(step, self.alpha, slopes), *noise(self.beta1, self.beta2)]))


@dataclass(frozen=True, eq=False, kw_only=True)
class SRI(StochasticTableau):
    r"""For scalar and for diagonal noise, in Ito's sense:

    H0_i = x + h sum_j a0_ij f(t + c0_j h, H0_j) + sum_j b0_ij g(t + c1_j h, H1_j) I_(1,0) / h
    H1_i = x + h sum_j a1_ij f(t + c0_j h, H0_j) + sqrt |h| sum_j b1_ij g(t + c1_j h, H1_j) 1
    x'   = x + h sum_i alpha_i f(t + c0_i h, H0_i) + sum_i g(t + c1_i h, H1_i) u_i
    u_i  = beta1_i dW + beta2_i I_(1,1) / sqrt |h| + beta3_i I_(1,0) / h + beta4_i I_(1,1,1) / |h|

    with I_(1,1) = (dW^2 - |h|) / 2 and I_(1,1,1) = (dW^3 - 3 |h| dW) / 6. Rossler's stages of the diffusion are one for
    each channel; where each channel has an entry of its own, or there is but one, they are the entries of one H1.
    """

    a1: Rows
    b0: Rows
    b1: Rows
    beta1: Row
    beta2: Row
    beta3: Row
    beta4: Row

    def _sums(self) -> Iterator[tuple[str, float, float]]:
        yield from super()._sums()
        for i, (found, node) in enumerate(zip(self.matrix(self.a1).sum(axis=1), self.c1, strict=True)):
            yield f"row {i} of a1", float(found), float(node)

    def conditions(self) -> Iterator[tuple[str, float, float]]:
        """Those of Rossler (2010) for scalar noise."""
        e = np.ones(self.stages)
        alpha = np.array(self.alpha, dtype=np.float64)
        betas = [np.array(row, dtype=np.float64) for row in (self.beta1, self.beta2, self.beta3, self.beta4)]
        a0, a1, b0, b1 = (self.matrix(rows) for rows in (self.a0, self.a1, self.b0, self.b1))
        yield "alpha 1", float(alpha @ e), 1.0
        yield "alpha a0 1", float(alpha @ a0 @ e), 0.5
        yield "alpha b0 1", float(alpha @ b0 @ e), 1.0
        yield "alpha (b0 1)^2", float(alpha @ (b0 @ e) ** 2), 1.5
        for name, vector, expected in (
            ("1", e, (1, 0, 0, 0)),
            ("b1 1", b1 @ e, (0, 1, 0, 0)),
            ("a1 1", a1 @ e, (1, 0, -1, 0)),
            ("(b1 1)^2", (b1 @ e) ** 2, (1, 0, -1, 2)),
            ("b1 b1 1", b1 @ b1 @ e, (0, 0, 0, 1)),
        ):
            for number, (beta, right) in enumerate(zip(betas, expected, strict=True), 1):
                yield f"beta{number} {name}", float(beta @ vector), float(right)
        inner = a1 @ b0 @ e
        yield "beta1 a1 b0 1 / 2 + beta3 a1 b0 1 / 3", float(betas[0] @ inner / 2 + betas[2] @ inner / 3), 0.0

    def _read_by_diffusion(self) -> Array:
        return np.asarray(self.matrix(self.a1).any(axis=0))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        unit, di, weights = ones(field), time_integrals(field, step), self._weights(field, step)
        roots, times = [root(h) for h in step.widths], [step.time(float(c)) for c in self.c1]
        slopes: dict[int, Nodes] = {}
        places: list[Nodes] = []

        def noise(row: Sequence[Number], met: Increments) -> list[Stirred]:
            return [scaled(float(b), field.stir(times[j], places[j], met)) for j, b in enumerate(row) if b]

        for i in range(self.stages):
            spread = noise(self.b1[i], unit)
            moves = [*_drift(step, self.a1[i], slopes), *([scaled(roots, total(spread))] if spread else [])]
            places.append(moved(x, total(moves)) if moves else x)
            if i in self.slopes_used:
                parts = [*_drift(step, self.a0[i], slopes), *noise(self.b0[i], di)]
                slopes[i] = field(step.time(float(self.c0[i])), moved(x, total(parts)) if parts else x)
        stirs = [field.stir(time, place, met) for time, place, met in zip(times, places, weights, strict=True)]
        return memory, moved(x, total([*_drift(step, self.alpha, slopes), *stirs]))

    def _weights(self, field: Field, step: Step) -> list[Increments]:
        """What g is multiplied with at each of its stages."""
        dw, di = increments(field, step), time_integrals(field, step)
        h, width = beside(span(step.h)), beside(root(step.h))
        twice = {name: (0.5 / width) * (w * w - h) for name, w in dw.items()}
        thrice = {name: (1 / (6.0 * h)) * (w * (w * w - 3.0 * h)) for name, w in dw.items()}
        rows = zip(self.beta1, self.beta2, self.beta3, self.beta4, strict=True)
        return [combined(list(zip(map(float, row), (dw, twice, di, thrice), strict=True))) for row in rows]


def combined(terms: Sequence[tuple[float, Increments]]) -> Increments:
    """A sum of increments with coefficients, noise by noise; zeros leave nothing behind."""
    kept = [(c, item) for c, item in terms if c]
    found: dict[str, Node] = {}
    for c, item in kept:
        for name, w in item.items():
            part = w if c == 1 else c * w
            found[name] = found[name] + part if name in found else part
    return found


def _filled(row: Sequence[Number], tableau: StochasticTableau) -> Sequence[Number]:
    return (*row, *(0,) * (tableau.stages - len(row)))


def _drift(step: Step, row: Sequence[Number], slopes: dict[int, Nodes]) -> list[Stirred]:
    """h sum_j row_j f_j, as a list of none or one."""
    terms = [scaled(float(c), slopes[j]) for j, c in enumerate(row) if c]
    return [scaled(step.widths, total(terms))] if terms else []

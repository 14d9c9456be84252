"""A-posteriori bound of a reference: how far it can be from the solution, by its defect and the logarithmic norm.

    e = x - p,   d = p' - f(t, p),   |e|' <= mu(t) |e| + |d(t)|,   mu = lim ((|1 + h J| - 1) / h),   J = df/dx at p

p is a third solution, the dense output of DOP853, one sample at a time; its defect is evaluated, not estimated. To
first order in e, that is a bound and not a comparison. States are measured by their sizes, in the norms 1, 2 and
infinity, and the least of the three bounds counts. Where neighbouring solutions run apart it is large, or says nothing.
Soderlind (2006), BIT 46, 631-652; Dahlquist (1958), Stability and Error Bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.integrate import solve_ivp
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify.compiled_field import quick
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.reference import Tensors, kept
from isocline_compiler.certify.spectrum import jacobians
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.clock import Clock, FieldFunction, Leg
from isocline_compiler.training.sizes import moving_sizes

MOST_STATES, MOST_STEPS, STAGES = 64, 4000, 12
"""Numbers of a state, and steps of so many evaluations, beyond which nothing is bounded."""
HASTY = 1 / 8
"""The part of the evaluations after which it has to have come half as far as the whole number would take it."""
LONGEST = 1 / 128
"""The part of the horizon that a step may always be long, where the legs are shorter still."""
TOLERANCE, LOOSE = 1e-10, 1e-6
"""Of a step, relative to each state; and where its size is sought."""
NODES, INNER = 9, (1, 3, 5, 7)
"""Chebyshev points of a step, on which the dense output, a polynomial of degree 7, is differentiated; at the inner ones
its defect is evaluated.
"""
BETWEEN = 2.0
"""By how much the defect between those points may exceed what it is at them."""
MOST_GROWTH = 700.0
"""The logarithm of the largest growth that is a number."""
WORTH = 1.0
"""A bound above the size of the states says nothing."""


class Unbounded(Exception):
    """Nothing can be said, in words."""


@dataclass(frozen=True)
class Posterior:
    """What is known of the reference without comparing it to another of its kind.

    `bounds`: by open solve, how far DOP853 is at most from the solution, relative to the sizes of the states; `apart`:
    how far the reference is from DOP853, by output. Over `samples` samples. Empty where nothing is known, and `why`.
    """

    bounds: Mapping[str, float]
    apart: Mapping[str, float]
    samples: int
    why: str = ""

    def refutes(self, output: str, allowed: float) -> bool:
        """Whether the reference of an output is further than allowed from solutions that are known to be nearer."""
        known = not self.why and max(self.bounds.values(), default=np.inf) <= allowed
        return known and not self.apart[output] <= allowed


def posterior(evaluator: Evaluator) -> Posterior:
    """Bounds for the first and the last sample of a model whose references have agreed."""
    if any(solve.spec.events for solve in evaluator.solves):
        return Posterior({}, {}, 0, "its states jump where a condition is met")
    outputs, largest, apart = evaluator.reference, dict[str, float](), dict[str, float]()
    rows = sorted({0, evaluator.samples.count - 1})
    for row in rows:
        bounding = Bounding(evaluator.agreed.breaks)
        one = Evaluator(evaluator.model, evaluator.weights, evaluator.samples.taken(np.array([row])), evaluator.error)
        try:
            found = one.outputs(one.stepped({}), bounding)
        except Unbounded as stop:
            return Posterior({}, {}, 0, str(stop))
        for name, bound in bounding.found.items():
            largest[name] = max(bound, largest.get(name, 0.0))
        for name, array in found.items():
            batched = evaluator.graph.outputs[name].type.batched
            if array.dtype.kind == "f":
                same = outputs[name][row : row + 1] if batched else outputs[name]
                apart[name] = max(float(relative_errors(array, same, batched).max()), apart.get(name, 0.0))
    if len(largest) > 1:
        return Posterior({}, apart, len(rows), "of several solves one may begin with the error of another")
    said = {name: value for name, value in largest.items() if value < WORTH}
    lost = [f"{value:.0e}" for value in largest.values() if not value < WORTH]
    return Posterior(said, apart, len(rows), f"neighbouring solutions may run apart: {', '.join(lost)}" if lost else "")


@dataclass
class Bounding:
    """Solves one sample by DOP853 and keeps how far each solution can be from the exact one, by the solve's name."""

    breaks: Mapping[str, Breaks]
    found: dict[str, float] = field(default_factory=dict)

    def __call__(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        """The kept states. Raises Unbounded."""
        clock, flat = Clock.of(node, times), FlatStates.of(node, initial)
        if field.bound.run.iteration:
            raise Unbounded("a loop solves it anew at every observation")
        if clock.given is not None:
            raise Unbounded("the times come with the input")
        if not all(flat.batched):
            raise Unbounded("a state is shared by all samples")
        start = flat.joined(initial)
        if len(start) > MOST_STATES:
            raise Unbounded(f"the state has more than {MOST_STATES} numbers")
        legs = clock.legs(node, stacked, self.breaks.get(spec_of(node).name, Breaks()))
        compiled = quick(field, clock)

        def walk_of(leg: Leg, piece: Leg) -> _Walk:
            exact, fast = (clock.slopes(node, item, stacked, leg) for item in (field, compiled))
            return _Walk(piece, flat, exact, fast, clock.horizon)

        walks = [walk_of(leg, piece) for leg in legs for piece in _between(leg)]
        size, least = _sizes(flat, walks, start)
        path, error, largest = [start], np.zeros(3), np.zeros(3)
        x = start
        for walk in walks:
            stops, x, errors = walk.along(x, size, least, error)
            path += stops
            error, largest = errors[-1], np.maximum(largest, errors.max(axis=0))
        self.found[spec_of(node).name] = float(largest.min())
        return kept(node, flat.apart(np.stack(path)))


def _between(leg: Leg) -> list[Leg]:
    """The leg in pieces that end at its narrow features."""
    forwards = leg.end > leg.start
    ends = [*sorted(leg.features, reverse=not forwards), leg.end]
    pieces, start, waiting = [], leg.start, list(leg.stops)
    for end in ends:
        here = tuple(stop for stop in waiting if (stop <= end if forwards else stop >= end))
        waiting = waiting[len(here) :]
        pieces.append(Leg(start, end, here, ()))
        start = end
    return pieces


def _sizes(flat: FlatStates, walks: list[_Walk], start: Array) -> tuple[Array, Array]:
    """How large each state becomes on a loose pass, and how large it always is now and then: the least, over parts of
    the way, of the largest in a part. One number an entry.
    """
    x, parts, scale = start, [np.abs(start)], max(float(np.abs(start).max()), 1e-300)
    for walk in walks:
        solved = walk.solved(x, LOOSE, LOOSE * 1e-3 * scale * np.ones_like(x))
        parts += [np.abs(part).max(axis=1) for part in np.array_split(solved.y, max(1, solved.y.shape[1] // 8), axis=1)]
        x = solved.y[:, -1]
    size = flat.largest(np.max(parts, axis=0))
    size = np.where(size > 0, size, max(float(size.max()), 1e-300))
    return size, moving_sizes(np.stack([flat.largest(part) for part in parts]))


@dataclass(frozen=True)
class _Walk:
    """The way along one leg."""

    leg: Leg
    flat: FlatStates
    slopes: FieldFunction
    stepped: FieldFunction
    """The same for the steps of DOP853, whose defect `slopes` then shows."""
    horizon: float

    def f(self, t: float, x: Array) -> Array:
        return self.flat.joined(self.slopes(torch.tensor(t, dtype=torch.float64), self.flat.apart(x)))

    def solved(self, x: Array, relative: float, absolute: Array) -> Any:
        """The dense output of DOP853, no step longer than an eighth of the leg, or a `LONGEST` part of the horizon."""
        longest, taken = max(abs(self.leg.end - self.leg.start) / 8, LONGEST * self.horizon), [0]

        def counted(t: float, y: Array) -> Array:
            taken[0] += 1
            gone = abs(t - self.leg.start) / abs(self.leg.end - self.leg.start)
            if taken[0] > MOST_STEPS * STAGES * min(1.0, max(HASTY, 2 * gone)):
                raise Unbounded(f"DOP853 takes more than {MOST_STEPS} steps")
            return self.flat.joined(self.stepped(torch.tensor(t, dtype=torch.float64), self.flat.apart(y)))

        with np.errstate(all="ignore"):
            found = solve_ivp(
                counted, (self.leg.start, self.leg.end), x, "DOP853", rtol=relative, atol=absolute,
                dense_output=True, max_step=longest,
            )  # fmt: skip
        if not found.success or not np.isfinite(found.y).all():
            raise Unbounded("DOP853 does not reach the end")
        if len(found.t) > MOST_STEPS:
            raise Unbounded(f"DOP853 takes more than {MOST_STEPS} steps")
        return found

    def along(self, x: Array, size: Array, least: Array, error: Array) -> tuple[list[Array], Array, Array]:
        """The states at the stops and at the end, and the bounds after every step, in the three norms.

        Where solutions come together the bound at the end alone would say too little.
        """
        errors = []
        found = self.solved(x, TOLERANCE, TOLERANCE * np.maximum(least, 1e-16 * float(size.max())))
        before = self._norms(float(found.t[0]), x, size)
        for begin, end, y in zip(found.t, found.t[1:], found.y.T[1:], strict=False):
            after = self._norms(float(end), y, size)
            growth = np.maximum(before, after) * abs(end - begin)
            with np.errstate(over="ignore"):
                error = np.exp(np.minimum(growth, MOST_GROWTH)) * error + self._gained(
                    found.sol, begin, end, size, growth
                )
            errors.append(error)
            before = after
        return [found.sol(stop) for stop in self.leg.stops], found.y[:, -1], np.stack(errors)

    def _gained(self, solution: Any, begin: float, end: float, size: Array, growth: Array) -> Array:
        """|d| (e^(mu h) - 1) / mu, what the defect of one step adds to the bounds."""
        h = end - begin
        times = begin + (POINTS + 1) / 2 * h
        p = solution(times)
        inner = list(INNER)
        slopes = np.stack([self.f(float(t), y) for t, y in zip(times[inner], p.T[inner], strict=True)], axis=1)
        d = ((p @ DERIVATIVE.T)[:, inner] * (2 / h) - slopes) / size[:, None]
        defect = BETWEEN * np.array([np.linalg.norm(d, order, axis=0).max() for order in (1, 2, np.inf)])
        level = np.abs(growth) < 1e-8
        found: Array = (
            defect
            * abs(h)
            * np.where(level, 1.0, np.expm1(np.minimum(growth, MOST_GROWTH)) / np.where(level, 1.0, growth))
        )
        return found

    def _norms(self, t: float, x: Array, size: Array) -> Array:
        """The logarithmic norms 1, 2 and infinity of the Jacobian, states measured by their sizes."""

        def slopes(rows: Tensor) -> Tensor:
            states, place = [], 0
            for shape in self.flat.shapes:
                count = int(np.prod(shape[1:], dtype=int))
                states.append(rows[:, place : place + count].reshape(len(rows), *shape[1:]))
                place += count
            found = self.slopes(torch.tensor(t, dtype=torch.float64), tuple(states))
            return torch.cat([item.reshape(len(rows), -1) for item in found], dim=1)

        jacobian = jacobians(slopes, torch.from_numpy(x[None].copy()))[0]
        forwards = 1.0 if self.leg.end > self.leg.start else -1.0
        return logarithmic_norms(forwards * jacobian * size[None, :] / size[:, None])


def logarithmic_norms(a: Array) -> Array:
    """mu_1, mu_2 and mu_inf of a matrix: the largest of a_jj + sum |a_ij| over columns j, the largest eigenvalue of its
    symmetric part, and the largest of a_ii + sum |a_ij| over rows i. Dekker, Verwer (1984), 1.2.
    """
    diagonal = np.diag(a)
    off = np.abs(a) - np.diag(np.abs(diagonal))
    symmetric = np.linalg.eigvalsh((a + a.T) / 2)[-1]
    return np.array([(diagonal + off.sum(axis=0)).max(), symmetric, (diagonal + off.sum(axis=1)).max()])


POINTS = chebyshev.chebpts2(NODES)


def _derivative(points: Array) -> Array:
    """The matrix that differentiates a polynomial given at these points, by their Lagrange basis."""
    found = np.zeros((len(points), len(points)))
    for j in range(len(points)):
        basis = chebyshev.Chebyshev.fit(points, np.eye(len(points))[j], len(points) - 1, domain=[-1, 1])
        found[:, j] = basis.deriv()(points)
    return found


DERIVATIVE = _derivative(POINTS)

__all__ = ["Posterior", "logarithmic_norms", "posterior"]

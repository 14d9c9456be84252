"""Schemes whose states move in turn: symplectic, reversible, invertible."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import cbrt, sqrt
from typing import ClassVar

import numpy as np

from isocline_compiler.graph import Array, Nodes
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.linear_part import own_rate
from isocline_compiler.solvers.schemes.problems import DAMPED, SEPARABLE, SWUNG, OrderProblem
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme, Search
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.tableau import TOLERANCE
from isocline_compiler.solvers.schemes.trees import failed_partitioned_condition
from isocline_compiler.solvers.structure import Split, split
from isocline_dsl import messages


@dataclass(frozen=True)
class Splitting(Scheme):
    r"""A splitting scheme for q' = f(t, p), p' = g(t, q): kicks and drifts in turn.

    p <- p + b_i h g(t + h sum_{j<i} a_j, q),   q <- q + a_i h f(t + h sum_{j<=i} b_j, p)

    Each of the moves is the exact flow of a part of the equations, in which the time that a kick reads moves with the
    positions, and that of a drift with the momenta. So the map is symplectic where the field is Hamiltonian, and undone
    by the same moves in the other order. Where the last kick of a step and the first of the next are at one place it is
    evaluated once, unless the steps have weights of their own: a kick is by those of its step.
    Raises ValueError when an order condition fails. Hairer, Lubich, Wanner (2006), II.5, III.3.
    """

    name: str
    order: float
    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    reference: str
    finds_events: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len(self.kicks) != len(self.drifts):
            raise ValueError(f"scheme {self.name}: {len(self.kicks)} kicks and {len(self.drifts)} drifts")
        for total in (sum(self.kicks), sum(self.drifts)):
            if abs(total - 1) > TOLERANCE:
                raise ValueError(f"scheme {self.name}: its moves sum to {total!r} instead of 1")
        failed = failed_partitioned_condition(*self._as_tableaus, int(self.order), TOLERANCE)
        if failed is not None:
            raise ValueError(f"scheme {self.name}: {failed}")

    @property
    def _as_tableaus(self) -> tuple[Array, Array, Array, Array]:
        """(A, a) of the positions, (B, b) of the momenta: drift i sees the kicks up to i, kick i the drifts before."""
        a, b = np.array(self.drifts), np.array(self.kicks)
        count = len(a)
        return np.tril(np.ones((count, count)), -1) * a, a, np.tril(np.ones((count, count))) * b, b

    @property
    def symmetric(self) -> bool:
        """Whether the moves read the same from behind, so that a step backwards undoes one forwards."""
        moves = [move for pair in zip(self.kicks, self.drifts, strict=True) for move in pair]
        trimmed = np.trim_zeros(np.array(moves))
        return bool(np.allclose(trimmed, trimmed[::-1], rtol=0, atol=TOLERANCE))

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Two that it fits: linear, and one whose forces change with time and are not."""
        return SEPARABLE, SWUNG

    def fits(self, solve: Solve) -> Misfit | None:
        """States must move in turn; an integral of both groups needs a symmetric step of order 2."""
        groups = split(solve)
        fault = groups.fault
        if fault is None and groups.places("integral") and not (self.symmetric and self.order == 2):
            name = solve.spec.states[groups.places("integral")[0]].name
            fault = f"`{name}` is an integral of states of both groups, which `leapfrog` alone can follow"
        if fault is None:
            return super().fits(solve)
        return lambda span: messages.scheme_does_not_fit(span, self.name, fault)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the slopes that the next step begins with."""
        groups = split(field.solve)
        kicked, drifted, summed = (groups.places(side) for side in ("momentum", "position", "integral"))
        kick, integrand = memory or (None, None)
        begun = x
        drift_time, kick_time = 0.0, 0.0
        for b, a in zip(self.kicks, self.drifts, strict=True):
            if b:
                kick = kick or field.part(kicked, step.time(_exact(drift_time)), x)
                x = _moved(x, kicked, b, step, kick)
                kick_time, last = kick_time + b, kick
                kick = None
            if a:
                x = _moved(x, drifted, a, step, field.part(drifted, step.time(_exact(kick_time)), x))
                drift_time, last = drift_time + a, None
        if summed:
            integrand = integrand or field.part(summed, step.t, begun)
            ahead = field.part(summed, step.end, x)
            mean = tuple(0.5 * (g + k) for g, k in zip(integrand, ahead, strict=True))
            x, integrand = _moved(x, summed, 1.0, step, mean), ahead
        kept = self.kicks[0] and not self.drifts[-1] and not field.solve.field_rows
        again = last if kept else None
        return (again, integrand) if again or integrand else None, x


def _exact(part: float) -> float:
    """0 and 1 themselves, where sums of coefficients are rounded."""
    return float(round(part)) if abs(part - round(part)) < TOLERANCE else part


def _moved(x: Nodes, places: tuple[int, ...], part: float, step: Step, slopes: Nodes) -> Nodes:
    found = list(x)
    for i, slope in zip(places, slopes, strict=True):
        width = step.widths[i]
        found[i] = x[i] + (width if part == 1 else part * width) * slope
    return tuple(found)


@dataclass(frozen=True)
class WithFriction(Scheme):
    """Positions and momenta move in turn, and the equation of a momentum may read momenta."""

    name: str
    order: float
    reference: str
    search: ClassVar[Search] = "named"

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Without friction and with it."""
        return SEPARABLE, DAMPED


@dataclass(frozen=True)
class Momentum(WithFriction):
    r"""The momentum scheme: p <- p + h g(t, q, p), q <- q + h f(t + h, p): each with what the other has become.

    Of x'' = (f(x) - x')/eps it is the Momentum ResNet v <- gamma v + (1 - gamma) f(x), x <- x + h v with
    gamma = 1 - h/eps. Unlike symplectic schemes it takes friction: the equation of a momentum may read momenta.
    """

    def fits(self, solve: Solve) -> Misfit | None:
        """No position may read a position."""
        fault = split(solve, friction=True).fault
        if fault is not None:
            return lambda span: messages.scheme_does_not_fit(span, self.name, fault)
        return super().fits(solve)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        groups: Split = split(field.solve, friction=True)
        kicked, drifted = groups.places("momentum"), groups.places("position")
        x = _moved(x, kicked, 1.0, step, field.part(kicked, step.t, x))
        return None, _moved(x, drifted, 1.0, step, field.part(drifted, step.end, x))


@dataclass(frozen=True)
class MomentumAdjoint(WithFriction):
    r"""The adjoint of the momentum scheme: q <- q + h f(t, p), then p with p = p_0 + h g(t + h, q, p), which is solved.

    For that each momentum's equation is affine in that momentum, entry by entry, and reads no other: p' = a + d p.
    Then p = p_0 + h g(t + h, q, p_0)/(1 - h d), exactly: of a Momentum ResNet the division by gamma.
    """

    def fits(self, solve: Solve) -> Misfit | None:
        """No position may read a position, and momenta are damped each by itself."""
        groups = split(solve, friction=True)
        fault = groups.fault
        for place in () if fault else groups.places("momentum"):
            if own_rate(solve, place, groups.places("momentum")) is None:
                name = solve.spec.states[place].name
                fault = f"the equation of `{name}` is not affine in `{name}`, entry by entry, or reads other momenta"
        if fault is not None:
            return lambda span: messages.scheme_does_not_fit(span, self.name, fault)
        return super().fits(solve)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        groups: Split = split(field.solve, friction=True)
        kicked, drifted = groups.places("momentum"), groups.places("position")
        x = _moved(x, drifted, 1.0, step, field.part(drifted, step.t, x))
        slopes = field.part(kicked, step.end, x)
        rates = [own_rate(field.solve, place, kicked) for place in kicked]
        found = field.filled([rate for rate in rates if rate is not None], step.end, x)
        damped = tuple(g / (1.0 - step.widths[i] * d) for i, g, d in zip(kicked, slopes, found, strict=True))
        return None, _moved(x, kicked, 1.0, step, damped)


def composed(parts: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The kicks and drifts of leapfrog steps of these lengths one after another; neighbouring kicks are one."""
    kicks = [parts[0] / 2, *((a + b) / 2 for a, b in pairwise(parts)), parts[-1] / 2]
    return tuple(kicks), (*parts, 0.0)


OUTER = 1 / (2 - cbrt(2.0))
"""Of Yoshida's three steps the first and the last; the middle one goes back."""
KICKS, DRIFTS = composed((OUTER, 1 - 2 * OUTER, OUTER))

ROOT = sqrt(19.0)
FORWARD = ((146 + 5 * ROOT) / 540, (-2 + 10 * ROOT) / 135, 1 / 5, (-23 - 20 * ROOT) / 270, (14 - ROOT) / 108)
BACKWARD = FORWARD[::-1]
"""McLachlan's five steps of symplectic Euler, before each one of its adjoint: drift, kick, kick, drift."""
KICKS_5 = tuple(a + b for a, b in zip(FORWARD, BACKWARD, strict=True))
DRIFTS_5 = (BACKWARD[0], *(a + b for a, b in zip(FORWARD, BACKWARD[1:], strict=False)), FORWARD[-1])

# fmt: off
PARTITIONED = (
    Splitting(
        name="symplectic_euler", order=1, kicks=(1.0,), drifts=(1.0,),
        reference="de Vogelaere (1956); Hairer, Lubich, Wanner (2006), I.1.2: momenta first",
    ),
    Splitting(
        name="coupling", order=1, kicks=(0.0, 1.0), drifts=(1.0, 0.0),
        reference="Gomez, Ren, Urtasun, Grosse (2017): RevNet; the adjoint of symplectic Euler: the first group first",
    ),
    Momentum(
        name="momentum", order=1,
        reference="Sander, Ablin, Blondel, Peyre (2021), ICML: Momentum ResNet; semi-implicit Euler",
    ),
    MomentumAdjoint(
        name="momentum_adjoint", order=1,
        reference="Sander, Ablin, Blondel, Peyre (2021), ICML: the way back of a Momentum ResNet",
    ),
    Splitting(
        name="leapfrog", order=2, kicks=(0.5, 0.5), drifts=(1.0, 0.0),
        reference="Stormer (1907), Verlet (1967), Phys. Rev. 159, 98: velocity form, kick, drift, kick",
    ),
    Splitting(
        name="leapfrog_position", order=2, kicks=(0.0, 1.0), drifts=(0.5, 0.5),
        reference="Hairer, Lubich, Wanner (2003), Acta Numerica 12, 399: position form, drift, kick, drift",
    ),
    Splitting(
        name="yoshida4", order=4, kicks=KICKS, drifts=DRIFTS,
        reference="Yoshida (1990), Phys. Lett. A 150, 262-268: three leapfrog steps",
    ),
    Splitting(
        name="mclachlan4", order=4, kicks=(0.0, *KICKS_5), drifts=DRIFTS_5,
        reference="McLachlan (1995), SIAM J. Sci. Comput. 16, 151-168; Hairer, Lubich, Wanner (2006), V.3, (3.6)",
    ),
)

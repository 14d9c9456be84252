"""Schemes that converge to Stratonovich's integral, for any noise."""

from __future__ import annotations

from isocline_compiler.graph import Nodes
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.solvers.companions import companions
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import (
    Stochastic,
    drifted,
    increments,
    moved,
    scaled,
    total,
)


class StratonovichHeun(Stochastic):
    """Heun's scheme: y = x + f h + g dW, x' = x + (f(t, x) + f(t', y)) h / 2 + (g(t, x) + g(t', y)) dW / 2.

    For additive noise the mean has one order more: what the scheme takes for the iterated integral I_(1,0), h dW / 2,
    differs from it by something that is independent of dW.
    """

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw = increments(field, step)
        here = total([scaled(step.widths, field(step.t, x)), field.stir(step.t, x, dw)])
        y = moved(x, here)
        there = total([scaled(step.widths, field(step.end, y)), field.stir(step.end, y, dw)])
        return memory, moved(x, scaled(0.5, total([here, there])))


class StratonovichMidpoint(Stochastic):
    """The explicit midpoint rule: y = x + f h / 2 + g dW / 2, x' = x + f(t + h / 2, y) h + g(t + h / 2, y) dW."""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw, middle = increments(field, step), step.time(0.5)
        here = total([scaled(step.widths, field(step.t, x)), field.stir(step.t, x, dw)])
        y = moved(x, scaled(0.5, here))
        return memory, moved(drifted(step, x, field(middle, y)), field.stir(middle, y, dw))


class EulerHeun(Stochastic):
    """Euler's scheme for the drift, Heun's for the noise: x' = x + f h + (g(t, x) + g(t', x + g dW)) dW / 2."""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw = increments(field, step)
        here = field.stir(step.t, x, dw)
        there = field.stir(step.end, moved(x, here), dw)
        return memory, moved(drifted(step, x, field(step.t, x)), scaled(0.5, total([here, there])))


class ReversibleHeun(Stochastic):
    r"""The reversible Heun scheme: a second solution z goes beside x, and the field is evaluated along it alone.

    z' = 2 x - z + f(t, z) h + g(t, z) dW,   x' = x + (f(t, z) + f(t', z')) h / 2 + (g(t, z) + g(t', z')) dW / 2

    The same step with -h and -dW leads from (x', z') to (x, z) exactly, but for rounding. f and g at z are evaluated
    again at the start of the next step, where weights may have changed; laid out, equal evaluations are shared.
    z is remembered, or stands among the states as their companions: a solve that undoes this one begins with it.
    """

    def start(self, field: Field, x: Nodes) -> Memory:
        """z begins where x does, as a value of its own; nothing where it stands among the states."""
        beside = companions(field.spec)
        apart = {*beside, *beside.values()}
        return tuple(None if i in apart else MUL(a, 1.0) for i, a in enumerate(x))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step of x and z."""
        beside = companions(field.spec)
        kept = set(beside.values())
        z = tuple(x[beside.get(i, i)] if b is None else b for i, b in enumerate(memory))
        whose = {place: i for i, place in beside.items()}
        dw = increments(field, step)
        here = total([scaled(step.widths, field(step.t, z)), field.stir(step.t, z, dw)])
        after = moved(tuple(2.0 * x[whose.get(i, i)] - b for i, b in enumerate(z)), here)
        there = total([scaled(step.widths, field(step.end, after)), field.stir(step.end, after, dw)])
        ahead = moved(x, scaled(0.5, total([here, there])))
        states = tuple(after[i] if i in kept else a for i, a in enumerate(ahead))
        return tuple(None if b is None else after[i] for i, b in enumerate(memory)), states


STRATONOVICH_HEUN = StratonovichHeun(
    name="stratonovich_heun", strong={"general": 0.5, "commutative": 1.0}, weak={"general": 1.0, "additive": 2.0},
    calculi=("stratonovich",), reference="Rumelin (1982), SIAM J. Numer. Anal. 19, 604-613",
)  # fmt: skip

STRATONOVICH_MIDPOINT = StratonovichMidpoint(
    name="stratonovich_midpoint", strong={"general": 0.5, "commutative": 1.0}, weak={"general": 1.0},
    calculi=("stratonovich",), reference="Rumelin (1982), SIAM J. Numer. Anal. 19, 604-613",
)  # fmt: skip

EULER_HEUN = EulerHeun(
    name="euler_heun", strong={"general": 0.5, "commutative": 1.0}, weak={"general": 1.0},
    calculi=("stratonovich",),
    reference="after Rumelin (1982), SIAM J. Numer. Anal. 19, 604-613: Heun's scheme for the noise alone",
)  # fmt: skip

REVERSIBLE_HEUN = ReversibleHeun(
    name="reversible_heun", strong={"general": 0.5, "additive": 1.0}, weak={"general": 1.0},
    calculi=("stratonovich",), reference="Kidger, Foster, Li, Lyons (2021), arXiv:2105.13493: algebraically reversible",
)  # fmt: skip

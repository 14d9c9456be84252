"""Equations whose solutions are known in closed form: what the order of a scheme is measured on.

Each is written out here in the graph language, and its solution beside it in numpy. A scheme whose family needs other
equations states its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isocline_compiler.graph import ARGUMENT, INPUT, Array, Node, Nodes, Region, constant, leaf
from isocline_compiler.graph.noise import Calculus, Noise, NoiseKind
from isocline_compiler.graph.solve import Interval, Row, Solve, SolveSpec, State
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.graph.terms import Term
from isocline_compiler.ops.arithmetic import POW
from isocline_compiler.ops.elementwise import COS, EXP, SIN
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.noise_kinds import noise_kinds

NUMBER = TensorType("real", (BATCH,))


@dataclass(frozen=True)
class OrderProblem:
    """x' = `equation`(t, x), or dx = equation dt + sum_j `diffusion`_j(t, x) dW_j, over 0..`end`, and its solution.

    `diffusion` gives, for each of the `channels`, a factor for each state, None where it drives none. `exact`(times
    (n,), Brownian paths (channels, paths, n) or None) gives the states, (paths, n) each. `kinds` are those of its
    noise, stated where the expressions alone do not show them.
    """

    name: str
    states: tuple[str, ...]
    equation: Callable[[Node, Nodes], Sequence[Node]]
    exact: Callable[[Array, Array | None], Sequence[Array]]
    end: float
    diffusion: Callable[[Node, Nodes], Sequence[Sequence[Node | None]]] | None = None
    channels: int = 1
    calculus: Calculus = "ito"
    kinds: frozenset[NoiseKind] | None = None
    stiff: Callable[[Node, Nodes], Sequence[Node | None]] | None = None
    """What of the equation is marked as stiff; `equation` is the rest then."""
    coefficients: tuple[tuple[str, float], ...] = ()
    """What a scheme reads in every step besides, by name."""
    orders: tuple[float, ...] = ()
    """Of Caputo derivatives in place of x', one a state."""

    def solve(self) -> Solve:
        """The solve of it from an input for each state, kept at the end."""
        t = leaf(ARGUMENT, "t", TensorType("real"))
        x = tuple(leaf(ARGUMENT, name, NUMBER) for name in self.states)
        terms = [Term("drift", tuple(range(len(x))))]
        results = [value if value.type.batched else SPREAD(value, x[0]) for value in self.equation(t, x)]
        for state, marked in enumerate(() if self.stiff is None else self.stiff(t, x)):
            if marked is not None:
                terms.append(Term("stiff", (state,)))
                results.append(marked)
        for channel, factors in enumerate(() if self.diffusion is None else self.diffusion(t, x)):
            for state, factor in enumerate(factors):
                if factor is not None:
                    terms.append(Term("diffusion", (state,), "W", "entry", channel))
                    results.append(factor)
        if self.orders:
            terms.append(Term("order", tuple(range(len(x)))))
            results += [constant(order) for order in self.orders]
        noises = () if self.diffusion is None else (Noise("W", self.channels, calculus=self.calculus),)
        spec = SolveSpec(
            self.name, self.name, tuple(State(name) for name in self.states), Interval((0.0, self.end), False),
            terms=tuple(terms), noises=noises,
        )  # fmt: skip
        initial = tuple(leaf(INPUT, f"{name}_0", NUMBER) for name in self.states)
        solve = Solve(spec, Region((t, *x), tuple(results)), initial)
        rows = [Row(name, "coefficients") for name, _ in self.coefficients]
        solve = solve.with_rows(rows, [constant(np.array([value])) for _, value in self.coefficients])
        return solve.rebuilt(spec=replace(solve.spec, kinds=noise_kinds(solve) if self.kinds is None else self.kinds))

    def start(self, paths: int) -> dict[str, Array]:
        """The inputs of `solve`, (paths,)."""
        w = None if self.diffusion is None else np.zeros((self.channels, paths, 1))
        found = self.exact(np.zeros(1), w)
        return {f"{name}_0": np.full(paths, np.ravel(x)[0]) for name, x in zip(self.states, found, strict=True)}


def _coupled(t: Node, x: Nodes) -> list[Node]:
    u, v = x
    return [u * v, -SIN(t) * POW(u * EXP(-SIN(t)), 3.0)]


def _coupled_solution(t: Array, _: Array | None) -> list[Array]:
    return [np.exp(np.sin(t)), np.cos(t)]


COUPLED = OrderProblem(
    "coupled", ("u", "v"), _coupled, _coupled_solution, 4.0,
)  # fmt: skip
"""u' = u v, v' = -sin t (u exp(-sin t))^3: nonlinear and nonautonomous, solved by u = exp(sin t), v = cos t."""

DRIVEN = OrderProblem(
    "driven", ("x",), lambda t, x: [-x[0] * x[0] * COS(t)], lambda t, _: [1 / (1.5 + np.sin(t))], 3.0,
)  # fmt: skip
"""x' = -x^2 cos t, x(0) = 2/3: one nonlinear equation, solved by x = 1 / (3/2 + sin t)."""

SEPARABLE = OrderProblem(
    "separable", ("q", "p"), lambda t, x: [x[1], -x[0]], lambda t, _: [np.sin(t), np.cos(t)], 5.0,
)  # fmt: skip
"""q' = p, p' = -q: each state is moved by the other alone, as schemes that move states in turn want it."""


def _swung(t: Node, x: Nodes) -> list[Node]:
    """The forces are -q^3 and p^3 but for what makes q = sin t, p = cos 2t their solution."""
    q, p = x
    fast = COS(2.0 * t)
    return [POW(p, 3.0) + COS(t) - fast * fast * fast, -POW(q, 3.0) - 2.0 * SIN(2.0 * t) + POW(SIN(t), 3.0)]


SWUNG = OrderProblem(
    "swung", ("q", "p"), _swung, lambda t, _: [np.sin(t), np.cos(2 * t)], 2.0,
)  # fmt: skip
"""q' = p^3 + a(t), p' = -q^3 + b(t): nonlinear forces on both sides that change with time, for states moved in turn."""

DAMPED = OrderProblem(
    "damped", ("q", "p"),
    lambda t, x: [x[1] + COS(t) - COS(2.0 * t), COS(2.0 * t) * SIN(t) - 2.0 * SIN(2.0 * t) - x[0] * x[1]],
    lambda t, _: [np.sin(t), np.cos(2 * t)], 3.0,
)  # fmt: skip
"""q' = p + a(t), p' = -q p + b(t): a friction that depends on the position."""

FORCED_DECAY = OrderProblem(
    "forced_decay", ("x",), lambda t, x: [COS(t) + 2.0 * SIN(t) - x[0] * x[0] + SIN(t) * SIN(t)],
    lambda t, _: [np.sin(t)], 3.0, stiff=lambda t, x: [-2.0 * x[0]],
)  # fmt: skip
"""x' = -2 x + n(t, x), solved by x = sin t: a linear part that is a number, and a rest that is not linear."""

ROTATED = OrderProblem(
    "rotated", ("u", "v"),
    lambda t, x: [
        COS(t) - 0.5 * COS(2.0 * t) + SIN(t) * SIN(t) - x[0] * x[0],
        SIN(t) - 2.0 * SIN(2.0 * t) + x[0] * x[1] - SIN(t) * COS(2.0 * t),
    ],
    lambda t, _: [np.sin(t), np.cos(2 * t)], 3.0, stiff=lambda t, x: [0.5 * x[1], -1.0 * x[0]],
)  # fmt: skip
"""u' = v/2 + a(t, u, v), v' = -u + b(t, u, v): a linear part that is a matrix."""

GATED = OrderProblem(
    "gated", ("v", "m"),
    lambda t, x: [2.0 * COS(t) - x[1], (1.0 + x[0] * x[0]) * COS(t) - SIN(t)],
    lambda t, _: [np.sin(t), np.cos(t)], 3.0, stiff=lambda t, x: [None, -(1.0 + x[0] * x[0]) * x[1]],
)  # fmt: skip
"""m' = -(1 + v^2) m + n(t, v): a rate that depends on another state, as that of a gate does."""

KNOWN = (COUPLED, DRIVEN, SEPARABLE)
"""Of these, and of those with noise, a scheme takes the ones whose equations suit it."""

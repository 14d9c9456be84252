"""Equations whose solutions are known in closed form: what the order of a scheme is measured on.

Each is written out here in the graph language, and its solution beside it in numpy. A scheme whose family needs other
equations states its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isocline_compiler.graph import ARGUMENT, INPUT, Array, Node, Nodes, Region, leaf
from isocline_compiler.graph.solve import Interval, Noise, Solve, SolveSpec, State, Term
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.ops.arithmetic import POW
from isocline_compiler.ops.elementwise import COS, EXP, SIN
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.noise_kinds import noise_kinds

NUMBER = TensorType("real", (BATCH,))


@dataclass(frozen=True)
class OrderProblem:
    """x' = `equation`(t, x), or dx = equation dt + `diffusion` dW, over 0..`end`, with its solution in closed form.

    `exact`(times (n,), Brownian paths (paths, n) or None) gives the states, (paths, n) each.
    """

    name: str
    states: tuple[str, ...]
    equation: Callable[[Node, Nodes], Sequence[Node]]
    exact: Callable[[Array, Array | None], Sequence[Array]]
    end: float
    diffusion: Callable[[Node, Nodes], Sequence[Node]] | None = None

    def solve(self) -> Solve:
        """The solve of it from an input for each state, kept at the end."""
        t = leaf(ARGUMENT, "t", TensorType("real"))
        x = tuple(leaf(ARGUMENT, name, NUMBER) for name in self.states)
        terms = [Term("drift", tuple(range(len(x))))]
        results = list(self.equation(t, x))
        if self.diffusion is not None:
            terms.append(Term("diffusion", tuple(range(len(x))), "W", "entry"))
            results += self.diffusion(t, x)
        noises = () if self.diffusion is None else (Noise("W", 1),)
        spec = SolveSpec(
            self.name, self.name, tuple(State(name) for name in self.states), Interval((0.0, self.end), False),
            terms=tuple(terms), noises=noises,
        )  # fmt: skip
        spread = tuple(value if value.type.batched else SPREAD(value, x[0]) for value in results)
        initial = tuple(leaf(INPUT, f"{name}_0", NUMBER) for name in self.states)
        solve = Solve(spec, Region((t, *x), spread), initial)
        return solve.rebuilt(spec=replace(spec, kinds=noise_kinds(solve)))

    def start(self, paths: int) -> dict[str, Array]:
        """The inputs of `solve`, (paths,)."""
        w = None if self.diffusion is None else np.zeros((paths, 1))
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

GEOMETRIC = OrderProblem(
    "geometric", ("x",), lambda t, x: [0.5 * x[0]],
    lambda t, w: [np.exp((0.5 - 0.3**2 / 2) * t + 0.3 * (0.0 if w is None else w))], 1.0,
    diffusion=lambda t, x: [0.3 * x[0]],
)  # fmt: skip
"""dx = x/2 dt + 3/10 x dW (Ito), x(0) = 1: solved by exp((1/2 - 9/200) t + 3/10 W). Kloeden, Platen (1992), 4.2."""

KNOWN = (COUPLED, DRIVEN, SEPARABLE, GEOMETRIC)
"""Of these a scheme takes the ones whose equations suit it."""

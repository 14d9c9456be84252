"""What schemes for equations with noise say about themselves, and what they share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Node, Nodes, Operand, constant
from isocline_compiler.graph.noise import Calculus, Noise, NoiseKind
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.ops.elementwise import ABS, SQRT
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field, Stirred
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_dsl import messages

Increments: TypeAlias = Mapping[str, Node]
"""What g is multiplied with, by the names of the noises, (batch, m) each."""
BOTH: tuple[Calculus, ...] = ("ito", "stratonovich")


@dataclass(frozen=True, eq=False)
class Stochastic(Scheme, ABC):
    """A scheme for dx = f dt + g dW.

    `strong` and `weak` are its orders for each kind of noise that it converges for: an equation has the largest of
    those that hold of it. `calculi`: whose integral it converges to, where they differ. `jumps`: whether it takes noise
    that is not Brownian.
    """

    name: str
    strong: Mapping[NoiseKind, float]
    weak: Mapping[NoiseKind, float]
    calculi: tuple[Calculus, ...]
    reference: str
    normals: int = 1
    jumps: bool = False
    order: float = field(init=False)
    """The strong order for the most general noise it takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", min(self.strong.values()))

    def strong_order(self, kinds: frozenset[NoiseKind]) -> float:
        """The strong order for a noise of these kinds."""
        return max(order for kind, order in self.strong.items() if kind in kinds)

    def weak_order(self, kinds: frozenset[NoiseKind]) -> float:
        """The weak order for a noise of these kinds."""
        return max(order for kind, order in self.weak.items() if kind in kinds)

    def fits(self, solve: Solve) -> Misfit | None:
        """Why it does not converge to the solution of these equations; None where it does."""
        reason = self._misfit(solve.spec)
        return None if reason is None else lambda span: messages.scheme_does_not_fit(span, self.name, reason)

    def _misfit(self, spec: SolveSpec) -> str | None:
        if not spec.noises:
            return "it is for a field with noise"
        if not self.jumps and any(noise.process != "brownian" for noise in spec.noises):
            return "it is for Brownian noise alone"
        if "additive" not in spec.kinds and spec.calculus not in self.calculi:
            return f"it converges to {CALCULUS[self.calculi[0]]} integral, and the noise is {spec.calculus}"
        if not spec.kinds & self.strong.keys():
            needed = " or ".join(self.strong)
            return f"it needs {needed} noise, and that of `{spec.field}` is {kind_of(spec.kinds)}"
        return None


CALCULUS: Mapping[Calculus, str] = {"ito": "Ito's", "stratonovich": "Stratonovich's"}
_NARROWEST: tuple[NoiseKind, ...] = ("additive", "diagonal", "scalar", "commutative", "general")


def kind_of(kinds: frozenset[NoiseKind]) -> str:
    """All that holds of a noise in one phrase, the strongest first: "additive diagonal", "general"."""
    found = [kind for kind in _NARROWEST if kind in kinds]
    telling = [kind for kind in found if kind not in ("commutative", "general")]
    return " ".join(telling or found[:1])


# ---------------------------------------------------------------------------------------------------- what they share


def increments(field: Field, step: Step) -> Increments:
    """dW of each noise, (batch, m)."""
    return {noise.name: _normal(step.rows[noise.name], 0, noise.size) for noise in field.spec.noises}


def areas(field: Field, step: Step) -> Increments:
    r"""The space-time Lévy area of each noise, H = (1/h) int_0^h (W_s - (s/h) W_h) ds ~ N(0, h/12), (batch, m).

    It is independent of the increment; int_0^h W_s ds = h (W_h / 2 + H). Foster, Lyons, Oberhauser (2020).
    """
    return {noise.name: _normal(step.rows[noise.name], 1, noise.size) for noise in field.spec.noises}


def _normal(row: Node, place: int, size: int) -> Node:
    if row.size(1) == size:
        return row
    return SLICE(row, axis=1, start=place * size, stop=(place + 1) * size)


def time_integrals(field: Field, step: Step) -> Increments:
    r"""I_(1,0) / h of each noise, (batch, m): I_(1,0) = int_0^h W_s ds = h (dW / 2 + H), and its variance h^3 / 3."""
    h_areas = areas(field, step)
    return {name: 0.5 * dw + h_areas[name] for name, dw in increments(field, step).items()}


def ones(field: Field) -> Increments:
    """1 in every channel: of diagonal or scalar noise, g 1 holds in each state the one factor that drives it."""
    return {noise.name: constant(np.ones((1, noise.size))) for noise in field.spec.noises}


def unit(noise: Noise, channel: int) -> Increments:
    """1 in one channel: g e_j is b_j, that column of g."""
    return {noise.name: constant(np.eye(noise.size)[None, channel])}


def channels(field: Field) -> Iterator[tuple[Noise, int]]:
    """Every channel of every noise."""
    return ((noise, j) for noise in field.spec.noises for j in range(noise.size))


def each_drives_its_own(field: Field) -> bool:
    """Whether `ones` tells the columns of g apart."""
    return bool(field.spec.kinds & {"diagonal", "scalar"})


def span(h: Operand) -> Operand:
    """|h|: a walk backwards in time has increments of the same size."""
    return ABS(h) if isinstance(h, Node) else abs(h)


def root(h: Operand) -> Operand:
    """sqrt |h|."""
    return SQRT(ABS(h)) if isinstance(h, Node) else sqrt(abs(h))


def beside(h: Operand) -> Operand:
    """The width of a step beside increments (batch, m)."""
    return RESHAPE(h, shape=(h.shape[0], 1)) if isinstance(h, Node) and h.type.batched else h


def drifted(step: Step, x: Nodes, slopes: Nodes) -> Nodes:
    """x + f h."""
    return tuple(a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True))


def moved(x: Nodes, *stirs: Stirred) -> Nodes:
    """x with what noise adds to it."""
    found = list(x)
    for stirred in stirs:
        found = [a if b is None else a + b for a, b in zip(found, stirred, strict=True)]
    return tuple(found)


def scaled(factors: Operand | Sequence[Operand], stirred: Stirred) -> Stirred:
    """A factor times each entry, or a factor for each."""
    each = factors if isinstance(factors, Sequence) else (factors,) * len(stirred)
    return tuple(
        None if b is None else b if isinstance(c, int | float) and c == 1 else c * b
        for c, b in zip(each, stirred, strict=True)
    )


def total(parts: Sequence[Stirred]) -> Stirred:
    """The sum, state by state: what is small is added up before it meets the state, which is large."""
    sums: list[Node | None] = list(parts[0])
    for part in parts[1:]:
        sums = [b if a is None else a if b is None else a + b for a, b in zip(sums, part, strict=True)]
    return tuple(sums)

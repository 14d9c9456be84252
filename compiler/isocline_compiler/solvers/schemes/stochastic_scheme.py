"""What schemes for equations with noise say about themselves, and what they share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass

from isocline_compiler.graph import Node, Nodes
from isocline_compiler.graph.solve import Calculus, NoiseKind, SolveSpec
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.solvers.field import Field, Stirred
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_dsl import messages

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

    @property
    def order(self) -> float:  # type: ignore[override]
        """The strong order for the most general noise it takes."""
        return min(self.strong.values())

    def strong_order(self, kinds: frozenset[NoiseKind]) -> float:
        """The strong order for a noise of these kinds."""
        return max(order for kind, order in self.strong.items() if kind in kinds)

    def weak_order(self, kinds: frozenset[NoiseKind]) -> float:
        """The weak order for a noise of these kinds."""
        return max(order for kind, order in self.weak.items() if kind in kinds)

    def fits(self, spec: SolveSpec) -> Misfit | None:
        """Why it does not converge to the solution of these equations; None where it does."""
        reason = self._misfit(spec)
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


def increments(field: Field, step: Step) -> dict[str, Node]:
    """dW of each noise, (batch, m)."""
    return {noise.name: _normal(step.rows[noise.name], 0, noise.size) for noise in field.spec.noises}


def areas(field: Field, step: Step) -> dict[str, Node]:
    r"""The space-time Lévy area of each noise, H = (1/h) int_0^h (W_s - (s/h) W_h) ds ~ N(0, h/12), (batch, m).

    It is independent of the increment; int_0^h W_s ds = h (W_h / 2 + H). Foster, Lyons, Oberhauser (2020).
    """
    return {noise.name: _normal(step.rows[noise.name], 1, noise.size) for noise in field.spec.noises}


def _normal(row: Node, place: int, size: int) -> Node:
    if row.size(1) == size:
        return row
    return SLICE(row, axis=1, start=place * size, stop=(place + 1) * size)


def drifted(step: Step, x: Nodes, slopes: Nodes) -> Nodes:
    """x + f h."""
    return tuple(a + h * k for a, h, k in zip(x, step.widths, slopes, strict=True))


def moved(x: Nodes, *stirs: Stirred) -> Nodes:
    """x with what noise adds to it."""
    found = list(x)
    for stirred in stirs:
        found = [a if b is None else a + b for a, b in zip(found, stirred, strict=True)]
    return tuple(found)

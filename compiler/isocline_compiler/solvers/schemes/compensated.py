"""Compensated summation: a scheme whose states carry what each of their sums rounded off."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Array, Nodes, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.arithmetic import ROUNDED_OFF
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages


@dataclass(frozen=True)
class Compensated(Around):
    r"""y = dx + (r - c),   x' = x + y,   c' = ((x' - x) - y) + ((y - dx) - (r - c)),   c = 0 at first.

    dx is the increment of another scheme, c what was too much in the sums so far, and r what dx lacks because the
    scheme's coefficients are rounded: a clock that goes wrong by a part in 10^7 is seen after a long solve. Without
    them the rounding of n sums grows as n, with them it stays at one: |error| <= 2 u + O(n u^2), u the unit of
    rounding. A step takes seven more operations for each state, and one more value goes round. Kahan (1965), Comm. ACM
    8, 40; Higham (2002), Accuracy and Stability of Numerical Algorithms, 4.3.
    """

    @classmethod
    def of(cls, inner: Scheme) -> Compensated:
        """The same scheme, its states compensated."""
        reference = f"{inner.reference}; summed as in Kahan (1965), Comm. ACM 8, 40"
        return cls(inner, f"compensated {inner.name}", inner.order, reference, inner.normals)

    def start(self, field: Field, x: Nodes) -> Memory:
        """What the other scheme remembers, and nothing that was rounded off."""
        return self.inner.start(field, x), tuple(broadcast_like(constant(0.0), value) for value in x)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step of the other scheme, its increments added to what is left of the sums before."""
        inner, carried = memory
        found = self.inner.increments(inner, field, step, x)
        assert found is not None, "`fits` asks for increments"
        inner, increments, rests = found
        left = tuple(rest - carry for rest, carry in zip(rests, carried, strict=True))
        moves = tuple(move + more for move, more in zip(increments, left, strict=True))
        after = tuple(value + move for value, move in zip(x, moves, strict=True))
        too_much = tuple(
            ROUNDED_OFF(value, move) + ROUNDED_OFF(increment, more)
            for value, move, increment, more in zip(x, moves, increments, left, strict=True)
        )
        return (inner, too_much), after

    def fits(self, solve: Solve) -> Misfit | None:
        """What the other scheme says; and it has to give increments."""
        if "compensated" not in self.inner.options:
            return lambda span: messages.scheme_does_not_fit(
                span, self.inner.name, "it has no increments to compensate"
            )
        if solve.spec.events:
            return lambda span: messages.scheme_does_not_fit(
                span, f"compensated {self.inner.name}", "the field jumps at a state, and what sums rounded off does not"
            )
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the other scheme."""
        return self.inner.stability(z)

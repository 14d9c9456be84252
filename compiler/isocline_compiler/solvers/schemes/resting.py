"""Steps of no length, which times that come with the input ask for: a scheme that divides by the width skips them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isocline_compiler.graph import Array, Node, Nodes, Operand, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.comparison import EQUAL, WHERE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step

SHORT = 1e-6
"""The width of a step that is taken and dropped in place of one of none: float32 holds the square of its inverse."""


@dataclass(frozen=True)
class Resting(Around):
    """x' = x where h = 0, of each sample; everywhere else the step of another scheme."""

    @classmethod
    def of(cls, inner: Scheme) -> Scheme:
        """The same scheme where steps may have no length: itself where it does not divide by their width."""
        plain = inner.inner if isinstance(inner, Compensated) else inner
        return cls(inner, inner.name, inner.order, inner.reference, inner.normals) if plain.divides else inner

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step of the scheme, dropped where it should have had no length."""
        taken = replace(step, h=_longer(step.h), widths=tuple(map(_longer, step.widths)))
        memory, after = self.inner.advance(memory, field, taken, x)
        pairs = zip(step.widths, x, after, strict=True)
        return memory, tuple(
            WHERE(EQUAL(h, constant(0.0)), before, then) if isinstance(h, Node) else then for h, before, then in pairs
        )

    def fits(self, solve: Solve) -> Misfit | None:
        """What the scheme says."""
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the scheme."""
        return self.inner.stability(z)


def _longer(h: Operand) -> Operand:
    return WHERE(EQUAL(h, constant(0.0)), constant(SHORT), h) if isinstance(h, Node) else h

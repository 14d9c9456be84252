"""Schemes whose steps are cut where the states jump."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Array, Nodes
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.cost import Cost
from isocline_compiler.solvers.schemes.events import located
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step


@dataclass(frozen=True)
class Located(Around):
    """A scheme whose steps end at the jumps of the states inside of them, at most one of each event in a step."""

    @classmethod
    def of(cls, inner: Scheme, spec: SolveSpec) -> Scheme:
        """The same scheme, where the solve has events: itself where it has none."""
        return cls(inner, inner.name, inner.order, inner.reference, inner.normals) if spec.events else inner

    def start(self, field: Field, x: Nodes) -> Memory:
        """Nothing: what a step remembers would be of states that have jumped."""
        return None

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step, cut at the events in it."""
        return None, located(self.inner, field, step, x)

    def cost(self, solve: Solve) -> Cost:
        """What the scheme says, which counts the events of a solve."""
        return self.inner.cost(solve)

    def fits(self, solve: Solve) -> Misfit | None:
        """What the scheme says."""
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the scheme."""
        return self.inner.stability(z)

"""Schemes around another: they step as it does, and do something more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isocline_compiler.graph import Nodes
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Memory


@dataclass(frozen=True)
class Around(Scheme):
    """What is said of the `inner` scheme, said again of the one around it."""

    inner: Scheme
    name: str
    order: float
    reference: str
    normals: int

    @property
    def splits(self) -> bool:
        """As the inner scheme."""
        return self.inner.splits

    def start(self, field: Field, x: Nodes) -> Memory:
        """What the inner scheme remembers."""
        return self.inner.start(field, x)

    def onto(self, times: Sequence[float]) -> Scheme:
        """The same around the inner scheme on a grid of these nodes."""
        inner = self.inner.onto(times)
        return self if inner is self.inner else replace(self, inner=inner)

    def tabled(self, solve: Solve) -> Solve:
        """With what the inner scheme reads."""
        return self.inner.tabled(solve)

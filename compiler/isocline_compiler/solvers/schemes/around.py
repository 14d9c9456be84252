"""Schemes around another: they step as it does, and do something more."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Nodes
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

    def start(self, field: Field, x: Nodes) -> Memory:
        """What the inner scheme remembers."""
        return self.inner.start(field, x)

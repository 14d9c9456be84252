"""Values within a body, such as a field, as values of the file around it: arguments replaced by what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isocline_compiler.graph import Node, transform
from isocline_compiler.solvers.points import enlarge


@dataclass(frozen=True)
class Body:
    """What arguments of a body stand for: a value each, or with `count` one of so many points of each sample."""

    arguments: dict[Node, Node]
    count: int | None = None

    def outside(self, x: Node) -> Node:
        """x with what its arguments stand for in their place."""
        rebuild = Node.rebuilt if self.count is None else enlarge(self.count)
        (moved,) = transform([x], rebuild, self.arguments)
        return moved


def outside(x: Node, bodies: Sequence[Body]) -> Node:
    """x as a value of the file: of the body that was entered last first, since its arguments may read another's.

    What a body alone has, a state or the time, stays an argument.
    """
    for body in reversed(bodies):
        x = body.outside(x)
    return x

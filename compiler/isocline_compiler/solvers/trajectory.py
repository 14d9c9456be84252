"""A solve on its grid, for whoever looks at it on the way: attribution along the path, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isocline_compiler.graph import Node


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The times of the grid's nodes, (n,) or (batch, n), and what stands for each of the author's states there.

    That is a value (batch, *state) for each node of the grid, or, for the nodes inside of a loop, a block (segments,
    steps, batch, *state) of zeros that are added to the state after each step. The derivative with respect to either is
    that with respect to the state there. `name` is the solve's.
    """

    name: str
    times: Node
    states: Mapping[str, tuple[Node, ...]]

    def place(self, state: str, index: int) -> tuple[Node, tuple[int, ...]]:
        """The node that belongs to a node of the grid, and where in it: (segment, step) of a block, else nothing."""
        for node in self.states[state]:
            count = points_in(node)
            if index < count:
                return node, () if node.type.batched else divmod(index, int(node.size(1)))
            index -= count
        raise IndexError(f"the grid of {self.name} has no node {index} places after its last")

    def count(self, state: str) -> int:
        """Nodes of the grid."""
        return sum(map(points_in, self.states[state]))


def points_in(node: Node) -> int:
    """How many nodes of a grid a value of a trajectory stands for."""
    return 1 if node.type.batched else int(node.size(0)) * int(node.size(1))

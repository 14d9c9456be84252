"""What a function may ask of the place it is called from."""

from __future__ import annotations

from typing import Literal, Protocol

from isocline_compiler.graph import Node
from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.model import Initializer


class Scope(Protocol):
    """Where weights come from. Every call of a layer has a path of its own, such as `correction.dense_2`."""

    @property
    def whole_split(self) -> bool:
        """True in a `check`: a reduction over everything then includes the samples and gives one number."""
        ...

    def weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initial: Initializer,
        role: Literal["trained", "running"] = "trained",
    ) -> Node:
        """A new weight leaf of this shape (no batch axis) at `path.name`."""
        ...

    def density(self, mean: Node, shape: Shape) -> None:
        """Say that `mean` is the mean of -log p over the entries of a sample, an array of this shape."""
        ...

    def statistic(self, source: Node, axes: tuple[int, ...]) -> tuple[Node, Node]:
        """Mean and deviation of `source` on the training split, one for each index along the per-sample `axes`.

        Both have the shape of the kept sizes alone, () when `axes` is empty. The same source and axes give the same
        leaves.
        """
        ...

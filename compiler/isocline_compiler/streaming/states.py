"""The states that go from step to step: their names, and their inputs and outputs in the files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from isocline_compiler.graph import INPUT, Node, leaf
from isocline_compiler.graph.tensor_type import BATCH, TensorType, points_in
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS

COUNTER = "step"
"""The state that counts the steps, of those that read something that depends on their number."""


@dataclass(frozen=True)
class Pair:
    """A state: the input that takes it, the output with the next, and the output of the start with the first."""

    name: str

    @property
    def past(self) -> str:
        return f"past_{self.name}"

    @property
    def present(self) -> str:
        return f"present_{self.name}"

    @property
    def initial(self) -> str:
        return f"initial_{self.name}"


def distinct(names: list[str], taken: set[str]) -> list[str]:
    """Names for states in files: letters, digits and underscores, each once, and apart from those of the model."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name)
        while plain in (*found, COUNTER) or {f"{word}_{plain}" for word in ("past", "present", "initial")} & taken:
            plain += "_"
        found.append(plain)
    return found


def outside(name: str, of: TensorType) -> Node:
    """The input for a state: its samples have an axis of their own."""
    if not of.batched or of.shape[0] == BATCH:
        return leaf(INPUT, name, of)
    return leaf(INPUT, name, of.with_shape((BATCH, points_in(str(of.shape[0])), *of.sample)))


def merged(x: Node, of: TensorType) -> Node:
    return x if x.type == of else MERGE_POINTS(x)


def split(x: Node) -> Node:
    """The output for a state, with the axis of its samples."""
    return x if not x.type.batched or x.shape[0] == BATCH else SPLIT_POINTS(x, count=points_in(str(x.shape[0])))


__all__ = ["COUNTER", "Pair", "distinct", "merged", "outside", "split"]

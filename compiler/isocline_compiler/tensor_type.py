"""Types of values: an element kind and a shape whose sizes are integers or names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Size: TypeAlias = int | str
Shape: TypeAlias = tuple[Size, ...]
Kind: TypeAlias = Literal["real", "int", "bool"]

BATCH = "batch"
"""The name of the implicit leading axis of everything that depends on an input."""


@dataclass(frozen=True)
class TensorType:
    """`real[batch, 3]`. `real` is the working precision: float64 while compiling, float32 or float64 when deployed."""

    kind: Kind
    shape: Shape = ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def batched(self) -> bool:
        return bool(self.shape) and self.shape[0] == BATCH

    @property
    def sample(self) -> Shape:
        """The shape of one sample, which is what the author of a file sees."""
        return self.shape[1:] if self.batched else self.shape

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.kind, tuple(shape))

    def __str__(self) -> str:
        return self.kind + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")


def describe(type_: TensorType) -> str:
    """The type as the author writes it, without the batch axis: `real[3]`."""
    return str(type_.with_shape(type_.sample))


def broadcast(left: Shape, right: Shape) -> Shape | None:
    """The common shape by numpy's rule, or None. A named size fits itself and 1, nothing else."""
    rank = max(len(left), len(right))
    padded = ((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right)
    sizes = []
    for a, b in zip(*padded, strict=True):
        if a != b and a != 1 and b != 1:
            return None
        sizes.append(b if a == 1 else a)
    return tuple(sizes)

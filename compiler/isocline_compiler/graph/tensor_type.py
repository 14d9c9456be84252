"""Types of values: an element kind and a shape whose sizes are integers or names."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

Size: TypeAlias = int | str
Shape: TypeAlias = tuple[Size, ...]
Kind: TypeAlias = Literal["real", "int", "bool"]

BATCH = "batch"
"""The name of the implicit leading axis of everything that depends on an input."""


def points_of(batch: str, count: int) -> str:
    """The name of a batch axis that holds `count` points for each sample: the product that it is, `17*batch`.

    It differs from the plain one: onnxruntime may reuse a buffer between values whose named sizes are equal. It is the
    product: tract 0.23 multiplies names where axes are folded, and refuses a file that states another one.
    """
    return f"{count}*{batch}"


def points_in(batch: str) -> int:
    """How many points each sample has along a batch axis of this name: 32*batch -> 32."""
    return prod(int(factor) for factor in batch.split("*")[:-1])


def is_batch(size: Size) -> bool:
    """Whether a leading axis of this size counts samples, or points of samples."""
    return isinstance(size, str) and (size == BATCH or size.endswith(f"*{BATCH}"))


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
        return bool(self.shape) and is_batch(self.shape[0])

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

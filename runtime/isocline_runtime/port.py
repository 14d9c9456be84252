"""One input or output of a model, as a manifest describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

BATCH = "batch"
DTYPES = ("float32", "float64", "int64", "bool")


@dataclass(frozen=True)
class Port:
    """One input or output.

    `shape` holds sizes and names of sizes; a leading "batch" is the number of samples. Values lie in the open
    interval (low, high), None is unbounded. With `classes` = k the values are the labels 0..k-1. `columns` are those of
    the data that the model was trained on, in the order of a sample's entries; none when there were no such data.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str | None = None
    description: str | None = None
    low: float | None = None
    high: float | None = None
    classes: int | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.name), "a port needs a name")
        require(self.dtype in DTYPES, f"dtype {self.dtype!r}: expected one of {', '.join(DTYPES)}")
        require(all(_is_size(size) for size in self.shape), "a size is a number from 0 or a name")
        require(BATCH not in self.shape[1:], '"batch" stands first in a shape')
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        require(all(math.isfinite(bound) for bound in bounds), "bounds are finite; null is unbounded")
        require(bounds == sorted(set(bounds)), "low must be below high")
        require(self.classes is None or (self.classes > 0 and self.dtype == "int64"), "classes need int64")
        require(len(set(self.columns)) == len(self.columns), "a column is there twice")
        entries = math.prod(size for size in self.sample_shape if isinstance(size, int))
        require(not self.columns or entries == len(self.columns), "there is one column for each entry")

    @property
    def batched(self) -> bool:
        """Whether the first axis counts samples."""
        return self.shape[:1] == (BATCH,)

    @property
    def sample_shape(self) -> tuple[int | str, ...]:
        """The shape of one sample: without the batch axis."""
        return self.shape[1:] if self.batched else self.shape

    def __str__(self) -> str:
        sizes = ", ".join(map(str, self.shape))
        return f"{self.dtype}[{sizes}]" if self.shape else self.dtype


def require(condition: bool, reason: str) -> None:
    """Raises ValueError with the reason where a record does not hold what it must."""
    if not condition:
        raise ValueError(reason)


def _is_size(size: int | str) -> bool:
    return bool(size) if isinstance(size, str) else size >= 0

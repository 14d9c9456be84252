"""One input or output of a model, as a manifest describes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = "batch"
DTYPES = ("float32", "float64", "int64", "bool")


@dataclass(frozen=True)
class Port:
    """One input or output.

    `shape` holds sizes and names of sizes; a leading "batch" is the number of samples. Values lie in the open
    interval (low, high), None is unbounded. With `classes` = k the values are the labels 0..k-1. `columns` are those of
    the data that the model was trained on, in the order of a sample's entries; none when there were no such data.
    `default` holds the entries of a sample that stand where an input is left out, truth values as 0 and 1; none when it
    must be given. `members` name the classes, all but the last one, which is of whoever has none of these names.
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
    default: tuple[float, ...] = ()
    members: tuple[str, ...] = ()

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
        require(not self.members or self.classes == len(set(self.members)) + 1, "every class but the last has a name")
        if self.default:
            fixed = all(isinstance(size, int) for size in self.sample_shape)
            require(fixed and entries == len(self.default), "a default has one number for each entry")
            require(all(map(self._allows, self.default)), "a default is within the bounds, and of the dtype")

    def _allows(self, value: float) -> bool:
        whole = self.dtype.startswith("float") or value == math.floor(value)
        low, high = {"bool": (-1.0, 2.0)}.get(self.dtype, (self.low, self.high))
        if self.classes is not None:
            low, high = -1.0, float(self.classes)
        return whole and (low is None or low < value) and (high is None or value < high)

    @property
    def default_sample(self) -> NDArray[Any] | None:
        """The default as an array of one sample: float64, int64 or bool; None when the input must be given."""
        if not self.default:
            return None
        dtype = "float64" if self.dtype.startswith("float") else self.dtype
        return np.array(self.default, dtype).reshape([int(size) for size in self.sample_shape])

    def places(self, names: Sequence[object]) -> NDArray[Any]:
        """The classes of some names, as the data have them: in words, or numbers; the last for a name that has none."""
        known = {name: place for place, name in enumerate(self.members)}
        return np.array([known.get(member_name(name), len(known)) for name in names], dtype=np.int64)

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


def member_name(value: object) -> str:
    """A name in the form in which members are kept: a whole number without its point."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def require(condition: bool, reason: str) -> None:
    """Raises ValueError with the reason where a record does not hold what it must."""
    if not condition:
        raise ValueError(reason)


def _is_size(size: int | str) -> bool:
    return bool(size) if isinstance(size, str) else size >= 0

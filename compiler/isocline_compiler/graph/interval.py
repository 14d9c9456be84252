"""Intervals of arrays: between which numbers a value lies, whatever rounding did to it.

An entry whose ends are not numbers may be anything, and may not be a number; an infinite end is a value that may be
met. Integers and truth values (0, 1) have ends of float64 too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array

NUMPY = 2.0**-50
"""How far numpy's own functions are from the exact value, relative to it: eight units of float64."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Every value of an array lies between `low` and `high`, entry by entry."""

    low: Array
    high: Array

    @property
    def size(self) -> Array:
        """The largest absolute value of each entry."""
        found: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return found

    @property
    def is_finite(self) -> bool:
        """Whether every entry is a number, and none is infinite."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def has(self, value: float) -> Array:
        """Where an entry may have this value."""
        return (self.low <= value) & (value <= self.high)

    @property
    def may_be_infinite(self) -> Array:
        return np.isinf(self.low) | np.isinf(self.high)

    @property
    def is_unknown(self) -> Array:
        """Where an entry may not be a number."""
        return np.isnan(self.low) | np.isnan(self.high)

    def unknown_where(self, mask: Array) -> Interval:
        """The same, and nothing known where the mask says so."""
        if not np.any(mask):
            return self
        return Interval(np.where(mask, np.nan, self.low), np.where(mask, np.nan, self.high))

    def joined(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def within(self, other: Interval) -> bool:
        """Whether every entry lies in that of the other; nothing lies in what is not known."""
        return bool(np.all((other.low <= self.low) & (self.high <= other.high)))

    def row(self, index: int) -> Interval:
        """Entry `index` of the first axis."""
        return Interval(self.low[index], self.high[index])


def exactly(value: Array) -> Interval:
    """The interval of a value that is known."""
    ends = np.asarray(value, dtype=np.float64)
    return Interval(ends, ends)


def unknown(shape: tuple[int, ...]) -> Interval:
    """The interval of what nothing is known of."""
    return exactly(np.full(shape, np.nan))


@dataclass(frozen=True)
class Precision:
    """How a value is rounded: by at most `unit` of itself, to 0 below `smallest`, to infinity above `largest`."""

    unit: float
    smallest: float
    largest: float

    def rounded(self, low: Array, high: Array, units: float | Array = 1.0, absolute: float | Array = 0.0) -> Interval:
        """Ends that were computed by numpy, moved outward by what computing may add; rounding changes no sign.

        A result is within `units` rounding units of the exact one, and `absolute` besides.
        """
        moved = Interval(self._down(low, units, absolute), -self._down(-high, units, absolute))
        return moved.unknown_where(moved.is_unknown)

    def _down(self, end: Array, units: float | Array, absolute: float | Array) -> Array:
        room = np.abs(end) * (units * self.unit + NUMPY) + (self.smallest + absolute)
        moved = np.nextafter(np.where(np.isinf(end), end, end - room), -np.inf)
        moved = np.where(end >= 0, np.maximum(moved, 0.0), moved)
        moved = np.where(moved < -self.largest, -np.inf, moved)
        found: Array = np.where(moved > self.largest, self.largest, moved)
        return found

    def literal(self, value: Array) -> Interval:
        """A literal in this precision: what is no exact number of it lies beside one."""
        if value.dtype.kind != "f":
            return exactly(value)
        narrow = value if self is FLOAT64 else value.astype(np.float32)
        return exactly(narrow)


FLOAT32 = Precision(2.0**-24, float(np.finfo(np.float32).smallest_normal), float(np.finfo(np.float32).max))
FLOAT64 = Precision(2.0**-53, float(np.finfo(np.float64).smallest_normal), float(np.finfo(np.float64).max))


def precision_of(dtype: str) -> Precision:
    """The precision that a model is deployed in."""
    return FLOAT32 if dtype == "float32" else FLOAT64

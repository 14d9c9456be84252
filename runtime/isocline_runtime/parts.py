"""Any number of samples through a model, in parts where its batch is fixed; and how far two answers are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
Run: TypeAlias = Callable[[Arrays, "Array | None"], dict[str, Array]]
"""The outputs for inputs and the numbers of the rows of noise, where there is noise."""


def in_parts(run: Run, size: int | None, inputs: Arrays, rows: Array | None, noisy: bool) -> dict[str, Array]:
    """The outputs of a model that takes `size` samples a call, or any number; the last part is filled up.

    The noise is that of these rows, or of rows counted from 0.
    """
    count = max((len(array) for array in inputs.values()), default=1 if rows is None else len(rows))
    numbers = np.arange(count) if rows is None else rows
    if size is None or not (inputs or noisy):
        return run(inputs, rows)
    parts = []
    for start in range(0, count, size):
        mine = np.resize(numbers[start : start + size], size) if noisy else None
        parts.append(run(part_of(inputs, start, size), mine))
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def part_of(arrays: Arrays, start: int, size: int) -> dict[str, Array]:
    """So many samples from one on; the last ones are repeated where there are fewer."""
    return {name: np.resize(a[start : start + size], (size, *a.shape[1:])) for name, a in arrays.items()}


def kept(kind: str, stored: Arrays) -> dict[str, Array]:
    """The arrays of one kind in the samples of an artifact, by their own names."""
    return {name.removeprefix(f"{kind}/"): a for name, a in stored.items() if name.startswith(f"{kind}/")}


def largest_error(found: Array, expected: Array, least: Array | float = 0.0) -> float:
    """As the certificate defines it: of each sample, the largest difference relative to the largest magnitude, or to
    the `least` that is given.
    """
    rows = len(expected) if expected.ndim else 1
    a, b = (np.asarray(array, np.float64).reshape(rows, -1) for array in (found, expected))
    scale = np.maximum(np.abs(b).max(axis=1), least)
    errors = np.abs(a - b).max(axis=1) / np.where(scale > 0, scale, 1.0)
    return float(errors.max()) if np.isfinite(a).all() else float("inf")

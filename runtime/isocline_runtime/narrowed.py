"""Inputs that lose digits when they become those of the model, and what that does to the answer.

A certificate measures what rounding its samples does. Larger numbers are further apart: of seconds since 1970 float32
holds every 128th. Where such a value is rounded the model is run again, with the neighbour on the other side of it: the
value lies between the two, and half of what the outputs differ by is what its rounding may have moved. Times move
together where only their differences count, so that some runs move some of the values: every two of a sample are parted
by one run, whose number is a bit in which their places differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.manifest import Port

Array = NDArray[Any]


@dataclass(frozen=True)
class Narrowed:
    """The first value that was changed: of which input, where, what was given and what is held of it.

    `others` are the other neighbours of all such values by input, NaN where there is none, samples first if `batched`.
    """

    name: str
    index: tuple[int, ...]
    given: Any
    held: Any
    others: Mapping[str, Array]
    batched: Mapping[str, bool]

    def runs(self, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """The inputs to run besides `arrays`: with all values moved, then with those that have a bit in their place."""
        places, count = {}, 0
        for name, other in self.others.items():
            shape = other.shape[1:] if self.batched[name] else other.shape
            places[name] = count + np.arange(math.prod(shape)).reshape(shape)
            count += math.prod(shape)
        for bit in (None, *range(max(count - 1, 0).bit_length())):
            run = dict(arrays)
            for name, other in self.others.items():
                moves = np.isfinite(other) if bit is None else np.isfinite(other) & (places[name] >> bit & 1 == 1)
                run[name] = np.where(moves, other, arrays[name].reshape(other.shape)).reshape(arrays[name].shape)
            yield run


def find_narrowed(port: Port, given: Array, held: Array, measured: float) -> Narrowed | None:
    """What rounding changed where numbers are further apart than those near `measured`, or have fewer digits.

    None where every value is held, or is one whose rounding was measured. What comes in the type of the port was
    rounded by whoever gives it.
    """
    if given.dtype == held.dtype or held.dtype.kind != "f":
        return None
    size = np.abs(held)
    suspect = (size >= 2.0 ** math.frexp(measured)[1]) | (size < np.finfo(held.dtype).tiny)
    if not suspect.any():
        return None
    exact, rounded = given.astype(np.longdouble), held.astype(np.longdouble)
    lost = suspect & (exact != rounded)
    if not lost.any():
        return None
    other = np.nextafter(held, np.where(exact > rounded, np.inf, -np.inf).astype(held.dtype))
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(lost)), lost.shape))
    others = np.where(lost & np.isfinite(other), other, np.array(np.nan, dtype=held.dtype))
    batched = port.batched and held.ndim == len(port.shape)
    return Narrowed(port.name, index, given[index], held[index], {port.name: others}, {port.name: batched})


def joined(found: Sequence[Narrowed]) -> Narrowed | None:
    """The first, with the values of all."""
    if not found:
        return None
    others = {name: array for item in found for name, array in item.others.items()}
    batched = {name: side for item in found for name, side in item.batched.items()}
    return replace(found[0], others=others, batched=batched)


def moved_most(outputs: Mapping[str, Array], beside: Mapping[str, Array]) -> tuple[float, str]:
    """By how much of its usual size rounding may have moved an output, and which: the one it moved most."""
    moved = [(_moved(array, beside[name]), name) for name, array in outputs.items() if array.dtype.kind == "f"]
    return max(moved, default=(0.0, ""))


def _moved(first: Array, second: Array) -> float:
    """Half of the largest difference, relative to the root mean square."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    apart = float(np.abs(a - b).max(initial=0.0))
    usual = float(np.sqrt(np.mean(np.square(a)))) if a.size else 0.0
    if apart == 0:
        return 0.0
    return apart / 2 / usual if usual > 0 and math.isfinite(apart) else math.inf


def measured_of(certificate: Mapping[str, Any] | None) -> dict[str, float]:
    """Of each input the largest magnitude that a certificate measured; nothing without one."""
    found = (certificate or {}).get("largest_inputs")
    items = found.items() if isinstance(found, dict) else ()
    return {str(name): float(value) for name, value in items if isinstance(value, int | float) and value >= 0}


def bound_of(certificate: Mapping[str, Any] | None) -> float:
    """What rounding may do to an answer, as it is stated."""
    found = (certificate or {}).get("parity_bound")
    return float(found) if isinstance(found, int | float) else 0.0

"""Arrays against declarations: shapes with named sizes, labels in range, truth values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from isocline_compiler.data.place import Place
from isocline_compiler.graph import Array
from isocline_compiler.model import Port
from isocline_dsl.messages import data as messages

Sizes = dict[str, tuple[int, str]]
"""Each named size, with the port that fixed it."""

SINGLE = ("row", "rows")
"""Forms that make one sample of the whole file."""


def shaped(array: Array, port: Port, form: str, sizes: Sizes, place: Place) -> Array:
    """The array in the declared shape, the sample axis first when the port has one. Raises E516 or E517.

    A single column may stand for a number or for a vector; `columns` may be folded into an image of as many
    numbers.
    """
    lead = array.shape[:1] if port.batched else ()
    if not port.batched and form in SINGLE:
        array = array[0]
    array = _folded(array, port, form, len(lead))
    sample = array.shape[len(lead) :]
    if len(sample) != len(port.shape):
        raise place.error(messages.data_shape(place.span, port.name, _text(sample), _text(port.shape)))
    for found, expected in zip(sample, port.shape, strict=True):
        if isinstance(expected, str):
            _agree(expected, found, port, sizes, place)
        elif found != expected:
            raise place.error(messages.data_shape(place.span, port.name, _text(sample), _text(port.shape)))
    return array


def _folded(array: Array, port: Port, form: str, lead: int) -> Array:
    sample = array.shape[lead:]
    fixed = [size for size in port.shape if isinstance(size, int)]
    if len(sample) == len(port.shape) + 1 and sample[-1] == 1:
        return array[..., 0]
    if form == "columns" and len(fixed) == len(port.shape) and math.prod(fixed) == math.prod(sample):
        return array.reshape((*array.shape[:lead], *fixed))
    return array


def _agree(size: str, found: int, port: Port, sizes: Sizes, place: Place) -> None:
    known, other = sizes.setdefault(size, (found, port.name))
    if known != found:
        raise place.error(messages.data_size_disagrees(place.span, port.name, size, found, known, other))


def _text(shape: tuple[object, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "of a single number"


def typed(array: Array, port: Port, where: Callable[[int], str], place: Place) -> Array:
    """int64 for classes, bool for truth values, else float64. `where(i)` names sample i.

    Raises E514, E515 or E529.
    """
    if port.kind == "class":
        return _labels(array, port, where, place)
    if port.kind == "bool":
        return _truth(array, port, where, place)
    return array.astype(np.float64)


def _labels(array: Array, port: Port, where: Callable[[int], str], place: Place) -> Array:
    first = _first(array != np.round(array))
    if first is not None:
        raise place.error(messages.label_not_integral(place.span, port.name, array[first], where(first[0])))
    classes = port.classes or 2**53  # beyond it, a float64 is no label but a rounded one
    first = _first((array < 0) | (array >= classes))
    if first is not None:
        found = f"{array[first]:.0f}"
        raise place.error(messages.label_out_of_range(place.span, port.name, found, classes, where(first[0])))
    labels: Array = array.astype(np.int64)
    return labels


def _truth(array: Array, port: Port, where: Callable[[int], str], place: Place) -> Array:
    first = _first((array != 0) & (array != 1))
    if first is not None:
        raise place.error(messages.not_a_truth_value(place.span, port.name, array[first], where(first[0])))
    return array.astype(np.bool_)


def _first(wrong: Array) -> tuple[int, ...] | None:
    """The index of the first element that is true."""
    at = np.argwhere(np.atleast_1d(wrong))
    return tuple(int(i) for i in at[0]) if len(at) else None


def outside_bounds(array: Array, port: Port) -> list[str]:
    """A note when samples lie outside the declared bounds, within which alone the model is proved and run."""
    if port.bounds is None or array.dtype.kind == "b":
        return []
    samples = array.reshape(len(array), -1) if port.batched else array.reshape(1, -1)
    low, high = port.bounds
    wrong = ~((low < samples) & (samples < high))
    count = int(wrong.any(axis=1).sum())
    if not count:
        return []
    values = list(dict.fromkeys(f"{value:.6g}" for value in samples[wrong]))
    shown = ", ".join(values[:3]) + (", ..." if len(values) > 3 else "")
    verb = "lies" if count == 1 else "lie"
    return [f"`{port.name}`: {count} of {len(samples)} samples ({shown}) {verb} outside in ({low:g}, {high:g})"]

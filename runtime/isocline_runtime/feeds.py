"""The values of a call, checked against the signature before onnxruntime sees them.

Every refusal says which input, the first index at fault, what was found and what was expected.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input as messages
from isocline_runtime.manifest import Port
from isocline_runtime.narrowed import Narrowed, find_narrowed, joined

Array = NDArray[Any]
DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "int64", "bool")}
KINDS = {
    "f": "floats",
    "i": "integers",
    "u": "integers",
    "b": "truth values",
    "c": "complex numbers",
    "U": "text",
    "S": "bytes",
    "M": "dates",
    "m": "durations",
    "V": "records",
}


@dataclass(frozen=True)
class Feed:
    """Arrays for onnxruntime by name; `single` when the batch axis was added here and is to be taken off.

    `narrowed` tells of values that rounding changes where nobody measured what that does.
    """

    arrays: dict[str, Array]
    single: bool
    narrowed: Narrowed | None = None


NOWHERE: Mapping[str, float] = MappingProxyType({})


def prepare_feed(
    ports: Sequence[Port],
    given: Mapping[str, ArrayLike],
    measured: Mapping[str, float] = NOWHERE,
    rows: int | None = None,
) -> Feed:
    """Check names, shapes, kinds and values, and convert to the dtypes of the ports. Raises InputError.

    `measured` says of inputs up to which magnitude it is known that their rounding is harmless. Inputs that are left
    out are their defaults, of as many samples as the others, else of `rows`.
    """
    _check_names(ports, given)
    arrays = {port.name: as_array(port, given[port.name]) for port in ports if port.name in given}
    arrays |= left_out(ports, arrays, rows)
    single = _is_single(ports, arrays)
    _check_shapes(ports, arrays, single)
    converted = {port.name: _check_values(port, convert(port, arrays[port.name])) for port in ports}
    feed = {port.name: _with_batch(port, converted[port.name], single) for port in ports}
    lost = [
        find_narrowed(port, arrays[port.name], converted[port.name], measured[port.name])
        for port in ports
        if port.name in measured
    ]
    return Feed(feed, single, joined([item for item in lost if item is not None]))


def plain_feed(ports: Sequence[Port], given: Mapping[str, Any]) -> Feed | None:
    """The feed of a call in which nothing is to be mended: every input by its name, an array of its type, all samples.

    None where anything else is the case, right or wrong: `prepare_feed` then says what. A smallest and a largest value
    tell of numbers that are not finite too.
    """
    if len(given) != len(ports):
        return None
    sizes: dict[str, int] = {}
    arrays: dict[str, Array] = {}
    for port in ports:
        array = given.get(port.name)
        if type(array) is not np.ndarray or array.dtype != DTYPES[port.dtype] or not array.flags.c_contiguous:
            return None
        if array.size == 0 or port.dtype == "bool" or port.classes is not None or array.ndim != len(port.shape):
            return None
        for found, size in zip(array.shape, port.shape, strict=True):
            if found != (size if isinstance(size, int) else sizes.setdefault(size, found)):
                return None
        low, high = (-math.inf if port.low is None else port.low), (math.inf if port.high is None else port.high)
        if not (low < array.min() and array.max() < high):
            return None
        arrays[port.name] = array
    return Feed(arrays, False)


def left_out(ports: Sequence[Port], given: Mapping[str, ArrayLike], rows: int | None = None) -> dict[str, Array]:
    """The defaults of the inputs that are not given, one for each sample.

    The inputs that are given say how many samples there are. Where none of them could, there are `rows`; without that
    it is one sample, without the axis that counts them.
    """
    counting = [port for port in ports if port.batched and port.name in given]
    if counting:
        first = np.asarray(given[counting[0].name])
        rows = len(first) if first.ndim == len(counting[0].shape) else None
    found: dict[str, Array] = {}
    for port in ports:
        sample = port.default_sample
        if sample is not None and port.name not in given:
            found[port.name] = over_rows(sample, rows) if rows is not None and port.batched else sample
    return found


def over_rows(sample: Array, rows: int) -> Array:
    """The same sample for every row."""
    return np.broadcast_to(sample, (rows, *sample.shape))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that is most like this one, if any is."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), None)


def _check_names(ports: Sequence[Port], given: Mapping[str, ArrayLike]) -> None:
    known = tuple(port.name for port in ports)
    missing = [port for port in ports if port.name not in given and not port.default]
    unknown = [name for name in given if name not in known]
    if missing:
        raise messages.missing_input(missing[0].name, _expected(missing[0]), nearest(missing[0].name, unknown))
    if unknown:
        raise messages.unknown_input(str(unknown[0]), known, nearest(str(unknown[0]), known))


def _expected(port: Port) -> str:
    if not port.batched:
        return str(port)
    sizes = ", ".join(map(str, port.sample_shape))
    return f"{port}, or {port.dtype}{f'[{sizes}]' if sizes else ''} for one sample"


def as_array(port: Port, value: ArrayLike) -> Array:
    """A rectangular array of numbers or truth values."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise messages.not_finite(port.name, _first(np.ma.getmaskarray(value)), "masked")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # the last: tensors that carry a gradient
        raise messages.not_an_array(port.name, str(error)) from None
    if port.members and array.dtype.kind in "UO" and all(isinstance(item, str) for item in array.flat):
        return port.places(array.ravel().tolist()).reshape(array.shape)
    if array.dtype.kind == "O":
        odd = next((item for item in array.flat if not isinstance(item, int | float)), "a large integer")
        raise messages.not_an_array(port.name, f"it holds {type(odd).__name__ if odd is not None else 'None'}")
    kind = array.dtype.kind
    if kind not in "fiub":
        raise messages.wrong_dtype(port.name, KINDS.get(kind, str(array.dtype)), port.dtype)
    return array


def _is_single(ports: Sequence[Port], arrays: Mapping[str, Array]) -> bool:
    """Whether all inputs are one sample, without the batch axis; a mixture is refused."""
    batched = [port for port in ports if port.batched]
    without = [port for port in batched if arrays[port.name].ndim == len(port.shape) - 1]
    having = [port for port in batched if arrays[port.name].ndim == len(port.shape)]
    if without and having:
        raise messages.mixed_batch(without[0].name, having[0].name)
    return bool(without)


def _check_shapes(ports: Sequence[Port], arrays: Mapping[str, Array], single: bool) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    for port in ports:
        found = arrays[port.name].shape
        expected = port.sample_shape if single and port.batched else port.shape
        if len(found) != len(expected):
            raise messages.wrong_shape(port.name, found, _expected(port))
        for axis, size in enumerate(expected):
            empty = found[axis] == 0 and size != 0
            if empty or (isinstance(size, int) and found[axis] != size):
                raise messages.wrong_shape(port.name, found, _expected(port), axis)
            if isinstance(size, str):
                known, first = sizes.setdefault(size, (found[axis], port.name))
                if known != found[axis]:
                    raise messages.sizes_disagree(size, first, known, port.name, found[axis])


def convert(port: Port, array: Array) -> Array:
    """The array in the dtype of the port, when no value changes by more than rounding."""
    if array.dtype.kind == "f":
        _check_finite(port, array, np.isfinite(array), None)
    if port.dtype in ("int64", "bool"):
        _check_whole(port, array)
    with np.errstate(over="ignore"):
        converted: Array = array.astype(port.dtype, order="C", copy=False)
    if port.dtype.startswith("float"):
        _check_finite(port, array, np.isfinite(converted), f"it is too large for {port.dtype}")
    return converted


def _check_finite(port: Port, array: Array, finite: NDArray[np.bool_], detail: str | None) -> None:
    if not finite.all():
        index = _first(~finite)
        raise messages.not_finite(port.name, index, array[index], detail)


def _check_whole(port: Port, array: Array) -> None:
    """Integers of 64 bits, or 0 and 1, whatever type they come in."""
    if port.dtype == "bool":
        fits = (array == 0) | (array == 1)
    elif array.dtype.kind == "f":
        fits = (np.floor(array) == array) & (np.abs(array) < 2.0**63)
    elif array.dtype == np.uint64:
        fits = array < np.uint64(2**63)
    else:
        return
    if not fits.all():
        index = _first(~fits)
        found = f"{KINDS[array.dtype.kind]}, such as {array[index]} at {list(index)}"
        raise messages.wrong_dtype(port.name, found, "true or false" if port.dtype == "bool" else port.dtype)


def _check_values(port: Port, array: Array) -> Array:
    """Inside the open interval (low, high), and one of the classes."""
    if port.low is not None:
        _check_inside(port, array, array > port.low)
    if port.high is not None:
        _check_inside(port, array, array < port.high)
    if port.classes is not None:
        fits = (array >= 0) & (array < port.classes)
        if not fits.all():
            index = _first(~fits)
            raise messages.out_of_classes(port.name, index, array[index], port.classes)
    return array


def _check_inside(port: Port, array: Array, inside: NDArray[np.bool_]) -> None:
    if not np.all(inside):
        index = _first(~inside)
        raise messages.out_of_bounds(port.name, index, array[index], interval(port))


def interval(port: Port) -> str:
    """The bounds as `(0, inf)`, with the unit when there is one."""
    low = "-inf" if port.low is None else f"{port.low:g}"
    high = "inf" if port.high is None else f"{port.high:g}"
    return f"({low}, {high}){f' {port.unit}' if port.unit else ''}"


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first index, in row order, where the mask holds."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape)) if np.ndim(mask) else ()


def _with_batch(port: Port, array: Array, single: bool) -> Array:
    return array[np.newaxis] if single and port.batched else array


def find_nonfinite(outputs: Mapping[str, Array]) -> tuple[str, tuple[int, ...], Any, int] | None:
    """The first value that is not finite: its output, index and value, and how many that output has."""
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            wrong = ~np.isfinite(array)
            return name, _first(wrong), array[_first(wrong)], int(np.count_nonzero(wrong))
    return None

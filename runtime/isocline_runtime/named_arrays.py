"""json and npz: arrays by the names of inputs and outputs."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_table as messages
from isocline_runtime.limits import INPUT_LIMIT

Array = NDArray[Any]
JSON_LAYOUT = "an object from names to numbers or nested lists, or a list of such objects, one a sample"
# What numpy and zipfile raise for damaged files; RuntimeError is a password, MemoryError a made-up size.
NPZ_FAULTS = (
    ValueError,
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_json(path: Path, content: bytes) -> dict[str, Array]:
    """One object of names, or a list of objects, one a sample. Raises InputError E751, E755, E756, E757."""
    try:
        value = json.loads(content.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _distinct(path, pairs))
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise messages.unreadable_table(path, f"it is not JSON: {error}") from None
    if isinstance(value, list):
        value = _join_samples(path, value)
    if not isinstance(value, dict):
        raise messages.wrong_layout(path, f"it holds {type(value).__name__}", JSON_LAYOUT)
    return {name: _as_array(path, name, item) for name, item in value.items()}


def _distinct(path: Path, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise messages.repeated_column(path, name)
        found[name] = value
    return found


def _join_samples(path: Path, samples: list[Any]) -> dict[str, Any]:
    """A list of objects to an object of lists."""
    if not samples:
        raise messages.no_rows(path)
    for position, sample in enumerate(samples):
        if not isinstance(sample, dict) or sample.keys() != samples[0].keys():
            raise messages.wrong_layout(
                path, f"sample {position} is no object with the names of the first", JSON_LAYOUT
            )
    return {name: [sample[name] for sample in samples] for name in samples[0]}


def _as_array(path: Path, name: str, value: Any) -> Array:
    try:
        array = np.array(value)
    except (ValueError, RecursionError):
        raise messages.wrong_layout(path, f"the lists of {name!r} differ in length", JSON_LAYOUT) from None
    if array.dtype.kind not in "fiub":
        _refuse_items(path, name, array)
    return array


def _refuse_items(path: Path, name: str, array: Array) -> NoReturn:
    for index, item in np.ndenumerate(array):
        place = f"at {name}{list(index) if index else ''}"
        if item is None:
            raise messages.missing_value(path, name, place)
        if not isinstance(item, int | float):
            raise messages.not_a_number(path, name, place, str(item)[:60], "a number")
    raise messages.wrong_layout(path, f"{name!r} holds an integer beyond 64 bits", JSON_LAYOUT)


def write_json(arrays: Mapping[str, Array]) -> bytes:
    """An object from names to nested lists, floats in their own precision; NaN and infinity are null."""
    return (json.dumps({name: _nested(array) for name, array in arrays.items()}, ensure_ascii=False) + "\n").encode()


def _nested(array: Array) -> Any:
    if array.dtype.kind != "f":
        return array.tolist()
    values = [float(str(value)) if np.isfinite(value) else None for value in array.ravel()]
    return np.array(values, dtype=object).reshape(array.shape).tolist()


def read_npz(path: Path, content: bytes) -> dict[str, Array]:
    """The arrays of an npz, never pickled ones. Raises InputError E751."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
        if unpacked > INPUT_LIMIT:
            raise messages.unreadable_table(path, f"it unpacks to {unpacked} bytes, the limit is {INPUT_LIMIT}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except NPZ_FAULTS as error:
        raise messages.unreadable_table(path, f"it is not an npz of plain arrays: {error}") from None


def write_npz(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as an npz without compression."""
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **dict(arrays))
    return sink.getvalue()

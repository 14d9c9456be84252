"""A table from memory: a mapping from names to columns or arrays, a data frame of any library, an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from isocline_compiler.data.arrow_table import numpy_column
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table, widened
from isocline_compiler.graph import Array
from isocline_dsl.messages import data as messages
from isocline_runtime.errors import InputError
from isocline_runtime.frames import frame_columns, is_frame

GIVEN = Path("the data that were given")


def memory_table(given: Any, place: Place) -> Table:
    """The columns, as those of a file. Raises E504 for what has none, E505, E508."""
    columns = {name: _array(name, column, place) for name, column in _named(given, place).items()}
    if not columns or all(len(np.atleast_1d(array)) == 0 for array in columns.values()):
        raise place.error(messages.data_empty(place.span, GIVEN))
    return Table(GIVEN, MappingProxyType(columns))


def _named(given: Any, place: Place) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(name): column for name, column in given.items()}
    if not is_frame(given):
        reason = f"a {type(given).__name__} has no columns; give a file, a mapping of arrays by name, or a data frame"
        raise place.error(messages.data_unreadable(place.span, GIVEN, reason))
    try:
        return frame_columns(given)
    except InputError as fault:
        raise place.error(messages.data_unreadable(place.span, GIVEN, fault.message)) from None


def _array(name: str, column: Any, place: Place) -> Array:
    """float64, int64, bool, dates, or objects: texts, and None where a value is missing."""
    if hasattr(column, "combine_chunks"):  # a column of Arrow
        return numpy_column(column)
    try:
        array = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)
    except ValueError as error:
        raise place.error(messages.data_unreadable(place.span, GIVEN, f"`{name}`: {error}")) from None
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "U":
        return array.astype(object)
    return _unboxed(array) if array.dtype.kind == "O" else widened(array)


def _unboxed(array: Array) -> Array:
    """Objects as they are, with None for what is missing; numbers with gaps become float64."""
    gaps = [item is None or item != item or repr(item) in ("<NA>", "NaT") for item in array.flat]
    cells = [None if gap else item for item, gap in zip(array.flat, gaps, strict=True)]
    if {np.asarray(cell).dtype.kind for cell in cells if cell is not None} <= set("fib"):
        return np.array([np.nan if cell is None else float(cell) for cell in cells]).reshape(array.shape)
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found.reshape(array.shape)

"""Tables in memory: data frames of any library, Arrow tables, and arrays by the names of columns.

No library of frames is needed: what has names of columns and gives a column by its name is a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input, messages_table
from isocline_runtime.columns import gather_ports
from isocline_runtime.manifest import Port

Array = NDArray[Any]
FRAME = Path("the data frame")


def is_frame(value: object) -> bool:
    """Whether this has columns by name and is no mapping: `columns` (pandas, polars) or `column_names` (Arrow)."""
    return not isinstance(value, Mapping) and _names(value) is not None and hasattr(value, "__getitem__")


def frame_columns(frame: Any) -> dict[str, Any]:
    """The columns by name, as the frame gives them. Raises InputError E759 for a name that is there twice."""
    names = _names(frame) or []
    for position, name in enumerate(names):
        if name in names[:position]:
            raise messages_table.repeated_column(FRAME, name)
    return {name: frame[name] for name in names}


def _names(value: object) -> list[str] | None:
    names = getattr(value, "column_names", None)
    if names is None:
        names = getattr(value, "columns", None)
    return None if names is None or callable(names) else [str(name) for name in names]


def named_inputs(inputs: Any, ports: Sequence[Port]) -> dict[str, ArrayLike]:
    """The arrays of a call by port, of a mapping, a frame or None. Raises InputError E752 to E759."""
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return bind_columns(Path("the mapping"), inputs, ports)
    if is_frame(inputs):
        return dict(gather_ports(ColumnTable(FRAME, frame_columns(inputs)), ports))
    raise messages_input.not_named(type(inputs).__name__, tuple(port.name for port in ports))


def bind_columns(path: Path, given: Mapping[str, Any], ports: Sequence[Port]) -> dict[str, Any]:
    """Arrays by port. Those that have a port's name are its; other ports take the columns they were trained on.

    Where a port was bound by columns the rest are columns too, and those that belong to none are left aside. Raises
    E752 for a column that is missing.
    """
    by_columns = [port for port in ports if port.name not in given and _columns_of(port, given)]
    if not by_columns:
        return dict(given)
    named = {port.name: given[port.name] for port in ports if port.name in given}
    columns = {name: given[name] for port in by_columns for name in _columns_of(port, given)}
    return {**named, **gather_ports(ColumnTable(path, columns), by_columns)}


def _columns_of(port: Port, given: Mapping[str, Any]) -> list[str]:
    return [name for name in given if name in port.columns or name.startswith(f"{port.name}[")]


class ColumnTable:
    """Columns in memory as a table; `values` refuses what is no number, by column and row. Raises E758."""

    def __init__(self, path: Path, columns: Mapping[str, Any]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._columns = columns
        sizes = {name: len(self._array(name)) for name in columns}
        self.rows = min(sizes.values(), default=0)
        for name, size in sizes.items():
            if size != self.rows:
                raise messages_table.rows_differ(path, name, f"has {size} rows, others have {self.rows}")

    def _array(self, column: str) -> Array:
        found = self._columns[column]
        return np.atleast_1d(np.asarray(found.to_numpy() if hasattr(found, "to_numpy") else found))

    def values(self, column: str, dtype: str) -> Array:
        """One column, shape (rows,), or (rows, ...) where a cell is a list."""
        array = self._array(column)
        if array.dtype.kind == "O":
            array = self._unboxed(column, array)
        if array.dtype.kind not in "fiub":
            raise messages_table.not_a_number(self.path, column, "row 0", str(array.flat[0]), "a number")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise messages_table.missing_value(self.path, column, f"row {row}")
        return array

    def _unboxed(self, column: str, array: Array) -> Array:
        """Objects as numbers, or as lists of equal length; what is neither is named by its row."""
        for row, item in enumerate(array):
            if item is None:
                raise messages_table.missing_value(self.path, column, f"row {row}")
            if np.asarray(item).dtype.kind not in "fiub":
                raise messages_table.not_a_number(self.path, column, f"row {row}", str(item)[:60], "a number")
        try:
            return np.array([np.asarray(item) for item in array])
        except ValueError:
            found = f"the lists of {column!r} differ in length"
            raise messages_table.wrong_layout(self.path, found, "equal lengths") from None

    def names(self, column: str) -> list[object]:
        """The cells of a column. Raises E754 for one that is missing."""
        found: list[object] = self._array(column).tolist()
        for row, item in enumerate(found):
            if item is None or item != item:
                raise messages_table.missing_value(self.path, column, f"row {row}")
        return found

    def is_nested(self, column: str) -> bool:
        array = self._array(column)
        return array.ndim > 1 or (array.dtype.kind == "O" and len(array) > 0 and np.ndim(array[0]) > 0)

"""parquet files, by pyarrow: columns of numbers, or of lists of equal length."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_run
from isocline_runtime import messages_table as messages
from isocline_runtime.limits import INPUT_LIMIT

Array = NDArray[Any]


def _require_pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise messages_run.no_pyarrow(path) from None
    return pyarrow, pyarrow.parquet


class ParquetTable:
    """An Arrow table whose columns become arrays on demand."""

    def __init__(self, path: Path, pyarrow: Any, table: Any) -> None:
        self.path = path
        self.columns: tuple[str, ...] = tuple(table.column_names)
        self.rows: int = table.num_rows
        self._types = pyarrow.types
        self._table = table

    def values(self, column: str, dtype: str) -> Array:
        """Shape (rows,), or (rows, ...) for lists. Raises InputError E754, E755 or E756."""
        data = self._table.column(column)
        if data.null_count:
            row = data.is_null().to_pylist().index(True)
            raise messages.missing_value(self.path, column, f"row {row}")
        if self.is_nested(column):
            return self._nested_values(column, data.to_pylist())
        if not self.is_numeric(column):
            raise messages.not_a_number(self.path, column, "all rows", str(data.type), "a type of numbers")
        array: Array = data.combine_chunks().to_numpy(zero_copy_only=False)
        return array

    def _nested_values(self, column: str, rows: list[Any]) -> Array:
        try:
            array = np.array(rows)
        except ValueError:
            raise messages.wrong_layout(
                self.path, f"the lists of {column!r} differ in length", "equal lengths"
            ) from None
        if array.dtype.kind == "O":
            row = next((i for i, item in enumerate(rows) if None in np.ravel(np.array(item, dtype=object))), 0)
            raise messages.missing_value(self.path, column, f"row {row}")
        return array

    def is_numeric(self, column: str) -> bool:
        kind = self._table.schema.field(column).type
        return bool(self._types.is_integer(kind) or self._types.is_floating(kind) or self._types.is_boolean(kind))

    def names(self, column: str) -> list[object]:
        """The cells of a column. Raises InputError E754 for one that is missing."""
        found: list[object] = self._table.column(column).to_pylist()
        if None in found:
            raise messages.missing_value(self.path, column, f"row {found.index(None)}")
        return found

    def is_nested(self, column: str) -> bool:
        kind = self._table.schema.field(column).type
        lists = (self._types.is_list, self._types.is_large_list, self._types.is_fixed_size_list)
        return any(is_list(kind) for is_list in lists)


def read_parquet(path: Path, content: bytes) -> ParquetTable:
    """The table in these bytes. Raises InputError E751 or E759, ProviderError E773 without pyarrow."""
    pyarrow, parquet = _require_pyarrow(path)
    try:
        _refuse_oversize(path, parquet.ParquetFile(io.BytesIO(content)).metadata)
        table = parquet.read_table(io.BytesIO(content))
        names = table.column_names
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise messages.unreadable_table(path, (str(error) or "it is damaged").splitlines()[0]) from None
    for name in names:
        if names.count(name) > 1:
            raise messages.repeated_column(path, name)
    return ParquetTable(path, pyarrow, table)


def _refuse_oversize(path: Path, metadata: Any) -> None:
    """Before anything is unpacked: what the file says of itself, which damage turns into any number."""
    claimed = 8 * metadata.num_rows * metadata.num_columns
    if not 0 <= claimed <= INPUT_LIMIT:
        raise messages.unreadable_table(path, f"it unpacks to {claimed} bytes, the limit is {INPUT_LIMIT}")


def write_parquet(path: Path, columns: Mapping[str, Array]) -> bytes:
    """The columns as a parquet file. Raises ProviderError E773 without pyarrow."""
    pyarrow, parquet = _require_pyarrow(path)
    sink = io.BytesIO()
    arrays = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    parquet.write_table(pyarrow.table(arrays), sink)
    return sink.getvalue()

"""Columns of arrow to numpy: float64 with NaN for null, int64, bool, datetime64, or objects for texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from isocline_compiler.data.place import Place
from isocline_compiler.data.sizes import require_size
from isocline_compiler.graph import Array
from isocline_dsl.messages import data as messages

LARGEST = np.iinfo(np.int64).max


def read_parquet(path: Path, place: Place) -> pa.Table:
    """Raises E504 for a file that is damaged or too large."""
    try:
        claimed = pyarrow.parquet.read_metadata(path)
        require_size(path, 8 * claimed.num_rows * claimed.num_columns, "unpacks to", place)
        return pyarrow.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None


def numpy_columns(table: pa.Table) -> dict[str, Array]:
    """Every column as one array."""
    return {name: numpy_column(table.column(name)) for name in table.column_names}


def numpy_column(column: pa.ChunkedArray) -> Array:
    """One column as an array."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return np.asarray(_without_zone(column).to_numpy()).astype("datetime64[us]")
    if pa.types.is_boolean(kind) and column.null_count == 0:
        return np.asarray(column.to_numpy(), dtype=np.bool_)
    return np.array(column.to_pylist(), dtype=object)


def _integers(column: pa.ChunkedArray) -> Array:
    """int64, or float64 with NaN where a value is missing; unsigned ones beyond int64 stay, for whoever uses them."""
    if column.null_count:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    whole = np.asarray(column.to_numpy())
    return whole if whole.dtype == np.uint64 and (whole > LARGEST).any() else whole.astype(np.int64)


def _without_zone(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times with a zone become UTC: numpy's times have none."""
    return column.cast(pa.timestamp("us"), safe=False)

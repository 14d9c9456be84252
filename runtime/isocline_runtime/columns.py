"""Ports as columns of a table: one row is one sample, and columns are found by name alone.

A scalar port is the column `name`, a vector `name[0]` to `name[k-1]`, a matrix `name[0,0]`, `name[0,1]` and so on; or
the columns of the data that the model was trained on, which the manifest keeps, in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_table as messages
from isocline_runtime.feeds import nearest, over_rows
from isocline_runtime.manifest import Port

Array = NDArray[Any]
Index = tuple[int, ...]


class Table(Protocol):
    """A file of columns; `values` gives one for a dtype, one row a sample, or says which cell is at fault; `names` are
    its cells as they stand there.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int

    def values(self, column: str, dtype: str) -> Array: ...

    def names(self, column: str) -> list[object]: ...

    def is_nested(self, column: str) -> bool: ...


def gather_ports(table: Table, ports: Sequence[Port]) -> dict[str, Array]:
    """The arrays of the ports; columns that belong to none are left aside. Raises InputError.

    A port without any column of its own has its default in every row, where there is one.
    """
    if table.rows == 0:
        raise messages.no_rows(table.path)
    return {port.name: _shared(table, port, _gather_port(table, port)) for port in ports}


def _gather_port(table: Table, port: Port) -> Array:
    """Shape (rows, *sample)."""
    sample = port.default_sample
    if sample is not None and not _stands_in(table, port):
        return over_rows(sample, table.rows)
    if port.members:
        return _gather_members(table, port)
    if port.name in table.columns and (not port.sample_shape or table.is_nested(port.name)):
        return table.values(port.name, port.dtype)
    indexed = _indexed_columns(table, port.name)
    if port.columns and not indexed:
        return _gather_trained(table, port)
    if not port.sample_shape:
        raise _missing(table, port.name)
    sizes = [
        size if isinstance(size, int) else _open_size(indexed, axis) for axis, size in enumerate(port.sample_shape)
    ]
    wanted: list[Index] = []
    for index in np.ndindex(*sizes):
        if index not in indexed:
            raise _missing(table, column_name(port.name, index))
        wanted.append(index)
    _refuse_surplus(table, port, set(indexed) - set(wanted), sizes)
    values = [table.values(indexed[index], port.dtype) for index in wanted]
    return np.stack(values, axis=-1).reshape(table.rows, *sizes)


def _gather_members(table: Table, port: Port) -> Array:
    """The members that a column names, by the name of the port or of the column that the model was trained on."""
    column = next((name for name in (port.name, *port.columns) if name in table.columns), None)
    if column is None:
        raise _missing(table, port.columns[0] if port.columns else port.name)
    return port.places(table.names(column))


def _stands_in(table: Table, port: Port) -> bool:
    """Whether some column is of the port, by its own name or by that of its data. Raises E752 for one that has the name
    but for capital letters, spaces and the like: the default would hide the mistake.
    """
    own = {port.name, *port.columns}
    if own & set(table.columns) or _indexed_columns(table, port.name):
        return True
    if {_plain(column) for column in table.columns} & {_plain(name) for name in own}:
        raise _missing(table, port.name)
    return False


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _gather_trained(table: Table, port: Port) -> Array:
    """The columns that the model was trained on, by name, wherever they stand. Raises E752 for one that is missing."""
    for column in port.columns:
        if column not in table.columns:
            raise _missing(table, column)
    values = [table.values(column, port.dtype) for column in port.columns]
    return np.stack(values, axis=-1).reshape(table.rows, *map(int, port.sample_shape))


def _open_size(indexed: Mapping[Index, str], axis: int) -> int:
    """One more than the largest index; no more than there are columns and one, where a gap is certain."""
    largest = max((index[axis] for index in indexed if axis < len(index)), default=0)
    return 1 + min(largest, len(indexed))


def _refuse_surplus(table: Table, port: Port, surplus: set[Index], sizes: list[int]) -> None:
    if surplus:
        found = f"the column {column_name(port.name, min(surplus))!r} is outside of {port.name}: {sizes}"
        raise messages.wrong_layout(table.path, found, f"the columns of {port}")


def _missing(table: Table, column: str) -> Exception:
    return messages.missing_column(table.path, column, table.columns, nearest(column, table.columns))


def _indexed_columns(table: Table, name: str) -> dict[Index, str]:
    """The columns `name[i,j,...]` by index."""
    pattern = re.compile(re.escape(name) + r"\[\s*(\d{1,9}(?:\s*,\s*\d{1,9})*)\s*\]")
    matches = ((column, pattern.fullmatch(column)) for column in table.columns)
    return {tuple(int(i) for i in match[1].split(",")): column for column, match in matches if match}


def column_name(name: str, index: Index) -> str:
    """`forecast` and (0, 1) is `forecast[0,1]`; a scalar's column is its name."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def _shared(table: Table, port: Port, array: Array) -> Array:
    """For a port without a batch axis: its one value, which every row must repeat."""
    if port.batched:
        return array
    if not (array == array[:1]).all():
        raise messages.rows_differ(table.path, port.name, "has no batch axis, but its rows differ")
    first: Array = array[0]
    return first


def spread_ports(path: Path, arrays: Mapping[str, Array], ports: Sequence[Port]) -> dict[str, Array]:
    """Columns of equal length from the ports' arrays. One sample is one row; an unbatched value repeats."""
    batches = {port.name: _is_batch(port, arrays[port.name]) for port in ports}
    rows = next((len(arrays[name]) for name, batch in batches.items() if batch), 1)
    columns: dict[str, Array] = {}
    for port in ports:
        array = arrays[port.name]
        if not batches[port.name]:
            array = np.repeat(array[np.newaxis], rows, axis=0)
        if len(array) != rows:
            raise messages.rows_differ(path, port.name, f"has {len(array)} rows, others have {rows}")
        for index in np.ndindex(*array.shape[1:]):
            columns[column_name(port.name, index)] = array[(slice(None), *index)]
    return columns


def _is_batch(port: Port, array: Array) -> bool:
    return port.batched and array.ndim == len(port.shape)

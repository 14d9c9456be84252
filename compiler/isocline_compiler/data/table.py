"""A data file as named arrays: csv, parquet, npz or safetensors."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from isocline_compiler.data.arrow_table import numpy_columns, read_parquet
from isocline_compiler.data.csv_table import csv_line, read_csv
from isocline_compiler.data.place import NOWHERE, Place
from isocline_compiler.data.sizes import require_size
from isocline_compiler.graph import Array
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import data as messages


@dataclass(frozen=True)
class Table:
    """Arrays by name. Columns of csv and parquet have one axis and equal lengths; other arrays are free.

    Elements are float64, int64, bool, datetime64, or objects (str, or None where a text is missing); or what cannot
    become one of these without changing, which is refused when it is used.
    """

    path: Path
    columns: Mapping[str, Array]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def line(self, row: int) -> int:
        """The line, as a person counts lines in the file, of row `row` of the table, which counts from 0."""
        return csv_line(self.path, row) if self.path.suffix == ".csv" else row + 1


def read_table(path: Path, place: Place = NOWHERE, texts: Collection[str] = ()) -> Table:
    """Read a file by the ending of its name; the columns `texts` of a csv stay as they are written.

    Neither a file nor what it unpacks to is larger than where a model is run. Raises E502 to E508.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise place.error(messages.unknown_data_type(place.span, path.name, tuple(READERS)))
    if not path.is_file():
        raise place.error(messages.data_not_found(place.span, path))
    require_size(path, path.stat().st_size, "has", place)
    columns = reader(path, place, texts)
    if not columns or all(len(np.atleast_1d(array)) == 0 for array in columns.values()):
        raise place.error(messages.data_empty(place.span, path.name))
    return Table(path, MappingProxyType(dict(columns)))


def _read_npz(path: Path, place: Place, _: Collection[str]) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(item.file_size for item in packed.infolist())
        require_size(path, unpacked, "unpacks to", place)
        with np.load(path, allow_pickle=False) as archive:
            return {name: widened(archive[name]) for name in archive.files}
    except IsoclineError:
        raise
    # zipfile, zlib and numpy each have their own exceptions for a damaged archive.
    except Exception as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None


def _read_safetensors(path: Path, place: Place, _: Collection[str]) -> dict[str, Array]:
    from safetensors.numpy import load_file

    try:
        return {name: widened(array) for name, array in load_file(path).items()}
    # safetensors raises an exception type of its own, and TypeError for element types numpy does not have.
    except Exception as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None


def widened(array: Array) -> Array:
    """Reals to float64 and integers to int64, where every value survives; other arrays stay, for whoever uses them."""
    wide: dict[str, type[Any]] = {"f": np.float64, "i": np.int64, "u": np.int64}
    kind = array.dtype.kind
    if kind not in wide:
        return array
    with np.errstate(over="ignore"):
        wider = array.astype(wide[kind])
    return wider if survives(array, wider).all() else array


def survives(array: Array, converted: Array) -> Array:
    """Where a conversion left the value what it was; an integer that became negative did not."""
    same = (converted == array) & ((converted < 0) == (array < 0))
    return np.asarray(same | (np.isnan(array) & np.isnan(converted)) if array.dtype.kind == "f" else same)


def _read_csv(path: Path, place: Place, texts: Collection[str]) -> dict[str, Array]:
    return numpy_columns(read_csv(path, place, texts))


def _read_parquet(path: Path, place: Place, _: Collection[str]) -> dict[str, Array]:
    return numpy_columns(read_parquet(path, place))


READERS: Mapping[str, Callable[[Path, Place, Collection[str]], dict[str, Array]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}

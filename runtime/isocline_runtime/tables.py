"""Inputs from files and outputs into files: csv, parquet, json and npz, told apart by the name's ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isocline_runtime import messages_table as messages
from isocline_runtime.artifact import write_atomic
from isocline_runtime.columns import gather_ports, spread_ports
from isocline_runtime.csv_table import read_csv, write_csv
from isocline_runtime.frames import bind_columns
from isocline_runtime.limits import INPUT_LIMIT
from isocline_runtime.manifest import Port
from isocline_runtime.named_arrays import read_json, read_npz, write_json, write_npz
from isocline_runtime.parquet_table import read_parquet, write_parquet

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FileType:
    """How arrays of ports are read from bytes and written to bytes."""

    read: Callable[[Path, bytes, Sequence[Port]], Arrays]
    write: Callable[[Path, Arrays, Sequence[Port]], bytes]


FILE_TYPES: Mapping[str, FileType] = {
    ".csv": FileType(
        read=lambda path, content, ports: gather_ports(read_csv(path, content), ports),
        write=lambda path, arrays, ports: write_csv(spread_ports(path, arrays, ports)),
    ),
    ".parquet": FileType(
        read=lambda path, content, ports: gather_ports(read_parquet(path, content), ports),
        write=lambda path, arrays, ports: write_parquet(path, spread_ports(path, arrays, ports)),
    ),
    ".json": FileType(
        read=lambda path, content, ports: bind_columns(path, read_json(path, content), ports),
        write=lambda path, arrays, ports: write_json(arrays),
    ),
    ".npz": FileType(
        read=lambda path, content, ports: bind_columns(path, read_npz(path, content), ports),
        write=lambda path, arrays, ports: write_npz(arrays),
    ),
}


def read_inputs(path: str | os.PathLike[str], ports: Sequence[Port]) -> Arrays:
    """The arrays in a file, by name, as `Session.run` takes them.

    csv and parquet: one row is one sample, and columns are named as in `isocline_runtime.columns`; others
    are left aside. json: an object of names, or a list of such objects. npz: arrays by the names of inputs, or columns
    as in a table.
    Raises InputError E750 to E759, which names file, line or row, and column.
    """
    source = Path(path)
    file_type = _file_type(source)
    return file_type.read(source, _content(source), ports)


def read_arrays(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of an npz by name, whatever their names are. Raises InputError E750 or E751."""
    source = Path(path)
    if source.suffix.lower() != ".npz":
        raise messages.unknown_type(source, (".npz",))
    return read_npz(source, _content(source))


def _content(source: Path) -> bytes:
    try:
        size = source.stat().st_size
        if size > INPUT_LIMIT:
            raise messages.unreadable_table(source, f"it has {size} bytes, the limit is {INPUT_LIMIT}")
        return source.read_bytes()
    except OSError as error:
        raise messages.unreadable_table(source, error.strerror or str(error)) from None


def write_outputs(path: str | os.PathLike[str], outputs: Mapping[str, NDArray[Any]], ports: Sequence[Port]) -> None:
    """Write a run's outputs in the type that the name's ending says, whole or not at all.

    Tables hold one row a sample and the columns of `isocline_runtime.columns`. Raises InputError E750 or
    E758, ArtifactError E718.
    """
    target = Path(path)
    write_atomic(target, _file_type(target).write(target, dict(outputs), ports))


def _file_type(path: Path) -> FileType:
    file_type = FILE_TYPES.get(path.suffix.lower())
    if file_type is None:
        raise messages.unknown_type(path, tuple(FILE_TYPES))
    return file_type

"""A csv row by row, as it comes: the entries that a stream takes, from a file or a pipe."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isocline_runtime.columns import gather_ports
from isocline_runtime.csv_table import CsvTable, input_error
from isocline_runtime.csv_text import CsvFault, CsvText, Ragged, Unreadable, check_header, separator_of
from isocline_runtime.manifest import Port


def read_csv_rows(path: Path, lines: Iterable[str], ports: Sequence[Port]) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of the ports for one line after another, each of one sample, as soon as the line is there.

    The first line that is no comment holds the names of the columns. Raises InputError, which names the line.
    """
    columns: tuple[str, ...] = ()
    mark = ","
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        if not text.strip() or (not columns and text.startswith("#")):
            continue
        mark = mark if columns else separator_of(text)
        try:
            cells = _cells(text, mark, number)
            if not columns:
                check_header(number, cells)
                columns = cells
                continue
            if len(cells) != len(columns):
                raise Ragged(number, len(cells), len(columns))
        except CsvFault as fault:
            raise input_error(path, fault) from None
        yield gather_ports(CsvTable(path, CsvText(columns, (cells,), (number,))), ports)


def _cells(text: str, mark: str, number: int) -> tuple[str, ...]:
    try:
        return tuple(cell.strip() for cell in next(csv.reader([text], delimiter=mark, strict=True)))
    except csv.Error as error:
        raise Unreadable(f"line {number}: {error}") from None

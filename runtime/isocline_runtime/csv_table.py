"""csv files: UTF-8, a header, commas; every cell at fault is named by line and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_table as messages
from isocline_runtime.errors import InputError

Array = NDArray[Any]
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none"))
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class CsvTable:
    """The cells of a csv as text, read as numbers column by column. Blank lines are left out."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines: list[int] = []
        self._cells: list[list[str]] = []
        reader = csv.reader(io.StringIO(text), strict=True)
        try:
            self.columns = tuple(cell.strip() for cell in next(reader, []))
            for row in reader:
                self._add_row(reader.line_num, row)
        except csv.Error as error:
            raise messages.unreadable_table(path, f"line {reader.line_num}: {error}") from None
        self.rows = len(self._cells)
        _refuse_repeated(path, self.columns)

    def _add_row(self, line: int, row: list[str]) -> None:
        if not row:
            return
        if len(row) != len(self.columns):
            raise messages.ragged_row(self.path, line, len(row), len(self.columns))
        self._lines.append(line)
        self._cells.append(row)

    def values(self, column: str, dtype: str) -> Array:
        """One column, shape (rows,): float64, int64 or bool. Raises InputError E754 or E755."""
        position = self.columns.index(column)
        parse, expected, kind = PARSERS[dtype]
        parsed = []
        for line, row in zip(self._lines, self._cells, strict=True):
            cell = row[position].strip()
            if cell.lower() in MISSING:
                raise messages.missing_value(self.path, column, f"line {line}")
            try:
                parsed.append(parse(cell))
            except ValueError:
                raise messages.not_a_number(self.path, column, f"line {line}", cell, expected) from None
        return np.array(parsed, dtype=kind)

    def is_numeric(self, column: str) -> bool:
        """Whether the first cell that is not missing reads as a number."""
        position = self.columns.index(column)
        cells = (row[position].strip() for row in self._cells)
        first = next((cell for cell in cells if cell.lower() not in MISSING), "")
        try:
            _parse_float(first)
        except ValueError:
            return False
        return True

    def is_nested(self, column: str) -> bool:
        return False


def _refuse_repeated(path: Path, columns: tuple[str, ...]) -> None:
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise messages.repeated_column(path, column)


def _parse_float(cell: str) -> float:
    if "_" in cell:  # Python reads 1_000 as a number, no other program does
        raise ValueError(cell)
    return float(cell)


def _parse_integer(cell: str) -> int:
    number = _parse_float(cell)
    if not number.is_integer() or abs(number) >= 2**63:
        raise ValueError(cell)
    return int(cell) if cell.lstrip("+-").isdigit() else int(number)


def _parse_truth(cell: str) -> bool:
    if cell.lower() not in TRUTHS:
        raise ValueError(cell)
    return TRUTHS[cell.lower()]


PARSERS: Mapping[str, tuple[Callable[[str], float], str, str]] = {
    "float32": (_parse_float, "a number", "float64"),
    "float64": (_parse_float, "a number", "float64"),
    "int64": (_parse_integer, "an integer", "int64"),
    "bool": (_parse_truth, "true or false", "bool"),
}


def read_csv(path: Path, content: bytes) -> CsvTable:
    """The table in these bytes. Raises InputError E751, E753 or E759."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content, error) from None
    return CsvTable(path, text)


def _not_utf8(path: Path, content: bytes, error: UnicodeDecodeError) -> InputError:
    line = content.count(b"\n", 0, error.start) + 1
    return messages.unreadable_table(path, f"line {line} is not UTF-8 text")


def write_csv(columns: Mapping[str, Array]) -> bytes:
    """Header and rows; floats with as many digits as name them exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_show, column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, np.bool_) else str(value)

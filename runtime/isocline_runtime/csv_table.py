"""csv files as inputs: every cell at fault is named by line and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_table as messages
from isocline_runtime.csv_text import (
    MISSING,
    CsvFault,
    CsvText,
    Headless,
    Ragged,
    Repeated,
    Unreadable,
    parse_number,
    read_csv_text,
)  # fmt: skip
from isocline_runtime.errors import InputError

Array = NDArray[Any]
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class CsvTable:
    """The cells of a csv as text, read as numbers column by column."""

    def __init__(self, path: Path, text: CsvText) -> None:
        self.path = path
        self.columns = text.columns
        self.rows = len(text.rows)
        self._text = text

    def values(self, column: str, dtype: str) -> Array:
        """One column, shape (rows,): float64, int64 or bool. Raises InputError E754 or E755."""
        position = self.columns.index(column)
        parse, expected, kind = PARSERS[dtype]
        parsed = []
        for line, row in zip(self._text.lines, self._text.rows, strict=True):
            cell = row[position]
            if cell.lower() in MISSING:
                raise messages.missing_value(self.path, column, f"line {line}")
            try:
                parsed.append(parse(cell))
            except ValueError:
                raise messages.not_a_number(self.path, column, f"line {line}", cell, expected) from None
        return np.array(parsed, dtype=kind)

    def names(self, column: str) -> list[object]:
        """The cells of a column as texts. Raises InputError E754 for one that is empty."""
        position = self.columns.index(column)
        for line, row in zip(self._text.lines, self._text.rows, strict=True):
            if row[position].lower() in MISSING:
                raise messages.missing_value(self.path, column, f"line {line}")
        return [row[position] for row in self._text.rows]

    def is_nested(self, column: str) -> bool:
        return False


def _parse_integer(cell: str) -> int:
    number = parse_number(cell)
    if not number.is_integer() or abs(number) >= 2**63:
        raise ValueError(cell)
    return int(cell) if cell.lstrip("+-").isdigit() else int(number)


def _parse_truth(cell: str) -> bool:
    if cell.lower() not in TRUTHS:
        raise ValueError(cell)
    return TRUTHS[cell.lower()]


PARSERS: Mapping[str, tuple[Callable[[str], float], str, str]] = {
    "float32": (parse_number, "a number", "float64"),
    "float64": (parse_number, "a number", "float64"),
    "int64": (_parse_integer, "an integer", "int64"),
    "bool": (_parse_truth, "true or false", "bool"),
}


def read_csv(path: Path, content: bytes) -> CsvTable:
    """The table in these bytes. Raises InputError E751, E753, E756 or E759."""
    try:
        return CsvTable(path, read_csv_text(content))
    except CsvFault as fault:
        raise input_error(path, fault) from None


def input_error(path: Path, fault: CsvFault) -> InputError:
    """What a user is told of a fault."""
    match fault:
        case Headless(line, cells):
            found = f"line {line} is {', '.join(cells[:4])}: numbers where the names of the columns should be"
            return messages.wrong_layout(path, found, "a first line with the names of the columns")
        case Ragged(line, found, expected):
            return messages.ragged_row(path, line, found, expected)
        case Repeated(column):
            return messages.repeated_column(path, column)
        case Unreadable(reason):
            return messages.unreadable_table(path, reason)
    raise AssertionError(fault)


def write_csv(columns: Mapping[str, Array]) -> bytes:
    """Header and rows; floats with as many digits as name them exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_show, column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, np.bool_) else str(value)

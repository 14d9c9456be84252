"""The dialect of csv that training and running share: which bytes are which cells, and what is wrong with them.

UTF-8, with or without a byte order mark. Lines that begin with `#` above the header are comments, blank lines are no
records. Cells are separated by commas; by tabs or semicolons where the header has those and no comma. Cells may stand
in double quotes (RFC 4180), and may then hold separators and line ends; blanks around a cell are not part of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none"))
"""Cells without a value, in any letter case."""

SEPARATORS = (",", "\t", ";")


class CsvFault(Exception):
    """Bytes that are no table; each kind holds what a message needs to say of it."""


@dataclass
class Unreadable(CsvFault):
    """Bytes that are not UTF-8, or quotes that do not close."""

    reason: str


@dataclass
class Headless(CsvFault):
    """The first line holds numbers where the names of the columns should be."""

    line: int
    cells: tuple[str, ...]


@dataclass
class Ragged(CsvFault):
    """A record has more or fewer cells than the header."""

    line: int
    found: int
    expected: int


@dataclass
class Repeated(CsvFault):
    """Two columns have one name."""

    column: str


@dataclass(frozen=True)
class CsvText:
    """The cells as text. `lines` holds the line, counted from 1, that each row begins on."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


def read_csv_text(content: bytes) -> CsvText:
    """The records in these bytes. Raises CsvFault."""
    records = _records(_decoded(content))
    line, columns = next(records, (1, ()))
    check_header(line, columns)
    rows, lines = [], []
    for line, cells in records:
        if len(cells) != len(columns):
            raise Ragged(line, len(cells), len(columns))
        rows.append(cells)
        lines.append(line)
    return CsvText(columns, tuple(rows), tuple(lines))


def is_number(cell: str) -> bool:
    """Whether a cell is a decimal number, by the rule that reads it."""
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True


def parse_number(cell: str) -> float:
    """A decimal number. Raises ValueError for all else, `1_000` too, which Python alone takes for a number."""
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    return float(cell)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"line {line} is not UTF-8 text") from None


def _records(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The line a record begins on, and its cells; the header is the first."""
    stream = io.StringIO(text, newline="")
    comments = _comment_lines(text)
    for _ in range(comments):
        stream.readline()
    reader = csv.reader(stream, delimiter=separator_of(text), strict=True)
    before = comments
    try:
        for cells in reader:
            if cells:
                yield before + 1, tuple(cell.strip() for cell in cells)
            before = comments + reader.line_num
    except csv.Error as error:
        raise Unreadable(f"line {comments + reader.line_num}: {error}") from None


def _comment_lines(text: str) -> int:
    count = 0
    for line in io.StringIO(text):
        if not line.startswith("#"):
            break
        count += 1
    return count


def separator_of(text: str) -> str:
    """The mark between the cells, as the header has it."""
    header = next((line for line in io.StringIO(text) if line.strip() and not line.startswith("#")), "")
    return next((mark for mark in SEPARATORS if mark in header), ",")


def check_header(line: int, columns: tuple[str, ...]) -> None:
    """Names, each once. Raises CsvFault."""
    if columns and all(map(is_number, columns)):
        raise Headless(line, columns)
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise Repeated(column)

"""csv with a header: arrow reads it, and what arrow refuses is found again, line by line, to say where."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from isocline_compiler.data.place import Place
from isocline_dsl.messages import data as messages

_LARGEST_BLOCK = 2**31 - 1
"""Arrow infers a column's type from the first block alone, so the file is one block whenever it fits."""

_MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None"]


def read_csv(path: Path, place: Place) -> pa.Table:
    """Lines that begin with `#` above the header are comments. Raises E504 to E508."""
    _check_layout(path, place)
    comments = _comment_lines(path)
    try:
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                skip_rows=comments,
                block_size=min(max(path.stat().st_size, 1 << 20), _LARGEST_BLOCK),
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=_MISSING,
                strings_can_be_null=True,
                column_types=dict.fromkeys(_hexadecimal(path), pa.string()),
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None


def _hexadecimal(path: Path) -> set[str]:
    """The columns with a cell such as 0x10: arrow would read it as 16, running a model refuses it."""
    if b"0x" not in path.read_bytes().lower():
        return set()
    (_, header), *rows = _records(path)
    cells = ((name, cell) for _, row in rows for name, cell in zip(header, row, strict=True))
    return {name for name, cell in cells if cell.strip().lower().startswith(("0x", "-0x", "+0x"))}


def csv_line(path: Path, row: int) -> int:
    """The line that row `row` begins on; the first row below the header is row 0."""
    for position, (line, _) in enumerate(_records(path)):
        if position == row + 1:
            return line
    return row + 2


def _check_layout(path: Path, place: Place) -> None:
    """A header of distinct names, and rows of equally many cells."""
    header: list[str] | None = None
    rows = 0
    try:
        for line, cells in _records(path):
            if header is None:
                header = cells
                _check_header(path, line, header, place)
                continue
            rows += 1
            if len(cells) != len(header):
                raise place.error(messages.ragged_row(place.span, path.name, line, len(cells), len(header)))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None
    if not rows:
        raise place.error(messages.data_empty(place.span, path.name))


def _check_header(path: Path, line: int, cells: list[str], place: Place) -> None:
    if all(_is_number(cell) for cell in cells):
        raise place.error(messages.no_header(place.span, path.name, line, cells))
    name, count = Counter(cells).most_common(1)[0]
    if count > 1:
        raise place.error(messages.repeated_column(place.span, path.name, name))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line a record begins on, from 1, and its cells; the header is first, blank lines are no records."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        skipped = _comment_lines(path)
        for _ in range(skipped):
            stream.readline()
        reader = csv.reader(stream, delimiter=_delimiter(path))
        before = 0
        for cells in reader:
            if cells:
                yield skipped + before + 1, cells
            before = reader.line_num


def _comment_lines(path: Path) -> int:
    """How many lines that begin with `#` stand above the header."""
    count = 0
    with path.open("rb") as stream:
        for line in stream:
            if not line.startswith(b"#"):
                break
            count += 1
    return count


def _delimiter(path: Path) -> str:
    """A comma, unless the header has none and has tabs or semicolons."""
    with path.open("rb") as stream:
        for line in stream:
            if line.strip() and not line.startswith(b"#"):
                return _delimiter_of(line.decode("utf-8", "replace"))
    return ","


def _delimiter_of(header: str) -> str:
    return next((mark for mark in (",", "\t", ";") if mark in header), ",")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

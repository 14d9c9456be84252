"""csv with a header: the cells as the runtime reads them, their types as arrow infers them."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from isocline_compiler.data.place import Place
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import data as messages
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

_LARGEST_BLOCK = 2**31 - 1
"""Arrow infers a column's type from the first block alone, so the text is one block whenever it fits."""


def read_csv(path: Path, place: Place, texts: Collection[str] = ()) -> pa.Table:
    """The table of a file; the columns `texts` stay as they are written. Raises E504 to E508."""
    try:
        text = read_csv_text(path.read_bytes())
    except CsvFault as fault:
        raise _fault(path, place, fault) from None
    except OSError as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None
    if not text.rows:
        raise place.error(messages.data_empty(place.span, path.name))
    return _typed(path, place, text, texts)


def csv_line(path: Path, row: int) -> int:
    """The line that row `row` begins on; the first row below the header is row 0."""
    return read_csv_text(path.read_bytes()).lines[row]


def number_in(cell: str) -> float:
    """A decimal number, by the rule that reads it when a model is run. Raises ValueError."""
    return parse_number(cell)


def _typed(path: Path, place: Place, text: CsvText, texts: Collection[str]) -> pa.Table:
    """Numbers, truths, dates and texts, a column each, of one type throughout; a missing value is null."""
    plain = _plain(text)
    as_written = {*texts, *(_hexadecimal(text) if b"0x" in plain.lower() else ())}
    try:
        return pyarrow.csv.read_csv(
            io.BytesIO(plain),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=min(max(len(plain), 1 << 20), _LARGEST_BLOCK)
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=_spellings(text),
                strings_can_be_null=True,
                column_types=dict.fromkeys(as_written, pa.string()),
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise place.error(messages.data_unreadable(place.span, path.name, str(error))) from None


def _plain(text: CsvText) -> bytes:
    """The same cells in the form that needs no dialect: commas, and quotes where they are needed."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(text.columns)
    writer.writerows(text.rows)
    return stream.getvalue().encode()


def _spellings(text: CsvText) -> list[str]:
    """The words for a missing value, as this file spells them."""
    return sorted(cell for cell in {cell for row in text.rows for cell in row} if cell.lower() in MISSING)


def _hexadecimal(text: CsvText) -> set[str]:
    """The columns with a cell such as 0x10: arrow would read it as 16, running a model refuses it."""
    return {
        column
        for column, cells in zip(text.columns, zip(*text.rows, strict=True), strict=True)
        if any(cell.lower().lstrip("+-").startswith("0x") for cell in cells)
    }


def _fault(path: Path, place: Place, fault: CsvFault) -> IsoclineError:
    match fault:
        case Headless(line, cells):
            return place.error(messages.no_header(place.span, path.name, line, cells))
        case Ragged(line, found, expected):
            return place.error(messages.ragged_row(place.span, path.name, line, found, expected))
        case Repeated(column):
            return place.error(messages.repeated_column(place.span, path.name, column))
        case Unreadable(reason):
            return place.error(messages.data_unreadable(place.span, path.name, reason))
    raise AssertionError(fault)

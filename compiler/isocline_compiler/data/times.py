"""A column as times: numbers, dates, or texts that are dates in a form that is known or stated."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from isocline_compiler.data.columns import column
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table
from isocline_compiler.graph import Array
from isocline_dsl.messages import data as messages

SLASHES = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?)?")
"""2010/01/31, 2010/1/31 06:00 and 2010/01/31 06:00:30: the year first, so that day and month cannot be mistaken."""


def times(table: Table, name: str, form: str | None, place: Place) -> Array:
    """The column as datetime64 in microseconds, or as numbers, one a row. Times with a zone become UTC.

    `form` is how the dates are written, as `strptime` reads it. Raises E509, E527; E533 at the first row that is
    neither.
    """
    found = column(table, name, place)
    kind = found.dtype.kind
    if kind == "M" or (form is None and kind in "fiu"):
        gaps = np.isnat(found) if kind == "M" else ~np.isfinite(found)
        if gaps.any():
            raise _unread(table, name, int(np.argmax(gaps)), None, None, place)
        return found
    read = reader(form)
    dates: list[datetime] = []
    for row, cell in enumerate(found):
        try:
            date = read(str(cell))
            if dates and (date.tzinfo is None) != (dates[0].tzinfo is None):
                raise ValueError(cell)
        except ValueError:
            raise _unread(table, name, row, cell, form, place) from None
        dates.append(date)
    return np.array([_plain(date) for date in dates], dtype="datetime64[us]")


def reader(form: str | None) -> Callable[[str], datetime]:
    """How a date is read from a text: by ISO 8601 and with slashes, or as stated. What it returns raises ValueError."""
    return _read_date if form is None else lambda text: datetime.strptime(text, form)


def date64(text: str, form: str | None = None) -> np.datetime64:
    """One date. Raises ValueError."""
    try:
        return np.datetime64(_plain(_read_date(text)))
    except ValueError:
        if form is None:
            raise
        return np.datetime64(_plain(datetime.strptime(text, form)))


def _read_date(text: str) -> datetime:
    match = SLASHES.fullmatch(text)
    if match is None:
        return datetime.fromisoformat(text)
    year, month, day, hour, minute, second = match.groups()
    seconds = float(second or 0)
    whole = int(seconds)
    micro = round(1e6 * (seconds - whole))
    return datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), whole, micro)


def _plain(date: datetime) -> datetime:
    return date if date.tzinfo is None else date.astimezone(UTC).replace(tzinfo=None)


def _unread(table: Table, name: str, row: int, cell: object, form: str | None, place: Place) -> Exception:
    shown = None if cell is None else str(cell)
    return place.error(messages.not_a_time(place.span, table.path.name, table.line(row), name, shown, form))

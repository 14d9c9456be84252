"""Columns by name, as numbers, with missing values filled by the stated policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from isocline_compiler.data.arrow_table import LARGEST
from isocline_compiler.data.csv_table import number_in
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table, survives
from isocline_compiler.graph import Array
from isocline_dsl.messages import data as messages


def expand(table: Table, names: Sequence[str], place: Place) -> list[str]:
    """The columns meant: names, or patterns such as `pixel_*` in natural order (2 before 10)."""
    found: list[str] = []
    for name in names:
        found.extend([name] if name in table.columns or "*" not in name else _like(table, name, place))
    return found


def _like(table: Table, pattern: str, place: Place) -> list[str]:
    matching = sorted((name for name in table.names if fnmatchcase(name, pattern)), key=_natural)
    if not matching:
        raise place.error(messages.no_column_like(place.span, table.path.name, pattern, table.names))
    return matching


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def column(table: Table, name: str, place: Place) -> Array:
    """One column as it is. Raises E509 or E527."""
    if name not in table.columns:
        raise place.error(messages.missing_column(place.span, table.path.name, name, table.names))
    array = table.columns[name]
    if array.ndim != 1:
        raise place.error(messages.not_a_column(place.span, table.path.name, name, str(list(array.shape))))
    return array


def numbers(table: Table, name: str, place: Place, kind: str = "real") -> Array:
    """One column as float64, NaN where a value is missing. Raises E509, E511, E512, E527 or E532."""
    array = column(table, name, place)
    if array.dtype.kind == "M":
        raise place.error(messages.dates_are_not_numbers(place.span, table.path.name, name, shown_time(array[0])))
    refuse_change(table, name, array, place)
    if array.dtype.kind == "b" and kind != "bool" and table.path.suffix == ".csv":  # a word is no number, as when run
        facts = (table.path.name, table.line(0), name, str(array[0]).lower())
        raise place.error(messages.not_a_number(place.span, *facts))
    if array.dtype.kind in "fib":
        return array.astype(np.float64)
    return _parsed(table, name, array, place)


def refuse_change(table: Table, name: str, array: Array, place: Place) -> None:
    """Raises E532 for the first value that float64 and int64 do not hold."""
    kind = array.dtype.kind
    if kind == "c":
        changed, found, kept = np.ones(array.shape, dtype=np.bool_), "a complex number", "a real number"
    elif kind == "u":
        changed, found, kept = array > LARGEST, "beyond the integers of 64 bits", "one"
    elif array.dtype.char == "g":
        changed, found, kept = ~survives(array, array.astype(np.float64)), "longer than 64 bits", "a float64"
    else:
        return
    index = next(map(tuple, np.argwhere(changed)), None)
    if index is not None:
        row = index[0] + 1 if index else 1
        facts = (table.path.name, int(row), name, array[index], found, kept)
        raise place.error(messages.value_would_change(place.span, *facts))


def _parsed(table: Table, name: str, array: Array, place: Place) -> Array:
    """Texts as numbers, which works for numbers in quotes only: anything else is the mistake to report."""
    values = np.full(len(array), np.nan)
    for row, item in enumerate(array):
        if item is None:
            continue
        try:
            values[row] = _number(item)
        except (TypeError, ValueError):
            line = table.line(row)
            raise place.error(messages.not_a_number(place.span, table.path.name, line, name, item)) from None
    return values


def _number(item: object) -> float:
    """Texts as when a model is run, where `1_000` is no number."""
    if isinstance(item, str):
        return number_in(item)
    if isinstance(item, complex):
        raise TypeError(item)
    return float(item)  # type: ignore[arg-type] # what it does not take raises TypeError, which the caller reports


def shown_time(value: object) -> str:
    """A time as it is written in a file: `2014-01-01 06:00:00`, without what is zero at its end."""
    return str(value).removesuffix(".000000").removesuffix("T00:00:00").replace("T", " ")


Fill = Callable[[Array], Array]


def hold(values: Array) -> Array:
    """The last finite value again; what stands before the first one stays missing."""
    position = np.where(np.isfinite(values), np.arange(len(values)), -1)
    last = np.maximum.accumulate(position)
    return np.where(last >= 0, values[last], np.nan)


def interpolate(values: Array) -> Array:
    """A line between the finite neighbours, by row; the two ends stay missing."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    return np.interp(np.arange(len(values)), known, values[known], left=np.nan, right=np.nan)


FILLS: Mapping[str, Fill] = {"hold": hold, "interpolate": interpolate}


def complete(
    table: Table, names: Sequence[str], policy: str, place: Place, kind: str = "real"
) -> tuple[Array, list[str]]:
    """Columns as float64 (rows, columns), filled by `policy`, and a note for each column that was filled.

    `kind` is that of the port they are for: no class is between two others. Raises E531.

    `drop` leaves the gaps to whoever makes samples; every other policy ends without gaps or raises E513.
    """
    filled, notes = [], []
    for name in names:
        values, count = _complete_one(table, name, policy, place, kind)
        filled.append(values)
        if count:
            notes.append(f"{count} missing values of `{name}` filled by `missing {policy}`")
        notes += rounding_notes(name, table.columns[name])
    return np.stack(filled, axis=1), notes


def rounding_notes(name: str, array: Array) -> list[str]:
    """A note when integers are larger than float64 tells apart."""
    if array.dtype.kind != "i" or not (np.abs(array) > 2**53).any():
        return []
    rounded = int((array.astype(np.float64).astype(np.object_) != array.astype(np.object_)).sum())
    return [f"{rounded} integers of `{name}` are beyond 2^53 and rounded to a float64"] if rounded else []


def _complete_one(table: Table, name: str, policy: str, place: Place, kind: str) -> tuple[Array, int]:
    values = numbers(table, name, place, kind)
    gaps = ~np.isfinite(values)
    if policy == "drop" or not gaps.any():
        return values, 0
    if policy == "interpolate" and kind in ("class", "bool"):
        line = table.line(int(np.argmax(gaps)))
        raise place.error(messages.classes_are_not_interpolated(place.span, table.path.name, line, name, kind))
    if policy in FILLS:
        values = FILLS[policy](values)
    check_finite(table, name, values, policy, place)
    return values, int(gaps.sum())


def check_finite(table: Table, name: str, values: Array, policy: str, place: Place) -> None:
    """Raises E513 at the first value that is not finite."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        line = table.line(int(bad[0]))
        raise place.error(messages.missing_values(place.span, table.path.name, line, name, len(bad), policy))

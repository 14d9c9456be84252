"""The forms of a binding: `row`, `rows`, `column`, `columns`, `past`, `future`, `array`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from isocline_compiler.data.columns import FILLS, check_finite, complete, expand, numbers, refuse_change, rounding_notes
from isocline_compiler.data.panel import Panel, together
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table
from isocline_compiler.data.windows import Windows, cut
from isocline_compiler.graph import Array
from isocline_compiler.model import DataBinding
from isocline_dsl.messages import data as messages
from isocline_dsl.messages import panels


@dataclass(frozen=True)
class Extraction:
    """One table, the policy for missing values, the windows, and the kind of each port by its name.

    Collects notes about what was filled.
    """

    table: Table
    policy: str
    windows: Windows | None
    kinds: Mapping[str, str]
    notes: list[str] = field(default_factory=list)
    panel: Panel | None = None
    whole: bool = False
    """Whether a sample is all of the file, or of a panel all rows of a member."""

    def read(self, binding: DataBinding, place: Place) -> Array:
        """The array of a binding, samples first: float64, or int64 for an array of integers."""
        if self.panel is not None and binding.port == self.panel.port:
            return self._members(self.panel)
        return FORMS[binding.form](self, binding, place)

    def _members(self, panel: Panel) -> Array:
        """Whose each sample is: a row's, a window's, or where a sample is all rows of a member each of them once."""
        if self.windows is not None:
            present: Array = panel.codes[self.windows.present - (self.windows.past > 0)]
            return present
        return np.arange(len(panel.members)) if self.whole else panel.codes

    def matrix(self, binding: DataBinding, place: Place) -> Array:
        """The columns of a binding: float64 (rows, columns), without gaps unless these are to be dropped."""
        names = expand(self.table, binding.columns, place)
        values, notes = complete(self.table, names, self.policy, place, self.kinds[binding.port])
        self.notes.extend(note for note in notes if note not in self.notes)
        return values


def _row(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """One sample: row `count` of each column, (1, columns). Only that row needs to be there.

    Of a panel row `count` of each member, (members, columns).
    """
    names = expand(data.table, binding.columns, place)
    row = binding.count or 0
    if data.panel is not None:
        return data.matrix(binding, place)[_rows_of_members(data, data.panel, row, place)]
    cells = [_cell(data, name, row, data.kinds[binding.port], place) for name in names]
    return np.array([cells])


def _cell(data: Extraction, name: str, row: int, kind: str, place: Place) -> float:
    values = numbers(data.table, name, place, kind)
    if not 0 <= row < len(values):
        raise place.error(messages.no_such_row(place.span, data.table.path.name, row, len(values)))
    if np.isfinite(values[row]) or data.policy == "drop":
        return float(values[row])
    filled, _ = complete(data.table, [name], data.policy, place, kind)
    check_finite(data.table, name, filled[:, 0], data.policy, place)
    data.notes.append(f"row {row} of `{name}` filled by `missing {data.policy}`")
    return float(filled[row, 0])


def _rows(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """One sample: all rows, (1, rows, columns); of a panel all rows of each member, (members, rows, columns)."""
    values = data.matrix(binding, place)
    if data.panel is None:
        return values[None]
    panel = data.panel
    together(panel, data.table, place)
    counts = panel.stops - panel.starts
    other = int(np.argmax(counts != counts[0]))
    if counts[other] != counts[0]:
        facts = (panel.members[0], int(counts[0]), panel.members[other], int(counts[other]))
        raise place.error(panels.group_rows_differ(place.span, binding.port, *facts))
    found: Array = values[panel.starts[:, None] + np.arange(counts[0])]
    return found


def _rows_of_members(data: Extraction, panel: Panel, row: int, place: Place) -> Array:
    """Row `row` of each member, as rows of the table."""
    together(panel, data.table, place)
    short = np.flatnonzero(panel.stops - panel.starts <= row)
    if row < 0 or len(short):
        least = int((panel.stops - panel.starts).min())
        raise place.error(messages.no_such_row(place.span, data.table.path.name, row, least))
    rows: Array = panel.starts + row
    return rows


def _column(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """One number a row: (rows,)."""
    return data.matrix(binding, place)[:, 0]


def _columns(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """One vector a row: (rows, columns)."""
    return data.matrix(binding, place)


def _window(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """One stretch of rows a window: (windows, length, columns)."""
    assert data.windows is not None
    return cut(data.matrix(binding, place), data.windows, binding.form, binding.count or 1)


def _array(data: Extraction, binding: DataBinding, place: Place) -> Array:
    """An array of the file, whose first axis counts the samples."""
    table, name = data.table, binding.columns[0]
    if name not in table.columns:
        raise place.error(messages.missing_column(place.span, table.path.name, name, table.names))
    array = table.columns[name]
    if array.ndim == 1 and array.dtype.kind not in "fib":
        return numbers(table, name, place, data.kinds[binding.port])
    refuse_change(table, name, array, place)
    if array.dtype.kind not in "fib":
        reason = f"`{name}` holds {array.dtype}, expected numbers"
        raise place.error(messages.data_unreadable(place.span, table.path.name, reason))
    if not np.isfinite(array).all() and data.policy != "drop":
        _refuse_gaps(data, binding, np.atleast_1d(array), place)
    data.notes.extend(rounding_notes(name, array))
    return array


def _refuse_gaps(data: Extraction, binding: DataBinding, array: Array, place: Place) -> None:
    if data.policy in FILLS:
        raise place.error(messages.arrays_are_not_filled(place.span, binding.port, data.policy))
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    path, name = data.table.path.name, binding.columns[0]
    raise place.error(messages.missing_values(place.span, path, int(bad[0]) + 1, name, len(bad), data.policy))


FORMS: Mapping[str, Callable[[Extraction, DataBinding, Place], Array]] = {
    "row": _row,
    "rows": _rows,
    "column": _column,
    "columns": _columns,
    "past": _window,
    "future": _window,
    "array": _array,
}

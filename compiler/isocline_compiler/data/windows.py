"""Windows over rows: which rows are the past and which the future of each sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isocline_compiler.data.panel import Panel, together
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table
from isocline_compiler.graph import Array
from isocline_compiler.model import DataBinding
from isocline_dsl.messages import data as messages
from isocline_dsl.messages import panels


@dataclass(frozen=True)
class Windows:
    """Sample i has rows [present_i - past, present_i) behind it and [present_i, present_i + future) ahead.

    Bindings of different lengths meet at the present: the last row of every past stands just before the first
    of every future.
    """

    present: Array
    past: int
    future: int


def make_windows(
    table: Table, bindings: Iterable[DataBinding], stride: int, place: Place, panel: Panel | None = None
) -> Windows | None:
    """Window k starts at row k * stride, of each member of a panel anew, and fits whole.

    None without bindings to windows. Raises E520, E537 and E538.
    """
    windowed = [item for item in bindings if item.form in ("past", "future")]
    if not windowed:
        return None
    past, future = _longest(windowed, "past"), _longest(windowed, "future")
    rows = min(len(array) for array in table.columns.values())
    if rows < past + future:
        span = windowed[0].span or place.span
        raise place.error(messages.too_few_rows(span, table.path.name, rows, past + future))
    if panel is None:
        return Windows(np.arange(past, rows - future + 1, stride), past, future)
    together(panel, table, place)
    bounds = sorted(zip(panel.starts.tolist(), panel.stops.tolist(), strict=True))
    present = [np.arange(start + past, stop - future + 1, stride) for start, stop in bounds]
    if not any(map(len, present)):
        longest = max(stop - start for start, stop in bounds)
        raise place.error(panels.group_too_short(windowed[0].span, table.path.name, past + future, longest))
    return Windows(np.concatenate(present), past, future)


def _longest(bindings: Iterable[DataBinding], form: str) -> int:
    return max((item.count or 1 for item in bindings if item.form == form), default=0)


def cut(values: Array, windows: Windows, form: str, length: int) -> Array:
    """(rows, columns) to (samples, length, columns)."""
    first = windows.present - length if form == "past" else windows.present
    return values[first[:, None] + np.arange(length)[None, :]]

"""Windows over rows that do not belong together: across a gap in time, or from one series into the next.

Rows are steps of one clock when nearly all of them are equally far apart. A step that is longer is a gap; where the
clock goes back, or a column of names changes for good, another series begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

import numpy as np

from isocline_compiler.data.table import Table
from isocline_compiler.data.windows import Windows
from isocline_compiler.graph import Array
from isocline_compiler.model import DataPlan

REGULAR = 0.7
"""The least part of equal steps from which on a column is taken for a clock."""


def window_notes(table: Table, plan: DataPlan, windows: Windows) -> list[str]:
    """What is said of the windows that run across gaps, or from one series into the next."""
    clocks = list(_clocks(table, plan))
    notes = []
    for name, back, gap in clocks:
        spanning = _across(windows, gap)
        if spanning:
            odd, whose = int(gap.sum()), f"{_of(spanning, windows)} {'spans' if spanning == 1 else 'span'} a gap"
            notes.append(f"{odd} steps of `{name}` are not the usual one: {whose}")
        restarts = _across(windows, back)
        if restarts:
            notes.append(f"`{name}` goes back within {_of(restarts, windows)}: they run from one series into the next")
    if all(back.any() for _, back, _ in clocks):  # a clock that goes on means one series
        notes += _entity_notes(table, plan, windows)
    return notes


def _entity_notes(table: Table, plan: DataPlan, windows: Windows) -> Iterator[str]:
    for name in _unbound(table, plan):
        changes = _changes(table.columns[name])
        crossing = 0 if changes is None else _across(windows, changes)
        if crossing:
            yield (
                f"`{name}` changes within {_of(crossing, windows)}: where it names what the rows are about, they run "
                "from one entity into the next"
            )


def _of(count: int, windows: Windows) -> str:
    return f"{count} of {len(windows.present)} windows"


def _across(windows: Windows, breaks: Array) -> int:
    """How many windows hold both rows of a step that is a break; step i leads from row i to the next."""
    total = np.concatenate([[0], np.cumsum(breaks)])
    first, last = windows.present - windows.past, windows.present + windows.future - 1
    return int((total[last] > total[first]).sum())


def _clocks(table: Table, plan: DataPlan) -> Iterator[tuple[str, Array, Array]]:
    """Each column that tells time: its name, the steps that go back, the steps that are longer than usual."""
    stated = [plan.time, plan.split.get("column") if plan.split is not None and plan.split.name == "time" else None]
    for name in dict.fromkeys([*(str(item) for item in stated if item is not None), *_unbound(table, plan)]):
        array = table.columns.get(name)
        if array is None or array.ndim != 1 or array.dtype.kind not in "Mif" or len(array) < 4:
            continue
        steps = np.diff(array).astype(np.float64)
        forward = steps[steps > 0]
        if not len(forward):
            continue
        usual = float(np.median(forward))
        equal = np.isclose(steps, usual, rtol=1e-6)
        if name in stated or array.dtype.kind == "M" or equal.mean() >= REGULAR:
            yield name, ~(steps > 0), (steps > usual) & ~equal


def _unbound(table: Table, plan: DataPlan) -> Iterable[str]:
    """Columns that no input, no target and no split reads."""
    read = [name for binding in plan.bindings for name in binding.columns]
    if plan.split is not None and plan.split.name == "column":
        read.append(str(plan.split.get("column", "split")))
    return [name for name in table.names if not any(fnmatchcase(name, pattern) for pattern in read)]


def _changes(array: Array) -> Array | None:
    """Where a column of names changes, when each name fills one stretch of several rows; else None."""
    if array.ndim != 1 or array.dtype.kind not in "OiU" or len(array) < 4:
        return None
    changes = np.asarray(array[1:] != array[:-1], dtype=np.bool_)
    stretches = int(changes.sum()) + 1
    names = len(set(array.tolist()))
    return changes if 1 < names == stretches <= len(array) / 2 else None

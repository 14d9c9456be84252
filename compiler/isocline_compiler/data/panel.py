"""Panels: a table whose rows belong to subjects, told apart by the values of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.data.columns import column
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table
from isocline_compiler.graph import Array
from isocline_compiler.model import DataPlan, Port
from isocline_dsl.messages import data as data_messages
from isocline_dsl.messages import panels as messages


@dataclass(frozen=True)
class Panel:
    """Whose each row is: `codes` are places in `members`, the names in the order in which they first appear.

    `starts` and `stops` bound the rows of each member where they stand together; `port` is the input of the group.
    """

    column: str
    codes: Array
    members: tuple[str, ...]
    port: str | None = None

    @property
    def starts(self) -> Array:
        """The first row of each member."""
        return np.unique(self.codes, return_index=True)[1]

    @property
    def stops(self) -> Array:
        """The row behind the last one of each member."""
        return len(self.codes) - np.unique(self.codes[::-1], return_index=True)[1]

    @property
    def boundary(self) -> Array:
        """Of each step from a row to the next, whether it leads to another member."""
        return np.asarray(self.codes[1:] != self.codes[:-1], dtype=np.bool_)


def panel_of(table: Table, plan: DataPlan, inputs: Sequence[Port], place: Place) -> Panel | None:
    """The subjects of a table, or None where nothing says whose its rows are.

    They are those of the input of type `group`, else of the column that `group` names. Raises E509, E513, E534, E535.
    """
    port = next((item for item in inputs if item.group), None)
    bound = {item.port: item for item in plan.bindings}
    named = plan.group
    if named is None and port is not None and port.name in bound:
        named = port.name
    if named is None:
        return None
    at = place.at(plan.group_span)
    name = named
    if named in bound:
        binding = bound[named]
        at = place.at(binding.span)
        if binding.form not in ("column", "array"):
            raise at.error(messages.group_form(at.span, named, binding.form))
        name = binding.columns[0]
    codes, members = _factorised(table, name, at)
    own = port.name if port is not None and port.name == named else None
    if port is not None and own is not None and len(members) != (port.classes or 0) - 1:
        raise at.error(messages.group_count(at.span, own, len(members), (port.classes or 0) - 1))
    return Panel(name, codes, members, own)


def _factorised(table: Table, name: str, place: Place) -> tuple[Array, tuple[str, ...]]:
    """Each row's place among the different values, in the order in which they first appear, and these as texts."""
    values = column(table, name, place)
    texts = [_text(value) for value in values.tolist()]
    missing = [row for row, text in enumerate(texts) if text is None]
    if missing:
        facts = (table.path.name, table.line(missing[0]), name, len(missing), "error")
        raise place.error(data_messages.missing_values(place.span, *facts))
    members = tuple(dict.fromkeys(text for text in texts if text is not None))
    places = {text: index for index, text in enumerate(members)}
    return np.array([places[text or ""] for text in texts], dtype=np.int64), members


def _text(value: object) -> str | None:
    """A name as it is written: a whole number without its point; None where there is none."""
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def together(panel: Panel, table: Table, place: Place) -> None:
    """The rows of each member stand one after another. Raises E537."""
    runs = np.flatnonzero(np.concatenate([[True], panel.boundary]))
    seen: set[int] = set()
    for row in runs.tolist():
        member = int(panel.codes[row])
        if member in seen:
            facts = (table.path.name, table.line(row), panel.column, panel.members[member])
            raise place.error(messages.group_apart(place.span, *facts))
        seen.add(member)

"""Which samples train, which validate and which test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocline_compiler.data.columns import column
from isocline_compiler.data.place import Place
from isocline_compiler.data.table import Table
from isocline_compiler.data.times import date64, times
from isocline_compiler.graph import Array
from isocline_compiler.graph.called import Called
from isocline_dsl.messages import data as messages

Parts = dict[str, Array]
"""Indices of samples by part: `train`, `validation`, `test`."""

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Samples:
    """What a split sees: the table, and for each sample the rows [begin, end) that are to be predicted.

    `members` say whose each sample is, where the rows belong to subjects.
    """

    table: Table
    begin: Array
    end: Array
    time: str | None
    time_form: str | None = None
    members: Array | None = None

    @property
    def count(self) -> int:
        return len(self.begin)


def split_samples(samples: Samples, option: Called, place: Place) -> Parts:
    """Indices by part; a part that was asked for and is empty raises E523."""
    rule = SPLITS.get(option.name)
    place = place.at(option.span)
    if rule is None:
        raise place.error(messages.unknown_split(place.span, option.name, tuple(SPLITS)))
    parts = rule(samples, option, place)
    for name in PARTS:
        if name in parts and not len(parts[name]):
            raise place.error(messages.empty_split(place.span, name, samples.count))
    return parts


def by_fraction(samples: Samples, option: Called, _: Place) -> Parts:
    """A seeded shuffle; then `train`, `validation` and the rest, which is the test. Of a panel, of its members."""
    count = _units(samples)
    order = np.random.default_rng(int(option.get("seed", 0))).permutation(count)
    train = _count(option.get("train", 0.8), count)
    validation = _count(option.get("validation", 0), count)
    return _of_units(samples, _consecutive(order, train, validation, count - train - validation))


def by_tail(samples: Samples, option: Called, _: Place) -> Parts:
    """In the order of the file: the last samples test, those before them validate; of a panel, the last members.
    Fractions, or counts.
    """
    count = _units(samples)
    test = _count(option.get("test", 0), count)
    validation = _count(option.get("validation", 0), count)
    return _of_units(samples, _consecutive(np.arange(count), count - test - validation, validation, test))


def _units(samples: Samples) -> int:
    """How many there are to be divided: samples, or the members of a panel that have some."""
    return samples.count if samples.members is None else len(np.unique(samples.members))


def _of_units(samples: Samples, parts: Parts) -> Parts:
    """The samples of each part: a member of a panel belongs to one of them, with all that is known of it."""
    if samples.members is None:
        return parts
    units = np.unique(samples.members)
    return {name: np.flatnonzero(np.isin(samples.members, units[chosen])) for name, chosen in parts.items()}


def _count(share: Any, total: int) -> int:
    """Below 1 a fraction of the samples, else a number of samples."""
    return round(float(share) * total) if float(share) < 1 else int(share)


def _consecutive(order: Array, train: int, validation: int, test: int) -> Parts:
    parts = {"train": np.sort(order[: max(train, 0)])}
    if validation:
        parts["validation"] = np.sort(order[train : train + validation])
    if test > 0:
        parts["test"] = np.sort(order[train + validation :])
    return parts


def by_column(samples: Samples, option: Called, place: Place) -> Parts:
    """A column says it in words. A window belongs where all rows of its future do, else it is left out."""
    name = str(option.get("column", "split"))
    words = column(samples.table, name, place)
    for row, word in enumerate(words):
        if word not in PARTS:
            line = samples.table.line(row)
            path = samples.table.path.name
            raise place.error(messages.unknown_split_word(place.span, path, line, name, word))
    return {part: np.flatnonzero(_all_within(words == part, samples)) for part in PARTS if (words == part).any()}


def _all_within(flags: Array, samples: Samples) -> Array:
    """For each sample: every one of its rows is flagged."""
    total = np.concatenate([[0], np.cumsum(flags)])
    within: Array = total[samples.end] - total[samples.begin] == samples.end - samples.begin
    return within


def by_time(samples: Samples, option: Called, place: Place) -> Parts:
    """What begins at or after the time `test` tests, at or after `validation` validates, the rest trains.

    A window whose future begins before a boundary and ends after it is left out, so that nothing trained on
    reaches into what is tested.
    """
    name = str(option.get("column") or samples.time)
    form = samples.time_form if name == samples.time else None
    stamps = times(samples.table, name, form, place)
    edges = [(part, option.get(part)) for part in ("validation", "test") if option.get(part) is not None]
    begin, end = stamps[samples.begin], stamps[samples.end - 1]
    parts, upper = {}, np.ones(samples.count, dtype=np.bool_)
    for part, edge in reversed(edges):
        boundary = _boundary(edge, stamps, name, form, place)
        parts[part] = np.flatnonzero(upper & (begin >= boundary))
        upper = upper & (end < boundary)
    parts["train"] = np.flatnonzero(upper)
    return parts


def _boundary(edge: Any, stamps: Array, name: str, form: str | None, place: Place) -> Any:
    dates = stamps.dtype.kind == "M"
    try:
        if dates:
            return date64(str(edge), form)
        return float(edge)
    except ValueError:
        kind = "a date" if dates else "a number"
        raise place.error(messages.bad_time_boundary(place.span, edge, name, kind)) from None


SPLITS: Mapping[str, Callable[[Samples, Called, Place], Parts]] = {
    "fraction": by_fraction,
    "time": by_time,
    "column": by_column,
    "tail": by_tail,
}

"""From a `data` block to arrays: read, bind, check, drop, split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isocline_compiler.data.columns import expand, shown_time
from isocline_compiler.data.continuity import window_notes
from isocline_compiler.data.dataset import Dataset, Split
from isocline_compiler.data.forms import Extraction
from isocline_compiler.data.memory_table import memory_table
from isocline_compiler.data.panel import Panel, panel_of
from isocline_compiler.data.place import Place
from isocline_compiler.data.ports import SINGLE, Sizes, outside_bounds, shaped, typed
from isocline_compiler.data.splits import Parts, Samples, split_samples
from isocline_compiler.data.table import Table, read_table
from isocline_compiler.data.times import times
from isocline_compiler.data.windows import Windows, make_windows
from isocline_compiler.graph import Array
from isocline_compiler.model import DataBinding, DataPlan, Port, default_text
from isocline_dsl.diagnostics import Source
from isocline_dsl.messages import data as messages


def load_data(
    plan: DataPlan,
    inputs: Sequence[Port],
    targets: Sequence[Port],
    folder: Path,
    source: Source | None = None,
    override: Any = None,
) -> Dataset:
    """The arrays of every port by part.

    `override` is read in place of the file that the plan names: another file, a mapping from names to columns or
    arrays, or a data frame.

    Inputs that are bound to nothing are their defaults in every sample, where they have one.

    Raises E5xx: a file that cannot be read, a column, shape, label or value that does not fit.
    """
    place = Place(source, plan.source_span or plan.span)
    texts = {plan.time} if plan.time is not None and plan.time_form is not None else set()
    if override is None or isinstance(override, Path):
        table = read_table(_path(plan, folder, override, place), place, texts)
    else:
        table = memory_table(override, place)
    ports = _bound_ports(plan, inputs, targets, place)
    panel = panel_of(table, plan, inputs, place)
    windows = make_windows(table, plan.bindings, plan.stride, place, panel)
    _check_times(table, plan, windows, place, panel)
    notes: list[str] = []
    kinds = {port.name: port.kind for _, port in ports}
    data = Extraction(table, plan.missing, windows, kinds, notes, panel, _is_whole(plan, panel))
    arrays = _read(data, ports, place)
    shared = frozenset(port.name for _, port in ports if not port.batched)
    samples = _samples(table, plan, windows, Split(arrays, shared), panel)
    kept = _complete_samples(arrays, shared, samples, plan, place)
    notes.extend(_dropped(samples.count, len(kept)))
    whole, samples = Split(arrays, shared).take(kept), _taken(samples, kept)
    whole = Split({**_typed(whole, ports, samples, place), **_defaults(plan, inputs, whole.count, notes)}, shared)
    if windows is not None:
        notes.extend(window_notes(table, plan, replace(windows, present=windows.present[kept])))
    for _, port in ports:
        notes.extend(outside_bounds(whole.arrays[port.name], port))
    columns = _columns(table, plan.bindings, place)
    members = {} if panel is None or panel.port is None else {panel.port: panel.members}
    return replace(_split(whole, samples, plan, notes, place), columns=columns, members=members)


def _is_whole(plan: DataPlan, panel: Panel | None) -> bool:
    """Whether a sample is the whole file, or all rows of a member of the panel."""
    own = None if panel is None else panel.port
    return all(item.form in SINGLE for item in plan.bindings if item.port != own)


def _columns(table: Table, bindings: Sequence[DataBinding], place: Place) -> dict[str, tuple[str, ...]]:
    """The columns of every binding whose sample is one row."""
    rows = (item for item in bindings if item.form in ("row", "column", "columns"))
    return {item.port: tuple(expand(table, item.columns, place)) for item in rows}


def _path(plan: DataPlan, folder: Path, override: Path | None, place: Place) -> Path:
    if override is not None:
        return override
    if plan.source is None:
        raise place.error(messages.no_source(place.span))
    return folder / plan.source


def _bound_ports(
    plan: DataPlan, inputs: Sequence[Port], targets: Sequence[Port], place: Place
) -> list[tuple[DataBinding, Port]]:
    """Each port with its binding, in the order of declaration; none of those that have a default. Raises E521."""
    bindings: Mapping[str, DataBinding] = {item.port: item for item in plan.bindings}
    for role, ports in (("input", inputs), ("target", targets)):
        for port in ports:
            if port.name not in bindings and not port.default:
                raise place.error(messages.unbound_port(port.span or plan.span, role, port.name))
    return [(bindings[port.name], port) for port in (*inputs, *targets) if port.name in bindings]


def _defaults(plan: DataPlan, inputs: Sequence[Port], count: int, notes: list[str]) -> dict[str, Array]:
    """The inputs that are bound to nothing: their defaults, samples first, and a note of each."""
    bound = {item.port for item in plan.bindings}
    found: dict[str, Array] = {}
    for port in inputs:
        sample = port.default_sample
        if port.name not in bound and sample is not None:
            found[port.name] = np.broadcast_to(sample, (count, *sample.shape)) if port.batched else sample
            notes.append(f"`{port.name}` is not bound: it is its default, {default_text(port)}, in every sample")
    return found


def _read(data: Extraction, ports: Sequence[tuple[DataBinding, Port]], place: Place) -> dict[str, Array]:
    """Arrays in their declared shapes, samples first and equally many."""
    arrays: dict[str, Array] = {}
    sizes: Sizes = {}
    first: Port | None = None
    for binding, port in ports:
        at = place.at(binding.span)
        arrays[port.name] = array = shaped(data.read(binding, at), port, binding.form, sizes, at)
        if not port.batched:
            continue
        if first is not None and len(array) != len(arrays[first.name]):
            counts = (port.name, len(array), first.name, len(arrays[first.name]))
            raise place.error(messages.sample_counts_differ(at.span, *counts))
        first = first or port
    return arrays


def _samples(table: Table, plan: DataPlan, windows: Windows | None, whole: Split, panel: Panel | None) -> Samples:
    """The rows each sample is about: those of its future, its own row, or all rows; and whose they are."""
    found = _rows_of_samples(table, plan, windows, whole, panel)
    return (
        found if panel is None else replace(found, members=panel.codes[np.minimum(found.begin, len(panel.codes) - 1)])
    )


def _rows_of_samples(
    table: Table, plan: DataPlan, windows: Windows | None, whole: Split, panel: Panel | None
) -> Samples:
    time = (plan.time, plan.time_form)
    if windows is not None:
        ahead = windows.present + max(windows.future, 0)
        begin = windows.present if windows.future else windows.present - 1
        return Samples(table, begin, np.maximum(ahead, begin + 1), *time)
    if _is_whole(plan, panel):
        if panel is not None:
            return Samples(table, panel.starts, panel.stops, *time)
        return Samples(table, np.zeros(1, dtype=np.int64), np.array([_rows(table)]), *time)
    order = np.arange(whole.count)
    return Samples(table, order, order + 1, *time)


def _rows(table: Table) -> int:
    return min(len(np.atleast_1d(array)) for array in table.columns.values())


def _taken(samples: Samples, kept: Array) -> Samples:
    members = None if samples.members is None else samples.members[kept]
    return Samples(samples.table, samples.begin[kept], samples.end[kept], samples.time, samples.time_form, members)


def _complete_samples(
    arrays: Mapping[str, Array], shared: frozenset[str], samples: Samples, plan: DataPlan, place: Place
) -> Array:
    """Indices of the samples without gaps; every one unless `missing drop`. Raises E522."""
    whole = np.ones(samples.count, dtype=np.bool_)
    for name, array in arrays.items():
        if name not in shared:
            whole &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not whole.any():
        raise place.error(messages.all_samples_dropped(plan.span, samples.table.path.name, samples.count))
    return np.flatnonzero(whole)


def _dropped(count: int, kept: int) -> list[str]:
    gone = count - kept
    return [f"{gone} of {count} samples left out by `missing drop`"] if gone else []


def _typed(whole: Split, ports: Sequence[tuple[DataBinding, Port]], samples: Samples, place: Place) -> dict[str, Array]:
    def where(index: int) -> str:
        row = int(samples.begin[index]) if index < samples.count else 0
        return f"{samples.table.path.name}, line {samples.table.line(row)}"

    return {port.name: typed(whole.arrays[port.name], port, where, place.at(binding.span)) for binding, port in ports}


def _split(whole: Split, samples: Samples, plan: DataPlan, notes: list[str], place: Place) -> Dataset:
    if plan.split is None:
        return Dataset(whole, notes=(*notes, "no split: the held-out samples are the training samples"))
    parts = split_samples(samples, plan.split, place)
    notes.extend(_left_out(parts, whole.count))
    notes.extend(_mixed(plan, samples))
    taken = {name: whole.take(indices) for name, indices in parts.items()}
    return Dataset(taken["train"], taken.get("validation"), taken.get("test"), tuple(notes))


def _left_out(parts: Parts, count: int) -> list[str]:
    gone = count - sum(len(indices) for indices in parts.values())
    return [f"{gone} samples that cross a boundary of the split left out"] if gone else []


def _mixed(plan: DataPlan, samples: Samples) -> list[str]:
    """Windows that overlap and are split at random have rows in common across the split: the test is too easy."""
    overlap = samples.count > 1 and bool((samples.begin[1:] < samples.end[:-1]).any())
    if plan.split is None or plan.split.name != "fraction" or not overlap:
        return []
    return ["windows that overlap are split at random: samples kept aside share rows with the training samples"]


def _check_times(table: Table, plan: DataPlan, windows: Windows | None, place: Place, panel: Panel | None) -> None:
    """Windows need times that increase, of each member of a panel for itself. Raises E526."""
    if plan.time is None or windows is None:
        return
    stamps = times(table, plan.time, plan.time_form, place)
    steps = np.diff(stamps)
    backwards = ~(steps > np.zeros((), dtype=steps.dtype))
    late = np.flatnonzero(backwards if panel is None else backwards & ~panel.boundary)
    if len(late):
        row = int(late[0]) + 1
        facts = (table.path.name, table.line(row), plan.time, shown_time(stamps[row]), shown_time(stamps[row - 1]))
        raise place.error(messages.times_not_increasing(place.span, *facts))

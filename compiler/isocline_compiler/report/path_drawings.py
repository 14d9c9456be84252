"""Pictures of a stochastic model: quantile bands over time, histograms, strong error against steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.report.ink import DASHES, INK, MARKERS, QUIET, SERIES, Picture, inked, powers, sheet

BANDS = ((0.05, 0.95, 0.16), (0.25, 0.75, 0.32))
"""Quantiles between which a band is filled, and how dark it is."""
PATHS, PANELS, COLUMNS = 5, 6, 3
"""Single paths in a picture, and components that have panels of their own."""


def fan_chart(values: Array, times: Array, labels: Sequence[str], *, x_label: str) -> Picture:
    """Quantile bands of (paths, times, components), the median and some paths; a panel a component."""
    with inked():
        picture, panels = _panels(min(values.shape[2], PANELS))
        for place, axes in enumerate(panels):
            column = values[:, :, place]
            for low, high, dark in BANDS:
                ends = np.quantile(column, (low, high), axis=0)
                axes.fill_between(
                    times, *ends, color=SERIES[0], alpha=dark, linewidth=0,
                    label=f"{100 * (high - low):.0f} % of the paths",
                )  # fmt: skip
            axes.plot(times, np.median(column, axis=0), color=SERIES[0], linewidth=2, label="median")
            for i, path in enumerate(column[:PATHS]):
                label = "single paths" if i == 0 else "_"
                axes.plot(times, path, color=SERIES[1], linewidth=0.7, label=label, gid=f"path-{i}")
            axes.set(xlabel=x_label, ylabel=labels[place])
        handles, names = panels[0].get_legend_handles_labels()
        picture.legend(handles, names, loc="outside upper left", ncols=4)
    return picture


def histogram(values: Array, labels: Sequence[str]) -> Picture:
    """How often (paths, components) have which value, with the mean and a standard deviation to each side."""
    with inked():
        picture, panels = _panels(min(values.shape[1], PANELS))
        for place, axes in enumerate(panels):
            column = values[:, place]
            axes.hist(column, bins=min(40, max(8, ceil(len(column) ** 0.5))), color=SERIES[0], alpha=0.7)
            mean, deviation = float(column.mean()), float(column.std())
            axes.axvline(mean, color=INK, linewidth=1.4, label="mean")
            for i, end in enumerate((mean - deviation, mean + deviation)):
                label = "_" if i else "one standard deviation"
                axes.axvline(end, color=INK, linewidth=0.9, linestyle=DASHES[1], label=label)
            axes.set(xlabel=labels[place], ylabel="paths")
        handles, names = panels[0].get_legend_handles_labels()
        picture.legend(handles, names, loc="outside upper left", ncols=2)
    return picture


def convergence(steps: int, errors: Mapping[str, Sequence[float]], order: float, stated: float | None) -> Picture:
    """Strong error of each output against steps, with the slope that the scheme's record declares, and the bound."""
    with inked():
        picture = sheet(3.4)
        axes = picture.subplots()
        axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="strong error, relative")
        shown = {name: [e for e in line if np.isfinite(e) and e > 0] for name, line in errors.items()}
        shown = dict([item for item in shown.items() if item[1]][: len(SERIES)])
        for i, (name, line) in enumerate(shown.items()):
            counts = [steps * 2**k for k in range(len(line))]
            axes.plot(counts, line, marker=MARKERS[i], color=SERIES[i], label=name, gid=f"strong-{i}")
        highest = max((line[0] for line in shown.values()), default=1.0)
        ends = np.array([steps, steps * 4.0])
        axes.plot(
            ends, 1.5 * highest * (ends / steps) ** -order, color=QUIET, linestyle=DASHES[1],
            label=f"declared order {order:g}", gid="declared",
        )  # fmt: skip
        if stated is not None:
            axes.axhline(stated, color=INK, linewidth=0.9, linestyle=DASHES[2], label="stated", gid="stated")
        axes.set_xticks([steps, 2 * steps, 4 * steps], [f"{steps * k:,}" for k in (1, 2, 4)])
        axes.minorticks_off()
        powers(axes.yaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return picture


def _panels(count: int) -> tuple[Picture, list[Any]]:
    columns = min(COLUMNS, count)
    rows = ceil(count / columns)
    picture = sheet(3.2 if count == 1 else 0.4 + 2.2 * rows)
    panels = picture.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.remove()
    return picture, list(panels[:count])

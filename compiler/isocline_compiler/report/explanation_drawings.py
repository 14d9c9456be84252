"""Pictures of explanations, each drawn on a figure or a part of one: overlays, bars over time, named bars, paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from isocline_compiler.graph import Array
from isocline_compiler.report.ink import DASHES, INK, PAPER, QUIET, SERIES, short

LOWERS, RAISES = SERIES[0], SERIES[1]
DIVERGING = LinearSegmentedColormap.from_list("lowers_raises", [LOWERS, PAPER, RAISES])
MOST_BARS = 16
"""More numbers of an input than this are not drawn one by one."""
LINES = 4


def plain(value: float, digits: int = 3) -> str:
    """A number with so many digits, without a power of ten where none is needed."""
    return short(float(f"{value:.{digits}g}"))


def overlays(
    figure: Any, images: Array, attributions: Mapping[str, Array], labels: Sequence[str], scores: Mapping[str, str]
) -> None:
    """A row a sample: the image (c, h, w), then for each method its attribution (h, w) laid over it.

    One scale of colours a method, even around 0, for all samples.
    """
    columns = max(1 + len(attributions), 4)
    grid = figure.subplots(len(images), columns, squeeze=False)
    for axes in grid.ravel():
        _bare(axes)
    for place, image in enumerate(images):
        _show(grid[place, 0], image)
        grid[place, 0].set_title(labels[place], color=INK)
    for column, (label, values) in enumerate(attributions.items(), start=1):
        scale = _scale(values)
        for place, image in enumerate(images):
            _show(grid[place, column], image, faint=True)
            _lay_over(grid[place, column], values[place], scale)
        grid[0, column].set_title(label, color=QUIET)
        _colour_bar(figure, grid[:, column], scale, scores[label])
    for axes in grid[:, 1 + len(attributions) :].ravel():
        axes.remove()


def _scale(values: Array) -> float:
    """The largest size, or 1 where all is zero."""
    return float(np.abs(values).max()) or 1.0


def _bare(axes: Any) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _show(axes: Any, image: Array, faint: bool = False) -> None:
    """Gray values, or colours where there are three channels; `faint` leaves room for a colour above it."""
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low or 1.0)
    shown = np.moveaxis(scaled, 0, -1) if len(scaled) == 3 else np.repeat(scaled[0][..., None], 3, axis=-1)
    gray = shown.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    axes.imshow(0.62 + 0.34 * gray if faint else shown, interpolation="nearest")


def _lay_over(axes: Any, values: Array, scale: float) -> None:
    """Colours, the more opaque the larger the number."""
    colours = DIVERGING(Normalize(-scale, scale)(values))
    colours[..., 3] = np.sqrt(np.abs(values) / scale)
    axes.imshow(colours, interpolation="nearest")


def _colour_bar(figure: Any, axes: Any, scale: float, label: str) -> None:
    bar = figure.colorbar(
        ScalarMappable(Normalize(-scale, scale), DIVERGING), ax=list(axes), location="bottom", shrink=0.8, aspect=24
    )
    bar.set_ticks([-scale, 0, scale], labels=[plain(-scale, 2), "0", plain(scale, 2)])
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)


def series(
    figure: Any,
    values: Array,
    attributions: Mapping[str, Array],
    labels: Sequence[str],
    name: str,
    scores: Mapping[str, str],
) -> None:
    """A column a sample: the series (times, components) as lines, below it for each method bars (times,)."""
    count = min(len(values), 3)
    grid = figure.subplots(1 + len(attributions), count, squeeze=False, sharex=True, sharey="row")
    places = np.arange(values.shape[1])
    for column in range(count):
        for line in range(min(values.shape[2], LINES)):
            grid[0, column].plot(places, values[column, :, line], color=QUIET, linestyle=DASHES[line], linewidth=1.1)
        grid[0, column].set_title(labels[column], color=INK)
        for row, bars in enumerate(attributions.values(), start=1):
            _bars_over(grid[row, column], places, bars[column])
        grid[-1, column].set_xlabel("place in the series")
        grid[-1, column].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    grid[0, 0].set_ylabel(name)
    for row, label in enumerate(attributions, start=1):
        grid[row, 0].set_ylabel(label.replace("_", "\n") + f"\n{scores[label]}", fontsize=8)
        _short_ticks(grid[row, 0].yaxis)


def _bars_over(axes: Any, places: Array, bars: Array) -> None:
    axes.bar(places, bars, width=1.0, color=np.where(bars < 0, LOWERS, RAISES), linewidth=0)
    axes.axhline(0, color=QUIET, linewidth=0.6)


def _short_ticks(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 6)))


def rows(
    figure: Any,
    values: Array,
    attributions: Mapping[str, Array],
    labels: Sequence[str],
    names: Sequence[str],
    scores: Mapping[str, str],
) -> None:
    """A row a sample, a column a method: a bar for each number, named with the value that it had."""
    shown = min(values.shape[1], MOST_BARS)
    grid = figure.subplots(len(values), len(attributions), squeeze=False, sharex="col", sharey="row")
    for place in range(len(values)):
        texts = [f"{names[i]} = {plain(values[place, i])}" for i in range(shown)]
        for column, bars in enumerate(attributions.values()):
            _named_bars(grid[place, column], bars[place, :shown], texts)
        grid[place, 0].set_title(labels[place], color=INK)
    for column, label in enumerate(attributions):
        grid[-1, column].set_xlabel(f"{label}: {scores[label]}", fontsize=8)


def _named_bars(axes: Any, bars: Array, texts: Sequence[str]) -> None:
    """Horizontal bars from the top down, each with its number."""
    places = np.arange(len(bars))
    axes.barh(places, bars, height=0.7, color=np.where(bars < 0, LOWERS, RAISES), linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=0.6)
    axes.set_yticks(places, texts)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.3)
    for place, value in zip(places, bars, strict=True):
        axes.annotate(
            plain(value), (value, place), (-3 if value < 0 else 3, 0), textcoords="offset points",
            ha="right" if value < 0 else "left", va="center", fontsize=7.5, color=INK,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(4))


def paths(figure: Any, times: Array, states: Mapping[str, Array], labels: Sequence[str], score: str) -> None:
    """A column a sample: dS/dx(t) of each state (samples, times, *state) over `times` (samples, times)."""
    count = min(len(times), 3)
    grid = figure.subplots(1, count, squeeze=False, sharey=True)[0]
    for column, axes in enumerate(grid):
        line = 0
        for name, values in states.items():
            flat = values[column].reshape(times.shape[1], -1)
            for component in range(min(flat.shape[1], LINES)):
                label = name if flat.shape[1] == 1 else f"{name}[{component}]"
                axes.plot(times[column], flat[:, component], color=SERIES[line % 6], label=label)
                line += 1
        axes.axhline(0, color=QUIET, linewidth=0.6)
        axes.set_title(labels[column], color=INK)
        axes.set_xlabel("time")
    grid[0].set_ylabel(f"change of {score}\nper unit of the state", fontsize=8)
    grid[-1].legend(loc="best")


def sensitivities(
    figure: Any, found: Mapping[str, Array], labels: Sequence[str], deviation: Array | None, score: str
) -> None:
    """A row a sample: dS/dp as a bar for each parameter, and what their errors imply for the score."""
    grid = figure.subplots(len(labels), 1, squeeze=False, sharex=True)[:, 0]
    for place, axes in enumerate(grid):
        _named_bars(axes, np.array([values[place] for values in found.values()]), list(found))
        spread = "" if deviation is None else f" ± {plain(deviation[place], 2)}"
        axes.set_title(labels[place] + spread, color=INK)
        axes.set_xscale("symlog", linthresh=_smallest(found))
        axes.xaxis.set_major_locator(MaxNLocator(1))
        axes.set_xticks([])
    grid[-1].set_xlabel(f"change of {score} per unit of the parameter; the scale is logarithmic", fontsize=8)


def _smallest(found: Mapping[str, Array]) -> float:
    """Where the logarithm begins: the smallest size that is not zero."""
    sizes = np.abs(np.concatenate(list(found.values())))
    return float(sizes[sizes > 0].min()) if (sizes > 0).any() else 1.0

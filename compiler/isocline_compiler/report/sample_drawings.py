"""Pictures of what a model answers: trajectories, phase portraits, classes, images, predictions beside observations."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from isocline_compiler.graph import Array
from isocline_compiler.report.ink import (
    DASHES,
    INK,
    MARKERS,
    PAPER,
    QUIET,
    RULE,
    SERIES,
    WIDTH,
    Picture,
    inked,
    sheet,
)

LINES = 6
"""More components than this are not told apart in one picture."""
PANELS = 6
"""Small multiples in one picture."""
COLUMNS = 3
FACES = 8
"""Samples shown with their classes or as images."""


def trajectories(
    values: Array,
    times: Array,
    labels: Sequence[str],
    *,
    target: Array | None = None,
    x_label: str,
    y_label: str,
) -> Picture:
    """Lines over time, targets as dots: `values` and `target` are (samples, times, components), a panel a sample.

    The first six components of the first six samples are drawn.
    """
    values = values[:PANELS, :, :LINES]
    count = len(values)
    columns = min(COLUMNS, count)
    rows = ceil(count / columns)
    with inked():
        picture = sheet(3.4 if count == 1 else 0.4 + 2.0 * rows)
        panels = picture.subplots(rows, columns, squeeze=False, sharex=True, sharey=count > 1).ravel()
        for sample, axes in enumerate(panels[:count]):
            _lines(axes, times, values[sample], labels, None if target is None else target[sample])
            if count > 1:
                axes.set_title(f"sample {sample + 1}", color=QUIET)
        for axes in panels[count:]:
            axes.remove()
        panels[0].xaxis.set_major_locator(MaxNLocator(9 if count == 1 else 4, steps=[1, 2, 5, 10]))
        _outer_labels(panels[:count], columns, x_label, y_label)
        _legend(picture, panels[0], values.shape[2], target is not None)
    return picture


def _lines(axes: Any, times: Array, values: Array, labels: Sequence[str], target: Array | None) -> None:
    for i in range(values.shape[1]):
        axes.plot(times, values[:, i], color=SERIES[i], linestyle=DASHES[i % 4], label=labels[i])
        if target is not None:
            size = 4 if len(times) < 60 else 2
            label = "observed" if values.shape[1] == 1 else f"{labels[i]}, observed"
            axes.plot(
                times, target[:, i], MARKERS[i], color=SERIES[i], markersize=size, markeredgecolor=PAPER,
                markeredgewidth=0.5, label=label, gid=f"observed-{i}",
            )  # fmt: skip


def _outer_labels(panels: Sequence[Any], columns: int, x_label: str, y_label: str) -> None:
    """Names on the left and below the lowest panel of each column only."""
    for place, axes in enumerate(panels):
        if place % columns == 0:
            axes.set_ylabel(y_label)
        if place + columns >= len(panels):
            axes.set_xlabel(x_label)
            axes.tick_params(labelbottom=True)


def _legend(picture: Picture, axes: Any, lines: int, observed: bool) -> None:
    if lines > 1 or observed:
        handles, labels = axes.get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside upper left", ncols=min(len(labels), 4))


def phase_portrait(values: Array, labels: Sequence[str], *, target: Array | None = None) -> Picture:
    """The second component against the first, a line a sample that starts at a dot: `values` is (samples, times, 2)."""
    with inked():
        picture = sheet(4.0, 4.6)
        axes = picture.subplots()
        for sample, path in enumerate(values[: 4 * PANELS]):
            axes.plot(path[:, 0], path[:, 1], color=SERIES[0], linewidth=1.5 if len(values) == 1 else 0.9)
            axes.plot(path[:1, 0], path[:1, 1], "o", color=SERIES[0], markersize=5, label="" if sample else "start")
        if target is not None:
            seen = target[: 4 * PANELS].reshape(-1, 2)
            axes.plot(seen[:, 0], seen[:, 1], "s", color=SERIES[1], markersize=3.5, label="observed", gid="observed")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.legend(loc="best")
    return picture


def classes(scores: Array, truth: Array | None, images: Array | None, *, y_label: str) -> Picture:
    """Bars of (samples, classes), the largest filled, the true class marked. Images (samples, c, h, w) stand above."""
    scores = scores[:FACES]
    count = len(scores)
    columns = count if count < 4 else 3 if count in (5, 6, 9) else 4
    bands = ceil(count / columns)
    heights = ((1.0,) if images is not None else ()) + (1.0,)
    with inked():
        picture = sheet(0.3 + bands * (2.6 if images is not None else 1.6), WIDTH * max(columns, 2) / 4)
        panels = picture.subplots(bands * len(heights), columns, squeeze=False, height_ratios=heights * bands)
        top = float(max(1.0, scores.max())) if scores.min() >= 0 else float(scores.max())
        for place in range(bands * columns):
            band, column = divmod(place, columns)
            cells = panels[band * len(heights) : (band + 1) * len(heights), column]
            if place >= count:
                for axes in cells:
                    axes.remove()
                continue
            if images is not None:
                _image(cells[0], images[place])
            true = None if truth is None else int(truth[place])
            _bars(
                cells[-1],
                scores[place],
                true,
                top,
                "class" if band == bands - 1 else "",
                "" if column else y_label,
            )
            cells[0].set_title(_verdict(int(scores[place].argmax()), true), color=INK)
    return picture


def _verdict(predicted: int, true: int | None) -> str:
    if true is None:
        return f"predicted {predicted}"
    return f"{predicted}, correct" if predicted == true else f"{predicted}, truly {true}"


def _bars(axes: Any, scores: Array, true: int | None, top: float, x_label: str, y_label: str) -> None:
    places = np.arange(len(scores))
    best = int(scores.argmax())
    colours = [SERIES[0] if i == best else RULE for i in places]
    axes.bar(places, scores, color=colours, width=0.8)
    if true is not None:
        height = max(float(scores[true]), 0.0)
        axes.plot([true], [height], "v", color=SERIES[1], markersize=6, gid="true", clip_on=False, zorder=4)
    axes.set(ylim=(min(0.0, float(scores.min())), 1.12 * top), xlabel=x_label, ylabel=y_label)
    axes.set_xticks(places if len(scores) <= 10 else places[:: ceil(len(scores) / 10)])
    axes.grid(visible=False, axis="x")


def _image(axes: Any, image: Array) -> None:
    """(c, h, w), one channel as gray values, three as colours scaled to their own range."""
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low if high > low else 1.0)
    shown = scaled[0] if len(scaled) != 3 else np.moveaxis(scaled, 0, -1)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def gallery(images: Array) -> Picture:
    """Some images (samples, c, h, w), in rows of four."""
    images = images[:FACES]
    rows = ceil(len(images) / 4)
    with inked():
        picture = sheet(1.9 * rows)
        panels = picture.subplots(rows, 4, squeeze=False).ravel()
        for place, axes in enumerate(panels):
            if place < len(images):
                _image(axes, images[place])
                axes.set_title(f"sample {place + 1}", color=QUIET)
            else:
                axes.remove()
    return picture


def predicted_against_observed(found: Array, target: Array, labels: Sequence[str], *, unit: str | None) -> Picture:
    """Dots of (samples, components) near the diagonal, where both are equal; the axes have one scale."""
    with inked():
        picture = sheet(4.0, 4.4)
        axes = picture.subplots()
        low = float(min(found.min(), target.min()))
        high = float(max(found.max(), target.max()))
        pad = 0.05 * (high - low) or 1.0
        axes.plot([low, high], [low, high], color=QUIET, linewidth=0.9, linestyle=DASHES[1])
        for i in range(min(found.shape[1], LINES)):
            axes.plot(
                target[:, i], found[:, i], MARKERS[i], color=SERIES[i], markersize=4, alpha=0.7, markeredgewidth=0,
                label=labels[i], gid=f"pairs-{i}",
            )  # fmt: skip
        suffix = f" ({unit})" if unit else ""
        limits = (low - pad, high + pad)
        axes.set(xlim=limits, ylim=limits, xlabel="observed" + suffix, ylabel="predicted" + suffix)
        axes.set_aspect("equal")
        if found.shape[1] > 1:
            axes.legend(loc="upper left")
    return picture

"""Points beside points, images below images, and errors against evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from isocline_compiler.report.ink import (
    DASHES,
    INK,
    MARKERS,
    PAPER,
    SERIES,
    WIDTH,
    Picture,
    inked,
    powers,
    sheet,
    to_svg,
)


def clouds(sets: Mapping[str, np.ndarray]) -> Picture:
    """Points in the plane, a panel for each set."""
    with inked():
        picture = sheet(2.1 * -(-len(sets) // 3), WIDTH)
        panels = picture.subplots(-(-len(sets) // 3), 3, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (title, points) in zip(panels, sets.items(), strict=False):
            axes.scatter(*points.T, s=3, color=SERIES[0], alpha=0.5, linewidths=0, rasterized=True)
            axes.set_title(title)
            axes.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        for axes in panels[len(sets) :]:
            axes.set_visible(False)
        return picture


def images(rows: Mapping[str, np.ndarray], side: int = 8) -> Picture:
    """A row of gray images, each from -1 to 1, for each name."""
    with inked():
        across = max(map(len, rows.values()))
        picture = sheet(0.45 * len(rows), WIDTH)
        grid = picture.subplots(len(rows), across, squeeze=False)
        for axes_of_row, (title, faces) in zip(grid, rows.items(), strict=True):
            for axes, face in zip(axes_of_row, faces, strict=True):
                axes.imshow(face.reshape(side, side), cmap="gray_r", vmin=-1, vmax=1)
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
            axes_of_row[0].set_ylabel(title, rotation=0, ha="right", va="center")
        return picture


def curves(found: Mapping[str, Mapping[int, float]]) -> Picture:
    """Errors against evaluations of the net: a colour for each output, a dash for each scheme."""
    outputs = list(dict.fromkeys(name.split(" by ")[0] for name in found))
    schemes = list(dict.fromkeys(name.split(" by ")[1] for name in found))
    with inked():
        picture = sheet(4.2, WIDTH)
        axes = picture.subplots()
        for name, items in found.items():
            output, scheme = name.split(" by ")
            place = schemes.index(scheme)
            axes.loglog(
                list(items), list(items.values()), label=name, color=SERIES[outputs.index(output) % len(SERIES)],
                linestyle=DASHES[place % len(DASHES)], marker=MARKERS[place % len(MARKERS)], markersize=4,
            )  # fmt: skip
        axes.set(xlabel="evaluations of the net", ylabel="relative error", ylim=(None, 3))
        powers(axes.xaxis)
        powers(axes.yaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
        return picture


def write(pictures: Iterable[tuple[str, Picture]], folder: Path) -> None:
    """Each as NAME.svg in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures:
        (folder / f"{name}.svg").write_text(to_svg(picture, PAPER))
        print(f"drawn: {folder / name}.svg")

"""A density in the plane, and points beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isocline_compiler.report.ink import SERIES, WIDTH, Picture, inked, sheet, to_svg


def density_and_points(
    x: np.ndarray, y: np.ndarray, density: np.ndarray, points: np.ndarray, samples: np.ndarray
) -> Picture:
    """Three panels: held-out points, the density (y, x) of the flow, and its samples."""
    with inked():
        picture = sheet(1.9, WIDTH)
        panels = picture.subplots(1, 3, sharex=True, sharey=True)
        panels[1].pcolormesh(x, y, density, cmap="gray_r", rasterized=True)
        panels[0].scatter(*points.T, s=3, color=SERIES[0], alpha=0.5, linewidths=0, rasterized=True)
        panels[2].scatter(*samples.T, s=3, color=SERIES[0], alpha=0.5, linewidths=0, rasterized=True)
        for axes, title in zip(panels, ("held-out points", "density", "samples"), strict=True):
            axes.set_title(title)
            axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
        return picture


def faces(rows: Mapping[str, np.ndarray]) -> Picture:
    """A row of images of 8 x 8 gray values, 0 to 17, for each name."""
    with inked():
        picture = sheet(0.5 * len(rows), WIDTH)
        grid = picture.subplots(len(rows), max(map(len, rows.values())), squeeze=False)
        for panels, (title, images) in zip(grid, rows.items(), strict=True):
            for axes, image in zip(panels, images, strict=True):
                axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=17)
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
            panels[0].set_ylabel(title, rotation=0, ha="right", va="center")
        return picture


def write(path: Path, picture: Picture) -> None:
    path.write_text(to_svg(picture))
    print(path)

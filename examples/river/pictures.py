"""A picture of a held-out year: what fell, what flowed, what was learned, and the phase portrait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import DateFormatter, MonthLocator

from examples.river.windows import WARMING, Windows
from isocline_compiler.report.ink import PAPER, QUIET, SERIES, Picture, inked, powers, sheet, to_svg


def years(held_out: Windows, answers: Mapping[str, np.ndarray], alone: np.ndarray | None = None) -> Picture:
    """All days that count, one after the other; `alone` is the flow of the equations trained without a network."""
    days = np.concatenate([dates[WARMING:] for dates in held_out.dates]).astype("datetime64[D]")

    def line(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[:, WARMING:].ravel())

    with inked(), mpl.rc_context({"path.simplify_threshold": 0.4}):  # in pixels: lines of half the size
        picture = sheet(3.6)
        left, right = picture.subfigures(1, 2, width_ratios=(2.2, 1))
        above, middle, below = left.subplots(3, 1, sharex=True, height_ratios=(0.8, 2.4, 0.9))
        _rain(above, line(held_out.weather[:, :, 0]).reshape(-1, 6).sum(axis=1), days[::6])
        above.set_ylabel("rain, mm\nin 6 days")
        middle.plot(days, line(held_out.seen), color=QUIET, alpha=0.4, linewidth=3.2, label="measured, held out")
        if alone is not None:
            middle.plot(days, line(alone), color=SERIES[1], linewidth=0.8, label="equations alone")
        middle.plot(days, line(answers["flow"]), color=SERIES[0], linewidth=1.2, label="equations and network")
        middle.set(ylabel="river, mm/day", ylim=(0, None))
        middle.legend(loc="upper center")
        below.axhline(1, color=QUIET, linewidth=0.8)
        below.plot(days, line(answers["correction"]), color=SERIES[2], linewidth=1)
        below.set_ylabel("learned\nfactor")
        below.xaxis.set_major_locator(MonthLocator((1, 4, 7, 10)))
        below.xaxis.set_major_formatter(DateFormatter("%m/%y"))
        _phase(right.subplots(), line(answers["soil"]), line(answers["flow"]))
    return picture


def _rain(axes: Any, rain: np.ndarray, days: np.ndarray) -> None:
    """Bars that hang from above, all of them one shape: ten times smaller as svg than so many rectangles."""
    axes.fill_between(days, rain, step="mid", color=SERIES[5], linewidth=0)
    axes.invert_yaxis()


def _phase(axes: Any, soil: np.ndarray, flow: np.ndarray) -> None:
    """The phase portrait: the river over the water in the soil, day after day."""
    axes.plot(soil, flow, color=SERIES[0], linewidth=0.7)
    axes.set(xlabel="water in the soil, mm", ylabel="river, mm/day", title="phase portrait", yscale="log")
    powers(axes.yaxis)


def write(path: Path, picture: Picture) -> None:
    """As svg, coordinates to a tenth of a point: thousands of points a line are then small enough to be committed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"(\d\.\d)\d+", r"\1", to_svg(picture, PAPER)))
    print(path)

"""Pictures of a certificate and of a training run. Each function gives a figure; `ink.to_svg` makes text of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.report.ink import (
    DASHES,
    INK,
    MARKERS,
    PAPER,
    QUIET,
    RULE,
    SERIES,
    Picture,
    inked,
    powers,
    sheet,
    short,
)
from isocline_compiler.report.scalars import Scalar

if TYPE_CHECKING:
    from isocline_compiler.certify.certificate import DeployedSolve
    from isocline_compiler.certify.stability import Stability
    from isocline_compiler.certify.work_precision import Trial
    from isocline_compiler.solvers.schemes.tableau import Tableau

Column = Sequence[float | None]
MOST_SCALARS = 24
"""Numbers of parameters that are listed and drawn one by one."""
DEVIATIONS = 1.96
"""Whiskers reach this many standard errors: 95 % of a normal distribution."""


def curves(history: Mapping[str, Column]) -> Picture:
    """Loss and validation loss over epochs, and below them the learning rate.

    `history` holds the columns of `metrics.csv`; cells without a number are None.
    """
    epochs = _numbers(history["epoch"])
    with inked():
        picture = sheet(4.0)
        above, below = picture.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
        for colour, dash, column, label in (
            (SERIES[0], DASHES[0], "loss", "training"),
            (SERIES[1], DASHES[1], "validation_loss", "validation"),
        ):
            values = _numbers(history.get(column) or [None] * len(epochs))
            if np.isfinite(values).any():
                above.plot(epochs, values, color=colour, linestyle=dash, label=label, **_dots(values))
        below.plot(epochs, _numbers(history.get("lr") or [None] * len(epochs)), color=QUIET, **_dots(epochs))
        for axes, label in ((above, "loss"), (below, "learning rate")):
            _logarithmic(axes)
            axes.set_ylabel(label)
        if len(above.lines) > 1:
            above.legend(loc="upper right")
        below.set_xlabel("epoch")
        below.xaxis.get_major_locator().set_params(integer=True)
    return picture


def _dots(values: Array) -> dict[str, Any]:
    """A line needs two points to be seen; a single one is a dot."""
    return {"marker": "o", "markersize": 3} if np.isfinite(values).sum() < 2 else {}


def _logarithmic(axes: Any) -> None:
    """A logarithmic axis, if all that is drawn is positive."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.ones(1)])
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > 3 * finite.min():
        axes.set_yscale("log")
        powers(axes.yaxis)
    elif finite.size and finite.min() >= 0:
        axes.set_ylim(bottom=0)


def work_precision(trials: Sequence[Trial], solve: DeployedSolve, stated: float) -> Picture:
    """Error against evaluations of the field, one line a scheme; the deployed point has a ring and a name.

    Colours tell the order of a scheme, marks and dashes the schemes of an order apart.
    """
    shown = [trial for trial in trials if _drawable(trial.error) and trial.error < DIVERGED and trial.evaluations > 0]
    ordered = sorted(shown, key=lambda trial: (trial.order, trial.scheme, trial.evaluations))
    orders = sorted({trial.order for trial in ordered})
    with inked():
        picture = sheet(4.0)
        axes = picture.subplots()
        axes.set(xscale="log", yscale="log", xlabel="evaluations of the field", ylabel="relative error")
        place: dict[int, int] = {}
        for (order, scheme), group in groupby(ordered, key=lambda trial: (trial.order, trial.scheme)):
            place[order] = place.get(order, -1) + 1
            colour = SERIES[orders.index(order) % len(SERIES)]
            _scheme_line(axes, list(group), colour, place[order], scheme == solve.scheme)
        if _drawable(stated):
            _stated_line(axes, stated)
        for trial in ordered:
            if (trial.scheme, trial.steps) == (solve.scheme, solve.steps):
                _ring(axes, trial)
        powers(axes.xaxis)
        powers(axes.yaxis)
        if ordered:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="scheme (order)", alignment="left")
    return picture


DIVERGED = 1e2
"""Relative errors beyond this tell nothing but that the scheme was unstable: they are not drawn."""


def _drawable(value: float | None) -> bool:
    return value is not None and np.isfinite(value) and value > 0


def _scheme_line(axes: Any, trials: list[Trial], colour: str, place: int, chosen: bool) -> None:
    axes.plot(
        [trial.evaluations for trial in trials],
        [trial.error for trial in trials],
        color=colour,
        linestyle=DASHES[place % len(DASHES)],
        linewidth=2.2 if chosen else 1.1,
        marker=MARKERS[place % len(MARKERS)],
        markersize=4.5 if chosen else 3.5,
        markeredgewidth=0,
        label=f"{trials[0].scheme} ({trials[0].order})",
        zorder=3 if chosen else 2,
    )


def _stated_line(axes: Any, stated: float) -> None:
    axes.axhline(stated, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), gid="stated")
    axes.annotate(
        f"stated error {short(stated)}", (0, stated), (3, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="left", color=INK, fontsize=8,
    )  # fmt: skip


def _ring(axes: Any, trial: Trial) -> None:
    axes.plot(
        [trial.evaluations], [trial.error], "o", markersize=11, markerfacecolor="none", markeredgecolor=INK,
        markeredgewidth=1.3, zorder=4, gid="chosen",
    )  # fmt: skip
    axes.annotate(
        f"deployed: {trial.scheme}, {_counted(trial.steps)}", (trial.evaluations, trial.error), (-10, -14),
        textcoords="offset points", ha="right", color=INK, fontsize=8.5, fontweight="bold", zorder=5,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85},
    )  # fmt: skip


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps:,} steps"


def stability_region(scheme: Tableau, found: Sequence[Stability]) -> Picture:
    """The region |R(z)| < 1 of a scheme, its boundary, and z = h lambda where |R| was largest, with its conjugate."""
    found = [item for item in found if np.isfinite([*item.eigenvalue, item.step]).all()]
    points = np.array([complex(*item.eigenvalue) * item.step for item in found], dtype=np.complex128)
    span, grid = _plane(scheme, points)
    with inked():
        picture = sheet(3.9, 6.4)
        axes = picture.subplots()
        growth = np.abs(scheme.stability(grid))
        axes.contourf(grid.real, grid.imag, growth, levels=[0, 1], colors=[SERIES[0]], alpha=0.14)
        axes.contour(grid.real, grid.imag, growth, levels=[1], colors=[SERIES[0]], linewidths=1.4)
        axes.axhline(0, color=QUIET, linewidth=0.6)
        axes.axvline(0, color=QUIET, linewidth=0.6)
        for i, (item, z) in enumerate(zip(found, points, strict=True)):
            colour, mark = SERIES[(i + 1) % len(SERIES)], MARKERS[i % len(MARKERS)]
            label = f"{item.solve}: |R| = {short(item.largest)}"
            axes.plot([z.real], [-z.imag], mark, color=colour, markerfacecolor="none", markersize=6)
            axes.plot([z.real], [z.imag], mark, color=colour, markersize=6, gid=f"met-{i}", label=label)
        axes.set(
            xlim=span[:2],
            ylim=span[2:],
            xlabel="Re hλ",
            ylabel="Im hλ",
            title=f"{scheme.name}: |R(hλ)| < 1 inside",
        )
        axes.set_aspect("equal", anchor="W")
        if found:
            axes.legend(loc="center left", bbox_to_anchor=(1.03, 0.5), alignment="left")
    return picture


def _plane(scheme: Tableau, points: Array) -> tuple[tuple[float, float, float, float], Array]:
    """A part of the complex plane with the region near the origin and all points in it, and a grid over it."""
    far = 3.0 + 1.6 * scheme.stages
    coarse = _grid(-far, far, far, 121)
    inside = coarse[np.abs(scheme.stability(coarse)) <= 1]
    near = inside[np.abs(inside) < 0.98 * far] if inside.size else inside
    corners = np.concatenate([near.ravel(), points, [-2.5 + 2.2j, 0.8]])
    margin = 0.08 * float(np.ptp(corners.real) + np.abs(corners.imag).max())
    left, right = float(corners.real.min()) - margin, float(corners.real.max()) + 2 * margin
    height = float(np.abs(corners.imag).max()) + margin
    return (left, right, -height, height), _grid(left, right, height, 241)


def _grid(left: float, right: float, height: float, count: int) -> Array:
    real, imaginary = np.meshgrid(np.linspace(left, right, count), np.linspace(-height, height, count))
    return np.asarray(real + 1j * imaginary)


def parameters(scalars: Sequence[Scalar]) -> Picture:
    """A row a number, on its own axis: the value as a dot, 1.96 standard errors as whiskers, finite bounds as ticks."""
    with inked():
        picture = sheet(0.25 + 0.62 * len(scalars))
        rows = picture.subplots(len(scalars), 1, squeeze=False)[:, 0]
        for axes, item in zip(rows, scalars, strict=True):
            _parameter_row(axes, item)
    return picture


def _parameter_row(axes: Any, item: Scalar) -> None:
    reach = DEVIATIONS * item.standard_error if item.standard_error is not None else 0.0
    if reach:
        axes.plot([item.value - reach, item.value + reach], [0, 0], color=SERIES[0], linewidth=2, gid="whisker")
    axes.plot([item.value], [0], "o", color=SERIES[0], markersize=6, markeredgecolor=PAPER, gid="value")
    half = 1.6 * reach or 0.5 * abs(item.value) or 1.0
    low, high = item.value - half, item.value + half
    for bound in (item.low, item.high):
        if bound is not None and low - half <= bound <= high + half:
            axes.plot([bound, bound], [-0.7, 0.7], color=INK, linewidth=1.4, gid="bound")
            low, high = min(low, bound), max(high, bound)
    pad = 0.04 * (high - low)
    axes.set(xlim=(low - pad, high + pad), ylim=(-1, 1), yticks=[])
    unit = f"\n{item.unit}" if item.unit else ""
    axes.set_ylabel(item.name + unit, rotation=0, ha="right", va="center", color=INK, fontsize=8.5)
    axes.grid(visible=False)
    axes.axhline(0, color=RULE, linewidth=0.6, zorder=0)
    axes.spines["left"].set_visible(False)


def _numbers(column: Column) -> Array:
    return np.array([np.nan if value is None else float(value) for value in column], dtype=np.float64)

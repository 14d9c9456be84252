"""A picture a family: points and samples, eigenvalues of its steps, or what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import isocline
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import Samples, drawn, held_out
from isocline_compiler.certify.spectrum import clock_time, spectra
from isocline_compiler.certify.stability import field_along, path_along
from isocline_compiler.driver import dataset_of, stored_weights
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.solve import Solve
from isocline_compiler.model import Model
from isocline_compiler.report.ink import INK, QUIET, SERIES, Picture, inked, sheet, to_inline
from isocline_compiler.report.material import material_of
from isocline_compiler.report.samples import shown
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.imex import Imex
from isocline_compiler.solvers.schemes.scheme import Scheme

Array = np.ndarray[Any, Any]
FILES = ("certificate.json", "manifest.json")
ANSWERED, LOOKED_AT, STEPS = 256, 4, 6
"""Samples that are answered; samples and steps whose Jacobians are taken."""


def picture_of(name: str, model: Model, file: Path, folder: Path) -> dict[str, str] | None:
    """The picture as markup, and what it shows in words."""
    dataset = dataset_of(model, file.parent)
    every = held_out(dataset, model.inputs, model.targets) if dataset else drawn(model.inputs, model.source)
    samples = every.taken(np.random.default_rng(0).permutation(every.count)[:ANSWERED]) if every.inputs else every
    for picture, caption in _pictures(name, model, samples, folder):
        return {"markup": to_inline(picture, name, caption), "caption": caption}
    return None


def _pictures(name: str, model: Model, samples: Samples, folder: Path) -> Iterator[tuple[Picture, str]]:
    """Those that fit, the most telling first."""
    session = isocline.load(folder)
    given = {port.name: samples.inputs[port.name].astype(port.dtype) for port in session.inputs}
    rows = {} if given else {"rows": range(ANSWERED)}
    answers = session.run(**given, **({"seed": 0, **rows} if session.noises else {}))
    points = samples.targets.get("point", samples.inputs.get("point"))
    if points is not None and "sample" in answers:
        yield _scatter(points, answers["sample"]), "Held-out measurements, and as many samples of the model."
    if {"low", "high"} <= set(answers):
        (seen,) = samples.targets.values()
        yield _bands(answers["low"], answers["high"], seen), "What was observed, and the band that holds nine in ten."
    if any(port.kind == "class" for port in model.targets):
        cloud = list(_clouds(name, model, samples.first(LOOKED_AT), folder))
        if cloud:
            yield _spectrum(*cloud[0]), "Eigenvalues of h df/dx along the layers; shaded, where a step does not grow."
    certificate: Any = None  # these pictures are of answers alone
    for item in shown(material_of(model, certificate, answers, samples, None)):
        yield item.picture, item.caption


def _scatter(points: Array, made: Array) -> Picture:
    """The first two coordinates, and the last two."""
    with inked():
        picture = sheet(3.4)
        for place, axes in zip((0, 2), picture.subplots(1, 2), strict=True):
            axes.plot(points[:, place], points[:, place + 1], "o", color=QUIET, markersize=3, label="measured")
            axes.plot(made[:, place], made[:, place + 1], "o", color=SERIES[0], markersize=3, label="made")
            axes.set(xlabel=f"coordinate {place + 1}", ylabel=f"coordinate {place + 2}")
        axes.legend(loc="best")
    return picture


def _bands(low: Array, high: Array, seen: Array) -> Picture:
    """Of eight samples the band and what came, step by step."""
    with inked():
        picture = sheet(3.6)
        steps = np.arange(1, seen.shape[1] + 1)
        for sample, axes in enumerate(picture.subplots(2, 4, sharex=True, sharey=True).ravel()):
            axes.fill_between(steps, low[sample], high[sample], color=SERIES[0], alpha=0.2)
            axes.plot(steps, seen[sample], "o-", color=INK, markersize=3, linewidth=0.8)
    return picture


def _clouds(name: str, model: Model, samples: Samples, folder: Path) -> Iterator[tuple[Scheme, Array]]:
    """The products of step and eigenvalue, of every solve of an ordinary equation on a known grid."""
    weights = stored_weights(model, folder.parent / "runs" / name / "weights.safetensors")
    evaluator = Evaluator(model, weights, samples)
    choices = {**evaluator.stated, **_chosen(folder)}
    for solve in evaluator.solves:
        choice = choices.get(solve.spec.choice)
        if choice is None or not isinstance(choice.grid, Grid) or delays_of(solve) or solve.spec.noises:
            continue
        if solve.spec.choice not in evaluator.looped:
            yield choice.scheme, np.concatenate(list(_products(evaluator, solve, choice, choice.grid, choices)))


def _chosen(folder: Path) -> dict[str, Discretisation]:
    """What was chosen for the solves without a scheme of their own, by their names."""
    proved, written = (json.loads((folder / name).read_text(encoding="utf-8"))["solves"] for name in FILES)
    found = {}
    for solve, steps in zip(proved, written, strict=True):
        if solve["declared"] == "continuous" and steps["grid"]:
            times = tuple(steps["grid"])
            found[solve["name"]] = Discretisation(SCHEMES[solve["scheme"]], Grid(times, (0, len(times) - 1)))
    return found


def _products(
    evaluator: Evaluator, solve: Solve, choice: Discretisation, grid: Grid, choices: dict[str, Discretisation]
) -> Iterator[Array]:
    path, captured, stacked = path_along(evaluator, solve, choice, grid, choices)
    field = field_along(evaluator, solve, captured)
    rows = [row for row, _ in solve.field_rows]
    for i in np.linspace(0, grid.steps - 1, min(STEPS, grid.steps)).round().astype(int).tolist():
        state = tuple(x[:, i] if start.type.batched else x[i] for x, start in zip(path, solve.initial, strict=True))
        slices = tuple(w[row.index(i, grid.steps, len(w))] for row, w in zip(rows, stacked, strict=True))
        slopes = partial(field, clock_time(solve, grid.times[i]), slices=slices)
        for eigenvalues, _ in spectra(slopes, state, solve.initial[0].type.batched):
            yield grid.widths[i] * eigenvalues


def _spectrum(scheme: Scheme, products: Array) -> Picture:
    """Points in the plane, over the region |R(z)| < 1 where the scheme has one."""
    far = 1.1 * max(2.2, float(np.abs(products.imag).max()))
    left, right = min(-2.6, 1.1 * float(products.real.min())), max(0.8, 1.1 * float(products.real.max()))
    with inked():
        picture = sheet(3.6, 5.0)
        axes = picture.subplots()
        real, imaginary = np.meshgrid(np.linspace(left, right, 201), np.linspace(-far, far, 201))
        growth = None if isinstance(scheme, Imex) else scheme.stability(real + 1j * imaginary)  # of its implicit part
        if growth is not None:
            axes.contourf(real, imaginary, np.abs(growth), levels=[0, 1], colors=[SERIES[0]], alpha=0.14)
            axes.contour(real, imaginary, np.abs(growth), levels=[1], colors=[SERIES[0]], linewidths=1.2)
        axes.axvline(0, color=QUIET, linewidth=0.6)
        axes.plot(products.real, products.imag, "o", color=INK, markersize=2, alpha=0.5)
        axes.set(xlim=(left, right), ylim=(-far, far), xlabel="Re hλ", ylabel="Im hλ", title=scheme.name)
    return picture

"""What a report shows of noise: the distribution of each output, and how the error of the grid falls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isocline_compiler.graph import Array, topological
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.model import Model, Port
from isocline_compiler.report import path_drawings as draw
from isocline_compiler.report.material import ReportMaterial
from isocline_compiler.report.samples import FEW, Shown, component_labels, time_name


def distributions(material: ReportMaterial) -> Iterator[Shown]:
    """A fan chart of every output over time, a histogram of every other one, for one input."""
    for port in material.model.outputs:
        values = material.paths.get(port.name)
        if values is None or not np.isfinite(values).all() or values.ndim > 3:
            continue
        times = _times(material.model, port, values)
        over_time = values.ndim == 3 or (values.ndim == 2 and (times is not None or values.shape[1] >= FEW))
        several = f"{len(values):,} paths" if _apart(port, values) else f"{len(values):,} draws of the noise"
        said = f"Answers of the deployed model to one input, over {several}"
        unit = f" ({port.unit})" if port.unit else ""
        if over_time:
            whole = values.reshape(*values.shape[:2], -1)
            where = np.arange(whole.shape[1], dtype=np.float64) if times is None else times
            labels = [label + unit for label in component_labels(material.model, port.name, whole.shape[2], None)]
            x_label = "step" if times is None else time_name(material.model)
            yield Shown(port.name, f"{said}.", draw.fan_chart(whole, where, labels, x_label=x_label))
        else:
            whole = values.reshape(len(values), -1)
            labels = [label + unit for label in component_labels(material.model, port.name, whole.shape[1], None)]
            yield Shown(port.name, f"{said}.", draw.histogram(whole, labels))


def convergences(material: ReportMaterial) -> Iterator[Shown]:
    """Strong error against steps."""
    certificate = material.certificate
    found = certificate.stochastic
    if found is None or not found.solves:
        return
    steps = {solve.name: solve.steps for solve in certificate.solves}
    driven = found.solves[0]
    stated = certificate.stated_error if found.states == "strong" else None
    lines = {name: item.halvings for name, item in found.errors.items()}
    yield Shown(
        driven.name,
        f"With every step halved once and twice, against a grid of {found.finer} times as many steps on the same "
        f"{found.paths:,} paths; the dashed line falls as the scheme declares for {driven.kind} noise.",
        draw.convergence(steps[driven.name], lines, driven.strong_order, stated),
    )


def _apart(port: Port, values: Array) -> bool:
    """Whether an output has its paths apart: it then has an axis more than these."""
    return len(port.shape) == values.ndim


def _times(model: Model, port: Port, values: Array) -> Array | None:
    """The times of the solve with so many of them that the output comes from."""
    nodes = topological([model.graph.outputs[port.name]])
    intervals = [spec_of(node).interval for node in nodes if node.op is SOLVE]
    known = {item.times for item in intervals if item.everywhere and item.times is not None}
    fitting = [times for times in known if values.ndim > 1 and len(times) == values.shape[1]]
    return np.asarray(fitting[0], dtype=np.float64) if len(fitting) == 1 else None

"""Which pictures fit the outputs of a model, from their shapes and from what the file says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.model import Model, Port
from isocline_compiler.report import sample_drawings as draw
from isocline_compiler.report.ink import Picture
from isocline_compiler.report.material import ReportMaterial
from isocline_dsl import tree

FEW = 8
"""A vector this long without known times is a series over steps; a shorter one is a set of numbers."""


@dataclass(frozen=True)
class Shown:
    """A picture with a heading and a sentence."""

    title: str
    caption: str
    picture: Picture


def shown(material: ReportMaterial) -> Iterator[Shown]:
    """The pictures of all outputs, in the order of their declaration."""
    images = _images(material)
    drew_images = False
    for port in material.model.outputs:
        values = material.trajectories.get(port.name)
        if port.name in material.paths:
            continue
        if values is None or port.kind != "real" or not len(values) or not np.isfinite(values).all():
            continue
        values = np.asarray(values, dtype=np.float64)
        truth = _class_target(material, values)
        if truth is not None:
            if _outshone(material, port, values):
                continue
            drew_images = images is not None
            yield _classes(port, values, truth, images)
        elif values.ndim == 3 or (values.ndim == 2 and _is_series(material, port, values)):
            yield from _series(material, port, values.reshape(*values.shape[:2], -1))
        elif values.ndim <= 2:
            yield from _pairs(material, port, values.reshape(len(values), -1))
    yield from _portraits_of_pairs(material)
    if images is not None and not drew_images:
        yield Shown("Samples", "What the model was given.", draw.gallery(images))


def _images(material: ReportMaterial) -> Array | None:
    for port in material.model.inputs:
        array = material.inputs.get(port.name)
        if array is not None and array.ndim == 4 and array.shape[1] in (1, 3) and min(array.shape[2:]) > 1:
            return np.asarray(array, dtype=np.float64)
    return None


def _class_target(material: ReportMaterial, values: Array) -> Array | None:
    """The labels that scores of (samples, k) belong to."""
    for port in material.model.targets:
        known = material.targets.get(port.name)
        if port.kind == "class" and not port.shape and values.ndim == 2 and port.classes == values.shape[1]:
            return known if known is None or len(known) >= len(values) else None
    return None


def _outshone(material: ReportMaterial, port: Port, values: Array) -> bool:
    """Scores are not drawn where another output holds the probabilities."""
    if _is_probability(values):
        return False
    others = [material.trajectories.get(other.name) for other in material.model.outputs if other is not port]
    return any(other is not None and other.shape == values.shape and _is_probability(other) for other in others)


def _is_probability(values: Array) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3))


def _classes(port: Port, values: Array, truth: Array, images: Array | None) -> Shown:
    label = "probability" if _is_probability(values) else "score"
    right = int((values.argmax(axis=1) == truth[: len(values)]).sum())
    caption = (
        f"The {label} of each class for some samples; the triangle marks the true class. "
        f"Of the {len(values)} samples looked at here, {right} are classified correctly."
    )
    return Shown(port.name, caption, draw.classes(values, truth, images, y_label=label))


def _is_series(material: ReportMaterial, port: Port, values: Array) -> bool:
    return _times(material, port, values.shape[1]) is not None or values.shape[1] >= FEW


def _times(material: ReportMaterial, port: Port, count: int) -> Array | None:
    """The times of an output, by its name, by the solve it comes from, or those of any solve that fit in number."""
    named = material.times.get(port.name)
    if named is not None and len(named) == count:
        return np.asarray(named, dtype=np.float64)
    fitting = {tuple(times) for times in material.times.values() if len(times) == count}
    return np.asarray(fitting.pop(), dtype=np.float64) if len(fitting) == 1 else None


def _series(material: ReportMaterial, port: Port, values: Array) -> Iterator[Shown]:
    times = _times(material, port, values.shape[1])
    target, target_port = _target_like(material, values)
    labels = component_labels(material.model, port.name, values.shape[2], target_port)
    unit = port.unit or (target_port.unit if target_port else None)
    y_label = f"{port.name} ({unit})" if unit else port.name
    x_label = "step" if times is None else time_name(material.model)
    where = np.arange(values.shape[1], dtype=np.float64) if times is None else times
    picture = draw.trajectories(values, where, labels, target=target, x_label=x_label, y_label=y_label)
    yield Shown(port.name, _series_caption(values, target is not None), picture)
    if values.shape[2] == 2 and times is not None:
        caption = f"{labels[1]} against {labels[0]}; time runs along the line, from the dot."
        portrait = draw.phase_portrait(values, labels, target=target)
        yield Shown(f"{port.name}: phase portrait", caption, portrait)


def _series_caption(values: Array, observed: bool) -> str:
    samples, _, components = values.shape
    lines = "The deployed model's answer" + (", with the data as dots." if observed else ".")
    parts = [f"the first {draw.PANELS} of {samples} samples"] if samples > draw.PANELS else []
    parts += [f"the first {draw.LINES} of {components} components"] if components > draw.LINES else []
    return lines + (f" Drawn are {' and '.join(parts)}." if parts else "")


def _target_like(material: ReportMaterial, values: Array) -> tuple[Array | None, Port | None]:
    """The one target of the same shape. Between several of that shape nothing says which is meant."""
    fitting = [
        (np.asarray(material.targets[port.name], dtype=np.float64).reshape(values.shape), port)
        for port in material.model.targets
        if port.kind == "real" and port.name in material.targets and _same_size(material.targets[port.name], values)
    ]
    return fitting[0] if len(fitting) == 1 else (None, None)


def _same_size(target: Array, values: Array) -> bool:
    trimmed = values.shape[:-1] if values.shape[-1] == 1 else values.shape
    return target.shape in (values.shape, trimmed)


def _pairs(material: ReportMaterial, port: Port, values: Array) -> Iterator[Shown]:
    target, target_port = _target_like(material, values)
    if target is None or not np.isfinite(target).all():
        return
    labels = component_labels(material.model, port.name, values.shape[1], target_port)
    unit = port.unit or (target_port.unit if target_port else None)
    picture = draw.predicted_against_observed(values, target, labels, unit=unit)
    yield Shown(port.name, "Predicted against observed; on the dashed line both are equal.", picture)


def component_labels(model: Model, name: str, count: int, target: Port | None) -> Sequence[str]:
    """Names of an output's components: as the file stacks them, else the columns of the target, else numbered."""
    stacked = _stacked_names(model, name)
    if len(stacked) == count:
        return stacked
    for binding in model.data.bindings if model.data and target else ():
        if (
            target
            and binding.port == target.name
            and binding.form in ("rows", "columns")
            and len(binding.columns) == count
        ):
            return binding.columns
    return [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]


def _stacked_names(model: Model, name: str) -> list[str]:
    """`stack(path.hare, path.lynx, axis=-1)` names its components."""
    match _value_of(model, name):
        case tree.Call(name=tree.Identifier(text="stack"), arguments=arguments):
            return [item.name.text if isinstance(item, tree.Attribute) else _plain(item) for item in arguments]
    return []


def _plain(item: tree.Expression) -> str:
    return item.text if isinstance(item, tree.Name) else "…"


def _value_of(model: Model, name: str) -> tree.Expression | None:
    for item in model.program.declarations:
        if isinstance(item, tree.Output | tree.Assign) and item.name.text == name and item.value is not None:
            return item.value
    return None


def time_name(model: Model) -> str:
    names = {item.time.text for item in model.program.declarations if isinstance(item, tree.Field)}
    return names.pop() if len(names) == 1 else "t"


def _portraits_of_pairs(material: ReportMaterial) -> Iterator[Shown]:
    """Two outputs that are the two states of one solve: `output x = path.x` and `output v = path.v`."""
    paths: dict[str, list[tuple[str, Array]]] = {}
    for port in material.model.outputs:
        value, array = _value_of(material.model, port.name), material.trajectories.get(port.name)
        if isinstance(value, tree.Attribute) and isinstance(value.value, tree.Name) and array is not None:
            paths.setdefault(value.value.text, []).append((port.name, np.asarray(array, dtype=np.float64)))
    for pair in paths.values():
        shapes = {array.shape for _, array in pair}
        if len(pair) == 2 and len(shapes) == 1 and pair[0][1].ndim == 2 and pair[0][1].shape[1] >= FEW:
            labels = [name for name, _ in pair]
            stacked = np.stack([array for _, array in pair], axis=-1)
            caption = f"{labels[1]} against {labels[0]}; time runs along the line, from the dot."
            yield Shown("Phase portrait", caption, draw.phase_portrait(stacked, labels))

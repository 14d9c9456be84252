"""Which pictures fit the explanations of a model's answers: an image, a series, a table row, a path, parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from isocline_compiler.attribution.methods import METHODS
from isocline_compiler.certify.deployed import taken_by
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_compiler.model import Model
from isocline_compiler.report import explanation_drawings as draw
from isocline_compiler.report.ink import Picture, inked, sheet
from isocline_runtime import Session
from isocline_runtime.manifest import AttributionInfo, AttributionResult, ExplainedOutput

FEW = 8
"""A vector this long is a series; a shorter one is a row of a table."""
SAMPLES = 4
"""Samples in one picture."""


@dataclass(frozen=True)
class Explanations:
    """What `attribute.onnx` answered: `results` by name, for `inputs` to which the model answered `outputs`.

    Arrays have samples first. `index` holds, by output, the entries that were asked for: -1 is the default. `units` are
    those of outputs, inputs and parameters; `names` are those of the entries of an input.
    """

    info: AttributionInfo
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    results: Mapping[str, Array]
    index: Mapping[str, Array] = field(default_factory=dict)
    units: Mapping[str, str | None] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


def explanations_of(
    model: Model, info: AttributionInfo, session: Session, samples: Samples, outputs: Mapping[str, Array]
) -> Explanations:
    """What `attribute.onnx`, loaded as `session`, answers for samples to which the model answered `outputs`."""
    rows = model.deployment.batch or samples.count
    inputs = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in samples.inputs.items()}
    shapes = {port.name: (rows, *(int(size) for size in port.sample_shape)) for port in info.inputs}
    generator = np.random.default_rng(0)
    noise = {name: generator.standard_normal(shapes[name]) for name in info.noise}
    index = {item.index: np.full(rows, -1) for item in info.explained}
    results = session.run(taken_by(session, {**inputs, **index, **noise}))
    units = {port.name: port.unit for port in (*model.inputs, *model.outputs)}
    units |= {parameter.name: parameter.unit for parameter in model.parameters}
    return Explanations(info, inputs, outputs, results, units=units, names=_columns(model))


def _columns(model: Model) -> dict[str, tuple[str, ...]]:
    """The columns of the data that the entries of an input are."""
    bindings = model.data.bindings if model.data else ()
    sizes = {port.name: math.prod(int(size) for size in port.shape if isinstance(size, int)) for port in model.inputs}
    return {item.port: tuple(item.columns) for item in bindings if sizes.get(item.port) == len(item.columns)}


@dataclass(frozen=True)
class Panel:
    """A drawing: its heading, a sentence, its height in inches, and what draws it on a figure or on a part of one."""

    title: str
    caption: str
    height: float
    drawn_on: Callable[[Any], None]

    @property
    def picture(self) -> Picture:
        """The drawing on a sheet of its own."""
        return stacked((self,))


def stacked(panels: Sequence[Panel]) -> Picture:
    """All drawings on one sheet, one below the other."""
    with inked():
        picture = sheet(sum(panel.height for panel in panels))
        parts = picture.subfigures(len(panels), 1, squeeze=False, height_ratios=[panel.height for panel in panels])
        for part, panel in zip(parts[:, 0], panels, strict=True):
            if len(panels) > 1:
                part.suptitle(panel.title, x=0.01, ha="left", fontsize=10)
            panel.drawn_on(part)
    return picture


def panels(found: Explanations) -> Iterator[Panel]:
    """The pictures of every output that is explained: of each input, of the states, of the parameters."""
    for explained in found.info.explained:
        view = _View(found, explained)
        for name in explained.wrt:
            attributions = view.of("attribution", name)
            if attributions:
                yield view.input_panel(name, attributions)
        yield from view.path_panels()
        yield from view.parameter_panel()


@dataclass(frozen=True)
class _View:
    """The explanations of one output, of the first samples."""

    found: Explanations
    explained: ExplainedOutput

    def of(self, kind: str, name: str | None = None) -> dict[str, Array]:
        """The results of a kind by label: the method's word, or the result's name where a method stands twice."""
        chosen = [item for item in self._results if item.kind == kind and name in (None, item.of)]
        words = [item.method for item in chosen]
        return {item.method if words.count(item.method) == 1 else item.name: self._first(item.name) for item in chosen}

    @property
    def _results(self) -> list[AttributionResult]:
        return [item for item in self.found.info.results if item.explains == self.explained.output]

    def _first(self, name: str) -> Array:
        return np.asarray(self.found.results[name], dtype=np.float64)[:SAMPLES]

    @property
    def scores(self) -> Array:
        """S of the samples."""
        return next(iter(self.of("score").values()))

    @property
    def entries(self) -> list[int]:
        """The entry that each sample's score is; -1 is the sum of all."""
        output = self.explained.output
        asked = np.broadcast_to(np.asarray(self.found.index.get(output, -1)), (len(self.scores),))
        if not self.explained.classifier or output not in self.found.outputs:
            return [int(entry) for entry in asked]
        best = self.found.outputs[output][: len(self.scores)].reshape(len(self.scores), -1).argmax(axis=1)
        return [int(entry) if entry >= 0 else int(top) for entry, top in zip(asked, best, strict=True)]

    @property
    def labels(self) -> list[str]:
        """What is explained of each sample."""
        return [
            f"{self._subject(entry)}: {draw.plain(score, 4)}"
            for entry, score in zip(self.entries, self.scores, strict=True)
        ]

    def _subject(self, entry: int) -> str:
        if entry < 0:
            return "sum" if self.explained.entries > 1 else self.explained.output
        return f"class {entry}" if self.explained.classifier else f"entry {entry}"

    @property
    def unit(self) -> str:
        """The score in words: the output, and its unit."""
        unit = self.found.units.get(self.explained.output)
        return self.explained.output + (f" ({unit})" if unit else "")

    def input_panel(self, name: str, attributions: Mapping[str, Array]) -> Panel:
        """The picture that fits the shape of an input."""
        values = np.asarray(self.found.inputs[name], dtype=np.float64)[:SAMPLES]
        title = f"{self.explained.output} by {name}"
        scores = {label: self._score(label, name) for label in attributions}
        sample = values.shape[1:]
        if len(sample) == 3 and sample[0] in (1, 3) and min(sample[1:]) > 1:
            return self._image(title, values, attributions, scores)
        if len(sample) in (1, 2) and sample[0] >= FEW:
            return self._series(title, name, values.reshape(*values.shape[:2], -1), attributions, scores)
        return self._row(title, name, values.reshape(len(values), -1), attributions, scores)

    def _image(self, title: str, images: Array, attributions: Mapping[str, Array], scores: Mapping[str, str]) -> Panel:
        summed = {label: array.sum(axis=1) for label, array in attributions.items()}
        caption = "Orange raises the score, blue lowers it" + (", summed over colours" if images.shape[1] > 1 else "")
        return Panel(
            title,
            f"{caption}. {self._completeness}".strip(),
            0.7 + 1.55 * len(images),
            lambda figure: draw.overlays(figure, images, summed, self.labels, scores),
        )

    def _series(
        self, title: str, name: str, values: Array, attributions: Mapping[str, Array], scores: Mapping[str, str]
    ) -> Panel:
        summed = {label: array.reshape(values.shape).sum(axis=2) for label, array in attributions.items()}
        caption = "The input as a line, what each place of it does to the score as bars" + (
            f", summed over {values.shape[2]} components" if values.shape[2] > 1 else ""
        )
        return Panel(
            title,
            f"{caption}. {self._completeness}".strip(),
            1.0 + 1.25 * (1 + len(summed)),
            lambda figure: draw.series(figure, values, summed, self.labels, self._named(name), scores),
        )

    def _row(
        self, title: str, name: str, values: Array, attributions: Mapping[str, Array], scores: Mapping[str, str]
    ) -> Panel:
        flat = {label: array.reshape(values.shape) for label, array in attributions.items()}
        entries = self.found.names.get(name) or _numbered(name, values.shape[1])
        height = 0.6 + len(values) * (0.35 + 0.22 * min(values.shape[1], draw.MOST_BARS))
        return Panel(
            title,
            f"A bar for each number of the input, with the value it had. {self._completeness}".strip(),
            height,
            lambda figure: draw.rows(figure, values, flat, self.labels, entries, scores),
        )

    def _score(self, label: str, name: str) -> str:
        """What a number of a method is measured in: shares of the score in its units, slopes per unit of the input."""
        word = next((item.method for item in self._results if label in (item.method, item.name)), "")
        method = METHODS.get(word)
        return self.unit if method is not None and method.shares else f"{self.unit} per unit of {name}"

    def _named(self, name: str) -> str:
        unit = self.found.units.get(name)
        return name + (f" ({unit})" if unit else "")

    @property
    def _completeness(self) -> str:
        """What the methods whose shares add up leave over."""
        left = {label: float(np.abs(array).max()) for label, array in self.of("residual").items()}
        parts = [f"{label} leaves {draw.plain(value, 2)}" for label, value in left.items()]
        return f"Of the change of the score, {', '.join(parts)} at most." if parts else ""

    def path_panels(self) -> Iterator[Panel]:
        """The sensitivity to the states along each solve."""
        paths = {item.of or item.name: item.name for item in self._results if item.kind == "path"}
        times = {item.of: item.name for item in self._results if item.kind == "times"}
        for solve, name in times.items():
            states = {of: self._first(path) for of, path in paths.items() if of.rpartition(".")[0] == solve}
            at = np.asarray(self.found.results[name], dtype=np.float64)
            at = at[:SAMPLES] if at.ndim == 2 else np.broadcast_to(at, (len(self.scores), len(at)))
            yield Panel(
                f"{self.explained.output} by the states of {solve}",
                "How much a small push of the state, at each time, would still move the score.",
                2.4,
                partial(draw.paths, times=at, states=states, labels=self.labels, score=self.unit),
            )

    def parameter_panel(self) -> Iterator[Panel]:
        """The sensitivity to the declared parameters."""
        found = self.of_parameters()
        if found:
            deviation = next(iter(self.of("deviation").values()), None)
            errors = (
                "" if deviation is None else " ± is the standard deviation that the errors of the parameters imply."
            )
            yield Panel(
                f"{self.explained.output} by the parameters",
                f"The derivative of the score by each parameter, in the parameter's own unit.{errors}",
                0.6 + len(self.scores) * (0.35 + 0.22 * len(found)),
                lambda figure: draw.sensitivities(figure, found, self.labels, deviation, self.unit),
            )

    def of_parameters(self) -> dict[str, Array]:
        """dS/dp (samples,) for each number of each parameter."""
        numbers: dict[str, Array] = {}
        for item in self._results:
            if item.kind == "sensitivity":
                flat = self._first(item.name).reshape(len(self.scores), -1)
                unit = self.found.units.get(item.of or "")
                labels = (
                    [item.of or item.name] if flat.shape[1] == 1 else _numbered(item.of or item.name, flat.shape[1])
                )
                numbers |= {f"{label} ({unit})" if unit else label: flat[:, i] for i, label in enumerate(labels)}
        return dict(list(numbers.items())[: draw.MOST_BARS])


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]

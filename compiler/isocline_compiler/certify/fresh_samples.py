"""What attributions are tried on: held-out samples, each moved a little, with the index and the noise they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isocline_compiler.attribution.explain import ExplanationGraph
from isocline_compiler.certify.oracle import flat_output
from isocline_compiler.certify.rare import Rare
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_compiler.model import Model, Port

DISTURBED = 0.01
"""How far the samples are moved, relative to their spread: so none is one that the model was shown, and ties break."""


@dataclass(frozen=True, eq=False)
class FreshSamples:
    """The inputs of `attribute.onnx`, real ones in float64 as a caller can give them; those near zeros come first, and
    have not been moved.
    """

    inputs: Mapping[str, Array]
    index: Mapping[str, Array]
    noise: Mapping[str, Array]
    rare: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def feed(self) -> dict[str, Array]:
        """All of them by name."""
        return {**self.inputs, **self.index, **self.noise}


def fresh_samples(
    model: Model,
    explanations: ExplanationGraph,
    weights: Mapping[str, Array],
    samples: Samples,
    rows: int,
    rare: Rare | None = None,
) -> FreshSamples:
    """`rows` samples behind the rare ones; a classifier's index is the class predicted in float64, any other's -1, all
    entries together. The noise of a model is no input to be moved: each sample keeps its own.
    """
    generator = np.random.default_rng(0)
    chosen = samples.first(rows)
    moved = {
        port.name: _moved(port, np.resize(a, (rows, *a.shape[1:])), generator) for port, a in _arrays(model, chosen)
    }
    held = {name: np.resize(a, (rows, *a.shape[1:])) for name, a in chosen.inputs.items() if name not in moved}
    together = Samples({**moved, **held}, {}, samples.origin)
    if rare is not None:
        together, rows = Samples({**rare.samples.inputs}, {}, "").joined(together), rows + rare.samples.count
    inputs = together.rounded(model.deployment.dtype).inputs
    index = {
        str(problem.index.attrs["name"]): flat_output(problem, weights, inputs).argmax(axis=1)
        if problem.classifier
        else np.full(rows, -1)
        for problem in explanations.scores.values()
    }
    noise = _noise(explanations, rows, model.deployment.dtype, generator)
    return FreshSamples(inputs, index, noise, rare.words if rare is not None else ())


def _arrays(model: Model, samples: Samples) -> list[tuple[Port, Array]]:
    return [(port, samples.inputs[port.name]) for port in model.inputs]


def _moved(port: Port, array: Array, generator: np.random.Generator) -> Array:
    """With a little noise, unless that would leave the declared bounds."""
    if port.kind != "real":
        return array
    size = DISTURBED * max(float(array.std()), 1e-3 * float(np.abs(array).max()))
    moved = array + size * generator.standard_normal(array.shape)
    low, high = port.bounds or (-np.inf, np.inf)
    return np.where((moved > low) & (moved < high), moved, array)


def _noise(explanations: ExplanationGraph, rows: int, dtype: str, generator: np.random.Generator) -> dict[str, Array]:
    shapes = {
        str(node.attrs["name"]): (rows, *(int(size) for size in node.type.sample))
        for node in explanations.graph.inputs
        if str(node.attrs["name"]) in explanations.noise
    }
    return {name: generator.standard_normal(shape).astype(dtype).astype(np.float64) for name, shape in shapes.items()}

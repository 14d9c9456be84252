"""The samples that learned schemes are learned on, those that say when to stop, and further ones from wider bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from isocline_compiler.certify.samples import Samples, are_drawable, drawn, of_split
from isocline_compiler.data import Dataset
from isocline_compiler.model import Model, Port
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

LESSON, OTHER, FRESH = (1001, 512), (1002, 512), (1003, 512)
"""Seeds and numbers of draws: to learn on, to decide when to stop, and those with no part in either. None of the seeds
is that of the certificate's own draws.
"""
SHIFTED, TRIED = 1004, 1100
"""Seeds of draws from wider bounds, and of those on which the first number of steps is tried."""
FACTORS = (1.25, 1.5, 2.0)
"""How much wider than declared the bounds of shifted samples are."""
MOST_ENTRIES, FEWEST = 1 << 16, 32
"""Numbers of all samples of a lesson together, and the fewest samples that are learned from."""
DECIDING = 5
"""One in so many of the training samples decides when to stop."""


@dataclass(frozen=True)
class Lessons:
    """Samples to learn on, those that decide when to stop, those to measure on, and how more are had: from bounds that
    are wider by a factor, and new ones for each number of steps that seems enough. None where nothing can be drawn.
    """

    lesson: Samples
    other: Samples
    fresh: Samples
    shifted: Callable[[float], Samples] | None
    tried: Callable[[int], Samples] | None


def lessons_of(model: Model, dataset: Dataset | None, held_out: Samples, entries: int) -> Lessons:
    """Training data where a part of them was held out, else draws from the inputs' bounds; a solve has so many
    `entries`. Raises E688 where there is neither.
    """
    drawable, inputs = are_drawable(model.inputs), model.inputs
    most = min(LESSON[1], max(FEWEST, MOST_ENTRIES // max(entries, 1)))

    def more(number: int) -> Samples:
        return drawn(inputs, model.source, TRIED + number, FRESH[1]).rounded(model.deployment.dtype)

    def wider(factor: float) -> Samples:
        ports = tuple(_wider(port, factor) for port in inputs)
        found = drawn(ports, model.source, SHIFTED, FRESH[1]).rounded(model.deployment.dtype)
        return replace(found, origin=f"{found.origin}, {factor:g} times as wide")

    if dataset is not None and not dataset.held_out_is_training and dataset.train.count >= FEWEST:
        split = of_split(dataset.train, inputs, (), f"{dataset.train.count} training samples")
        decides = np.arange(split.count) % DECIDING == 0
        lesson, other = (split.taken(np.flatnonzero(chosen)).first(most) for chosen in (~decides, decides))
        lesson, other = (replace(x, origin=f"{x.count} of {x.origin}") for x in (lesson, other))
        return Lessons(lesson, other, held_out, wider if drawable else _spread_out(held_out), None)
    if not drawable:
        lacking = next((port.name for port in inputs if port.bounds is None), inputs[0].name if inputs else None)
        raise IsoclineError([messages.nothing_to_learn_from(model.deployment.span, lacking)], model.source)
    draws = (drawn(inputs, model.source, seed, min(count, most)) for seed, count in (LESSON, OTHER, FRESH))
    lesson, other, fresh = (item.rounded(model.deployment.dtype) for item in draws)
    return Lessons(lesson, other, held_out if dataset is not None else fresh, wider, more)


def _wider(port: Port, factor: float) -> Port:
    """A real input with bounds that are wider by a factor about their middle; any other as it is."""
    if port.kind != "real" or port.bounds is None:
        return port
    low, high = port.bounds
    middle, half = (low + high) / 2, (high - low) / 2
    return replace(port, bounds=(middle - factor * half, middle + factor * half), default=())


def _spread_out(samples: Samples) -> Callable[[float], Samples]:
    """Real inputs moved away from their mean over the samples by a factor."""

    def moved(factor: float) -> Samples:
        """(x - mean) factor + mean."""
        found = {}
        for name, array in samples.inputs.items():
            mean = array.mean(axis=0, keepdims=True) if array.dtype.kind == "f" else None
            found[name] = array if mean is None else mean + factor * (array - mean)
        return Samples(found, {}, f"{samples.origin}, {factor:g} times as far from their mean")

    return moved


def entries_of(shapes: Sequence[Sequence[int]]) -> int:
    """Numbers of all states of a sample."""
    return sum(prod(map(int, shape)) for shape in shapes)


__all__ = ["FACTORS", "Lessons", "entries_of", "lessons_of"]

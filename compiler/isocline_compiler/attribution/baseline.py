"""What an attribution compares with: the value of an input that says nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isocline_compiler.attribution.problem import Background
from isocline_compiler.graph import Array, Fault
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_dsl import messages
from isocline_dsl.messages import calls

ZEROS = WordCall("zeros")
WORDS = ("zeros", "mean")


def check_baseline(method: str, word: WordCall) -> None:
    """Raises `Fault` for a word that is none of `WORDS`."""
    if word.name not in WORDS:
        raise Fault(lambda span: calls.unknown_word(word.span or span, method, "baseline", word.name, WORDS))


def baseline_of(method: str, word: WordCall, background: Background | None, name: str, shape: tuple[int, ...]) -> Array:
    """`zeros`, or the `mean` of the training samples, in the shape of the input."""
    if word.name == "zeros":
        return np.zeros(shape)
    mean: Array = known_background(method, background)(name, None).mean(axis=0)
    return mean


def known_background(method: str, background: Background | None) -> Background:
    """Stored samples, or a `Fault`."""
    if background is None:
        raise Fault(lambda span: messages.no_background(span, method))
    return background


def chosen(points: Array, entries: Array) -> Array:
    """Flat entries of the last axes: (N, m, *input) -> (N, m, k)."""
    return points.reshape(*points.shape[:2], -1)[..., entries]


def shapes_of(inputs: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shape of a sample of each input."""
    return {name: array.shape[1:] for name, array in inputs.items()}

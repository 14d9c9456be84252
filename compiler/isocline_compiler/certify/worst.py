"""The worst inputs of a grid: a search of the declared box from the worst samples that are known.

Draws say what a grid does to most inputs, not to the worst. Around the worst of them further inputs are drawn, nearer
and nearer (an evolution strategy with a shrinking step; Rechenberg 1973), and the worst found are measured like any
other sample. It is a search and no bound: the certificate says how many were tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.events import near_jumps
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.trials import trial
from isocline_compiler.graph import Array
from isocline_compiler.model import Port
from isocline_dsl.diagnostics import IsoclineError

ROUNDS, TRIED, KEPT = 3, 32, 4
"""Rounds of the search, inputs tried in each, and how many of the worst are kept."""
SMALL = 0.1
"""Answers below this part of the usual one are not sought for being small."""
WIDEST, SHRINKS = 0.1, 0.25
"""How far the first are drawn, as a part of the box, and how much nearer those of the next round are."""


@dataclass(frozen=True)
class Worst:
    """The worst inputs that were found, in their order, with the error of each, and how many were tried."""

    samples: Samples
    errors: Array
    tried: int


def sample_errors(
    evaluator: Evaluator,
    choices: Choices,
    outputs: Sequence[str],
    believed: Mapping[str, Array],
    usual: Mapping[str, float],
) -> Array:
    """The error of the grid on each sample: the largest over the outputs, against what is believed.

    Of a sample that has an answer far below the usual one it is -1: else the search would go where an answer passes
    through zero, and the relative error of any grid is without bound.
    """
    found = trial(evaluator, choices)
    small = np.zeros(evaluator.samples.count, dtype=bool)
    errors = np.zeros(evaluator.samples.count)
    for name in outputs:
        if believed[name].dtype.kind == "f":
            batched = evaluator.graph.outputs[name].type.batched
            relative = relative_errors(found[name], believed[name], batched)
            own = np.abs(believed[name].reshape(len(believed[name]) if batched else 1, -1)).max(axis=1)
            errors = np.maximum(errors, relative)
            small |= own < SMALL * usual[name]
    return np.where(small | near_jumps(evaluator), -1.0, errors)


def usual_sizes(answers: Mapping[str, Array]) -> dict[str, float]:
    """The root mean square of each real output over the samples."""
    real = {name: array for name, array in answers.items() if array.dtype.kind == "f"}
    return {name: float(np.sqrt(np.mean(np.square(array)))) or 1.0 for name, array in real.items()}


def search_worst(
    known: Evaluator,
    choices: Choices,
    outputs: Sequence[str],
    inputs: Sequence[Port],
    on: Callable[[Samples], Evaluator],
) -> Worst:
    """The worst inputs near the worst samples of an evaluator; `on` gives one for other samples."""
    usual = usual_sizes(known.reference)
    errors = sample_errors(known, choices, outputs, known.reference, usual)
    order = np.argsort(-errors)[:KEPT]
    worst, errors = known.samples.taken(order), errors[order]
    generator, radius, tried = np.random.default_rng(1), WIDEST, 0
    for _ in range(ROUNDS):
        candidates = _around(worst, inputs, radius, generator).rounded(known.model.deployment.dtype)
        evaluator = on(candidates)
        try:
            found = sample_errors(evaluator, choices, outputs, evaluator.referred(), usual)
        except IsoclineError:
            break  # the box reaches where the equations have no solution; the draws have not found it
        tried += candidates.count
        fit = np.flatnonzero(found >= 0)
        everything, errors = worst.joined(candidates.taken(fit)), np.concatenate([errors, found[fit]])
        order = np.argsort(-errors)[:KEPT]
        worst, errors, radius = everything.taken(order), errors[order], radius * SHRINKS
    return Worst(worst, errors, tried)


def _around(samples: Samples, inputs: Sequence[Port], radius: float, generator: np.random.Generator) -> Samples:
    """Inputs near the samples, within the bounds; those that are not real stay."""
    rows = np.resize(np.arange(samples.count), TRIED)
    found = {}
    for port in inputs:
        array = samples.inputs[port.name][rows]
        if port.kind == "real" and port.bounds is not None:
            low, high = port.bounds
            moved = array + radius * (high - low) * generator.standard_normal(array.shape)
            array = np.where((moved > low) & (moved < high), moved, array)
        found[port.name] = array
    return Samples(found, {}, samples.origin)


__all__ = ["Worst", "sample_errors", "search_worst", "usual_sizes"]

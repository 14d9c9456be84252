"""What more samples would bring: outputs from seed to seed, and with twice the samples, the first of them the same.

A mean over n samples moves by sigma / sqrt(n) from seed to seed, whatever the grid; a largest of them, or a logarithm
of a mean, moves with n besides. The model is read again with twice its `samples`, and walked with the noise of the
runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.errors import NORMAL, outputs_with
from isocline_compiler.certify.stochastic.record import Doubling, SampleSpread
from isocline_compiler.certify.stochastic.seeded import SeededNoise, kept_noises, seeded_noises
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model as read_model
from isocline_compiler.model import Model
from isocline_compiler.solvers.ensemble import EnsembleModel, ensemble_model
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.printer import to_text
from isocline_dsl.tree import Setting, Solve, walk

SEEDS, ROWS = 16, 4
"""Seeds that are tried, on so many rows."""
NUMBERS, AT_ONCE = 1 << 24, 1 << 22
"""Standard numbers of all seeds together, and of those that are walked at once."""


def with_doubled_samples(model: Model) -> Model:
    """The model with `samples 2*(n)` in place of every `samples n`. Raises IsoclineError where it cannot have them."""
    if model.source.parts:
        alone = read_model(to_text(model.program))
        return with_doubled_samples(replace(model, source=alone.source, program=alone.program))
    text = model.source.text
    tree = list(walk(model.program))
    spans = [item.samples.span for item in tree if isinstance(item, Solve) and item.samples is not None]
    spans += [item.values[0].span for item in tree if isinstance(item, Setting) and item.key.text == "samples"]
    for span in sorted(spans, reverse=True):
        text = f"{text[: span.start]}2*({text[span.start : span.stop]}){text[span.stop :]}"
    twice = read_model(text)
    if not isinstance(model, EnsembleModel):
        return twice
    return ensemble_model(twice, {solve.spec.choice: choice for solve, choice in model.stepped})


def doubling(evaluator: Evaluator, choices: Choices) -> Doubling:
    """Each output for several seeds, with the samples that are deployed and with twice as many."""
    mine = Ensemble(evaluator, choices)
    stated = evaluator.model.deployment.samples or 0
    samples = max((solve.spec.samples or 0 for solve in evaluator.solves), default=stated)
    if not samples:
        return Doubling(why="there are no samples to double")
    try:
        twice = with_doubled_samples(evaluator.model)
    except IsoclineError:
        return Doubling(samples=samples, why="with twice the samples the file is not a model")
    theirs = Ensemble(Evaluator(twice, evaluator.weights, evaluator.samples, evaluator.error, evaluator.by), choices)
    shapes = {name: node.type.sample for name, node in evaluator.graph.outputs.items() if node.type.kind == "real"}
    reduced = [name for name, shape in shapes.items() if twice.graph.outputs[name].type.sample == shape]
    if not reduced:
        return Doubling(samples=samples, why="every output has a number for each sample")
    rows = max(1, min(ROWS, NUMBERS // (SEEDS * theirs.numbers)))
    if SEEDS * theirs.numbers > 4 * NUMBERS:
        return Doubling(samples=samples, why="so many samples take too long")
    once, again = mine.outputs(rows, reduced), theirs.outputs(rows, reduced)
    return Doubling({name: _spread(once[name], again[name]) for name in reduced}, samples, SEEDS, rows)


@dataclass(frozen=True)
class Ensemble:
    """A model with the noise of several seeds."""

    evaluator: Evaluator
    choices: Choices

    @property
    def noises(self) -> tuple[SeededNoise, ...]:
        model = self.evaluator.model
        if isinstance(model, EnsembleModel):
            return kept_noises(model.kept)
        return seeded_noises([solve for solve in self.evaluator.solves if solve.spec.noises], self.choices)

    @property
    def numbers(self) -> int:
        """Standard numbers of one row."""
        return sum(int(np.prod(noise.shape)) for noise in self.noises)

    def outputs(self, rows: int, names: Sequence[str]) -> dict[str, Array]:
        """(seeds, rows, entries) of each output; row i of every seed is row i of the samples."""
        parts = [self._of(seeds, rows, names) for seeds in self._seeds(rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _seeds(self, rows: int) -> list[range]:
        each = max(1, min(SEEDS, AT_ONCE // (rows * self.numbers)))
        return [range(start, min(start + each, SEEDS)) for start in range(0, SEEDS, each)]

    def _of(self, seeds: range, rows: int, names: Sequence[str]) -> dict[str, Array]:
        mine = self.evaluator
        few = mine.samples.first(rows)
        inputs = {name: np.tile(np.resize(a, (rows, *a.shape[1:])), (len(seeds), *(1,) * (a.ndim - 1)))
                  for name, a in few.inputs.items()}  # fmt: skip
        noise = {
            item.name: np.concatenate([item.made(item.draws(seed), range(rows)) for seed in seeds])
            for item in self.noises
        }
        walked = Evaluator(mine.model, mine.weights, Samples(inputs, {}, few.origin), mine.error, mine.by)
        found = outputs_with(walked, TorchProgram(walked.stepped(self.choices)), noise)
        return {name: found[name].astype(np.float64).reshape(len(seeds), rows, -1) for name in names}


def _spread(once: Array, twice: Array) -> SampleSpread:
    """From (seeds, rows, entries) with some samples and with twice as many."""
    size = float(np.sqrt(np.mean(once**2))) or 1.0
    moved = (twice - once) / size
    means, intervals = moved.mean(axis=0), NORMAL * moved.std(axis=0, ddof=1) / sqrt(len(moved))
    worst = np.unravel_index(int(np.argmax(np.abs(means) + intervals)), means.shape)
    return SampleSpread(
        *_deviation(once / size), *_deviation(twice / size), float(abs(means[worst])), float(intervals[worst])
    )


def _deviation(values: Array) -> tuple[float, float]:
    """The root mean square over rows and entries of the standard deviation over seeds, with its standard error: rows
    are independent, the entries of one are taken to move together.
    """
    variances = values.var(axis=0, ddof=1).mean(axis=-1)
    found = sqrt(float(variances.mean()))
    return found, found / sqrt(2 * (len(values) - 1) * len(variances))

"""Means and deviations that `standardize` bakes into the graph, fitted to the training samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.data import Split
from isocline_compiler.graph import Array, Graph
from isocline_compiler.model import Statistic
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.solvers import TrainingSolver
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages

CHUNK = 1024


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations; joined exactly, so that chunks do not lose digits."""

    count: float
    mean: Array
    squares: Array

    @classmethod
    def of(cls, values: Array) -> Moments:
        """Of the first axis."""
        mean = values.mean(axis=0)
        return cls(len(values), mean, ((values - mean) ** 2).sum(axis=0))

    def joined(self, other: Moments) -> Moments:
        """Chan, Golub, LeVeque (1979): M = M_a + M_b + d^2 n_a n_b / n, d = mean_b - mean_a."""
        count, apart = self.count + other.count, other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        squares = self.squares + other.squares + apart**2 * (self.count * other.count / count)
        return Moments(count, mean, squares)

    @property
    def deviation(self) -> Array:
        """The root of the mean square; 1 where nothing varies, so that a constant becomes 0 and not 0/0."""
        found = np.sqrt(self.squares / self.count)
        return np.where(found > 0, found, 1.0)


def fit_statistics(
    statistics: Sequence[Statistic], weights: Mapping[str, Array], train: Split, solver: TrainingSolver
) -> dict[str, Array]:
    """All weights, with those of `statistics` fitted in the order of the file, as one may stand on another.

    The source is evaluated in float64 over the training samples. Raises E464.
    """
    fitted = dict(weights)
    batches = Batches.of(train, torch.float64, torch.device("cpu"))
    for statistic in statistics:
        moments = _moments(statistic, fitted, batches, solver)
        for name, value in ((statistic.mean, moments.mean), (statistic.deviation, moments.deviation)):
            if not np.isfinite(value).all():
                raise IsoclineError(
                    [messages.statistic_not_finite(statistic.source.span, name, value.ravel()[:4].tolist())]
                )
            fitted[name] = np.broadcast_to(value.reshape(_fitting(value, weights[name])), weights[name].shape).copy()
    return fitted


def _fitting(value: Array, weight: Array) -> tuple[int, ...]:
    """The shape of the weight when the sizes agree, else the value's own, to be broadcast."""
    return tuple(weight.shape if value.size == weight.size else value.shape)


@torch.no_grad()
def _moments(statistic: Statistic, weights: Mapping[str, Array], batches: Batches, solver: TrainingSolver) -> Moments:
    stepped, noise = solver.unrolled(Graph((), {"source": statistic.source}))
    program = TorchProgram(stepped)
    bound: dict[str, Tensor] = {name: torch.tensor(value) for name, value in weights.items()}
    moments: Moments | None = None
    for batch, _ in batches.chunks(min(CHUNK, noise.chunk) if statistic.source.type.batched else batches.count):
        given = noise.filled({**bound, **batch}, training=False)
        values = program(given, integrator=solver.integrator)["source"].numpy()
        here = Moments.of(_observations(values, statistic))
        moments = here if moments is None else moments.joined(here)
    assert moments is not None
    return moments


def _observations(values: Array, statistic: Statistic) -> Array:
    """All axes but the kept ones, which are axes of a sample, become one, the first: (observations, *kept)."""
    batched = statistic.source.type.batched
    rank = values.ndim - 1 if batched else values.ndim
    kept = [axis % rank + batched for axis in statistic.axes]
    others = [axis for axis in range(values.ndim) if axis not in kept]
    moved = values.transpose(*others, *kept)
    return moved.reshape(-1, *(values.shape[axis] for axis in kept))

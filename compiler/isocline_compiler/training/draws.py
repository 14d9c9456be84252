"""The random values of a loss: a function of the seed, the step and the row, whatever the batch and the device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.backends.noise import TorchDraws
from isocline_compiler.backends.to_torch import namespace_of
from isocline_compiler.model import RandomValue
from isocline_compiler.training.batches import ROWS
from isocline_compiler.training.path_noise import MOST, seed_of
from isocline_compiler.vocabulary.draws import DRAWS
from isocline_compiler.vocabulary.functions.record import call

_UPDATE, _FIXED = 1, 0
"""What a seed is for, beside that of the plan: training draws anew for each update, all else once."""


@dataclass
class Drawing:
    """What the draws of a plan hold for some rows: new values at each step, and others that stay where nothing trains.

    The numbers are the runtime's (docs/noise.md), with a stream for each draw. Validation so compares one epoch with
    another on the same values, and a run that is resumed goes on with those it would have drawn.
    """

    values: Sequence[RandomValue]
    seed: int
    update: int = 0

    @property
    def chunk(self) -> int:
        """How many samples of the data may be evaluated at once."""
        return max(1, MOST // max(1, sum(math.prod(value.shape) for value in self.values)))

    def begin(self, update: int) -> None:
        """The draws that follow are those of this update."""
        self.update = update

    def filled(self, bound: Mapping[str, Tensor], training: bool) -> Mapping[str, Tensor]:
        """The values of a batch with what is drawn for its rows."""
        if not self.values:
            return bound
        return {**bound, **self.take(bound[ROWS], namespace_of(bound).working, training)}

    def take(self, rows: Tensor, working: torch.dtype, training: bool) -> dict[str, Tensor]:
        """The values by name, (rows, *shape), real ones in the working precision."""
        seed = seed_of(self.seed, _UPDATE, self.update) if training else seed_of(self.seed, _FIXED)
        found: dict[str, Tensor] = {}
        for stream, value in enumerate(self.values):
            made = call(DRAWS[value.distribution.name], (), value.distribution.options.items())
            drawn = made(_Standard(seed, stream, rows, value.shape))
            found[value.name] = drawn.to(working) if drawn.is_floating_point() else drawn
        return found


@dataclass(frozen=True)
class _Standard:
    """Standard numbers of one draw, (rows, *shape)."""

    seed: int
    stream: int
    rows: Tensor
    shape: tuple[int, ...]

    def uniforms(self) -> Tensor:
        return self._shaped(self._draws.uniforms(self.rows))

    def normals(self) -> Tensor:
        return self._shaped(self._draws.normals(self.rows))

    @property
    def _draws(self) -> TorchDraws:
        """A block of the generator holds two numbers: two steps of half as many channels as there are entries."""
        return TorchDraws(self.seed, self.stream, steps=2, channels=-(-math.prod(self.shape) // 2))

    def _shaped(self, numbers: Tensor) -> Tensor:
        return numbers.flatten(1)[:, : math.prod(self.shape)].reshape(-1, *self.shape)

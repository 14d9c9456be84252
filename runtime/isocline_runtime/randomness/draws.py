"""Which random numbers: a record of what they depend on, and the counters that it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime.randomness.lattice import DIMENSIONS, MOST_POINTS, in_lattice, phases
from isocline_runtime.randomness.philox import Words

MOST_SAMPLES, MOST_STEPS, MOST_CHANNELS = 2**24, 2**20, 2**20
STEP_UNIT, SAMPLE_UNIT = 2**20, 2**40


@dataclass(frozen=True)
class Draws:
    """The numbers of one input of a model, for each row: (samples, steps, channels).

    A number is a function of the seed, the stream (which input), and its own row, sample, step and channel: of neither
    the batch nor the sizes given here. `first_sample` and `first_step` begin elsewhere than at 0.

    `antithetic`: samples 2k and 2k + 1 are each other's mirror image. `lattice`: the samples of a row are a shifted
    lattice (isocline_runtime.randomness.lattice); a number then depends on the sizes (steps, channels) too.
    """

    seed: int
    stream: int = 0
    samples: int = 1
    steps: int = 1
    channels: int = 1
    first_sample: int = 0
    first_step: int = 0
    antithetic: bool = False
    lattice: bool = False

    def __post_init__(self) -> None:
        _within("seed", self.seed, 2**64 - 1)
        _within("stream", self.stream, 2**32 - 1)
        for name in ("samples", "steps", "channels", "first_sample", "first_step"):
            _within(name, getattr(self, name), 2**63)
        points = MOST_POINTS * (2 if self.antithetic else 1)
        _within("samples", self.first_sample + self.samples, points if self.lattice else MOST_SAMPLES)
        _within("steps", self.first_step + self.steps, MOST_STEPS)
        _within("channels", self.channels, MOST_CHANNELS)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a row."""
        return self.samples, self.steps, self.channels


@dataclass(frozen=True)
class Counters:
    """What the blocks of one row share, flat over (samples, blocks along the steps, channels).

    `positions`: the third and fourth word, as numbers of 64 bits. `phases`, (2, n): what is added to the first words of
    the two uniforms, or None.
    """

    positions: Words
    phases: Words | None


def counters(draws: Draws, steps: NDArray[np.uint64]) -> Counters:
    """Position = channel + 2^20 block + 2^40 sample, where `steps` are the numbers of the blocks along the steps."""
    samples = np.arange(draws.first_sample, draws.first_sample + draws.samples, dtype=np.uint64)[:, None, None]
    channels = np.arange(draws.channels, dtype=np.uint64)
    places = channels + np.uint64(STEP_UNIT) * steps[:, None]
    if not draws.lattice:
        return Counters((places + np.uint64(SAMPLE_UNIT) * samples).reshape(-1), None)
    inside = in_lattice(steps[:, None], channels, draws.channels)
    own = np.where(inside, np.uint64(0), samples)  # a shift is common to all samples, and is that of the first
    dimensions = _dimensions(steps, channels, draws.channels)
    added = np.where(inside, phases(samples[None], np.minimum(dimensions, DIMENSIONS - 1)), 0)
    return Counters((places + np.uint64(SAMPLE_UNIT) * own).reshape(-1), added.reshape(2, -1).astype(np.uint64))


def _dimensions(pairs: NDArray[np.uint64], channels: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Step times channels + channel, of both steps of every pair: (2, 1, pairs, channels)."""
    steps = 2 * pairs.astype(np.int64) + np.arange(2)[:, None]
    return (steps[:, :, None] * size + channels.astype(np.int64))[:, None]


def row_numbers(rows: ArrayLike) -> NDArray[np.uint64]:
    """Rows as numbers of 64 bits; raises ValueError where one is negative, no integer, or too large."""
    if isinstance(rows, range) and rows and min(rows[0], rows[-1]) >= 0 and max(rows[0], rows[-1]) < 2**63:
        return np.arange(rows.start, rows.stop, rows.step).astype(np.uint64)
    given = np.asarray(rows, None if isinstance(rows, np.ndarray) else object)
    whole = given.dtype.kind in "iu" or all(isinstance(row, int | np.integer) for row in given.flat)
    if given.ndim != 1 or not whole or (given.size and not 0 <= int(given.min()) <= int(given.max()) < 2**64):
        raise ValueError("rows are a list of integers from 0 to 2^64 - 1")
    return given.astype(np.uint64)


def _within(name: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {value}; it lies between 0 and {most}")

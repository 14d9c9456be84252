"""Uniform numbers in (0, 1) from counters; every other distribution is made of them.

A block of four words (w0, w1, w2, w3) makes two numbers, of the 52 high bits of 64:

    u = (k + 1/2) 2^-52,   k = floor((2^32 w0 + w1) / 2^12),   and likewise of w2, w3

All of them are odd multiples of 2^-53, exact in float64 and symmetric: 1 - u is one of them, 0 and 1 are not. The two
numbers of a block belong to the steps 2p and 2p + 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from isocline_runtime.randomness.compiled import CHOICE, Compiled
from isocline_runtime.randomness.draws import Draws, counters, row_numbers
from isocline_runtime.randomness.philox import MASK, WORD, Words, derive_key, scramble

Array = NDArray[np.float64]
Transform = Callable[[Array, Array], Array]
"""Two uniform numbers of each of n blocks, (2, n), and scratch (3, 2 n), to numbers (k, n)."""

BLOCKS = 6144
"""Blocks at once: as many as leave room for the intermediate values of a quantile in a cache of the second level."""
HIGH, LOW, ONE = np.array(20, np.uint64), np.array(12, np.uint64), np.array(0x3FF << 52, np.uint64)
BELOW_ONE = 1 - 2.0**-53


def uniforms(draws: Draws, rows: ArrayLike, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Uniform numbers, (rows, samples, steps, channels). float32 rounds some to 0 and 1; float64 none."""
    if draws.antithetic:
        return mirrored(draws, lambda half: uniforms(half, rows, dtype), lambda u: 1 - u)
    return of_pairs(draws, rows, lambda u, _: u, dtype)


def bernoulli(draws: Draws, rows: ArrayLike, probability: float, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """1 with this probability, where the uniform number lies below it, else 0: (rows, samples, steps, channels)."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability is {probability}; it lies between 0 and 1")
    return (uniforms(draws, rows) < probability).astype(dtype)


def of_pairs(draws: Draws, rows: ArrayLike, transform: Transform, dtype: DTypeLike) -> NDArray[np.floating]:
    """A number of each uniform number: a block serves two steps."""
    begin, end = draws.first_step, draws.first_step + draws.steps
    pairs = np.arange(begin // 2, (end + 1) // 2, dtype=np.uint64)
    found = _of_blocks(draws, pairs, row_numbers(rows), transform, 2, dtype)
    return np.ascontiguousarray(found[:, :, begin % 2 : begin % 2 + draws.steps])


def of_steps(draws: Draws, rows: ArrayLike, transform: Transform, dtype: DTypeLike) -> NDArray[np.floating]:
    """A number of two uniform numbers: each step has a block of its own."""
    steps = np.arange(draws.first_step, draws.first_step + draws.steps, dtype=np.uint64)
    return _of_blocks(draws, steps, row_numbers(rows), transform, 1, dtype)


def _of_blocks(
    draws: Draws, steps: Words, rows: Words, transform: Transform, each: int, dtype: DTypeLike
) -> NDArray[np.floating]:
    """`each` numbers of every block, (rows, samples, each * blocks along the steps, channels), a piece at a time.

    A piece is a number of whole rows, or a part of one row.
    """
    key, shared, channels = derive_key(draws.seed, draws.stream), counters(draws, steps), draws.channels
    size = len(shared.positions)
    result = np.empty((len(rows), draws.samples * len(steps), each, channels), dtype)
    compiled = CHOICE.count(result.size)
    if result.size:
        many = min(len(rows), max(1, round(BLOCKS / size)))
        parts = max(1, round(size / BLOCKS))
        most = -(-size // channels // parts) * channels
        space = _Space(many * most, compiled)
        for row, begin in itertools.product(range(0, len(rows), many), range(0, size, most)):
            part = slice(begin, begin + most)
            phases = None if shared.phases is None else shared.phases[:, part]
            u = space.uniforms(key, rows[row : row + many], shared.positions[part], phases)
            place = result[row : row + many, begin // channels : (begin + most) // channels]
            numbers = transform(u, space.scratch(u.size))
            place[:] = numbers.reshape(each, len(place), -1, channels).transpose(1, 2, 0, 3)
    return result.reshape(len(rows), draws.samples, each * len(steps), channels)


class _Space:
    """Memory that is used again for every block of rows: fresh memory costs more than the arithmetic."""

    def __init__(self, blocks: int, compiled: Compiled | None) -> None:
        self._compiled = compiled
        self._words = np.empty((3, 2 * blocks), np.uint64)
        self._scratch = np.empty((3, 2 * blocks))

    def scratch(self, size: int) -> Array:
        return self._scratch[:, :size]

    def uniforms(self, key: tuple[int, int], rows: Words, positions: Words, phases: Words | None) -> Array:
        """Two numbers of every row and position, (2, rows * positions)."""
        size = 2 * len(rows) * len(positions)
        if self._compiled is not None:
            numbers = self._words[0, :size].view(np.float64).reshape(2, -1)
            added = np.zeros((2, len(positions)), np.uint64) if phases is None else phases
            first, second = np.array(key, np.uint64)
            self._compiled.uniforms(rows, positions, np.ascontiguousarray(added), first, second, numbers)
            return numbers
        even, odd, product = (words[:size].reshape(2, len(rows), -1) for words in self._words)
        even[0], odd[0] = (rows & MASK)[:, None], (rows >> WORD)[:, None]
        even[1], odd[1] = positions & MASK, positions >> WORD
        scramble(even.reshape(2, -1), odd.reshape(2, -1), key, product.reshape(2, -1))
        if phases is not None:
            even += phases[:, None]
            even &= MASK
        return _numbers(even, odd).reshape(2, -1)


def _numbers(high: Words, low: Words) -> Array:
    """The uniform numbers in place of the words: 52 bits as the fraction of a float64 in [1, 2), without any loss."""
    high <<= HIGH
    low >>= LOW
    high |= low
    high |= ONE
    numbers = high.view(np.float64)
    numbers -= BELOW_ONE
    return numbers


def mirrored(
    draws: Draws, make: Callable[[Draws], NDArray[np.floating]], mirror: Callable[[NDArray[np.floating]], ArrayLike]
) -> NDArray[np.floating]:
    """Samples 2k and 2k + 1 from the sample k of independent numbers and its mirror image."""
    begin, end = draws.first_sample, draws.first_sample + draws.samples
    half = replace(draws, antithetic=False, first_sample=begin // 2, samples=(end + 1) // 2 - begin // 2)
    numbers = make(half)
    both = np.stack([numbers, np.asarray(mirror(numbers))], axis=2)
    flat = both.reshape(len(numbers), 2 * half.samples, *numbers.shape[2:])
    return np.ascontiguousarray(flat[:, begin % 2 : begin % 2 + draws.samples])

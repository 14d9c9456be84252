"""The random numbers of the runtime in torch, on the device of the rows, for training; `docs/noise.md` specifies them.

Written from that page and not from the runtime's code, so that each checks the other: here Philox in integers of 64
signed bits, normals by torch's own quantile. Uniform numbers and counts have the same bits, normals and stable numbers
differ by rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.graph import Array

MASK = 0xFFFFFFFF
Words = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class TorchDraws:
    """The numbers of one input, (rows, samples, steps, channels) in float64.

    `antithetic`: samples 2k and 2k + 1 are each other's mirror image. Rows are int64 and of any device. Over epochs,
    another seed gives other numbers.
    """

    seed: int
    stream: int = 0
    samples: int = 1
    steps: int = 1
    channels: int = 1
    antithetic: bool = False

    def uniforms(self, rows: Tensor) -> Tensor:
        """Odd multiples of 2^-53 in (0, 1)."""
        both = torch.stack(self._blocks(rows, (self.steps + 1) // 2), dim=3)
        u = both.flatten(2, 3)[:, :, : self.steps]
        return torch.where(self._odd(u), 1 - u, u) if self.antithetic else u

    def normals(self, rows: Tensor) -> Tensor:
        """Standard normals."""
        found: Tensor = torch.special.ndtri(self.uniforms(rows))
        return found

    def stable(self, rows: Tensor, alpha: float) -> Tensor:
        """Symmetric stable numbers, of characteristic function exp(-|t|^alpha): Chambers, Mallows, Stuck (1976)."""
        first, second = self._blocks(rows, self.steps)
        angle = math.pi * (first - 0.5)
        cosine = torch.sin(math.pi * torch.minimum(first, 1 - first))
        size = torch.sin(alpha * angle) / cosine ** (1 / alpha)
        size = size * (torch.cos((1 - alpha) * angle) / -torch.log(second)) ** ((1 - alpha) / alpha)
        return torch.where(self._odd(size), -size, size) if self.antithetic else size

    def poisson(self, rows: Tensor, rate: float) -> Tensor:
        """Counts of a Poisson process."""
        lowest, table = _poisson_table(rate)
        boundaries = torch.from_numpy(table).to(rows.device)
        return lowest + torch.searchsorted(boundaries, self.uniforms(rows).contiguous(), right=True).double()

    def _blocks(self, rows: Tensor, along: int) -> tuple[Tensor, Tensor]:
        """The two uniform numbers of every block, (rows, samples, along, channels) each."""

        def axis(size: int) -> Tensor:
            return torch.arange(size, device=rows.device)

        samples = axis(self.samples) >> 1 if self.antithetic else axis(self.samples)
        position = axis(self.channels) + (axis(along)[:, None] << 20) + (samples[:, None, None] << 40)
        row = rows.reshape(-1, 1, 1, 1)
        words = row & MASK, row >> 32 & MASK, position & MASK, position >> 32
        w0, w1, w2, w3 = philox(words, _key(self.seed, self.stream))
        return _uniform(w0, w1), _uniform(w2, w3)

    def _odd(self, like: Tensor) -> Tensor:
        return (torch.arange(self.samples, device=like.device) % 2 == 1)[:, None, None]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox 4x32-10 on words in int64, which broadcast. A product overflows into the sign and keeps its 64 bits."""
    (w0, w1, w2, w3), (k0, k1) = counter, key
    for _ in range(10):
        p, q = w0 * 0xD2511F53, w2 * 0xCD9E8D57
        w0, w1, w2, w3 = (q >> 32 & MASK) ^ w1 ^ k0, q & MASK, (p >> 32 & MASK) ^ w3 ^ k1, p & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return w0, w1, w2, w3


@lru_cache(maxsize=256)
def _key(seed: int, stream: int) -> tuple[int, int]:
    zero = torch.tensor(0)
    first, second, *_ = philox((torch.tensor(stream), zero, zero, zero), (seed & MASK, seed >> 32))
    return int(first), int(second)


def _uniform(high: Tensor, low: Tensor) -> Tensor:
    return ((high << 20 | low >> 12).double() + 0.5) * 2.0**-52


@lru_cache(maxsize=256)
def _poisson_table(rate: float) -> tuple[int, Array]:
    """The lowest count and the distribution from there on; sums in the order that the page states, so in numpy."""
    mode, reach = math.floor(rate), math.ceil(9 * math.sqrt(rate)) + 40
    lowest = max(0, mode - reach)
    weights = [1.0]
    for k in range(mode, lowest, -1):
        weights.append(weights[-1] * (k / rate))
    weights.reverse()
    for k in range(mode + 1, mode + reach + 1):
        weights.append(weights[-1] * (rate / k))
    sums = np.cumsum(weights)
    return lowest, sums / sums[-1]

"""Samples as tensors, whole or in seeded minibatches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.data import Split
from isocline_compiler.graph import Array

Batch = dict[str, Tensor]
"""Arrays by port, and under `ROWS` which samples of the split they are."""
ROWS = "rows of the split"


@dataclass(frozen=True)
class Batches:
    """A part of the data as tensors by port: reals in the working precision, classes as int64."""

    tensors: Mapping[str, Tensor]
    shared: frozenset[str]
    count: int
    device: torch.device

    @classmethod
    def of(cls, split: Split, working: torch.dtype, device: torch.device) -> Batches:
        tensors = {name: as_tensor(array, working) for name, array in split.arrays.items()}
        return cls(tensors, split.shared, split.count, device)

    def take(self, indices: Tensor | slice) -> Batch:
        """Some samples, on the device, and which rows they are."""
        found = {
            name: (tensor if name in self.shared else tensor[indices]).to(self.device)
            for name, tensor in self.tensors.items()
        }
        return {**found, ROWS: torch.arange(self.count)[indices].to(self.device)}

    def shuffled(self, size: int | None, seed: tuple[int, ...]) -> Iterator[tuple[Batch, int]]:
        """Every sample once, `size` at a time, in an order that `seed` decides; None: all at once, in order."""
        if size is None or size >= self.count:
            yield self.take(slice(None)), self.count
            return
        order = torch.from_numpy(np.random.default_rng(seed).permutation(self.count))
        for indices in torch.split(order, size):
            yield self.take(indices), len(indices)

    def chunks(self, size: int) -> Iterator[tuple[Batch, int]]:
        """Every sample once, in order."""
        for start in range(0, self.count, size):
            stop = min(start + size, self.count)
            yield self.take(slice(start, stop)), stop - start


def as_tensor(array: Array, working: torch.dtype) -> Tensor:
    """Reals in the working precision; integers and truth values as they are."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(working) if tensor.is_floating_point() else tensor

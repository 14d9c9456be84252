"""Samples by part, as numpy arrays by port."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from isocline_compiler.graph import Array


@dataclass(frozen=True)
class Split:
    """Arrays by port, samples first; those named in `shared` have no sample axis and go with every sample."""

    arrays: Mapping[str, Array]
    shared: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """How many samples; 1 when every array is shared."""
        return next((len(array) for name, array in self.arrays.items() if name not in self.shared), 1)

    def take(self, indices: Array) -> Split:
        """Some of the samples."""
        arrays = {name: a if name in self.shared else a[indices] for name, a in self.arrays.items()}
        return Split(arrays, self.shared)


@dataclass(frozen=True)
class Dataset:
    """The parts of the data, and in words what was filled, dropped or left out to make them."""

    train: Split
    validation: Split | None = None
    test: Split | None = None
    notes: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the ports whose sample is one row of the table: the columns of its entries."""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of an input of type `group`: how the data name its members, in order."""

    @property
    def held_out(self) -> Split:
        """The samples that claims are measured on: test, else validation, else training."""
        return self.test or self.validation or self.train

    @property
    def held_out_is_training(self) -> bool:
        """Nothing was kept aside: numbers on the held-out samples are numbers on the training samples."""
        return self.test is None and self.validation is None

    def with_validation(self, fraction: float, seed: int) -> Dataset:
        """A seeded part of the training samples validates, unless one does already or there are too few."""
        count = round(fraction * self.train.count)
        if self.validation is not None or not 0 < count < self.train.count:
            return self
        order = np.random.default_rng(seed).permutation(self.train.count)
        aside, kept = np.sort(order[:count]), np.sort(order[count:])
        note = f"{count} of {self.train.count} training samples kept aside for validation"
        return replace(
            self,
            train=self.train.take(kept),
            validation=self.train.take(aside),
            notes=(*self.notes, note),
        )

    @cached_property
    def digest(self) -> str:
        """sha256 of all that training sees."""
        hasher = hashlib.sha256()
        for split in (self.train, self.validation):
            for name, array in sorted(split.arrays.items() if split else ()):
                hasher.update(f"{name} {array.dtype} {array.shape}".encode())
                hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()

"""The states of all samples as one vector, which is what scipy's solvers take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.graph import Array, Node
from isocline_compiler.training.clock import FieldFunction
from isocline_dsl.diagnostics import IsoclineError

Tensors = tuple[Tensor, ...]


class FlatField(Protocol):
    def __call__(self, t: float, x: Array) -> Array: ...


class Stop(Protocol):
    """Makes the error of a walk that ends at t, x, from what it passed before; `spent`: it may not ask again."""

    def __call__(self, t: float, x: Array, before: Sequence[tuple[float, Array]], spent: bool) -> IsoclineError: ...


@dataclass(frozen=True)
class FlatStates:
    """States side by side in one vector, sample after sample: (B n,)."""

    shapes: tuple[tuple[int, ...], ...]
    batched: tuple[bool, ...]
    rows: int

    @classmethod
    def of(cls, node: Node, initial: Tensors) -> FlatStates:
        batched = tuple(x.ndim > 0 and type_.batched for x, type_ in zip(initial, node.types, strict=True))
        rows = next((len(x) for x, has in zip(initial, batched, strict=True) if has), 1)
        return cls(tuple(tuple(x.shape) for x in initial), batched, rows)

    @property
    def band(self) -> int:
        """How far from the diagonal the Jacobian reaches: a sample's own states, unless some are shared by all."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        if not all(self.batched):
            return sum(sizes)
        return sum(sizes) // max(self.rows, 1) - 1

    def joined(self, states: Tensors) -> Array:
        return self.joined_tensor(states).numpy()

    def joined_tensor(self, states: Tensors) -> Tensor:
        if not all(self.batched):
            return torch.cat([x.reshape(-1) for x in states])
        return torch.cat([x.reshape(self.rows, -1) for x in states], dim=1).reshape(-1)

    def apart(self, x: Array) -> Tensors:
        """(..., B n) as the states, (..., *shape) each."""
        return self.apart_tensor(torch.from_numpy(np.ascontiguousarray(x)))

    def apart_tensor(self, x: Tensor) -> Tensors:
        lead = x.shape[:-1]
        if self._alike:
            x = x.reshape(*lead, self.rows, -1)
        return tuple(
            x[..., start:end].reshape((*lead, *shape))
            for shape, (start, end) in zip(self.shapes, self._places, strict=True)
        )

    @cached_property
    def _alike(self) -> bool:
        return all(self.batched)

    @cached_property
    def _places(self) -> tuple[tuple[int, int], ...]:
        """Where each state begins and ends in a sample, or in the whole."""
        sizes = [prod(shape) // (self.rows if self._alike else 1) for shape in self.shapes]
        return tuple(pairwise((0, *accumulate(sizes))))

    def largest(self, x: Array) -> Array:
        """For every entry the largest of its state in its sample."""
        states = self.apart(x)
        spread = []
        for item, has in zip(states, self.batched, strict=True):
            rows = item.reshape(len(item), -1) if has else item.reshape(1, -1)
            spread.append(rows.amax(dim=1, keepdim=True).expand_as(rows).reshape(item.shape))
        return self.joined(tuple(spread))

    def function(self, slopes: FieldFunction, evaluations: list[int], stop: Stop) -> FlatField:
        """The field on the vector. Raises Unsolved when it is asked too often."""

        def flat(t: float, x: Array) -> Array:
            evaluations[0] -= 1
            if evaluations[0] < 0:
                raise stop(t, x, (), True)
            return self.joined(slopes(torch.tensor(t, dtype=torch.float64), self.apart(x)))

        return flat


__all__ = ["FlatField", "FlatStates", "Stop"]

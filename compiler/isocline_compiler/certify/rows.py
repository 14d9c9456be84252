"""The states of a solve side by side, as rows of numbers, for code that knows of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify.second_steps import Slopes
from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import Solve

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """The states of a solve side by side, (samples, numbers)."""

    solve: Solve
    initial: Tensors

    @cached_property
    def shapes(self) -> list[torch.Size]:
        return [x.shape[1:] if node.type.batched else x.shape for x, node in self._pairs]

    @cached_property
    def samples(self) -> int:
        return max(len(x) if node.type.batched else 1 for x, node in self._pairs)

    @property
    def _pairs(self) -> list[tuple[Tensor, Node]]:
        return list(zip(self.initial, self.solve.initial, strict=True))

    def apart(self, x: Tensor) -> Tensors:
        """The states that rows are."""
        parts = torch.split(x, [shape.numel() for shape in self.shapes], dim=1)
        return tuple(
            part.reshape(self.samples, *shape) if node.type.batched else part[0].reshape(shape)
            for part, shape, node in zip(parts, self.shapes, self.solve.initial, strict=True)
        )

    def joined(self, states: Sequence[Tensor]) -> Tensor:
        """The rows that states are."""
        sizes = [shape.numel() for shape in self.shapes]
        wide = (x.reshape(-1, size).expand(self.samples, size) for x, size in zip(states, sizes, strict=True))
        return torch.cat(list(wide), dim=1)

    def slopes(self, program: TorchField, slices: Callable[[int], Sequence[Tensor]]) -> Slopes:
        """A field of states as one of rows; step i reads these slices of what is stacked."""

        def of(t: float | Tensor, x: Tensor, i: int) -> Tensor:
            time = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
            return self.joined(program(time, self.apart(x), slices(i)))

        return of

"""The passes of the explicit reference over a solve: loose ones find how large its states are, then the exact one.

A pass whose steps would be those of the pass before is not made again: often all are as long as they may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.graph import Node
from isocline_compiler.training.integrate import AdaptiveIntegrator, Solved

Tensors = tuple[Tensor, ...]

RESTED = 1e-9
"""What is first taken for the size of a state that rests at zero, as a part of the largest."""
SURE = 1 - 1e-6
"""The part of the slack that is used: what a solver computes of an error is rounded."""


@dataclass(frozen=True)
class _Pass:
    """What came out of one pass, and the tolerances it was made with."""

    relative: float
    absolute: Tensors
    solved: Solved

    def steps_as_with(self, relative: float, absolute: Tensors) -> bool:
        """Whether with these tolerances each step would have been the same, so that the solution is, bit for bit.

        An error of a step, err / (atol + rtol |x|), grows at most by the larger of both ratios.
        """
        ratios = (float((ours / theirs).amax()) for ours, theirs in zip(self.absolute, absolute, strict=True))
        return max(self.relative / relative, *ratios) <= self.solved.slack * SURE


@dataclass
class Passes:
    """Solutions of one solve with several tolerances, one after the other."""

    node: Node
    field: TorchField
    initial: Tensors
    stacked: Tensors
    times: Tensor | None
    last: _Pass | None = None

    def __call__(self, by: AdaptiveIntegrator, sizes: Tensors) -> Solved:
        """The solution to the tolerance of `by` relative to these sizes, one of a sample or one of an entry."""
        batched = [x.ndim > 0 and type_.batched for x, type_ in zip(self.initial, self.node.types, strict=True)]
        absolute = spread(sizes, self.initial, batched, by.rtol)
        if self.last is None or not self.last.steps_as_with(by.rtol, absolute):
            solved = by.solve(self.node, self.field, self.initial, self.stacked, self.times, absolute)
            self.last = _Pass(by.rtol, absolute, solved)
        return self.last.solved


def first_sizes(
    node: Node, field: TorchField, initial: Tensors, stacked: Tensors, loose: AdaptiveIntegrator, times: Tensor | None
) -> Tensors:
    """A guess of how large each state of each sample is: where it starts, and how far its first slope would take it.

    One that does neither is taken to be a small part of the largest: to zero, no error is small.
    """
    clock = loose.clock(node, times)
    legs = clock.legs(node, stacked, loose.breaks(node, field, clock)) if len(clock.stops) > 1 else []
    if not legs:
        return tuple(x.abs() for x in initial)
    slopes = clock.slopes(node, field, stacked, legs[0])(torch.tensor(legs[0].start, dtype=torch.float64), initial)
    reached = zip(initial, slopes, strict=True)
    found = [torch.maximum(x.abs(), v.abs() * clock.horizon).nan_to_num(1.0, 1.0) for x, v in reached]
    least = RESTED * max(float(item.amax()) for item in found)
    return tuple(item.clamp(min=least) for item in found)


def spread(sizes: Tensors, initial: Tensors, batched: Sequence[bool], tolerance: float) -> Tensors:
    """tolerance * size for every entry of every state, from one size a sample or one an entry."""
    found = []
    for size, x, has in zip(sizes, initial, batched, strict=True):
        rows = size.reshape(len(x), -1) if has else size.reshape(1, -1)
        largest = rows.amax(dim=1).clamp(min=1e-290)
        shape = (-1, *(1,) * (x.ndim - 1)) if has else (1,) * x.ndim
        found.append((tolerance * largest).reshape(shape).expand_as(x).contiguous())
    return tuple(found)

"""What every family of schemes offers to the unrolling of a solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = Any
"""Anything with `+` and `*`: a node of the graph, a tensor, an array, a number. Schemes are generic over it.
"""

State: TypeAlias = tuple[Value, ...]
Field: TypeAlias = Callable[[Value, State], State]
"""x' = field(t, x), one entry a state."""

Memory: TypeAlias = Any
"""What a scheme keeps from step to step; only the scheme that made it looks inside."""


@dataclass(frozen=True)
class Stride:
    """One step of travel, from time `t` to time `end` = t + h.

    `end` is given apart, because the grid knows it exactly and t + h is rounded. `widths` holds h once a
    state, in a shape that broadcasts against that state (h may differ from sample to sample).
    """

    t: Value
    end: Value
    h: Value
    widths: State

    def time(self, c: float) -> Value:
        """t + c h; exactly the times of the grid at c = 0 and c = 1, so that neighbouring steps meet in one
        expression.
        """
        if c == 0:
            return self.t
        return self.end if c == 1 else self.t + c * self.h


def stride(t: Value, h: Value, states: int = 1, end: Value | None = None) -> Stride:
    """A stride whose width needs no reshaping: numbers, or one h for every state."""
    return Stride(t, t + h if end is None else end, h, (h,) * states)


class Scheme(Protocol):
    """A one-step or multistep scheme on a fixed grid.

    A solve runs `memory = scheme.start(field, x)` once and then, for each stride in turn,
    `memory, x = scheme.advance(memory, field, stride, x)`. A Runge-Kutta scheme remembers nothing. A
    multistep scheme keeps earlier slopes with their strides (its first steps, when the memory is short, are
    its own business: a one-step scheme of sufficient order), a partitioned one looks at which states move
    together, an implicit one keeps the last stage as its first guess. `field` may differ from stride to
    stride, since weights may.
    """

    @property
    def name(self) -> str:
        """As the author of a file writes it."""

    @property
    def order(self) -> int:
        """p, when the global error is O(h^p)."""

    @property
    def evaluations(self) -> int:
        """Evaluations of the field a step, once started."""

    @property
    def reference(self) -> str:
        """Where the scheme was published."""

    def start(self, field: Field, x: State) -> Memory:
        """What is remembered before the first step."""

    def advance(self, memory: Memory, field: Field, stride: Stride, x: State) -> tuple[Memory, State]:
        """The memory and the states after one stride."""

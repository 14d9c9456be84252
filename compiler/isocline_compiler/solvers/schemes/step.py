"""One step: when it begins and ends, what the scheme reads in it, and what it may remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from isocline_compiler.graph import Node, Nodes, Operand
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field

Memory: TypeAlias = Any
"""What a scheme keeps from step to step, in tuples and dataclasses of nodes; only its maker looks inside."""


@dataclass(frozen=True)
class Step:
    """One step, from time `t` to time `end` = t + h.

    `end` is given apart, because the grid knows it exactly and t + h is rounded. `widths` holds h once a state, in a
    shape that broadcasts against that state (h may differ from sample to sample). `rows` are what the scheme itself
    reads in this step, by name: the increments of a noise (batch, m), with its areas behind them where the scheme reads
    some; learned coefficients.
    """

    t: Operand
    end: Operand
    h: Operand
    widths: tuple[Operand, ...]
    rows: Mapping[str, Node] = field(default_factory=dict)
    even: bool = False
    """Whether all steps of the grid are known to be as wide as this one."""

    @classmethod
    def of(cls, t: Operand, h: Operand, states: int = 1, end: Operand | None = None, even: bool = False) -> Step:
        """A step whose width needs no reshaping: a number, or one h for every state."""
        return cls(t, t + h if end is None else end, h, (h,) * states, even=even)

    def ratio(self, before: Operand, place: int) -> Operand:
        """The width of an earlier step in that of this one, for the state at this place."""
        return 1.0 if self.even else before / self.widths[place]

    def time(self, c: float) -> Operand:
        """t + c h; exactly the times of the grid at c = 0 and c = 1, so that neighbouring steps meet in one
        expression.
        """
        if c == 0:
            return self.t
        return self.end if c == 1 else self.t + c * self.h


class Stepping(Protocol):
    """What steps: all that a solve, and a count of its cost, need of a scheme."""

    @property
    def normals(self) -> int:
        """Standard normals that a step reads of every entry of a noise."""

    def start(self, field: Field, x: Nodes) -> Memory:
        """What is remembered before the first step."""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """The memory and the states after one step."""


def beside(part: Operand, x: Node) -> Operand:
    """A number of each sample, (batch,), as (batch, 1, ..., 1), of the rank of a state; any other as it is."""
    if not isinstance(part, Node) or not part.type.batched or x.type.rank == 1:
        return part
    return RESHAPE(part, shape=(part.shape[0], *(1,) * (x.type.rank - 1)))

"""How the steps of a grid are cut into the segments of a loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll.time_span import steps_of


@dataclass(frozen=True)
class Segments:
    """`count` segments of `steps` steps each, after the `first` of `travelled` in all.

    The states are wanted after every `period` steps (0: only the last).
    """

    count: int
    steps: int
    period: int
    travelled: int
    first: int = 0

    @classmethod
    def of(cls, solve: Solve, choice: Discretisation) -> Segments:
        """Segments of at most so many steps that meet the kept times: a multiple of the period, or a divisor of it."""
        segment, travelled = choice.segment, steps_of(solve, choice)
        assert segment is not None, "a solve without a segment is laid out"
        period = _period(choice) if solve.spec.interval.everywhere else 0
        steps = segment
        if period:
            whole = segment // period * period
            steps = whole or max(k for k in range(1, segment + 1) if period % k == 0)
        return cls(travelled // steps, steps, period, travelled)

    def after(self, first: int) -> Segments:
        """The segments that are left when so many steps are laid out before them."""
        return replace(self, first=first, count=(self.travelled - first) // self.steps)

    @property
    def stride(self) -> int:
        """A loop begins after a multiple of this many steps, so that segments meet the kept times."""
        return min(self.steps, self.period) or 1

    @property
    def end(self) -> int:
        """Steps until the loop is over."""
        return self.first + self.count * self.steps

    def numbered(self, extra: int = 0) -> Array:
        """The number of each step, (segments, steps), and of the `extra` nodes of the grid after a segment's last."""
        return self.first + np.arange(self.count)[:, None] * self.steps + np.arange(self.steps + extra)


def _period(choice: Discretisation) -> int:
    """The kept states are among those after every so many steps."""
    return gcd(*choice.grid.keep) if isinstance(choice.grid, Grid) else choice.grid

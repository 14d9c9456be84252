"""STEER: random ends for solves in training, so that the flow makes sense at every time near the end, not at one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages


@dataclass
class Steering:
    """T ~ U(t1 - width, t1 + width) in place of the end t1 of each solve of the form `over`, one draw a solve.

    Ghosh, Behl, Dupont, Torr, Namboodiri (2020), STEER: simple temporal regularization for neural ODEs.
    """

    width: float
    active: bool = False
    generator: np.random.Generator = field(default_factory=np.random.default_rng)

    def begin(self, seed: tuple[int, ...]) -> None:
        """The draws that follow are a function of `seed` alone."""
        self.generator = np.random.default_rng(seed)

    def times(self, node: Node) -> tuple[float, ...]:
        """The times of a solve whose times are known, the last one moved. Raises E454."""
        interval = spec_of(node).interval
        assert interval.times is not None
        if not self.active or interval.everywhere or len(interval.times) < 2:
            return interval.times
        *earlier, end = interval.times
        length = abs(end - earlier[-1])
        if self.width >= length:
            field_name = spec_of(node).field
            raise IsoclineError([messages.steer_too_wide(node.span, field_name, self.width, length)])
        return (*earlier, float(end + self.generator.uniform(-self.width, self.width)))

"""What a certificate says of jumps at a state."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class EventFacts:
    """The jumps at a state of one solve, over the samples that were measured.

    `most` in a sample; `nearest`: two of one kind that follow one another, in steps of the deployed grid where they are
    nearest (None where none follow). `slowest`: the least rate at which a switch falls, in its largest, met at
    `slowest_at`. `in_one_step`: the most of one kind in one of the `steps`, with the times of the first and second.
    `held`: in how many of the `samples` a condition holds where the solution begins, and is no event there.
    """

    most: int
    nearest: float | None
    slowest: float | None
    steps: int
    in_one_step: tuple[int, float, float] | None
    slowest_at: float | None
    held: int
    samples: int

    def joined(self, other: EventFacts) -> EventFacts:
        """Those of two iterations of a loop, the earlier one's first: of the counts and of the steps the sum, else the
        worse; the solution begins with the first of them.
        """
        slower = min((self, other), key=lambda item: inf if item.slowest is None else item.slowest)
        gaps = [item.nearest for item in (self, other) if item.nearest is not None]
        crowded = [item.in_one_step for item in (self, other) if item.in_one_step is not None]
        return EventFacts(
            self.most + other.most,
            min(gaps, default=None),
            slower.slowest,
            self.steps + other.steps,
            max(crowded, default=None),
            slower.slowest_at,
            self.held,
            self.samples,
        )

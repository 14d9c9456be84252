"""What a certificate says of learned schemes: on what they were learned, what they keep, where they stop holding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isocline_compiler.certify.measures import Spread

NO_HALVING = (
    "learned coefficients fit their own grid: halved steps would be another scheme. In place of halving stand the "
    "draws that were not learned from, the reference, the constraints, and the order that the same coefficients show "
    "on finer grids"
)


@dataclass(frozen=True)
class LearnedSolve:
    """The scheme of one solve, and what of its constraints is not kept.

    `weights` and `rows` are the largest |sum b - 1| and |c_i - sum_j a_ij| in exact arithmetic, `second` the largest
    |sum b c - 1/2|; `clock` is how far the table that is emitted is from keeping time. `a` holds for each step the
    entries below the diagonal, row by row.
    """

    solve: str
    base: str
    steps: int
    stages: int
    weights: float
    rows: float
    second: float
    clock: float
    times: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Beside:
    """Errors by output on some samples, beside those of the scheme that the learning began with, on an even grid of as
    many steps. `why`, and no errors, where there is no reference solution for them.
    """

    samples: str
    factor: float
    learned: Mapping[str, Spread]
    classical: Mapping[str, Spread]
    why: str = ""

    @property
    def largest(self) -> tuple[float, float]:
        """Of the learned and of the classical one, over the outputs; without bound where nothing is known."""
        first, second = (
            max((item.maximum for item in errors.values()), default=float("inf"))
            for errors in (self.learned, self.classical)
        )
        return first, second


@dataclass(frozen=True)
class LearnedProof:
    """What was measured of learned schemes.

    They were learned on the samples `lesson` in `updates` updates, and taken after `taken` of them, where the largest
    error on the samples `other` was least, `other_error`. `held_out` are errors on samples that had no part in either;
    `shifted` those on samples from wider bounds. `holds_to` is the largest of those factors up to which the learned
    ones stay within `limit` (the stated error; where there is none, the error of the classical scheme on the same
    samples, and None); 0 where they do not even on the held-out samples. `halved` is how far the outputs move with
    halved steps and the coefficients of the step that was there: a fact, and bounded by nothing, see `no_halving`.
    """

    solves: tuple[LearnedSolve, ...]
    lesson: str
    other: str
    updates: int
    taken: int
    other_error: float
    held_out: Beside
    shifted: tuple[Beside, ...]
    limit: float | None
    holds_to: float
    halved: Mapping[str, float]
    no_halving: str = NO_HALVING


def holding(held_out: Beside, shifted: tuple[Beside, ...], limit: float | None) -> float:
    """The largest factor up to which every one stays within the limit."""
    reached = 0.0
    for item in (held_out, *shifted):
        learned, classical = item.largest
        if not (learned < classical if limit is None else learned <= limit):
            break
        reached = item.factor
    return reached


__all__ = ["NO_HALVING", "Beside", "LearnedProof", "LearnedSolve", "holding"]

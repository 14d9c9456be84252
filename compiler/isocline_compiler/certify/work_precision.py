"""The rows of the work-precision table, and what one search leaves for the next."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trial:
    """One row of the work-precision table: what it costs, what error it has. `nodes`, and the `seconds` of a call with
    the declared batch, are predictions for the solve.
    """

    solve: str
    scheme: str
    order: float
    steps: int
    evaluations: int
    nodes: int
    error: float
    seconds: float = 0.0


@dataclass
class Before:
    """What searches on some of the samples have found, for those on more: an error over samples only grows with them.

    `tried` are trials of solves that are searched before all others: those that missed a bound still miss it. `taken`
    are the scheme and the steps an interval that each solve was given, where the next search begins.
    """

    tried: dict[tuple[str, str, int, bool], Trial] = field(default_factory=dict)
    stiffness: dict[str, float] = field(default_factory=dict)
    taken: dict[str, tuple[str, int]] = field(default_factory=dict)


__all__ = ["Before", "Trial"]

"""What the results of a solve's region are: terms of its equations, and jumps at a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

TermKind: TypeAlias = Literal["drift", "stiff", "diffusion", "order", "switch", "jump"]

DETERMINISTIC: tuple[TermKind, ...] = ("drift", "stiff")
"""The kinds of terms that add up to x'."""
Product: TypeAlias = Literal["each", "matrix", "entry"]


@dataclass(frozen=True)
class Term:
    """What some results of the region are: one for each of the `states` (their places), in that order.

    "drift" and "stiff" parts add up to x'; a "diffusion" is what multiplies the increments of a `noise`.
    `product` says how: "each" entry by its own, "entry" by the one of that number, "matrix" along its last axis.
    An "order" is that of the Caputo derivative of each state, in place of x': a number that nothing moves.
    A "switch" is one number and no state's: where the solution takes it from zero or above to below, the states of the
    "jump" that follows it are replaced by that one's results.
    """

    kind: TermKind
    states: tuple[int, ...]
    noise: str | None = None
    product: Product = "each"
    entry: int = 0

    @property
    def results(self) -> int:
        """How many results of the region it is."""
        return 1 if self.kind == "switch" else len(self.states)


@dataclass(frozen=True)
class Event:
    """A jump at a state: which result of the region is the switch, and which replaces which state, by its place."""

    switch: int
    jumps: tuple[tuple[int, int], ...]


def events_of(terms: Sequence[Term]) -> tuple[Event, ...]:
    """The jumps at a state among terms: each switch with the jump that follows it."""
    found: list[Event] = []
    start, switch = 0, 0
    for term in terms:
        if term.kind == "jump":
            found.append(Event(switch, tuple((state, start + i) for i, state in enumerate(term.states))))
        switch = start
        start += term.results
    return tuple(found)

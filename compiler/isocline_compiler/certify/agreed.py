"""What two references agree on: the outputs that a grid is measured against, and what was met on the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isocline_compiler.certify.event_walk import Events
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.graph import Array
from isocline_compiler.training.breaks import Breaks

FAR_LESS = 2
"""By how much fewer evaluations of the field make up for the systems that a multistep method solves."""


@dataclass(frozen=True)
class Agreed:
    """The outputs of the first reference, both in words, how far the second is from it, by output, and the jumps and
    pulses that were found, by the name of the solve.
    """

    outputs: dict[str, Array]
    first: str
    second: str
    apart: Mapping[str, float]
    breaks: Mapping[str, Breaks]
    paces: Mapping[str, Array] = field(default_factory=dict)
    """Of stiff solves, by their choice, the times to which an implicit method stepped."""
    events: Mapping[str, Events] = field(default_factory=dict)
    cheaper: Multistep | None = None
    """The second reference, where it is as good as the first for other samples too, and asks for the field less."""

    @property
    def worst(self) -> str:
        return max(self.apart, key=lambda name: self.apart[name])

    @property
    def largest(self) -> float:
        return max(self.apart.values(), default=0.0)


def is_cheaper(multistep: Multistep, first: AdaptiveExplicit | AdaptiveImplicit) -> bool:
    """Whether the multistep method asked for the field far less than an explicit one, and nothing jumps or is narrow,
    which other samples may meet elsewhere.
    """
    if not isinstance(first, AdaptiveExplicit) or any(item.jumps or item.features for item in first.breaks.values()):
        return False
    return sum(multistep.taken.values()) * FAR_LESS < sum(first.taken.values())


__all__ = ["Agreed", "is_cheaper"]

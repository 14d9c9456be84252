"""A setting that is called, as the author called it: `rk4(steps=20)`, `adam(lr=0.02)`, `fraction(0.8, seed=1)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isocline_dsl.tree import Span

LEARNED = "learned"
"""What stands for a number of a scheme that training finds: `k=learned`."""


@dataclass(frozen=True)
class Called:
    """The name of a scheme, an optimizer, a split, an attribution, with its options checked; where it was called."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    span: Span | None = None
    said: frozenset[str] = field(default=frozenset(), compare=False)
    """Options that the author wrote; the others have their defaults."""

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted(self.options.items()))))

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an option."""
        return self.options.get(key, default)

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.options.items() if value is not None)
        return f"{self.name}({given})" if given else self.name

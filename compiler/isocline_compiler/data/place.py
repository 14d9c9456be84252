"""Where in the `.dyn` file a mistake in the data is reported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Place:
    """The declaration that asked for the data: the source and the span, when there are any."""

    source: Source | None = None
    span: Span | None = None

    def at(self, span: Span | None) -> Place:
        """The same source, another place in it."""
        return replace(self, span=span) if span is not None else self

    def error(self, diagnostic: Diagnostic) -> IsoclineError:
        """One diagnostic, ready to be raised."""
        return IsoclineError([diagnostic], self.source)


NOWHERE = Place()
"""For tables that are read without a `.dyn` file."""

"""The one exception of the compiler, and the diagnostics that it carries."""

from __future__ import annotations

from collections.abc import Iterable

from isocline_dsl.records import Diagnostic, Note, Part, Source
from isocline_dsl.render import render_error


class IsoclineError(Exception):
    """The file, the data or a bound is at fault: one or more diagnostics, with the source they point into.

    `str(error)` is what the command line prints: each with its line, the place marked, and a hint.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic], source: Source | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.source = source
        super().__init__(self.diagnostics, source)

    def __str__(self) -> str:
        return render_error(self)

    def __repr__(self) -> str:
        return f"IsoclineError({', '.join(f'{item.code}: {item.message}' for item in self.diagnostics)})"


__all__ = ["Diagnostic", "IsoclineError", "Note", "Part", "Source"]

"""Diagnostics as plain data: what was found, and where in which text."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Note:
    """A second thing to look at: a sentence, and where it applies when that place is in the file."""

    text: str
    span: Span | None = None


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: what was found, where, what was expected, and how to mend it.

    `code` names the function in `isocline_dsl.messages` that made it; that function's docstring is the long form.
    """

    code: str
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    hint: str | None = None


@dataclass(frozen=True)
class Source:
    """The text of a file and the name it is reported under."""

    text: str
    name: str = "<text>"

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        offset = max(0, min(offset, len(self.text)))
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1

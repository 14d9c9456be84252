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
class Part:
    """A file whose text begins at `start` of a source, behind that of the file that uses it."""

    start: int
    name: str


@dataclass(frozen=True)
class Source:
    """The text of a file and the name it is reported under; behind it the files that it uses, in `parts`."""

    text: str
    name: str = "<text>"
    parts: tuple[Part, ...] = ()

    @property
    def own(self) -> int:
        """Where the text of the file itself is over."""
        return self.parts[0].start if self.parts else len(self.text) + 1

    def file(self, offset: int) -> str:
        """The name of the file that a character offset lies in."""
        return self._part(offset).name

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset in its file, both from 1."""
        offset = max(0, min(offset, len(self.text)))
        line = self.text.count("\n", self._part(offset).start, offset) + 1
        return line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1

    def line(self, offset: int) -> str:
        """`line 3`, or `line 3 of rates.dyn` in a file that this one uses."""
        line, file = self.position(offset)[0], self.file(offset)
        return f"line {line}" if file == self.name else f"line {line} of {file}"

    def _part(self, offset: int) -> Part:
        before = (part for part in reversed(self.parts) if part.start <= offset)
        return next(before, Part(0, self.name))

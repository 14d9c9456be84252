"""A row of a printed program: what `printer` makes and `comments` puts comments between."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Row:
    """A statement, an opening or a closing line; `span` is where it stood. `stages` follow on lines of their own."""

    indent: int
    text: str
    span: Span
    stages: tuple[str, ...] = ()
    opens: bool = False
    closes: bool = False

    def lines(self) -> list[str]:
        """The row as lines of text."""
        space = "  " * self.indent
        return [space + self.text, *(f"{space}  {stage}" for stage in self.stages)]

"""Diagnostics as the user reads them: the one place where offsets become lines and columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Protocol

from isocline_dsl.records import Diagnostic, Note, Source
from isocline_dsl.tree import Span

WIDEST_LINE = 140
WIDEST_NOTE = 110
TAB = 4


def render(diagnostic: Diagnostic, source: Source | None = None) -> str:
    """One diagnostic: code and message, the place in the text marked, notes, hint. No line end after the last line."""
    lines = [f"error[{diagnostic.code}]: {diagnostic.message}"]
    if source is not None and diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, source)
    lines += [f"  note: {text}" for text in _notes(diagnostic, source)]
    if diagnostic.hint is not None:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(lines)


def render_all(diagnostics: Iterable[Diagnostic], source: Source | None = None) -> str:
    """Several diagnostics with an empty line between them."""
    return "\n\n".join(render(diagnostic, source) for diagnostic in diagnostics)


class Told(Protocol):
    """An error that carries diagnostics, and the source they point into."""

    diagnostics: tuple[Diagnostic, ...]
    source: Source | None


def render_error(error: Told) -> str:
    """All diagnostics of an error, with the source it carries."""
    return render_all(error.diagnostics, error.source)


def _excerpt(span: Span, source: Source) -> list[str]:
    line, column = source.position(span.start)
    text, begin, length = _window(_line(source, span.start), column - 1, span.stop - span.start)
    shown, before, marked = _columns(text, begin, length)
    number = f"{line:4d}"
    return [
        f"  --> {source.file(span.start)}:{line}:{column}",
        f"{number} | {shown}".rstrip(),
        f"{' ' * len(number)} | {' ' * before}{'^' * marked}",
    ]


def _line(source: Source, offset: int) -> str:
    offset = max(0, min(offset, len(source.text)))
    start = source.text.rfind("\n", 0, offset) + 1
    stop = source.text.find("\n", offset)
    return source.text[start : stop if stop >= 0 else len(source.text)].rstrip("\r")


def _window(line: str, begin: int, length: int) -> tuple[str, int, int]:
    """The part of a long line around the place, with dots where it was cut; and the place in it."""
    length = max(0, min(length, len(line) - begin))
    if len(line) <= WIDEST_LINE:
        return line, begin, length
    start = max(0, begin - WIDEST_LINE // 2)
    stop = min(len(line), start + WIDEST_LINE)
    head, tail = "…" if start else "", "…" if stop < len(line) else ""
    return head + line[start:stop] + tail, begin - start + len(head), min(length, stop - begin)


def _columns(line: str, begin: int, length: int) -> tuple[str, int, int]:
    """The line as printed, the columns before the place, and the columns of the place (at least one)."""
    shown = [_cell(character) for character in line]
    widths = [_width(cell) for cell in shown]
    return "".join(shown), sum(widths[:begin]), max(1, sum(widths[begin : begin + length]))


def _cell(character: str) -> str:
    if character == "\t":
        return " " * TAB
    return character if character.isprintable() or unicodedata.combining(character) else "\N{REPLACEMENT CHARACTER}"


def _width(cell: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)


def _notes(diagnostic: Diagnostic, source: Source | None) -> list[str]:
    """Notes on one line while they fit, else one a line."""
    texts = [_placed(note, source, diagnostic.span) for note in diagnostic.notes]
    together = "; ".join(texts)
    return [together] if texts and len(together) <= WIDEST_NOTE else texts


def _placed(note: Note, source: Source | None, mistake: Span | None) -> str:
    """The note with its place; the name of its file where the mistake is in another."""
    if note.span is None or source is None:
        return note.text
    line, column = source.position(note.span.start)
    file = source.file(note.span.start)
    here = source.file(mistake.start) if mistake is not None else source.name
    return f"{note.text} at {'' if file == here else f'{file}:'}{line}:{column}"

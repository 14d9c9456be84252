"""Comments: found in the text, and woven between the rows of the printed program."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from isocline_dsl.rows import Row
from isocline_dsl.tree import Span

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n\r]|\\[^\n\r])*"|#[^\n\r]*')
_EMPTY_LINE = re.compile(r"(?:\r\n|\n|\r)[ \t\f]*(?:\r\n|\n|\r)")


@dataclass(frozen=True)
class Comment:
    """`# text`; `alone` when nothing stands before it on its line."""

    text: str
    span: Span
    alone: bool


def comments_in(text: str) -> list[Comment]:
    """All comments of a program that parses."""
    found = []
    for match in _STRING_OR_COMMENT.finditer(text):
        if match.group().startswith("#"):
            before = re.split(r"[\n\r]", text[max(0, match.start() - 1000) : match.start()])[-1]
            alone = not before.strip(" \t\f;")
            found.append(Comment(match.group().rstrip(), Span(*match.span()), alone))
    return found


@dataclass(frozen=True)
class _Piece:
    """Lines of the result and where they stood in the text."""

    lines: tuple[str, ...]
    span: Span
    tight_above: bool = False
    tight_below: bool = False


def weave(rows: Sequence[Row], comments: Sequence[Comment], text: str) -> str:
    """Rows and comments as text: a comment that ends a line follows its row, any other stands before the next one."""
    above: list[list[Comment]] = [[] for _ in range(len(rows) + 1)]
    behind: list[list[Comment]] = [[] for _ in rows]
    starts = [row.span.start for row in rows]
    for comment in comments:
        following = bisect_left(starts, comment.span.start)
        inside = following > 0 and comment.span.start < rows[following - 1].span.stop
        if comment.alone or following == 0:
            above[following - 1 if inside else following].append(comment)
        else:
            behind[following - 1].append(comment)
    return _joined(_pieces(rows, above, behind), text)


def _pieces(rows: Sequence[Row], above: list[list[Comment]], behind: list[list[Comment]]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for place, row in enumerate(rows):
        early, last = behind[place][:-1], next(reversed(behind[place]), None)
        indent = "  " * (row.indent + row.closes)
        pieces += [_Piece((indent + c.text,), c.span) for c in sorted((*above[place], *early), key=lambda c: c.span)]
        lines = row.lines()
        stop = row.span.stop
        if last is not None:
            lines[-1] += f"  {last.text}"
            stop = max(stop, last.span.stop)
        pieces.append(_Piece(tuple(lines), Span(row.span.start, stop), row.closes, row.opens))
    return pieces + [_Piece((c.text,), c.span) for c in above[len(rows)]]


def _joined(pieces: Sequence[_Piece], text: str) -> str:
    out: list[str] = []
    reached = 0
    for place, piece in enumerate(pieces):
        tight = place == 0 or piece.tight_above or pieces[place - 1].tight_below
        if not tight and _EMPTY_LINE.search(text, reached, max(reached, piece.span.start)):
            out.append("")
        out += piece.lines
        reached = max(reached, piece.span.stop)
    return "\n".join(out) + "\n" if out else ""

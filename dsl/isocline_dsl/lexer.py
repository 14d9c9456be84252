"""`.dyn` files for pygments, so that reports, documents and editors colour them alike. Needs pygments."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from isocline_dsl.layout import BLOCKS

TYPES = ("real", "class", "group", "time", "bool", "positive", "brownian")


def keywords() -> tuple[str, ...]:
    """The words that the grammar declares, in lower case, and the kinds of blocks."""
    grammar = files("isocline_dsl").joinpath("grammar.lark").read_text(encoding="utf-8")
    declared = " ".join(re.findall(r"^%declare (.+)$", grammar, re.MULTILINE)).split()
    return (*(word.lower() for word in declared if word not in ("NL", "BLOCK")), *sorted(BLOCKS))


class DynLexer(RegexLexer):  # type: ignore[misc] # pygments has no types
    """Colours by words alone: a keyword in the place of an option (`train=0.8`) is a name."""

    name = "Isocline"
    aliases: ClassVar[list[str]] = ["dyn", "isocline"]
    filenames: ClassVar[list[str]] = ["*.dyn"]
    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"\s+", Whitespace),
            (r"#[^\n\r]*", Comment.Single),
            (r'"(?:[^"\\\n\r]|\\[^\n\r])*"?', String.Double),
            (r"(?:\d+\.(?!\.)\d*|\d+)(?:[eE][+-]?\d+)?", Number),
            (r"[^\W\d]\w*(?==[^=])", Name.Attribute),
            (words(keywords(), prefix=r"\b", suffix=r"\b"), Keyword),
            (words(TYPES, prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (r"[^\W\d]\w*", Name),
            (r"[-+*/^@=<>|!'′’~]+", Operator),
            (r"[()\[\]{},;:.]", Punctuation),
        ]
    }

"""A `.dyn` text as HTML with its words coloured; every character comes through."""

from __future__ import annotations

from markupsafe import Markup, escape
from pygments.token import Comment, Keyword, Number, Operator, String

from isocline_dsl.lexer import DynLexer

CLASSES = (
    (Comment, "comment"),
    (String, "string"),
    (Number, "number"),
    (Keyword.Type, "type"),
    (Keyword, "keyword"),
    (Operator, "mark"),
)
"""The first kind that a token is of gives its class."""


def highlight(text: str) -> Markup:
    """The same text, escaped, in spans of the classes comment, string, number, keyword, type and mark."""
    return Markup("").join(_spanned(kind, part) for _, kind, part in DynLexer().get_tokens_unprocessed(text))


def _spanned(kind: object, text: str) -> Markup:
    name = next((name for whole, name in CLASSES if kind in whole), None)
    return escape(text) if name is None else Markup('<span class="{}">{}</span>').format(name, text)

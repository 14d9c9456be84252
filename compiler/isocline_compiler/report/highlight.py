"""A `.dyn` text as HTML with its words coloured: a small lexer that lets every byte through."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

KEYWORDS = frozenset(
    {
        "dyn", "model", "data", "const", "input", "target", "param", "net", "field", "control", "output", "noise",
        "train", "deploy", "weights", "per", "step", "unit", "in", "draw", "attribute", "wrt", "by", "solve", "scan",
        "from", "over", "at", "with", "samples", "and", "or", "not",
    }
)  # fmt: skip
TYPES = frozenset({"real", "class", "time", "bool", "positive", "brownian"})
TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"?)
      | (?P<number>(?:\d+\.(?!\.)\d*|\d+)(?:[eE][+-]?\d+)?)
      | (?P<option>[^\W\d]\w*(?==[^=]))
      | (?P<word>[^\W\d]\w*)
      | (?P<mark>[-+*/^@=<>|'′’~]+)
      | (?P<rest>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)


def highlight(text: str) -> Markup:
    """The same text, escaped, in spans of the classes comment, string, number, keyword, type and mark."""
    return Markup("").join(_spanned(found) for found in TOKEN.finditer(text))


def _spanned(found: re.Match[str]) -> Markup:
    kind, text = found.lastgroup, found[0]
    if kind == "word":
        kind = "keyword" if text in KEYWORDS else "type" if text in TYPES else None
    if kind in (None, "rest", "option"):
        return escape(text)
    return Markup('<span class="{}">{}</span>').format(kind, text)

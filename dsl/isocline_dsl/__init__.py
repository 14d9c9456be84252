"""The language of `.dyn` files: text, tree, names, messages, layout. Knows nothing of compiling or running."""

from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Note, Source
from isocline_dsl.messages.index import CATALOGUE, explain
from isocline_dsl.parse import parse, read
from isocline_dsl.printer import format_text, to_text
from isocline_dsl.render import render, render_all, render_error
from isocline_dsl.resolve import resolve
from isocline_dsl.tree import Program, Span, walk

__all__ = [
    "CATALOGUE",
    "Diagnostic",
    "IsoclineError",
    "Note",
    "Program",
    "Source",
    "Span",
    "explain",
    "format_text",
    "parse",
    "read",
    "render",
    "render_all",
    "render_error",
    "resolve",
    "to_text",
    "walk",
]

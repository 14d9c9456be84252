"""Reading and typing a file: all of the compiler that needs no torch, so that `isocline check` answers at once."""

from __future__ import annotations

from pathlib import Path

from isocline_compiler.lower import lower, mistakes_beside
from isocline_compiler.model import Model
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.parse import parse, parse_partly, read
from isocline_dsl.tree import Program


def check(path: str | Path | Model) -> Model:
    """Parse and type a file; a model is what it is. Raises IsoclineError with all of its mistakes."""
    return path if isinstance(path, Model) else _typed(read(Path(path)))


def model(text: str) -> Model:
    """Parse and type the text of a file, for `compile`, `train` and `build`. Raises IsoclineError.

    Relative paths in it start at the current folder.
    """
    source = Source(text.replace("\r\n", "\n").replace("\r", "\n"))
    return _typed(source)


def _typed(source: Source) -> Model:
    """The model of a text. Syntax errors hide no other mistakes: what can be read is typed for itself."""
    found = parse_partly(source)
    if not found.mistakes:
        return lower(found.program, source)
    raise IsoclineError(sorted({*found.mistakes, *mistakes_beside(found, source)}, key=_place), source)


def _place(diagnostic: Diagnostic) -> tuple[int, str]:
    return (diagnostic.span.start if diagnostic.span else -1, diagnostic.code)


def parsed(path: str | Path) -> tuple[Program, Source]:
    """The tree of a file, and its text."""
    source = read(Path(path))
    return parse(source), source

"""Reading and typing a file: all of the compiler that needs no torch, so that `isocline check` answers at once."""

from __future__ import annotations

from pathlib import Path

from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_dsl.diagnostics import Source
from isocline_dsl.parse import parse, read
from isocline_dsl.tree import Program


def check(path: str | Path) -> Model:
    """Parse and type a file. Raises IsoclineError with all of its mistakes."""
    return lower(*parsed(path))


def parsed(path: str | Path) -> tuple[Program, Source]:
    """The tree of a file, and its text."""
    source = read(Path(path))
    return parse(source), source

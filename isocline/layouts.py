"""The canonical layout of a file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from isocline_dsl.parse import read
from isocline_dsl.printer import format_text
from isocline_runtime.atomic import replace_file


class Layout(NamedTuple):
    """The text as it was, and as it should be."""

    before: str
    after: str


def format(path: str | Path, *, write: bool = True) -> Layout:  # noqa: A001 - the command's name
    """Put a `.dyn` file into the canonical layout, in place unless `write` is false.

    Comments stay, the meaning stays, and doing it twice changes nothing more. Raises IsoclineError when the file
    cannot be read or has a syntax error; it is then left alone.
    """
    path = Path(path)
    source = read(path)
    layout = Layout(source.text, format_text(source))
    if write and layout.before != layout.after:
        _replace(path, layout.after)
    return layout


def _replace(path: Path, text: str) -> None:
    """Write whole or not at all, keeping the file's mode; through a link, where it leads."""
    place = path.resolve()
    mode = place.stat().st_mode & 0o777
    replace_file(place, text.encode("utf-8"))
    place.chmod(mode)

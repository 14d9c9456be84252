"""The `isocline` program from its first instruction: Ctrl-C is told in words while the commands are still loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocline.commands.table import app as app

INTERRUPTED = 130


def main() -> None:
    """Entry point of the program."""
    try:
        from isocline.commands.table import app

        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
    except SystemExit as leaving:
        if _is_silent(leaving):
            print("interrupted", file=sys.stderr, flush=True)
        raise


def _is_silent(leaving: SystemExit) -> bool:
    """Whether a Ctrl-C came between commands, where typer leaves without a word; one that was told is suppressed."""
    error: BaseException | None = leaving
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error is not None


def __getattr__(name: str) -> Any:
    """`app`, the table of the commands, when it is asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isocline.commands.table import app

    return app

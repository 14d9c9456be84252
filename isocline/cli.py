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


def __getattr__(name: str) -> Any:
    """`app`, the table of the commands, when it is asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isocline.commands.table import app

    return app

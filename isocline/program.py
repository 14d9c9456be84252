"""The `isocline` program from its first instruction: Ctrl-C is told in words while the commands are still loaded."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point of the program."""
    try:
        from isocline.cli import app

        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)

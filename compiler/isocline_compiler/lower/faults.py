"""How lowering stops at a mistake and goes on with the next declaration."""

from __future__ import annotations

from isocline_dsl.diagnostics import Diagnostic


class LowerError(Exception):
    """One mistake, with its place: caught a declaration at a time, so that all mistakes are reported."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


class Poisoned(Exception):
    """A name whose own definition is at fault was used; the fault is reported there, and only there."""

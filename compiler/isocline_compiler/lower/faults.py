"""How lowering stops at a mistake and goes on with the next statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from isocline_dsl.diagnostics import Diagnostic

T = TypeVar("T")


class LowerError(Exception):
    """Mistakes with their places: caught a statement at a time, so that all of a file are reported."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("; ".join(item.message for item in diagnostics))


class Poisoned(Exception):
    """A name whose own definition is at fault was used; the fault is reported there, and only there."""


@dataclass
class Mistakes:
    """The mistakes of several statements, each tried for itself."""

    found: list[Diagnostic] = field(default_factory=list)
    poisoned: bool = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What goes wrong inside is noted, and what follows goes on."""
        try:
            yield
        except LowerError as error:
            self.found.extend(error.diagnostics)
        except Poisoned:
            self.poisoned = True

    def attempt(self, action: Callable[..., T], *arguments: object) -> T | None:
        """The result, or None when it goes wrong, which is noted."""
        with self.noted():
            return action(*arguments)
        return None

    def settle(self) -> None:
        """Raise what was noted, if anything was."""
        if self.found:
            raise LowerError(*self.found)
        if self.poisoned:
            raise Poisoned

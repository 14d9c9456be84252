"""What a message is: a function from the facts of a mistake to a diagnostic, under one code, with its long form."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, ParamSpec

from isocline_dsl.diagnostics import Diagnostic, Note
from isocline_dsl.tree import Span

Facts = ParamSpec("Facts")


@dataclass(frozen=True)
class Draft:
    """A diagnostic that does not yet know its code."""

    span: Span | None
    message: str
    hint: str | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Message(Generic[Facts]):
    """A function that drafts, and the code its drafts appear under; the docstring is the long form."""

    code: str
    draft: Callable[Facts, Draft]

    def __call__(self, *args: Facts.args, **kwargs: Facts.kwargs) -> Diagnostic:
        draft = self.draft(*args, **kwargs)
        return Diagnostic(self.code, draft.message, draft.span, draft.notes, draft.hint)

    @property
    def name(self) -> str:
        return self.draft.__name__

    @property
    def explanation(self) -> str:
        """The long form: why it is an error, an example, how to mend it."""
        return inspect.cleandoc(self.draft.__doc__ or "")


def message(code: str) -> Callable[[Callable[Facts, Draft]], Message[Facts]]:
    """State the code of a message: `@message("E214")` above the function that drafts it."""

    def with_code(draft: Callable[Facts, Draft]) -> Message[Facts]:
        return Message(code, draft)

    return with_code


def counted(count: int) -> str:
    """A whole number as it is read: in full, or its power of ten when it has more digits than anyone counts."""
    return str(count) if count < 10**12 else f"about 1e{int(count.bit_length() * 0.30103)}"


MOST_COMPARED = 200


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most resembles, or None when none comes close."""
    names = sorted(set(known) - {name})
    if len(names) > MOST_COMPARED:  # comparing all would take longer than reading the file
        names = [item for item in names if item[:2] == name[:2] or item[-2:] == name[-2:]][:MOST_COMPARED]
    by_case = {item.casefold(): item for item in reversed(names)}
    if name.casefold() in by_case:
        return by_case[name.casefold()]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known name, the known names when they are few, or None."""
    names = sorted(set(known))
    found = nearest(name, names)
    if found is not None:
        return f"did you mean `{found}`?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= 12 else None


def declared(what: str, span: Span | None) -> tuple[Note, ...]:
    """A note that leads to a declaration; none when the place is not known."""
    return (Note(what, span),) if span is not None else ()

"""What can still be read of a file with syntax errors: the declarations without one, and those that need no other.

A mistake of one declaration hides none of another; what is wrong only because a declaration is left out is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.layout import BLOCKS, DECLARING, RESERVED
from isocline_dsl.messages import dynamics, names, noise, training
from isocline_dsl.tree import Span

_DECLARATIONS = get_args(tree.Declaration)
MOST_MISTAKES = 20
"""Syntax errors beyond which a text is taken for none of this language."""

NO_NAMES = DECLARING | BLOCKS | RESERVED | {"use", "unit"}
"""Words in the head of a declaration that it does not give to the file."""

_WORD = re.compile(r"[^\W\d][^\W]*")
_HEAD = re.compile(r"[^={~]*")
_INNER = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"\n]*\"|#[^\n]*")
_TYPE = re.compile(r":[^,]*|->.*", re.DOTALL)
_COMMENT = re.compile(r"#[^\n]*")
_OF_THE_WHOLE = frozenset(
    item.code
    for item in (training.missing_output, names.target_outside_training, names.definition_cycle, dynamics.net_recursion)
)
"""What is told of all declarations together."""
_UNUSED = frozenset({names.unused_name.code, dynamics.field_not_solved.code})


@dataclass(frozen=True)
class Partly:
    """A file as far as it can be read: its `program` has the declarations without a syntax error.

    `mistakes` are the syntax errors; `lost` the names that declarations with one would have had, and `mentioned` all
    words in these.
    """

    program: tree.Program
    mistakes: tuple[Diagnostic, ...]
    lost: frozenset[str] = frozenset()
    mentioned: frozenset[str] = frozenset()
    readable: bool = True

    def independent(self, text: str) -> Partly:
        """Without blocks, and without declarations that need one that is left out, themselves or through others."""
        kept = [item for item in self.program.declarations if not isinstance(item, tree.Block)]
        lost, mentioned = set(self.lost), set(self.mentioned)
        for item in self.program.declarations:
            mentioned |= words(text, item.span) if isinstance(item, tree.Block) else set()
        while dropped := [item for item in kept if words(text, item.span) & lost]:
            for item in dropped:
                lost |= set(declared_names(item))
                mentioned |= words(text, item.span)
            kept = [item for item in kept if item not in dropped]
        program = replace(self.program, declarations=tuple(kept))
        return replace(self, program=program, lost=frozenset(lost), mentioned=frozenset(mentioned))

    def without_consequences(self, found: Iterable[Diagnostic], text: str) -> Iterator[Diagnostic]:
        """What is no mistake once those that are told are mended: a name that is lost, or used where one is."""
        for item in found:
            about = words(text, item.span) if item.span is not None else set()
            about |= {word for quoted in re.findall(r"`([^`]*)`", item.message) for word in _WORD.findall(quoted)}
            about |= {word[1:] for word in about if word.startswith("d")}  # dX, of a control X
            if about & self.lost or item.code in _OF_THE_WHOLE:
                continue
            if item.code in _UNUSED and about & self.mentioned:
                continue
            if item.code == noise.no_ensemble.code and "samples" in self.mentioned:
                continue  # those of `deploy`, which is not read
            yield item


def partly(
    program: tree.Program,
    mistakes: Iterable[Diagnostic],
    dropped: Iterable[Span],
    statements: Iterable[Span],
    text: str,
) -> Partly:
    """The part of a program that has no mistake: of a statement of the file with one, or of which something is
    `dropped`, nothing is in it.
    """
    told = tuple(mistakes)
    places = [*dropped, *(item.span for item in told if item.span is not None)]
    broken = [span for span in statements if any(_within(place, span) for place in places)]
    # where a bracket closes too early, what stood in a field may stand in the file
    whole = (item for item in program.declarations if isinstance(item, _DECLARATIONS))
    kept = tuple(item for item in whole if not any(_within(item.span, span) for span in broken))
    known = {name for item in kept for name in declared_names(item)}
    heads = [head for span in broken for head in _heads(text[span.start : span.stop])]
    outputs = {name for head in heads if head.startswith("output") for name in _WORD.findall(head)}
    lost = {name for head in heads for name in _WORD.findall(head)} - (known - outputs) - NO_NAMES
    mentioned = {word for span in broken for word in words(text, span)}
    uses = any(head.split()[:1] == ["use"] for head in heads)
    readable = 0 < len(told) <= MOST_MISTAKES and not uses
    return Partly(replace(program, declarations=kept), told, frozenset(lost), frozenset(mentioned), readable)


def declared_names(item: tree.Declaration) -> Iterator[str]:
    """The names that a declaration gives to the file."""
    match item:
        case tree.Param(names=several):
            yield from (name.text for name in several)
        case tree.Block() | tree.Use() | tree.Output(value=None):
            return
        case _:
            yield item.name.text


def words(text: str, span: Span) -> set[str]:
    """The words of a part of the text, but for comments; of `dX`, which a control X may drive, X as well."""
    found = set(_WORD.findall(_COMMENT.sub("", text[span.start : span.stop])))
    return found | {word[1:] for word in found if word.startswith("d")}


def _heads(text: str) -> Iterator[str]:
    """The head of a statement, and of what begins a line in it: a bracket that is open swallows what follows."""
    first, *others = re.split(r"\n(?=[^\W\d])", text.strip())
    yield _head(first)
    yield from map(_head, others)


def _head(text: str) -> str:
    """What stands before the value or the body: without types, and without what is in brackets, which are sizes, bounds
    and arguments.
    """
    while (shorter := _INNER.sub(" ", text)) != text:
        text = shorter
    found = _HEAD.match(text)
    return _TYPE.sub(" ", found.group()) if found else ""


def _within(place: Span, whole: Span) -> bool:
    return whole.start <= place.start < max(whole.stop, whole.start + 1)


__all__ = ["Partly", "declared_names", "partly", "words"]

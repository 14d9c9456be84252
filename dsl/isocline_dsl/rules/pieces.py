"""What the rules hand to one another, and how they take their children apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

from lark import Token

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.layout import span_of
from isocline_dsl.tree import Span

Children: TypeAlias = list[Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Fault(tree.Node):
    """A mistake found while building, left in the tree where it was found."""

    diagnostic: Diagnostic


@dataclass(frozen=True)
class Beside(tree.Node):
    """`mu*s dt`, `s dW[0]`: a product and the name after it. Only in a differential equation, where it becomes a
    `Term`.
    """

    factor: tree.Expression
    differential: tree.Identifier
    entry: tree.Expression | None = None


@dataclass(frozen=True)
class Bare(tree.Node):
    """A term of a differential equation that has no differential."""

    term: tree.Expression


@dataclass(frozen=True)
class Version(tree.Node):
    """`dyn 1`."""

    number: tree.Number


@dataclass(frozen=True)
class Model(tree.Node):
    """`model NAME "description"`."""

    name: tree.Identifier
    description: str | None


@dataclass(frozen=True)
class Several(tree.Node):
    """Nodes that one statement or rule made, and the faults beside them."""

    items: tuple[Any, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A list of statements, as pairs of what came before and the last one: shared, never changed."""

    before: Listed | None
    last: Any

    def items(self) -> list[Any]:
        found: list[Any] = []
        here: Listed | None = self
        while here is not None:
            if here.last is not None:
                found.append(here.last)
            here = here.before
        return found[::-1]


@dataclass(frozen=True)
class Clause(tree.Node):
    """What `unit "kW"` said, or that there was a `weights per step`."""

    text: str


def span_over(children: Sequence[Any]) -> Span:
    """From the first child to the last."""
    spans = [span_of(c) if isinstance(c, Token) else c.span for c in children if isinstance(c, (Token, tree.Node))]
    return spans[0].to(spans[-1]) if spans else Span()


def identifier(token: Token) -> tree.Identifier:
    return tree.Identifier(unicodedata.normalize("NFC", str(token)), span=span_of(token))


def unquoted(token: Token) -> str:
    raw = str(token)[1:-1]
    return raw.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


def words(children: Children) -> list[Token]:
    return [c for c in children if isinstance(c, Token) and c.type == "NAME"]


def count_primes(children: Children) -> int:
    return sum(len(c) for c in children if isinstance(c, Token) and c.type == "PRIME")


def of_kind(children: Children, kind: type[Kind]) -> tuple[Kind, ...]:
    return tuple(c for c in children if isinstance(c, kind))


def first(children: Children, kind: type[Kind]) -> Kind | None:
    return next((c for c in children if isinstance(c, kind)), None)


def after(children: Children, sign: str) -> Any:
    """The child after the token of this kind, or None when the token is not there."""
    for here, following in pairwise(children):
        if isinstance(here, Token) and here.type == sign:
            return following
    return None


def description(children: Children) -> str | None:
    last = children[-1]
    return unquoted(last) if isinstance(last, Token) and last.type == "STRING" else None


def nodes_of(children: Children) -> tuple[Any, ...]:
    return tuple(c for c in children if isinstance(c, tree.Node))


def unit_of(children: Children) -> str | None:
    found = first(children, Clause)
    return found.text if found else None


def called(stage: Any) -> Any:
    return stage.stage if isinstance(stage, tree.Pipe) else None

"""What names mean where: scopes, and the circles that definitions may form in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from isocline_dsl.tree import Identifier, Span

BUILT_IN = frozenset({"inf", "pi", "true", "false"})

# What a name can stand for; the words are those of the messages.
VALUES = frozenset(
    {
        "constant",
        "input",
        "target",
        "parameter",
        "value",
        "output",
        "time",
        "state",
        "definition",
        "argument",
        "draw",
    }
)


@dataclass(frozen=True)
class Meaning:
    """What a name stands for and where it was declared."""

    kind: str
    span: Span


@dataclass
class Scope:
    """Names and their meanings, within an outer scope.

    `current` is the definition being read; the names it uses are its edges. Where definitions follow one another, as in
    a `scan`, it stays None and nothing can go round in a circle.
    """

    outer: Scope | None = None
    names: dict[str, Meaning] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    current: str | None = None
    edges: dict[str, dict[str, None]] = field(default_factory=dict)
    net: str | None = None

    def declare(self, name: Identifier, kind: str) -> None:
        self.names.setdefault(name.text, Meaning(kind, name.span))

    def enclosing(self) -> Iterator[Scope]:
        """This scope and those around it, the innermost first."""
        here: Scope | None = self
        while here is not None:
            yield here
            here = here.outer

    def declaration(self) -> str | None:
        """The declaration of the file that is being read."""
        return next((scope.current for scope in self.enclosing() if scope.outer is None), None)

    def find(self, name: str) -> Meaning | None:
        """The meaning of a name here, or None."""
        return next((scope.names[name] for scope in self.enclosing() if name in scope.names), None)

    def use(self, name: str) -> None:
        """Note that the definition being read uses a name."""
        for scope in self.enclosing():
            if name in scope.names:
                scope.used.add(name)
                if scope.current is not None:
                    scope.edges.setdefault(scope.current, {})[name] = None
                return

    def visible(self) -> set[str]:
        """All names that mean something here."""
        return {name for scope in self.enclosing() for name in scope.names}

    def of_kind(self, *kinds: str) -> set[str]:
        """All names here that stand for one of these."""
        return {name for name in self.visible() if (found := self.find(name)) and found.kind in kinds}


def circles(edges: Mapping[str, Mapping[str, None]]) -> Iterator[list[str]]:
    """Each circle that a search along the edges runs into, without recursion; a name is reported in one circle only."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        pending: list[tuple[str, int]] = [(start, 0)]
        while pending:
            name, depth = pending.pop()
            del path[depth:]
            if name in path:
                yield path[path.index(name) :]
            elif name not in done:
                done.add(name)
                path.append(name)
                pending += [(following, depth + 1) for following in reversed(list(edges.get(name, ())))]


def reached(starts: Iterable[str], edges: Mapping[str, Mapping[str, None]]) -> dict[str, tuple[str, ...]]:
    """Everything that these names lean on, and they themselves, each with a shortest way to it."""
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in starts}
    pending = deque(found)
    while pending:
        name = pending.popleft()
        for following in edges.get(name, ()):
            if following not in found:
                found[following] = (*found[name], following)
                pending.append(following)
    return found

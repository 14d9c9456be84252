"""What every node of the tree is: a place in the text and the nodes below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, order=True)
class Span:
    """Half-open range of character offsets in the source text;

    line and column exist only where a message is printed.
    """

    start: int = 0
    stop: int = 0

    def to(self, other: Span) -> Span:
        """The smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True)
class Node:
    """Anything that was written in the file."""

    span: Span = field(default=Span(), compare=False, repr=False, kw_only=True)

    def children(self) -> Iterator[Node]:
        """The nodes directly below this one, in the order of the text."""
        for item in fields(self):
            yield from _nodes(getattr(self, item.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first; no recursion, however deep the tree."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(tuple(here.children())))

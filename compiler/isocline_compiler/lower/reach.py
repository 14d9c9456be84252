"""What definitions lean on: an order in which none waits for another, and their size with all nets inlined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from isocline_compiler.lower.faults import LowerError
from isocline_dsl import messages
from isocline_dsl.tree import Field, Identifier, Name, Net, Node, Program, walk

MOST_INLINED = 50_000
"""Of parts of expressions that calls of nets may come to: nets that call nets twice each grow as 2^n."""

MOST_NESTED = 100
"""Nets that call one another in a row."""


def by_use(declared: Mapping[str, Node]) -> list[str]:
    """The names, each behind those that its declaration uses; otherwise in their order, circles anywhere.

    Taken in this order a chain of any length is a walk, not a recursion.
    """
    order: dict[str, None] = {}
    begun: set[str] = set()
    pending: list[tuple[str, bool]] = [(name, False) for name in reversed(list(declared))]
    while pending:
        name, ready = pending.pop()
        if ready:
            order[name] = None
        elif name not in begun:
            begun.add(name)
            pending.append((name, True))
            pending.extend((used, False) for used in reversed([*_names(declared[name])]) if used in declared)
    return list(order)


def check_inlined(program: Program) -> None:
    """Raises LowerError at what would become larger than `MOST_INLINED`, its nets inlined and its fields solved."""
    bodies = {item.name.text: item for item in program.declarations if isinstance(item, Net | Field)}
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in by_use(bodies):
        depths[name] = 1 + max((depths.get(used, 0) for used in _names(bodies[name])), default=0)
        if depths[name] > MOST_NESTED:
            raise LowerError(
                messages.nested_too_deeply(bodies[name].name.span, MOST_NESTED, "let fewer of them call one another")
            )
        sizes[name] = _size(bodies[name], sizes, own=True)
        if sizes[name] > MOST_INLINED:
            raise LowerError(messages.inlined_too_large(bodies[name].name.span, name, sizes[name], MOST_INLINED))
    others: Sequence[Node] = [item for item in program.declarations if not isinstance(item, Net | Field)]
    total = 0
    for item in others:
        total += _size(item, sizes, own=False)
        if total > MOST_INLINED:
            raise LowerError(messages.inlined_too_large(item.span, "", total, MOST_INLINED))


def _size(body: Node, sizes: Mapping[str, int], own: bool) -> int:
    """Parts of the expressions of a body, those of the nets and fields it names counted at each place."""
    nodes = sum(1 for _ in walk(body)) if own else 0
    return nodes + sum(sizes.get(name, 0) for name in _names(body))


def _names(body: Node) -> Iterator[str]:
    """The names that stand in a body, as often as they do; its own first name among them is no use of it."""
    return (node.text for node in walk(body) if isinstance(node, Identifier | Name))

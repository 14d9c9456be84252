"""What definitions lean on: an order in which none waits for another, and their size with all nets inlined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from isocline_compiler.lower.faults import LowerError
from isocline_dsl import messages
from isocline_dsl.tree import Call, Field, Identifier, Name, Net, Node, Program, Solve, walk

MOST_INLINED = 20_000
"""Of parts of expressions that calls of nets may come to: nets that call nets twice each grow as 2^n."""

MOST_NESTED = 100
"""Nets that call one another in a row."""


def _names(body: Node) -> Iterator[str]:
    """The names that stand in a body, as often as they do."""
    return (node.text for node in walk(body) if isinstance(node, Identifier | Name))


def by_use(declared: Mapping[str, Node], uses: Callable[[Node], Iterator[str]] = _names) -> list[str]:
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
            pending.extend((used, False) for used in reversed([*uses(declared[name])]) if used in declared)
    return list(order)


def check_inlined(program: Program) -> None:
    """Raises LowerError at what would become larger than `MOST_INLINED`, its nets inlined and its fields solved."""
    bodies: dict[str, Net | Field] = {}
    for item in program.declarations:
        if isinstance(item, Net | Field):
            bodies.setdefault(item.name.text, item)  # of two of one name the first counts
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in by_use(bodies, _inlined):
        depths[name] = 1 + max((depths.get(used, 0) for used in _inlined(bodies[name])), default=0)
        if depths[name] > MOST_NESTED:
            raise LowerError(
                messages.nested_too_deeply(bodies[name].name.span, MOST_NESTED, "let fewer of them call one another")
            )
        sizes[name] = _size(bodies[name], sizes, own=True)
        if sizes[name] > MOST_INLINED:
            raise LowerError(messages.inlined_too_large(bodies[name].name.span, name, sizes[name], MOST_INLINED))
    total = 0
    for item in program.declarations:
        if isinstance(item, Net | Field):
            continue
        total += _size(item, sizes, own=False)
        if total > MOST_INLINED:
            raise LowerError(messages.inlined_too_large(item.span, "", total, MOST_INLINED))


def _size(body: Node, sizes: Mapping[str, int], own: bool) -> int:
    """Parts of the expressions of a body, those of the nets and fields it names counted at each place."""
    nodes = sum(1 for _ in walk(body)) if own else 0
    return nodes + sum(sizes.get(name, 0) for name in _inlined(body))


def _inlined(body: Node) -> Iterator[str]:
    """What is called or solved in a body, as often as it is."""
    for node in walk(body):
        if isinstance(node, Call):
            yield node.name.text
        elif isinstance(node, Solve):
            yield node.field.text

"""The rules together: the transformer that the parser runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isocline_dsl import tree
from isocline_dsl.rules.blocks import Blocks
from isocline_dsl.rules.declarations import Declarations
from isocline_dsl.rules.pieces import Children, Listed, Several
from isocline_dsl.rules.statements import Statements


class Builder(Declarations, Statements, Blocks):
    """Methods named after the rules of `grammar.lark`; children are tokens and nodes, in the order of the text."""

    def items(self, c: Children) -> Listed:
        return Listed(None, c[0]) if len(c) == 1 else Listed(c[0], c[2])

    parts = statements = settings = items

    def slot(self, c: Children) -> tree.Node | None:
        return c[0] if c else None

    part = statement = setting_slot = slot

    def program(self, c: Children) -> list[Any]:
        return list(flat(c[0].items()))


def flat(items: Iterable[Any]) -> Iterable[Any]:
    """Declarations and faults, where one statement made several."""
    for item in items:
        if isinstance(item, Several):
            yield from item.items
            yield from item.faults
        else:
            yield item

"""What a regularizer sees of the loss, and how it extends the solves that the loss makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_compiler.graph import Fault, Node, substitute, topological
from isocline_compiler.graph.solve import SOLVE, choice_of, spec_of
from isocline_compiler.lower.weights import WeightTable
from isocline_dsl import messages


class LossContext:
    """The terms of the loss so far. A path integral replaces a solve by one with a further state, in every term."""

    def __init__(self, terms: Sequence[Node], table: WeightTable, parameters: Collection[str]) -> None:
        self.terms = tuple(terms)
        self._table = table
        self._parameters = parameters
        self._replaced: list[tuple[Node, Node]] = []

    @property
    def weights(self) -> Sequence[Node]:
        """The trained weights of layers; declared parameters are not among them."""
        trained = [name for name, weight in self._table.weights.items() if weight.role == "trained"]
        return [self._table.leaves[name] for name in trained if name not in self._parameters]

    def solves(self, field: str) -> Sequence[Node]:
        """The solves of a field that the loss depends on, as they are now. Raises `Fault` when there is none.

        A solve and its variations are one: what varies it goes along the same solution.
        """
        found: dict[str, Node] = {}
        for node in topological(self.terms):
            if node.op is SOLVE and spec_of(node).field == field:
                known = found.get(choice_of(node))
                if known is None or spec_of(known).varies is not None:
                    found[choice_of(node)] = node
        if not found:
            raise Fault(lambda span: messages.field_not_solved(span, field))
        return list(found.values())

    def replace(self, old: Node, new: Node) -> None:
        """Let every term use `new` where it used `old`."""
        self._replaced.append((old, new))
        self.terms = substitute(self.terms, {old: new})

    def current(self, node: Node) -> Node:
        """`node` as it is after all replacements, in their order."""
        for old, new in self._replaced:
            (node,) = substitute((node,), {old: new})
        return node

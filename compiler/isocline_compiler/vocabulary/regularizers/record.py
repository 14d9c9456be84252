"""A regularizer as a record: a term of the loss, or a setting of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from isocline_compiler.graph import Node, Nodes
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Solve
from isocline_compiler.vocabulary.functions.record import Callee, call


class Context(Protocol):
    """What a regularizer sees of the training problem while its term is built."""

    @property
    def weights(self) -> Sequence[Node]:
        """The trained weights of layers: leaves, named by their paths. Declared parameters are not among them."""
        ...

    def solves(self, name: str) -> Sequence[Node]:
        """The solve nodes that a solution, or all solutions of a field, are found by, as they are now.

        Raises `Fault` when no loss reads any.
        """
        ...

    def draw(self, name: str, shape: tuple[int, ...]) -> Node:
        """Random signs (batch, *shape), new for each sample and each step of training; they stay on samples that are
        not trained on.
        """
        ...

    def beside(self, node: Node, field: str) -> tuple[Solve, Nodes]:
        """A solve that has captured what another field reads, and the slopes that field gives its states.

        Raises `Fault` unless both have the same states and the same noise, of which the other may have none.
        """
        ...

    def scheme(self, node: Node) -> Called:
        """What steps a solve in training: a scheme with its `steps`, or an adaptive solver."""
        ...

    def replace(self, old: Node, new: Node) -> None:
        """Let the losses use `new`, a solve whose first states are those of `old`, wherever they used `old`."""
        ...


@dataclass(frozen=True)
class TrainingSetting:
    """A regularizer that changes how training goes, not what it minimises."""

    name: str
    options: Mapping[str, float]


LossTerm: TypeAlias = Callable[[Context], Node | TrainingSetting]


@dataclass(frozen=True)
class Regularizer(Callee):
    """`build` takes the author's arguments and gives a function of the context."""

    def term(
        self, context: Context, positional: Sequence[Any] = (), keywords: Iterable[tuple[str, Any]] = ()
    ) -> Node | TrainingSetting:
        """The term to add to the loss, one number for each sample or one for all; or a setting. Raises `Fault`."""
        term: LossTerm = call(self, positional, keywords)
        return term(context)

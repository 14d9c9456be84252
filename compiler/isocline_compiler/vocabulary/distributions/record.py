"""A distribution as a record: log density as a graph expression, support, parameters checked by its signature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from isocline_compiler.graph import Node
from isocline_compiler.ops.elementwise import LOG
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.functions.record import Callee, bind, call, check

Support: TypeAlias = tuple[float, float]
Numbers: TypeAlias = Sequence[float]
Named: TypeAlias = Iterable[tuple[str, float]]


@dataclass(frozen=True)
class Distribution(Callee):
    """`build(mean, std)(x)` gives the log density of each entry of x; `support_of` takes the parameters by name.

    The parameters are numbers known when compiling, or of a distribution with a `middle`, its median, values of the
    model.
    """

    support_of: Callable[[Mapping[str, float]], Support]
    middle: Callable[[Mapping[str, Any]], Any] | None = None

    def log_density(self, x: Node, positional: Numbers = (), keywords: Named = ()) -> Node:
        """The sum of the log densities of all entries of x. Raises `Fault` for parameters it cannot have."""
        density: Density = call(self, positional, keywords)
        each = density(x)
        return REDUCE_SUM(each, axes=tuple(range(each.type.rank)), keepdims=False) if each.type.rank else each

    def shared(self, x: Node, positional: Sequence[Any], keywords: Iterable[tuple[str, Any]]) -> tuple[Node, Any]:
        """The sum of the log densities of all entries of x, and the median, with numbers or values of the model.

        Raises `Fault` for parameters it cannot have.
        """
        assert self.middle is not None, f"{self.name} has no middle"
        pairs = bind(self, positional, keywords)
        given = {item.name: value if isinstance(value, Node) else check(self, item, value) for item, value in pairs}
        each: Node = self.build(**given)(x)
        defaults = {item.name: item.default for item in self.parameters}
        return REDUCE_SUM(each, axes=tuple(range(each.type.rank)), keepdims=False), self.middle(defaults | given)

    def support(self, positional: Numbers = (), keywords: Named = ()) -> Support:
        """The open interval outside which the density is 0. Raises `Fault` for parameters it cannot have."""
        given = {item.name: check(self, item, value) for item, value in bind(self, positional, keywords)}
        defaults = {item.name: item.default for item in self.parameters}
        return self.support_of(defaults | given)


Density: TypeAlias = Callable[[Node], Node]


def log_of(value: Any) -> Any:
    """log(value) of a number, or of a value of the model."""
    return LOG(value) if isinstance(value, Node) else math.log(value)


def standardized(x: Node, mean: float, scale: float) -> Node:
    """(x - mean)/scale."""
    return (x - mean) / scale

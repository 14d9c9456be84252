"""A distribution as a record: log density as a graph expression, support, parameters checked by its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from isocline_compiler.graph import Node
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.functions.record import Callee, bind, call, check

Support: TypeAlias = tuple[float, float]
Numbers: TypeAlias = Sequence[float]
Named: TypeAlias = Iterable[tuple[str, float]]


@dataclass(frozen=True)
class Distribution(Callee):
    """`build(mean, std)(x)` gives the log density of each entry of x; `support_of` takes the parameters by name.

    The parameters are numbers known when compiling.
    """

    support_of: Callable[[Mapping[str, float]], Support]

    def log_density(self, x: Node, positional: Numbers = (), keywords: Named = ()) -> Node:
        """The sum of the log densities of all entries of x. Raises `Fault` for parameters it cannot have."""
        density: Density = call(self, positional, keywords)
        each = density(x)
        return REDUCE_SUM(each, axes=tuple(range(each.type.rank)), keepdims=False) if each.type.rank else each

    def support(self, positional: Numbers = (), keywords: Named = ()) -> Support:
        """The open interval outside which the density is 0. Raises `Fault` for parameters it cannot have."""
        given = {item.name: check(self, item, value) for item, value in bind(self, positional, keywords)}
        defaults = {item.name: item.default for item in self.parameters}
        return self.support_of(defaults | given)


Density: TypeAlias = Callable[[Node], Node]


def standardized(x: Node, mean: float, scale: float) -> Node:
    """(x - mean)/scale."""
    return (x - mean) / scale

"""What an operation is in C: the words of the column `c` of its record. The back end that prints them is elsewhere.

Sizes are those of one sample: the axis of the batch has one entry, one of m points for each sample m of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Sizes: TypeAlias = tuple[int, ...]
Index: TypeAlias = "tuple[Mapping[int, int], ...]"
"""For each axis of an operand, how far each loop moves along it: {loop: steps}."""


@dataclass(frozen=True)
class Moves:
    """The entries of the result are entries of the arguments, or one number: numbers of entries say which."""

    fill: str | None = None
    """The attribute that holds the number, if any; else it is 0."""


@dataclass(frozen=True)
class Loops:
    """A sum of products, or an extreme, over some loops: y[i] = sum_k prod_j x_j[index_j(i, k)].

    `out` are the sizes of the loops over the result, `over` those that are summed; loops are numbered in that order.
    `factors` are the operands that are multiplied, by number, each with its index, and `bias` is added once.
    """

    out: Sizes
    over: Sizes
    factors: tuple[tuple[int, Index], ...]
    bias: tuple[int, Index] | None = None
    combine: str = "sum"
    scale: float = 1.0


@dataclass(frozen=True)
class Sums:
    """Loops from the sizes of the arguments: `loops(sizes of each argument, attributes)`."""

    loops: Callable[[tuple[Sizes, ...], Mapping[str, Any]], Loops]


@dataclass(frozen=True)
class Rewritten:
    """Other operations that give the same: `formula(*arguments, **attributes)`, a node of the graph."""

    formula: Callable[..., Any]


@dataclass(frozen=True)
class Entries:
    """A kernel of its own, over the entries of one sample: `text(result sizes, argument sizes, attributes)` gives
    statements in which `{y}` and `{x0}`, `{x1}`, ... stand for arrays; y[i] is written `{y}(i)`.
    """

    text: Callable[[Sizes, tuple[Sizes, ...], Mapping[str, Any]], str]


@dataclass(frozen=True)
class NoC:
    """No form in C, and why."""

    reason: str


CForm: TypeAlias = "str | Moves | Sums | Rewritten | Entries | NoC | Callable[[Any], CForm]"
"""A string is an expression of the arguments' entries, `{0} + {1}`, in which `@name` is a function of the C back end's
library; a function chooses the form by the node."""

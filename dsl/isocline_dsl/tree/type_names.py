"""What a value is declared to be: `real[2]`, `in (0, 10)`."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_dsl.tree.expressions import Expression, Identifier
from isocline_dsl.tree.node import Node


@dataclass(frozen=True)
class TypeName(Node):
    """`real`, `real[2, n]`, `class[10]`, `time[T]`, `bool[3]`, `brownian[5]`; sizes are expressions over
    numbers, consts and symbolic sizes (`2 + 3`)."""

    kind: Identifier
    sizes: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Interval(Node):
    """`in (0, 10)`. `positive` is written back as `positive` and means `(0, inf)`."""

    low: Expression
    high: Expression

"""Scalar expressions as sums of products: e = sum_j c_j (f_1 f_2 ...)_j + c_0, down to factors that are neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from isocline_compiler.graph import Node, value_of
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, SUB
from isocline_compiler.ops.elementwise import SQUARE

Factors: TypeAlias = "tuple[Node, ...]"


@dataclass
class Sum:
    """By its factors, in a fixed order, the coefficient of each term, and what is added without any factor."""

    terms: dict[Factors, float] = field(default_factory=dict)
    constant: float = 0.0

    def add(self, factors: Factors, coefficient: float) -> None:
        total = self.terms.pop(factors, 0.0) + coefficient
        if total:
            self.terms[factors] = total


SHORT = 4
"""Terms that a sum may have which a product is multiplied out with."""


class Expander:
    """Reads sums and products; `moving` are the nodes that depend on a state: products of others stay one factor.

    Where it `distributes`, x (a - b y) is a x - b x y: equations that are written differently have terms of one kind.
    """

    def __init__(self, moving: Iterable[Node], distributes: bool = False) -> None:
        self.moving = set(moving)
        self.distributes = distributes
        self._number: dict[Node, int] = {}
        self._products: dict[frozenset[Node], Node] = {}

    def sum_of(self, node: Node) -> Sum:
        """A scalar as a sum; a product of sums stays a product."""
        found = Sum()
        open_: list[tuple[Node, float]] = [(node, 1.0)]
        while open_:
            item, coefficient = open_.pop()
            number = _number(item)
            if number is not None:
                found.constant += coefficient * number
            elif item not in self.moving:
                found.add((item,), coefficient)
            elif item.op in (ADD, SUB):
                open_.append((item.inputs[1], -coefficient if item.op is SUB else coefficient))
                open_.append((item.inputs[0], coefficient))
            else:
                scale, factors = self._factors(item)
                sums = [factor for factor in factors if factor.op in (ADD, SUB) and factor in self.moving]
                if len(factors) == 1 and sums:
                    open_.append((sums[0], coefficient * scale))
                elif (
                    self.distributes
                    and len(sums) == 1
                    and self._multiplied(found, factors, sums[0], coefficient * scale)
                ):
                    continue
                else:
                    found.add(self._ordered(factors), coefficient * scale)
        return found

    def _multiplied(self, found: Sum, factors: list[Node], factor: Node, coefficient: float) -> bool:
        """Add a product with a short sum term by term; False where the sum is long."""
        inner = self.sum_of(factor)
        if len(inner.terms) + bool(inner.constant) > SHORT:
            return False
        others = list(factors)
        others.remove(factor)
        for term, number in inner.terms.items():
            found.add(self._ordered([*others, *term]), coefficient * number)
        if inner.constant:
            found.add(self._ordered(others), coefficient * inner.constant)
        return True

    def _factors(self, node: Node) -> tuple[float, list[Node]]:
        """The number before a product, and its factors."""
        scale, factors, fixed = 1.0, [], []
        open_ = [node]
        while open_:
            item = open_.pop()
            number = _number(item)
            if number is not None:
                scale *= number
            elif item not in self.moving:
                fixed.append(item)
            elif item.op is MUL:
                open_.extend(item.inputs[::-1])
            elif item.op is SQUARE:
                open_.extend((item.inputs[0], item.inputs[0]))
            elif item.op is NEG:
                scale = -scale
                open_.append(item.inputs[0])
            elif item.op is DIV and (divisor := _number(item.inputs[1])):
                scale /= divisor
                open_.append(item.inputs[0])
            else:
                factors.append(item)
        if fixed:
            factors.append(self._product(fixed))
        return scale, factors

    def _product(self, fixed: list[Node]) -> Node:
        """Factors that depend on no state as one, which leaves the field."""
        key = frozenset(fixed) if len(set(fixed)) == len(fixed) else None
        if key is None or key not in self._products:
            total = fixed[0]
            for item in fixed[1:]:
                total = total * item
            if key is None:
                return total
            self._products[key] = total
        return self._products[key]

    def _ordered(self, factors: list[Node]) -> Factors:
        return tuple(sorted(factors, key=lambda item: self._number.setdefault(item, len(self._number))))


def _number(node: Node) -> float | None:
    value = value_of(node)
    return float(value) if value is not None and value.shape == () and value.dtype.kind == "f" else None


def without(factors: Factors, factor: Node) -> Factors:
    """The product divided by one of its factors."""
    place = factors.index(factor)
    return factors[:place] + factors[place + 1 :]


def common(rows: Iterable[Mapping[Factors, float]]) -> list[list[Node]]:
    """For each row the factors that all of its terms have, in the order of its first term."""
    found = []
    for row in rows:
        first, *others = row
        found.append([item for item in dict.fromkeys(first) if all(item in other for other in others)])
    return found

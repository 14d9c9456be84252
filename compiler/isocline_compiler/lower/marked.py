"""What of an equation is marked: `x' = f(x) + stiff(A @ x)` in its two sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isocline_compiler.lower.faults import LowerError
from isocline_dsl import messages
from isocline_dsl.tree import Binary, Call, Expression, Unary

STIFF = "stiff"
"""The word that marks a summand for implicit and exponential schemes."""


@dataclass(frozen=True)
class Summand:
    """An expression that is added, or taken away."""

    value: Expression
    negative: bool = False


def apart(expression: Expression) -> tuple[list[Summand], list[Summand]]:
    """The summands that are not marked, and what is inside of those that are. Raises LowerError.

    Where nothing is marked the expression stays whole.
    """
    found = list(_summands(expression, False))
    marked = [item for item in found if isinstance(item.value, Call) and item.value.name.text == STIFF]
    if not marked:
        return [Summand(expression)], []
    inside = [Summand(_argument(item.value), item.negative) for item in marked if isinstance(item.value, Call)]
    return [item for item in found if item not in marked], inside


def _summands(expression: Expression, negative: bool) -> Iterator[Summand]:
    match expression:
        case Binary(operator="+" | "-" as operator, left=left, right=right):
            yield from _summands(left, negative)
            yield from _summands(right, negative != (operator == "-"))
        case Unary(operator="-", operand=operand):
            yield from _summands(operand, not negative)
        case _:
            yield Summand(expression, negative)


def _argument(call: Call) -> Expression:
    if len(call.arguments) != 1 or call.keywords:
        raise LowerError(messages.stiff_takes_one(call.span))
    return call.arguments[0]

"""Numbers that are known while compiling: sizes, counts, times, options."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array as NumpyArray
from isocline_compiler.graph.tensor_type import Size
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.vocabulary.functions.kinds import MOST
from isocline_dsl import messages
from isocline_dsl.messages.message import counted
from isocline_dsl.tree import Array, Binary, Call, Expression, Name, Number, Range, Span, TypeName, Unary

Real: TypeAlias = float | int

NAMED: Mapping[str, float] = {"pi": math.pi, "inf": math.inf}
"""Names that stand for numbers anywhere in the language."""

_BINARY: Mapping[str, Callable[[Real, Real], Real]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda above, below: _quotient(above, below),
    "^": lambda base, exponent: _power(base, exponent),
}
_CALLS: Mapping[str, Callable[[float], float]] = {
    name: getattr(math, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "floor", "ceil")
}


LARGEST = 2**63
"""Of whole numbers: no size, count or index is beyond."""


def _quotient(above: Real, below: Real) -> Real:
    """above/below; a whole number where both are and nothing is left, so that half of 16 channels is a count."""
    if isinstance(above, int) and isinstance(below, int) and below != 0 and above % below == 0:
        return above // below
    return above / below


def _power(base: Real, exponent: Real) -> Real:
    """base^exponent; computed as reals where whole numbers would be too long to compute with."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) < 128:
        return int(base**exponent) if exponent >= 0 else float(base) ** exponent
    return float(base) ** exponent


class Numbers:
    """Evaluates expressions over literals and scalar `const` declarations."""

    def __init__(self, consts: Mapping[str, Expression]) -> None:
        self.consts = consts
        self._begun: set[str] = set()
        self._found: dict[str, Real] = {}

    def real(self, expression: Expression) -> Real:
        """The value, an `int` when it is written and computed with integers.

        Raises LowerError where the expression is not known while compiling.
        """
        try:
            value = self._real(expression)
            if isinstance(value, int) and abs(value) > LARGEST:
                raise OverflowError("a whole number beyond 2^63")
            if math.isnan(value):
                raise ValueError("not a number, such as inf - inf")
            return value
        except (ZeroDivisionError, OverflowError, ValueError) as problem:
            raise LowerError(messages.arithmetic_fault(expression.span, str(problem))) from None

    def _real(self, expression: Expression) -> Real:
        match expression:
            case Number():
                if len(expression.text) > 400:
                    raise OverflowError(f"a number of {len(expression.text)} digits")
                return int(expression.text) if expression.is_integer else expression.value
            case Name(text=text) if text in NAMED:
                return NAMED[text]
            case Name(text=text) if text in self.consts:
                return self._const(text, expression.span)
            case Unary(operator="-", operand=operand):
                return -self._real(operand)
            case Binary(operator=symbol, left=left, right=right) if symbol in _BINARY:
                value = _BINARY[symbol](self._real(left), self._real(right))
                if isinstance(value, complex):
                    raise ValueError("a power that is not a real number")
                return value
            case Call(name=name, arguments=(argument,), keywords=()) if name.text in _CALLS:
                return _CALLS[name.text](self._real(argument))
        raise LowerError(messages.not_a_known_number(expression.span))

    def _const(self, name: str, span: Span) -> Real:
        if name in self._found:
            return self._found[name]
        if name in self._begun:
            raise Poisoned  # defined by itself: reported where names are resolved
        self._begun.add(name)
        try:
            if isinstance(self.consts[name], Array):
                raise LowerError(messages.not_a_known_number(span))
            self._found[name] = self.real(self.consts[name])  # a fault is the declaration's, with its place
            return self._found[name]
        finally:
            self._begun.discard(name)

    def is_known(self, expression: Expression) -> bool:
        """Whether `real` would answer."""
        try:
            self.real(expression)
        except (LowerError, Poisoned):
            return False
        return True

    def integer(self, expression: Expression) -> int:
        """A whole number. Raises LowerError with what was found instead."""
        value = self.real(expression)
        if not float(value).is_integer():
            raise LowerError(messages.not_an_integer(expression.span, f"{value:g}"))
        return int(value)

    def array(self, expression: Expression) -> NumpyArray:
        """Nested brackets of known numbers as a float64 array."""
        if not isinstance(expression, Array):
            return np.asarray(float(self.real(expression)))
        rows = [self.array(item) for item in expression.items]
        if len({row.shape for row in rows}) > 1:
            raise LowerError(messages.ragged_array(expression.span))
        return np.stack(rows) if rows else np.zeros(0)

    def sizes(self, type_: TypeName) -> tuple[Size, ...]:
        """The sizes of a type: whole numbers, or names that start with a capital letter and no const has."""
        sizes = tuple(self._size(item) for item in type_.sizes)
        count = math.prod(size for size in sizes if isinstance(size, int))
        if count > MOST:
            raise LowerError(messages.type_too_large(type_.span, count, MOST))
        return sizes

    def _size(self, expression: Expression) -> Size:
        if isinstance(expression, Name) and expression.text not in self.consts and expression.text not in NAMED:
            if not expression.text[:1].isupper():
                raise LowerError(messages.size_name_not_capital(expression.span, expression.text))
            return expression.text
        size = self.integer(expression)
        if size < 1:
            raise LowerError(messages.size_not_positive(expression.span, size))
        return size

    def times(self, interval: Range) -> tuple[float, ...]:
        """`a..b step h` as a + i h, by integer count, with the end exactly b when the steps reach it."""
        start, stop = float(self.real(interval.start)), float(self.real(interval.stop))
        if start == stop or not math.isfinite(start) or not math.isfinite(stop):
            raise LowerError(messages.empty_range(interval.span, f"{start:g}", f"{stop:g}"))
        if interval.step is None:
            return (start, stop)
        step = float(self.real(interval.step))
        if step == 0 or (stop - start) / step < 0:
            raise LowerError(messages.bad_range_step(interval.step.span, f"{start:g}..{stop:g}", f"{step:g}"))
        ratio = (stop - start) / step
        if not math.isfinite(ratio):
            raise LowerError(messages.too_many_times(interval.span, "more than 1e308"))
        if abs(step) <= math.ulp(max(abs(start), abs(stop))):  # the next time would be the same number
            raise LowerError(messages.bad_range_step(interval.step.span, f"{start:g}..{stop:g}", f"{step:g}"))
        count = round(ratio) if abs(ratio - round(ratio)) < 1e-9 * max(1.0, ratio) else math.floor(ratio)
        if count < 1:
            raise LowerError(messages.bad_range_step(interval.step.span, f"{start:g}..{stop:g}", f"{step:g}"))
        if count > 1_000_000:
            raise LowerError(messages.too_many_times(interval.span, counted(count)))
        reaches = abs(ratio - count) < 1e-9 * max(1.0, ratio)
        last = stop if reaches else start + count * step
        return (*(start + (last - start) * (i / count) for i in range(count)), last)

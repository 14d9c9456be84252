"""A right-hand side of Python as a field: its functions are called with values that write down what is done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

OPERATORS = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.true_divide: "/", np.power: "^",
}  # fmt: skip
COMPARISONS = {np.greater: ">", np.greater_equal: ">=", np.less: "<", np.less_equal: "<="}
FUNCTIONS = {
    np.sin: "sin", np.cos: "cos", np.tan: "tan", np.sinh: "sinh", np.cosh: "cosh", np.tanh: "tanh", np.exp: "exp",
    np.log: "log", np.sqrt: "sqrt", np.absolute: "abs", np.sign: "sign", np.arctan: "atan", np.minimum: "min",
    np.maximum: "max",
}  # fmt: skip
UNARY = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt", "arctan")
"""What numpy asks of the entries of an array of objects, by name."""


class Untranslatable(Exception):
    """Something that has no word in the language."""


@dataclass(frozen=True, eq=False)
class Traced(NDArrayOperatorsMixin):
    """A number of the model: a name or a literal (no arguments), or an operation on others.

    `write` puts the written arguments together. An operation on equal arguments is one value.
    """

    write: Callable[..., str]
    arguments: tuple[Traced, ...]
    known: dict[Any, Traced]
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or any(isinstance(place, np.ndarray) for place in options.get("out") or ()):
            raise Untranslatable(f"{ufunc.__name__}.{method}")
        if any(isinstance(x, np.ndarray) and x.ndim > 0 for x in inputs):
            return ufunc(*(np.full((), x, dtype=object) if isinstance(x, Traced) else x for x in inputs))
        if ufunc is np.negative:
            return self.apply("-{}", *inputs)
        if ufunc is np.square:
            return self.apply("({} ^ {})", *inputs, 2)
        if ufunc is np.heaviside:
            return self.apply("where({} > 0, 1, 0)", inputs[0])
        if ufunc is np.remainder:
            return inputs[0] - inputs[1] * self.apply("floor({})", inputs[0] / inputs[1])
        if ufunc in OPERATORS:
            return self.apply(f"({{}} {OPERATORS[ufunc]} {{}})", *inputs)
        if ufunc in COMPARISONS:
            return self.apply(f"where({{}} {COMPARISONS[ufunc]} {{}}, 1, 0)", *inputs)
        if ufunc in FUNCTIONS:
            return self.apply(f"{FUNCTIONS[ufunc]}({', '.join('{}' for _ in inputs)})", *inputs)
        raise Untranslatable(ufunc.__name__)

    def apply(self, template: str, *inputs: Any) -> Traced:
        """An operation, of which `template` is the writing."""
        arguments = tuple(self._value(x) for x in inputs)
        key = template, *map(id, arguments)
        if key not in self.known:
            self.known[key] = Traced(template.format, arguments, self.known)
        return self.known[key]

    def _value(self, x: Any) -> Traced:
        if isinstance(x, Traced):
            return x
        number = float(x)
        if number not in self.known:
            text = f"{number:g}" if float(f"{number:g}") == number else repr(number)
            self.known[number] = named(f"({text})" if number < 0 else text, self.known)
        return self.known[number]

    def __bool__(self) -> bool:
        raise Untranslatable("a branch")


def _method(name: str) -> Callable[[Traced], Traced]:
    ufunc: np.ufunc = getattr(np, name)
    return lambda self: ufunc(self)


for _name in UNARY:
    setattr(Traced, _name, _method(_name))


def named(text: str, known: dict[Any, Traced]) -> Traced:
    """A name or a literal."""
    return Traced(lambda: text, (), known)


def _smallest(values: Any, axis: int) -> Any:
    """numpy's min, which would compare objects, by pairs."""
    found = np.moveaxis(np.asarray(values, dtype=object), axis, 0)
    least = list(found[0])
    for row in found[1:]:
        least = [np.minimum(a, b) for a, b in zip(least, row, strict=True)]
    return np.array(least, dtype=object)


def traced_field(right: Callable[[Any, Any], Any], states: list[str]) -> list[str]:
    """The statements of a field: definitions of what is used more than once, then one equation a state.

    `right(x, t)` is called once, with an array of objects for x. Raises Untranslatable.
    """
    known: dict[Any, Traced] = {}
    x = np.array([named(state, known) for state in states], dtype=object)
    with patch.object(np, "min", lambda a, axis=None: _smallest(a, axis) if axis is not None else np.amin(a)):
        slopes = list(right(x, named("t", known)))
    if len(slopes) != len(states):
        raise Untranslatable(f"{len(slopes)} equations for {len(states)} states")
    found = [value if isinstance(value, Traced) else x[0]._value(value) for value in slopes]
    return list(_statements(states, found))


def _statements(states: list[str], slopes: list[Traced]) -> Iterator[str]:
    order: list[Traced] = []
    uses: Counter[Traced] = Counter()

    def visit(value: Traced) -> None:
        uses[value] += 1
        if uses[value] == 1:
            for argument in value.arguments:
                visit(argument)
            order.append(value)

    for slope in slopes:
        visit(slope)
    texts: dict[Traced, str] = {}
    shared = 0
    for value in order:
        texts[value] = value.write(*(texts[argument] for argument in value.arguments))
        if value.arguments and uses[value] > 1:
            shared += 1
            yield f"u{shared} = {texts[value]}"
            texts[value] = f"u{shared}"
    yield from (f"{state}' = {texts[slope]}" for state, slope in zip(states, slopes, strict=True))


__all__ = ["Traced", "Untranslatable", "traced_field"]

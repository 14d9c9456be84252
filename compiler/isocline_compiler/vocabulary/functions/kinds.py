"""The kinds of arguments: annotations of the functions' signatures, each with its test and its words for a message."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from isocline_compiler.graph import Node, as_node
from isocline_compiler.graph.tensor_type import Size, describe
from isocline_dsl.tree import Span

MOST = 10_000_000
"""The most units, entries or steps that a file may ask for: beyond, it is a slip of the keyboard."""


@dataclass(frozen=True)
class WordCall:
    """A bare name, or a call of one, that chooses among forms: `zeros`, `normal(0.1)`, `antisymmetric(damping=0.1)`."""

    name: str
    positional: tuple[float, ...] = ()
    keywords: tuple[tuple[str, float], ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class ArgumentKind:
    """What an argument may be. `name` tells the elaborator how to evaluate the expression that was written."""

    name: str
    expected: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _each(test: Callable[[int], bool]) -> Callable[[Any], bool]:
    """One whole number, or a list of them, each passing `test`."""
    return lambda value: all(is_whole(item) and test(item) for item in listed(value))


def listed(value: Any) -> tuple[Any, ...]:
    """A list as a tuple; a single item as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_size(value: Any) -> bool:
    return isinstance(value, str) or (is_whole(value) and 1 <= value <= MOST)


Value: TypeAlias = Annotated[
    Node, ArgumentKind("value", "a value", lambda v: isinstance(v, Node) or is_number(v), as_node)
]
SolutionValue: TypeAlias = Annotated[Node, ArgumentKind("solution", "a solution", lambda v: isinstance(v, Node))]
Count: TypeAlias = Annotated[
    int, ArgumentKind("count", "a positive whole number", lambda v: is_whole(v) and 1 <= v <= MOST)
]
Integer: TypeAlias = Annotated[int, ArgumentKind("integer", "a whole number", is_whole)]
Axis: TypeAlias = Annotated[int, ArgumentKind("axis", "an axis, a whole number", is_whole)]
Axes: TypeAlias = Annotated[
    tuple[int, ...],
    ArgumentKind("axes", "an axis or a list of axes", _each(lambda _: True), listed),
]
Counts: TypeAlias = Annotated[
    tuple[int, ...],
    ArgumentKind("counts", "a positive whole number or a list of them", _each(lambda n: 1 <= n <= MOST), listed),
]
Paddings: TypeAlias = Annotated[
    tuple[int, ...],
    ArgumentKind("paddings", "a whole number from 0 or a list of them", _each(lambda n: 0 <= n <= MOST), listed),
]
Sizes: TypeAlias = Annotated[Size, ArgumentKind("size", "a size, a positive whole number", _is_size)]
Real: TypeAlias = Annotated[
    float,
    ArgumentKind("real", "a finite number known when compiling", lambda v: is_number(v) and math.isfinite(v), float),
]
Bound: TypeAlias = Annotated[
    float,
    ArgumentKind("real", "a number known when compiling, or inf", lambda v: is_number(v) and not math.isnan(v), float),
]
Positive: TypeAlias = Annotated[
    float,
    ArgumentKind("real", "a positive number known when compiling", lambda v: is_number(v) and 0 < v < math.inf, float),
]
NonNegative: TypeAlias = Annotated[
    float,
    ArgumentKind("real", "a number from 0 known when compiling", lambda v: is_number(v) and 0 <= v < math.inf, float),
]
Probability: TypeAlias = Annotated[
    float,
    ArgumentKind("real", "a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1, float),
]
Levels: TypeAlias = Annotated[
    "float | tuple[float, ...]",
    ArgumentKind(
        "levels", "a number from 0 to 1, or a list of them",
        lambda v: len(listed(v)) > 0 and all(is_number(item) and 0 <= item <= 1 for item in listed(v)),
        lambda v: tuple(v) if isinstance(v, list) else v,
    ),
]  # fmt: skip
Bandwidths: TypeAlias = Annotated[
    "float | tuple[float, ...]",
    ArgumentKind(
        "bandwidths", "a positive number known when compiling, or a list of them",
        lambda v: len(listed(v)) > 0 and all(is_number(item) and 0 < item < math.inf for item in listed(v)),
    ),
]  # fmt: skip
Word: TypeAlias = Annotated[WordCall, ArgumentKind("word", "a word", lambda v: isinstance(v, WordCall))]
FieldName: TypeAlias = Annotated[str, ArgumentKind("field", "the name of a field", lambda v: isinstance(v, str))]
SolutionName: TypeAlias = Annotated[
    str, ArgumentKind("solution", "the name of a solution or a field", lambda v: isinstance(v, str))
]
Flag: TypeAlias = Annotated[bool, ArgumentKind("flag", "true or false", lambda v: isinstance(v, bool))]


def found(value: object) -> str:
    """What was given, in the words of a message: `2.5`, `the word zeros`, `a value of type real[3]`."""
    match value:
        case Node():
            return f"a value of type {describe(value.type)}"
        case WordCall():
            return f"the word `{value.name}`"
        case bool():
            return "true" if value else "false"
        case str():
            return f"`{value}`"
        case list() | tuple():
            return "[" + ", ".join(found(item) for item in value) + "]"
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)

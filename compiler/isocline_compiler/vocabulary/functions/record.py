"""A callable thing as a record: its signature checks the arguments, its docstring is the documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_type_hints

from isocline_compiler.graph import Fault, Node
from isocline_compiler.vocabulary.functions.kinds import ArgumentKind, WordCall, found
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls

FunctionKind: TypeAlias = Literal[
    "elementwise", "reduction", "shaping", "matrix", "layer", "derivative", "loss", "metric"
]
Given = TypeVar("Given")


@dataclass(frozen=True)
class Parameter:
    """One argument: its name, its kind, its default (`REQUIRED` when it has none)."""

    name: str
    kind: ArgumentKind
    default: Any
    variadic: bool = False
    keyword_only: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED and not self.variadic

    def __str__(self) -> str:
        if self.variadic:
            return f"{self.name}..."
        if self.required and self.keyword_only:
            return f"{self.name}=..."
        return self.name if self.required else f"{self.name}={_shown(self.default)}"


REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Callee:
    """Anything with a name and arguments. `build` is the Python function that makes the result."""

    build: Callable[..., Any]

    @property
    def name(self) -> str:
        """The word in the language: the function's name, without the `_` that keeps it off Python's own."""
        return self.build.__name__.rstrip("_")

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arguments that an author may give, in order."""
        return tuple(_parameters(self.build))

    @cached_property
    def takes_scope(self) -> bool:
        return "scope" in inspect.signature(self.build).parameters

    @property
    def usage(self) -> str:
        """`dense(x, units, bias=true)`"""
        return f"{self.name}({', '.join(map(str, self.parameters))})"

    @cached_property
    def documentation(self) -> str:
        """Summary, formula, reference: the docstring without its example."""
        return _split(self.build)[0]

    @cached_property
    def example(self) -> str:
        """One line of the language, over the names in `EXAMPLE_TYPES`."""
        return _split(self.build)[1]

    @property
    def summary(self) -> str:
        return self.documentation.partition("\n")[0]


@dataclass(frozen=True)
class Function(Callee):
    """Something that can be called in an expression: `build(x, units, ..., scope)` gives its value as a node."""

    kind: FunctionKind


EXAMPLE_TYPES: Mapping[str, str] = {
    "t": "real",
    "x": "real[4]",
    "y": "real[4]",
    "m": "real[3, 4]",
    "image": "real[4, 8, 8]",
    "signal": "real[4, 16]",
    "series": "real[6, 3]",
    "h": "real[8]",
    "label": "class[4]",
    "labels": "class[4]",
}
"""The names that the examples in the docstrings use, and their types."""

EXAMPLE_SOLVES: Mapping[str, str] = {
    "path": "field flow(t, q: real[4]) { q' = tanh(q*y) }\npath = solve flow from q = x over 0..1",
}
"""What else they use, as it is declared."""


def example_declarations(example: str) -> str:
    """What must stand before an example in a file: its inputs, and what is solved."""
    solves = [text for name, text in EXAMPLE_SOLVES.items() if re.search(rf"\b{name}\b", example)]
    read = " ".join([example, *(re.sub(r"field \w+\(t", "", text) for text in solves)])
    used = [name for name in EXAMPLE_TYPES if re.search(rf"\b{name}\b", read)]
    return "\n".join([*(f"input {name}: {EXAMPLE_TYPES[name]}" for name in used), *solves])


def callees(*builds: Callable[..., Any]) -> tuple[Callee, ...]:
    """A record for each Python function that makes something other than a value: an initializer, a form."""
    return tuple(map(Callee, builds))


def functions(kind: FunctionKind, *builds: Callable[..., Node]) -> tuple[Function, ...]:
    """A record for each Python function."""
    return tuple(Function(build, kind) for build in builds)


def bind(
    callee: Callee, positional: Sequence[Given], keywords: Iterable[tuple[str, Given]]
) -> list[tuple[Parameter, Given]]:
    """Which argument each thing is for; what was given need not be evaluated yet. Defaults are not filled in.

    Raises `Fault` for too many, unknown, doubled and missing arguments.
    """
    places = _places(callee, len(positional))
    pairs = list(zip(places, positional, strict=True))
    named = {parameter.name: parameter for parameter in callee.parameters if not parameter.variadic}
    taken = {parameter.name for parameter in places}
    for keyword, given in keywords:
        _check_keyword(callee, keyword, named, taken)
        taken.add(keyword)
        pairs.append((named[keyword], given))
    missing = [item.name for item in callee.parameters if item.required and item.name not in taken]
    if missing:
        raise Fault(lambda span: calls.argument_missing(span, callee.name, missing[0], callee.usage))
    return pairs


def check(callee: Callee, parameter: Parameter, given: Any) -> Any:
    """The value in the form that the Python function takes. Raises `Fault` when it is of another kind."""
    kind = parameter.kind
    if not kind.accepts(given):
        raise Fault(lambda span: calls.wrong_argument(span, callee.name, parameter.name, kind.expected, found(given)))
    return kind.convert(given)


def apply(callee: Callee, pairs: Iterable[tuple[Parameter, Any]], scope: Scope | None = None) -> Any:
    """Call with checked arguments, as `bind` paired them."""
    places: list[Any] = []
    rest: list[Any] = []
    named: dict[str, Any] = {}
    for parameter, given in pairs:
        value = check(callee, parameter, given)
        if parameter.variadic:
            rest.append(value)
        else:
            named[parameter.name] = value
    if rest:
        places = [named.pop(item.name) for item in _before_variadic(callee)]
    if callee.takes_scope:
        named["scope"] = scope
    return callee.build(*places, *rest, **named)


def call(
    callee: Callee,
    positional: Sequence[Any] = (),
    keywords: Iterable[tuple[str, Any]] = (),
    scope: Scope | None = None,
) -> Any:
    """Check the arguments, which are evaluated, and build. Raises `Fault`."""
    return apply(callee, bind(callee, positional, keywords), scope)


def choose(callee: str, parameter: str, word: WordCall, choices: Mapping[str, Callee]) -> Any:
    """What a word such as `antisymmetric(damping=0.1)` stands for, among records by name."""
    if word.name not in choices:
        raise Fault(lambda span: calls.unknown_word(word.span or span, callee, parameter, word.name, tuple(choices)))
    return call(choices[word.name], word.positional, word.keywords)


def _places(callee: Callee, count: int) -> list[Parameter]:
    """The parameters that `count` arguments without names are for."""
    fixed = [item for item in callee.parameters if not item.keyword_only and not item.variadic]
    variadic = [item for item in callee.parameters if item.variadic]
    if count > len(fixed) and not variadic:
        raise Fault(lambda span: calls.too_many_arguments(span, callee.name, count, len(fixed), callee.usage))
    return (fixed + variadic * count)[:count]


def _check_keyword(callee: Callee, keyword: str, named: Mapping[str, Parameter], taken: set[str]) -> None:
    if keyword not in named:
        raise Fault(lambda span: calls.unknown_keyword(span, callee.name, keyword, tuple(named)))
    if keyword in taken:
        raise Fault(lambda span: calls.argument_given_twice(span, callee.name, keyword))


def _before_variadic(callee: Callee) -> list[Parameter]:
    return [item for item in callee.parameters if not item.variadic and not item.keyword_only]


def _parameters(build: Callable[..., Any]) -> Iterable[Parameter]:
    hints = get_type_hints(build, include_extras=True)
    for name, item in inspect.signature(build).parameters.items():
        kind = _kind(hints[name])
        if kind is not None:
            variadic = item.kind is inspect.Parameter.VAR_POSITIONAL
            keyword_only = item.kind is inspect.Parameter.KEYWORD_ONLY
            yield Parameter(name.rstrip("_"), kind, item.default, variadic, keyword_only)


def _kind(annotation: Any) -> ArgumentKind | None:
    """The kind in `Annotated[..., kind]` or in `Annotated[..., kind] | None`."""
    for part in get_args(annotation):
        if isinstance(part, ArgumentKind):
            return part
        inner = _kind(part)
        if inner is not None:
            return inner
    return None


def _shown(default: Any) -> str:
    match default:
        case None:
            return "none"
        case WordCall():
            return default.name
        case tuple():
            return str(default[0]) if len(default) == 1 else str(list(default))
        case _:
            return found(default)


def call_text(name: str, options: Mapping[str, Any]) -> str:
    """A call as an author would write it with every option: `smoothgrad(samples=16, std=0.1)`."""
    return f"{name}({', '.join(f'{key}={_shown(value)}' for key, value in options.items())})" if options else name


def _split(build: Callable[..., Any]) -> tuple[str, str]:
    """The docstring without the paragraph that begins with `Example:`, and the example."""
    paragraphs = inspect.cleandoc(build.__doc__ or "").split("\n\n")
    prose = [item for item in paragraphs if not item.startswith("Example:")]
    examples = [item.removeprefix("Example:").strip() for item in paragraphs if item.startswith("Example:")]
    return "\n\n".join(prose), examples[0] if examples else ""

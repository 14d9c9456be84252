"""Calls of language functions: each argument is evaluated as its annotation asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from isocline_compiler.graph import Fault, Node, at, topological
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.weights import LayerScope
from isocline_compiler.passes.share import shared
from isocline_compiler.passes.simplify import simplified
from isocline_compiler.vocabulary.functions.ensembles import OVER, members
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.record import Function, Parameter, apply, bind, check
from isocline_dsl.messages import calls
from isocline_dsl.tree import Array, Attribute, Call, Expression, Identifier, Name, Span

WORTH_TIDYING = 20
"""Operations of what is differentiated: below, the passes do it later."""


@dataclass(frozen=True)
class Evaluation:
    """How arguments become values where a call stands, and where the weights that the call makes are kept."""

    node: Callable[[Expression], Node]
    solution: Callable[[Expression], Node]
    """A state of a solution, any of them where it has several; of another value the value itself."""
    numbers: Numbers
    scope: LayerScope


def call_function(function: Function, call: Call, arguments: Sequence[Expression], place: Evaluation) -> Node:
    """Bind, evaluate, check, build. Raises LowerError at the argument or the call that is at fault."""
    keywords = [(item.name.text, item.value) for item in call.keywords]
    pairs = [
        (parameter, argument(expression, parameter, function, place), expression)
        for parameter, expression in bind(function, arguments, keywords)
    ]
    for parameter, value, expression in pairs:
        _checked(function, parameter, value, expression.span)
    place.scope.begin(function.name, call.span)
    with at(call.span):
        given = _for_each_member([(parameter, value) for parameter, value, _ in pairs], place.scope.table.members)
        result = apply(function, given, place.scope)
    assert isinstance(result, Node)
    return _tidied(result, pairs) if function.kind == "derivative" else result


def _for_each_member(pairs: Sequence[tuple[Parameter, Any]], count: int | None) -> Sequence[tuple[Parameter, Any]]:
    """What is reduced with `over=samples` gets the axis of the ensemble, where the file has one."""
    over = any(parameter.name == "over" and value.name in OVER for parameter, value in pairs)
    if count is None or not over:
        return pairs
    return [(parameter, members(value, count) if isinstance(value, Node) else value) for parameter, value in pairs]


def _tidied(derivative: Node, pairs: Sequence[tuple[Parameter, Any, Expression]]) -> Node:
    """A derivative with what differentiating made shared and simplified: one of it is smaller by as much each time.

    What it was made from stays: a name for it may be differentiated by later.
    """
    given = topological([value for _, value, _ in pairs if isinstance(value, Node)])
    if len(given) < WORTH_TIDYING:
        return derivative
    shorter = simplified(derivative, given)
    return shared([shorter], given)[0]


def _checked(function: Function, parameter: Parameter, value: Any, span: Span) -> None:
    try:
        check(function, parameter, value)
    except Fault as fault:
        raise LowerError(fault.make(span)) from None


def argument(expression: Expression, parameter: Parameter, function: Function, place: Evaluation) -> Any:
    """The Python value of one argument, by the kind of its parameter."""
    kind = parameter.kind.name
    if kind == "value":
        return place.node(expression)
    if kind == "solution":
        return place.solution(expression)
    if kind == "word":
        return word(expression, function.name, place.numbers)
    return plain(expression, kind, place.numbers)


def plain(expression: Expression, kind: str, numbers: Numbers) -> Any:
    """A number, a list of whole numbers, or true and false; what cannot be evaluated is a LowerError."""
    if kind == "flag" and isinstance(expression, Name) and expression.text in ("true", "false"):
        return expression.text == "true"
    if kind == "field" and isinstance(expression, Name):
        return expression.text
    if isinstance(expression, Array):
        return tuple(numbers.real(item) for item in expression.items)
    return numbers.real(expression)


def word(expression: Expression, callee: str, numbers: Numbers) -> WordCall:
    """`zeros`, `normal(0.1)`, `antisymmetric(damping=0.1)`."""
    match expression:
        case Name(text=text):
            return WordCall(text, (), (), expression.span)
        case Call(name=Identifier(text=text), arguments=arguments, keywords=keywords):
            positional = tuple(float(numbers.real(item)) for item in arguments)
            named = tuple((item.name.text, float(numbers.real(item.value))) for item in keywords)
            return WordCall(text, positional, named, expression.span)
        case Attribute():
            pass
    raise LowerError(calls.wrong_argument(expression.span, callee, "argument", "a word", "an expression"))

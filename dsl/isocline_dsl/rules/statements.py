"""The rules of statements; an assignment may turn out to be a differential equation."""

from __future__ import annotations

from typing import Any

from lark import Token, Transformer

from isocline_dsl import tree
from isocline_dsl.layout import span_of
from isocline_dsl.messages import fractional
from isocline_dsl.rules.pieces import (
    Bare,
    Beside,
    Children,
    Fault,
    Listed,
    Several,
    after,
    identifier,
    nodes_of,
    span_over,
)
from isocline_dsl.tree import Span


class Statements(Transformer[Token, Any]):
    """What stands in the braces of a net, a field or a scan."""

    def assign(self, c: Children) -> tree.Node:
        here = tree.Assign(identifier(c[0]), c[2], span=span_over(c))
        beside = any(isinstance(term, Beside) for _, term in _summands(c[2]))
        return _differential(here) if beside and len(c[0]) > 1 and c[0].startswith("d") else here

    def jump(self, c: Children) -> tree.Jump:
        names = next((item.items for item in c if isinstance(item, Several)), ())
        over = tuple(item for item in nodes_of(c) if not isinstance(item, Several))
        body = tuple(next(item for item in c if isinstance(item, Listed)).items())
        return tree.Jump(names, over, body, span=span_over(c))

    def event(self, c: Children) -> tree.Event:
        body = tuple(next(item for item in c if isinstance(item, Listed)).items())
        return tree.Event(after(c, "WHEN"), body, span=span_over(c))

    def equation(self, c: Children) -> tree.Equation:
        return tree.Equation(identifier(c[0]), len(c[1]), c[3], span=span_over(c))

    def fractional(self, c: Children) -> tree.Node:
        here = tree.Equation(identifier(c[2]), 1, c[7], c[4], span=span_over(c))
        return here if c[0] == "D" else Fault(fractional.not_a_derivative(span_of(c[0]), str(c[0])), span=span_over(c))


def _summands(value: Any) -> list[tuple[str, Any]]:
    """The terms of a sum with their signs, from left to right; no recursion."""
    terms: list[tuple[str, Any]] = []
    while isinstance(value, tree.Binary) and value.operator in "+-":
        terms.append((value.operator, value.right))
        value = value.left
    terms.append(("+", value))
    return terms[::-1]


def differential_of(line: Any, states: set[str]) -> Any:
    """`dx = dW` looks like an assignment until one knows that x is a state."""
    if isinstance(line, tree.Assign) and line.name.text[:1] == "d" and line.name.text[1:] in states:
        return _differential(line)
    return line


def _differential(line: tree.Assign) -> tree.Differential:
    name = line.name
    state = tree.Identifier(name.text[1:], span=Span(name.span.start + 1, name.span.stop))
    terms = tuple(_term(sign, value) for sign, value in _summands(line.value))
    return tree.Differential(state, terms, span=line.span)


def _term(sign: str, value: Any) -> Any:
    if isinstance(value, Beside):
        return tree.Term(sign, value.factor, value.differential, value.entry, span=value.span)
    match value:
        case tree.Binary(operator="@", left=factor, right=tree.Name() as name):
            return tree.Term(sign, factor, _named(name), product=True, span=value.span)
        case tree.Index(value=tree.Name() as name, items=(entry,)) if not isinstance(entry, tree.Slice):
            return tree.Term(sign, None, _named(name), entry, span=value.span)
        case tree.Name() as name if name.text.startswith("d") and len(name.text) > 1:
            return tree.Term(sign, None, _named(name), span=value.span)
    return Bare(value, span=value.span)


def _named(name: tree.Name) -> tree.Identifier:
    return tree.Identifier(name.text, span=name.span)

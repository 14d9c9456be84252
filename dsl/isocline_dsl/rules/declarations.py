"""The rules of declarations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lark import Token, Transformer

from isocline_dsl import tree
from isocline_dsl.layout import span_of
from isocline_dsl.messages import syntax
from isocline_dsl.rules.pieces import (
    Children,
    Clause,
    Fault,
    Listed,
    Model,
    Several,
    Version,
    after,
    called,
    description,
    first,
    identifier,
    nodes_of,
    of_kind,
    span_over,
    unit_of,
    unquoted,
    words,
)
from isocline_dsl.rules.statements import differential_of


class Declarations(Transformer[Token, Any]):
    """What a program consists of, its blocks aside."""

    def version(self, c: Children) -> Version:
        return Version(tree.Number(str(c[1]), span=span_of(c[1])), span=span_over(c))

    def model(self, c: Children) -> Model:
        return Model(identifier(c[1]), description(c), span=span_over(c))

    def use(self, c: Children) -> tree.Use:
        return tree.Use(unquoted(c[1]), span=span_over(c))

    def const(self, c: Children) -> tree.Const:
        return tree.Const(identifier(c[1]), after(c, "EQUAL"), first(c, tree.TypeName), span=span_over(c))

    def input(self, c: Children) -> Several:
        arguments, faults = typed(of_kind(c, tree.Argument))
        tail = first(c, tree.Interval), after(c, "EQUAL"), unit_of(c), description(c)
        made = tuple(tree.Input(a.name, a.type, *tail, span=span_over(c)) for a in arguments if a.type is not None)
        return Several(made, faults)

    def target(self, c: Children) -> Several:
        arguments, faults = typed(of_kind(c, tree.Argument))
        unit, said = unit_of(c), description(c)
        made = tuple(
            tree.Target(a.name, a.type, unit, said, span=span_over(c)) for a in arguments if a.type is not None
        )
        return Several(made, faults)

    def param(self, c: Children) -> tree.Param:
        group = identifier(c[3]) if isinstance(c[2], Token) and c[2].type == "LSQB" else None
        return tree.Param(
            c[1].items,
            next(child for child in c if isinstance(child, tree.TypeName)),
            first(c, tree.Interval),
            after(c, "EQUAL"),
            called(after(c, "TILDE")),
            unit_of(c),
            description(c),
            group,
            span=span_over(c),
        )

    def net(self, c: Children) -> Several:
        return _net(tree.Net, c)

    def net_block(self, c: Children) -> Several:
        return _net_block(tree.Net, c)

    def function(self, c: Children) -> Several:
        return _net(tree.Function, c)

    def function_block(self, c: Children) -> Several:
        return _net_block(tree.Function, c)

    def field(self, c: Children) -> Several:
        name = identifier(c[1])
        time, *states = of_kind(c, tree.Argument) or (tree.Argument(name),)
        faults: tuple[Fault, ...] = ()
        if time.type is not None or time.name is name:
            faults = (Fault(syntax.field_without_time(time.span if time.type else name.span, name.text)),)
        arguments, untyped = typed(states)
        lines = next(x for x in c if isinstance(x, Listed)).items()
        body = tuple(differential_of(line, {a.name.text for a in arguments}) for line in lines)
        per_step = any(isinstance(x, Clause) for x in c)
        made = tree.Field(name, time.name, arguments, body, per_step, span=span_over(c))
        return Several((made,), faults + untyped)

    def per_step(self, c: Children) -> Clause:
        return Clause("per step", span=span_over(c))

    def control(self, c: Children) -> tree.Control:
        return tree.Control(identifier(c[1]), c[3], span=span_over(c))

    def output(self, c: Children) -> tree.Output:
        value = after(c, "EQUAL")
        return tree.Output(identifier(c[1]), value, unit_of(c), description(c), span=span_over(c))

    def noise(self, c: Children) -> tree.NoiseDeclaration:
        convention = identifier(c[4]) if len(c) == 5 else None
        type_, call = c[3] if isinstance(c[3], tuple) else (c[3], None)
        arguments = call.arguments if call is not None else ()
        return tree.NoiseDeclaration(identifier(c[1]), type_, convention, arguments, span=span_over(c))

    def process(self, c: Children) -> tuple[tree.TypeName, tree.Call]:
        return tree.TypeName(c[0].name, nodes_of(c[1:]), span=span_over(c)), c[0]

    def unit(self, c: Children) -> Clause:
        return Clause(unquoted(c[1]), span=span_over(c))

    def bounds(self, c: Children) -> tree.Interval:
        return tree.Interval(c[2], c[4], span=span_over(c))

    def names(self, c: Children) -> Several:
        return Several(tuple(identifier(word) for word in words(c)), span=span_over(c))

    def argument(self, c: Children) -> tree.Argument:
        return tree.Argument(identifier(c[0]), first(c, tree.TypeName), span=span_over(c))

    def type(self, c: Children) -> tree.TypeName:
        return tree.TypeName(identifier(c[0]), nodes_of(c), span=span_over(c))


def _net(kind: type[tree.Net], c: Children) -> Several:
    """`net f(z: real[2]) = ...`, and the same of a function."""
    arguments, faults = typed(of_kind(c, tree.Argument))
    result_type = first(c, tree.TypeName)
    made = kind(identifier(c[1]), arguments, after(c, "EQUAL"), result_type, span=span_over(c))
    return Several((made,), faults)


def _net_block(kind: type[tree.Net], c: Children) -> Several:
    """`net f(z: real[2]) { ... }`: definitions, and the result last."""
    arguments, faults = typed(of_kind(c, tree.Argument))
    lines = next(x for x in c if isinstance(x, Listed)).items()
    *before, result = lines or [None]
    if result is None or isinstance(result, tree.Assign):
        missing = syntax.net_without_result(span_of(c[-1]), str(c[1]))
        return Several((), (*faults, Fault(missing)))
    body = tuple(line for line in before if isinstance(line, tree.Assign))
    unused = (line for line in before if not isinstance(line, tree.Assign))
    faults += tuple(Fault(syntax.expression_not_last(line.span, str(c[1]))) for line in unused)
    made = kind(identifier(c[1]), arguments, result, first(c, tree.TypeName), body, span=span_over(c))
    return Several((made,), faults)


def typed(arguments: Sequence[tree.Argument]) -> tuple[tuple[tree.Argument, ...], tuple[Fault, ...]]:
    """Give each argument the type that follows it (`q, p: real`); faults for those that no type follows."""
    done: list[tree.Argument] = []
    following: tree.TypeName | None = None
    faults: list[Fault] = []
    for argument in reversed(arguments):
        following = argument.type or following
        if following is None:
            faults.append(Fault(syntax.argument_without_type(argument.span, argument.name.text)))
        done.append(replace(argument, type=following))
    return tuple(reversed(done)), tuple(faults)

"""The rules of expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lark import Token, Transformer

from isocline_dsl import tree
from isocline_dsl.messages import syntax
from isocline_dsl.rules.pieces import (
    Beside,
    Children,
    Fault,
    Listed,
    after,
    called,
    count_primes,
    identifier,
    nodes_of,
    of_kind,
    span_over,
    unquoted,
)
from isocline_dsl.tree import Span


class Expressions(Transformer[Token, Any]):
    """Whatever has a value."""

    def solve(self, c: Children) -> tree.Solve:
        everywhere = any(isinstance(x, Token) and x.type == "AT" for x in c)
        samples: Any = after(c, "SAMPLES")
        ordering = None
        if isinstance(samples, Beside) and samples.entry is None:  # `samples 256 antithetic`
            samples, ordering = samples.factor, samples.differential
        return tree.Solve(
            identifier(c[1]),
            of_kind(c, tree.Binding),
            after(c, "AT" if everywhere else "OVER"),
            everywhere,
            called(after(c, "WITH")),
            samples,
            ordering,
            span=span_over(c),
        )

    def range(self, c: Children) -> tree.Range:
        return tree.Range(c[0], c[2], c[4] if len(c) > 3 else None, span=span_over(c))

    def scan(self, c: Children) -> tree.Scan:
        begin = next(i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "OVER")
        end = next(i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "FROM")
        body = tuple(next(x for x in c if isinstance(x, Listed)).items())
        return tree.Scan(c[2].items, nodes_of(c[begin:end]), of_kind(c[end:], tree.Binding), body, span=span_over(c))

    def piped(self, c: Children) -> tree.Pipe:
        made: tree.Pipe = replace(c[2], value=c[0], span=span_over(c))
        return made

    def stage(self, c: Children) -> tree.Pipe:
        bare = isinstance(c[0], Token)
        call = tree.Call(identifier(c[0]), span=span_over(c)) if bare else c[0]
        return tree.Pipe(call, call, bare, span=span_over(c))

    def binary(self, c: Children) -> tree.Binary:
        return tree.Binary(str(c[1]), c[0], c[2], span=span_over(c))

    def unary(self, c: Children) -> tree.Unary:
        return tree.Unary(str(c[0]), c[1], span=span_over(c))

    def beside(self, c: Children) -> Beside:
        return Beside(c[0], identifier(c[1]), c[3] if len(c) > 2 else None, span=span_over(c))

    def index(self, c: Children) -> tree.Index:
        return tree.Index(c[0], nodes_of(c[1:]), span=span_over(c))

    def slice(self, c: Children) -> tree.Slice:
        parts: list[Any] = [None, None, None]
        place = 0
        for child in c:
            if isinstance(child, Token):
                place += 1
            else:
                parts[place] = child
        return tree.Slice(*parts, span=span_over(c))

    def attribute(self, c: Children) -> tree.Attribute:
        return tree.Attribute(c[0], identifier(c[2]), count_primes(c), span=span_over(c))

    def name(self, c: Children) -> tree.Name:
        return tree.Name(identifier(c[0]).text, span=span_over(c))

    def derivative(self, c: Children) -> tree.Derivative:
        return tree.Derivative(identifier(c[0]), len(c[1]), span=span_over(c))

    def late_slope(self, c: Children) -> tree.Call:
        slope = tree.Identifier(str(c[0]) + "'" * len(c[1]), span=span_over(c[:2]))
        return tree.Call(slope, nodes_of(c), span=span_over(c))

    def number(self, c: Children) -> tree.Number:
        return tree.Number(str(c[0]), span=span_over(c))

    def string(self, c: Children) -> tree.String:
        return tree.String(unquoted(c[0]), span=span_over(c))

    def parenthesised(self, c: Children) -> tree.Node:
        inner: tree.Node = c[1]
        return replace(inner, span=span_over(c))

    def array(self, c: Children) -> tree.Array:
        return tree.Array(nodes_of(c), span=span_over(c))

    def keyword(self, c: Children) -> tree.Keyword:
        return tree.Keyword(identifier(c[0]), c[2], span=span_over(c))

    def call(self, c: Children) -> tree.Call:
        name = identifier(c[0])
        given = nodes_of(c)
        positional = tuple(g for g in given if not isinstance(g, tree.Keyword))
        keywords = tuple(g for g in given if isinstance(g, tree.Keyword))
        faults = tuple(_argument_faults(name.text, given))
        return tree.Call(name, positional + faults, keywords, span=span_over(c))


def _argument_faults(call: str, given: Sequence[tree.Node]) -> Iterable[Any]:
    names: dict[str, Span] = {}
    for argument in given:
        if not isinstance(argument, tree.Keyword):
            if names:
                yield Fault(syntax.positional_after_keyword(argument.span, call))
        elif argument.name.text in names:
            yield Fault(syntax.keyword_twice(argument.span, argument.name.text, names[argument.name.text]))
        else:
            names[argument.name.text] = argument.span

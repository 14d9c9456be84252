"""The rules of the blocks `data`, `train` and `deploy`."""

from __future__ import annotations

from typing import Any

from lark import Token

from isocline_dsl import tree
from isocline_dsl.rules.expressions import Expressions
from isocline_dsl.rules.pieces import Children, Several, called, count_primes, identifier, nodes_of, of_kind, span_over


class Blocks(Expressions):
    """Settings, and what stands beside them in a block."""

    def block(self, c: Children) -> tree.Block:
        named = c[1].type == "NAME"
        name = identifier(c[1]) if named else None
        return tree.Block(str(c[0]), tuple(c[2 + named].items()), name, span=span_over(c))

    def setting(self, c: Children) -> tree.Setting:
        values: list[Any] = []
        for value in nodes_of(c):
            values.extend(value.items if isinstance(value, Several) else (value,))
        return tree.Setting(identifier(c[0]), tuple(values), span=span_over(c))

    def word_range(self, c: Children) -> Several:
        start = self.number(c[1:2])
        step = c[5] if len(c) > 5 else None
        return Several((self.name(c[:1]), tree.Range(start, c[3], step, span=span_over(c[1:]))), span=span_over(c))

    def binding(self, c: Children) -> tree.Binding:
        return tree.Binding(identifier(c[0]), c[2], span=span_over(c))

    def initial(self, c: Children) -> tree.Binding:
        times = [identifier(x) for x in c[1:-1] if isinstance(x, Token) and x.type == "NAME"]
        return tree.Binding(identifier(c[0]), c[-1], count_primes(c), times[0] if times else None, span=span_over(c))

    def draw(self, c: Children) -> tree.Draw:
        type_, call = c[3] if isinstance(c[3], tuple) else (c[3], None)
        given = (call.arguments, call.keywords) if call is not None else ((), ())
        return tree.Draw(identifier(c[1]), type_, *given, span=span_over(c))

    def attribution(self, c: Children) -> tree.Attribution:
        methods = tuple(called(stage) for stage in of_kind(c, tree.Pipe))
        return tree.Attribution(identifier(c[1]), c[3].items, methods, span=span_over(c))

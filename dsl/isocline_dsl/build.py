"""From what the parser reduces to nodes of the tree: one method for each rule of the grammar.

Mistakes that the grammar lets through become `Fault` nodes, which the parser collects when it is done; the methods run
inside the parser and must not raise.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

from lark import Token, Transformer

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.layout import span_of
from isocline_dsl.messages import syntax
from isocline_dsl.tree import Span

Children: TypeAlias = list[Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Fault(tree.Node):
    """A mistake found while building, left in the tree where it was found."""

    diagnostic: Diagnostic


@dataclass(frozen=True)
class Beside(tree.Node):
    """`mu*s dt`: a product and the name after it. Only in a differential equation, where it becomes a `Term`."""

    factor: tree.Expression
    differential: tree.Identifier


@dataclass(frozen=True)
class Bare(tree.Node):
    """A term of a differential equation that has no differential."""

    term: tree.Expression


@dataclass(frozen=True)
class Version(tree.Node):
    """`dyn 1`."""

    number: tree.Number


@dataclass(frozen=True)
class Model(tree.Node):
    """`model NAME "description"`."""

    name: tree.Identifier
    description: str | None


@dataclass(frozen=True)
class Several(tree.Node):
    """Nodes that one statement or rule made, and the faults beside them."""

    items: tuple[Any, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A list of statements, as pairs of what came before and the last one: shared, never changed."""

    before: Listed | None
    last: Any

    def items(self) -> list[Any]:
        found: list[Any] = []
        here: Listed | None = self
        while here is not None:
            if here.last is not None:
                found.append(here.last)
            here = here.before
        return found[::-1]


@dataclass(frozen=True)
class Clause(tree.Node):
    """What `unit "kW"` said, or that there was a `weights per step`."""

    text: str


def _span(children: Sequence[Any]) -> Span:
    """From the first child to the last."""
    spans = [span_of(c) if isinstance(c, Token) else c.span for c in children if isinstance(c, (Token, tree.Node))]
    return spans[0].to(spans[-1]) if spans else Span()


def _identifier(token: Token) -> tree.Identifier:
    return tree.Identifier(unicodedata.normalize("NFC", str(token)), span=span_of(token))


def _text(token: Token) -> str:
    raw = str(token)[1:-1]
    return raw.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


def _words(children: Children) -> list[Token]:
    return [c for c in children if isinstance(c, Token) and c.type == "NAME"]


def _primes(children: Children) -> int:
    return sum(len(c) for c in children if isinstance(c, Token) and c.type == "PRIME")


def _nodes(children: Children, kind: type[Kind]) -> tuple[Kind, ...]:
    return tuple(c for c in children if isinstance(c, kind))


def _first(children: Children, kind: type[Kind]) -> Kind | None:
    return next((c for c in children if isinstance(c, kind)), None)


def _after(children: Children, sign: str) -> Any:
    """The child after the token of this kind, or None when the token is not there."""
    for here, following in pairwise(children):
        if isinstance(here, Token) and here.type == sign:
            return following
    return None


def _last_string(children: Children) -> str | None:
    last = children[-1]
    return _text(last) if isinstance(last, Token) and last.type == "STRING" else None


def _expressions(children: Children) -> tuple[Any, ...]:
    return tuple(c for c in children if isinstance(c, tree.Node))


class Builder(Transformer[Token, Any]):
    """Methods named after the rules of `grammar.lark`; children are tokens and nodes, in the order of the text."""

    # ------------------------------------------------------------------------------------------------ lists

    def items(self, c: Children) -> Listed:
        return Listed(None, c[0]) if len(c) == 1 else Listed(c[0], c[2])

    parts = statements = settings = items

    def slot(self, c: Children) -> tree.Node | None:
        return c[0] if c else None

    part = statement = setting_slot = slot

    def program(self, c: Children) -> list[Any]:
        return list(flat(c[0].items()))

    # ----------------------------------------------------------------------------------------- declarations

    def version(self, c: Children) -> Version:
        return Version(tree.Number(str(c[1]), span=span_of(c[1])), span=_span(c))

    def model(self, c: Children) -> Model:
        return Model(_identifier(c[1]), _last_string(c), span=_span(c))

    def const(self, c: Children) -> tree.Const:
        return tree.Const(_identifier(c[1]), _after(c, "EQUAL"), _first(c, tree.TypeName), span=_span(c))

    def input(self, c: Children) -> Several:
        arguments, faults = typed(_nodes(c, tree.Argument))
        bounds, unit, said = _first(c, tree.Interval), _unit(c), _last_string(c)
        made = tuple(
            tree.Input(a.name, a.type, bounds, unit, said, span=_span(c)) for a in arguments if a.type is not None
        )
        return Several(made, faults)

    def target(self, c: Children) -> Several:
        arguments, faults = typed(_nodes(c, tree.Argument))
        unit, said = _unit(c), _last_string(c)
        made = tuple(tree.Target(a.name, a.type, unit, said, span=_span(c)) for a in arguments if a.type is not None)
        return Several(made, faults)

    def param(self, c: Children) -> tree.Param:
        return tree.Param(
            c[1].items,
            c[3],
            _first(c, tree.Interval),
            _after(c, "EQUAL"),
            _called(_after(c, "TILDE")),
            _unit(c),
            _last_string(c),
            span=_span(c),
        )

    def net(self, c: Children) -> Several:
        arguments, faults = typed(_nodes(c, tree.Argument))
        kind = _first(c, tree.TypeName)
        made = tree.Net(_identifier(c[1]), arguments, _after(c, "EQUAL"), kind, span=_span(c))
        return Several((made,), faults)

    def net_block(self, c: Children) -> Several:
        arguments, faults = typed(_nodes(c, tree.Argument))
        lines = next(x for x in c if isinstance(x, Listed)).items()
        *before, result = lines or [None]
        if result is None or isinstance(result, tree.Assign):
            missing = syntax.net_without_result(span_of(c[-1]), str(c[1]))
            return Several((), (*faults, Fault(missing)))
        body = tuple(line for line in before if isinstance(line, tree.Assign))
        unused = (line for line in before if not isinstance(line, tree.Assign))
        faults += tuple(Fault(syntax.expression_not_last(line.span, str(c[1]))) for line in unused)
        kind = _first(c, tree.TypeName)
        return Several((tree.Net(_identifier(c[1]), arguments, result, kind, body, span=_span(c)),), faults)

    def field(self, c: Children) -> Several:
        name = _identifier(c[1])
        time, *states = _nodes(c, tree.Argument) or (tree.Argument(name),)
        faults: tuple[Fault, ...] = ()
        if time.type is not None or time.name is name:
            faults = (Fault(syntax.field_without_time(time.span if time.type else name.span, name.text)),)
        arguments, untyped = typed(states)
        lines = next(x for x in c if isinstance(x, Listed)).items()
        body = tuple(_differential_of(line, {a.name.text for a in arguments}) for line in lines)
        per_step = any(isinstance(x, Clause) for x in c)
        made = tree.Field(name, time.name, arguments, body, per_step, span=_span(c))
        return Several((made,), faults + untyped)

    def per_step(self, c: Children) -> Clause:
        return Clause("per step", span=_span(c))

    def control(self, c: Children) -> tree.Control:
        return tree.Control(_identifier(c[1]), c[3], span=_span(c))

    def output(self, c: Children) -> tree.Output:
        value = _after(c, "EQUAL")
        return tree.Output(_identifier(c[1]), value, _unit(c), _last_string(c), span=_span(c))

    def noise(self, c: Children) -> tree.NoiseDeclaration:
        convention = _identifier(c[4]) if len(c) == 5 else None
        return tree.NoiseDeclaration(_identifier(c[1]), c[3], convention, span=_span(c))

    def unit(self, c: Children) -> Clause:
        return Clause(_text(c[1]), span=_span(c))

    def bounds(self, c: Children) -> tree.Interval:
        return tree.Interval(c[2], c[4], span=_span(c))

    def names(self, c: Children) -> Several:
        return Several(tuple(_identifier(word) for word in _words(c)), span=_span(c))

    def argument(self, c: Children) -> tree.Argument:
        return tree.Argument(_identifier(c[0]), _first(c, tree.TypeName), span=_span(c))

    def type(self, c: Children) -> tree.TypeName:
        return tree.TypeName(_identifier(c[0]), _expressions(c), span=_span(c))

    # ------------------------------------------------------------------------------------------- statements

    def assign(self, c: Children) -> tree.Node:
        here = tree.Assign(_identifier(c[0]), c[2], span=_span(c))
        beside = any(isinstance(term, Beside) for _, term in _summands(c[2]))
        return _differential(here) if beside and len(c[0]) > 1 and c[0].startswith("d") else here

    def equation(self, c: Children) -> tree.Equation:
        return tree.Equation(_identifier(c[0]), len(c[1]), c[3], span=_span(c))

    # ----------------------------------------------------------------------------------------------- blocks

    def block(self, c: Children) -> tree.Block:
        return tree.Block(str(c[0]), tuple(c[2].items()), span=_span(c))

    def setting(self, c: Children) -> tree.Setting:
        values: list[Any] = []
        for value in _expressions(c):
            values.extend(value.items if isinstance(value, Several) else (value,))
        return tree.Setting(_identifier(c[0]), tuple(values), span=_span(c))

    def word_range(self, c: Children) -> Several:
        start = self.number(c[1:2])
        step = c[5] if len(c) > 5 else None
        return Several((self.name(c[:1]), tree.Range(start, c[3], step, span=_span(c[1:]))), span=_span(c))

    def binding(self, c: Children) -> tree.Binding:
        return tree.Binding(_identifier(c[0]), c[2], span=_span(c))

    def initial(self, c: Children) -> tree.Binding:
        return tree.Binding(_identifier(c[0]), c[-1], _primes(c), span=_span(c))

    def draw(self, c: Children) -> tree.Draw:
        return tree.Draw(_identifier(c[1]), c[3], span=_span(c))

    def attribution(self, c: Children) -> tree.Attribution:
        methods = tuple(_called(stage) for stage in _nodes(c, tree.Pipe))
        return tree.Attribution(_identifier(c[1]), c[3].items, methods, span=_span(c))

    # ------------------------------------------------------------------------------------------ expressions

    def solve(self, c: Children) -> tree.Solve:
        everywhere = any(isinstance(x, Token) and x.type == "AT" for x in c)
        return tree.Solve(
            _identifier(c[1]),
            _nodes(c, tree.Binding),
            _after(c, "AT" if everywhere else "OVER"),
            everywhere,
            _called(_after(c, "WITH")),
            _after(c, "SAMPLES"),
            span=_span(c),
        )

    def range(self, c: Children) -> tree.Range:
        return tree.Range(c[0], c[2], c[4] if len(c) > 3 else None, span=_span(c))

    def scan(self, c: Children) -> tree.Scan:
        begin = next(i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "OVER")
        end = next(i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "FROM")
        body = tuple(next(x for x in c if isinstance(x, Listed)).items())
        return tree.Scan(c[2].items, _expressions(c[begin:end]), _nodes(c[end:], tree.Binding), body, span=_span(c))

    def piped(self, c: Children) -> tree.Pipe:
        made: tree.Pipe = replace(c[2], value=c[0], span=_span(c))
        return made

    def stage(self, c: Children) -> tree.Pipe:
        bare = isinstance(c[0], Token)
        call = tree.Call(_identifier(c[0]), span=_span(c)) if bare else c[0]
        return tree.Pipe(call, call, bare, span=_span(c))

    def binary(self, c: Children) -> tree.Binary:
        return tree.Binary(str(c[1]), c[0], c[2], span=_span(c))

    def unary(self, c: Children) -> tree.Unary:
        return tree.Unary(str(c[0]), c[1], span=_span(c))

    def beside(self, c: Children) -> Beside:
        return Beside(c[0], _identifier(c[1]), span=_span(c))

    def index(self, c: Children) -> tree.Index:
        return tree.Index(c[0], _expressions(c[1:]), span=_span(c))

    def slice(self, c: Children) -> tree.Slice:
        parts: list[Any] = [None, None, None]
        place = 0
        for child in c:
            if isinstance(child, Token):
                place += 1
            else:
                parts[place] = child
        return tree.Slice(*parts, span=_span(c))

    def attribute(self, c: Children) -> tree.Attribute:
        return tree.Attribute(c[0], _identifier(c[2]), _primes(c), span=_span(c))

    def name(self, c: Children) -> tree.Name:
        return tree.Name(_identifier(c[0]).text, span=_span(c))

    def derivative(self, c: Children) -> tree.Derivative:
        return tree.Derivative(_identifier(c[0]), len(c[1]), span=_span(c))

    def number(self, c: Children) -> tree.Number:
        return tree.Number(str(c[0]), span=_span(c))

    def string(self, c: Children) -> tree.String:
        return tree.String(_text(c[0]), span=_span(c))

    def parenthesised(self, c: Children) -> tree.Node:
        inner: tree.Node = c[1]
        return replace(inner, span=_span(c))

    def array(self, c: Children) -> tree.Array:
        return tree.Array(_expressions(c), span=_span(c))

    def keyword(self, c: Children) -> tree.Keyword:
        return tree.Keyword(_identifier(c[0]), c[2], span=_span(c))

    def call(self, c: Children) -> tree.Call:
        name = _identifier(c[0])
        given = _expressions(c)
        positional = tuple(g for g in given if not isinstance(g, tree.Keyword))
        keywords = tuple(g for g in given if isinstance(g, tree.Keyword))
        faults = tuple(_argument_faults(name.text, given))
        return tree.Call(name, positional + faults, keywords, span=_span(c))


def flat(items: Iterable[Any]) -> Iterable[Any]:
    """Declarations and faults, where one statement made several."""
    for item in items:
        if isinstance(item, Several):
            yield from item.items
            yield from item.faults
        else:
            yield item


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


def _unit(children: Children) -> str | None:
    found = _first(children, Clause)
    return found.text if found else None


def _called(stage: Any) -> Any:
    return stage.stage if isinstance(stage, tree.Pipe) else None


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


# ------------------------------------------------------------------------------------- differential equations


def _summands(value: Any) -> list[tuple[str, Any]]:
    """The terms of a sum with their signs, from left to right; no recursion."""
    terms: list[tuple[str, Any]] = []
    while isinstance(value, tree.Binary) and value.operator in "+-":
        terms.append((value.operator, value.right))
        value = value.left
    terms.append(("+", value))
    return terms[::-1]


def _differential_of(line: Any, states: set[str]) -> Any:
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
        return tree.Term(sign, value.factor, value.differential, span=value.span)
    if isinstance(value, tree.Name) and value.text.startswith("d") and len(value.text) > 1:
        return tree.Term(sign, None, tree.Identifier(value.text, span=value.span), span=value.span)
    return Bare(value, span=value.span)

"""What the parser met and what it could have taken, in the words of the user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark import Token
from lark.parsers.lalr_interactive_parser import InteractiveParser

from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.layout import DECLARING, RESERVED, span_of
from isocline_dsl.messages import syntax
from isocline_dsl.tree import Span

_SIGNS = {
    "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}", "COLON": ":", "COMMA": ",",
    "EQUAL": "=", "TILDE": "~", "ARROW": "->", "RANGE": "..", "PIPE": "|>", "DOT": ".",
}  # fmt: skip
_OPERATORS = frozenset(
    {"PLUS", "MINUS", "STAR", "SLASH", "MATMUL", "CIRCUMFLEX", "COMPARE", "PIPE", "AND", "OR", "DOT"}
)
_BETWEEN = _OPERATORS - {"PIPE", "DOT"}
"""Operators that need something before them."""
_WORDS = {word.upper() for word in RESERVED | DECLARING} | {
    "SAMPLES",
    "STEP",
    "WRT",
    "BY",
    "UNIT",
    "WEIGHTS",
    "PER",
}

_ELSEWHERE = frozenset({"let", "var", "val", "def", "double", "float", "local", "auto"})
"""Words that begin an assignment in other languages."""


def unexpected_token(tokens: Sequence[Token], at: int, parser: InteractiveParser, text: str) -> Diagnostic:
    """The message for the token that the parser does not accept."""
    token, span = tokens[at], span_of(tokens[at])
    previous = tokens[at - 1] if at else None
    accepted = accepts(parser)
    if token.value in RESERVED and "NAME" in accepted and token.type != "NAME" and not _continues(previous):
        return syntax.reserved_word(span, token.value)
    if token.value == "unit" and at + 1 < len(tokens) and tokens[at + 1].type == "NAME":
        bare = tokens[at + 1]
        return syntax.unexpected(
            span_of(bare), _found(bare), "a text in quotes", f'a unit is a text: `unit "{bare.value}"`'
        )
    if token.type == "COMPARE" and previous is not None and _after_comparison(tokens, at):
        return syntax.comparison_chained(span)
    if previous is not None and token.type in _OPERATORS | {"LSQB", "RANGE"} and _in_stage(tokens, at):
        return syntax.pipeline_stage(span, f"`{token.value}`")
    if previous is not None and previous.type == "LSQB" and token.type == "RSQB":
        return syntax.slice_empty(span_of(previous).to(span))
    if previous is not None and token.type in ("NL", "RBRACE", "$END"):
        end = span_of(previous).stop
        return syntax.ends_too_soon(Span(end, end), _found(previous), _expected(accepted))
    if at > 1 and _after_side_by_side(tokens, at, accepted):
        before = tokens[at - 2]
        return syntax.side_by_side(span_of(before).to(span_of(tokens[at - 1])), before.value, tokens[at - 1].value)
    if previous is not None and _side_by_side(tokens, at, accepted):
        return syntax.side_by_side(span_of(previous).to(span), previous.value, token.value, _in_list(tokens, at))
    doubled = previous is not None and token.type == previous.type == "STAR"
    hint = "powers are written with `^`: `x^2`" if doubled else None
    if token.type == "EQUAL" and at > 1 and tokens[at - 2].type == "PARAM":
        hint = f"say what it is: `param {tokens[at - 1].value}: real = ...`"
    if previous is not None and previous.value in _ELSEWHERE and token.type == "NAME" and _begins(tokens, at - 1):
        hint = f"a value needs no word before it: `{token.value} = ...`"
    if token.type in _BETWEEN and _begins(tokens, at) and at:
        hint = f"end the line above in `{token.value}`, so that it goes on here"
    return syntax.unexpected(span, _found(token), _expected(accepted), hint)


def accepts(parser: InteractiveParser) -> set[str]:
    """The kinds of token that the parser would take now."""
    ask: Any = parser.accepts
    return set(ask())


def _continues(previous: Token | None) -> bool:
    return previous is not None and previous.type in ("RPAR", "RSQB", "NUMBER", "NAME")


def _begins(tokens: Sequence[Token], at: int) -> bool:
    return at == 0 or tokens[at - 1].type in ("NL", "LBRACE")


def _statement(tokens: Sequence[Token], at: int) -> Sequence[Token]:
    """The tokens of the statement before `at`, outside brackets that are closed again."""
    found: list[Token] = []
    depth = 0
    for token in reversed(tokens[:at]):
        depth += token.type in ("RPAR", "RSQB", "RBRACE")
        depth -= token.type in ("LPAR", "LSQB", "LBRACE")
        if depth < 0 or (depth == 0 and token.type in ("NL", "COMMA", "EQUAL", "RBRACE")):
            break
        if depth == 0:
            found.append(token)
    return found


def _side_by_side(tokens: Sequence[Token], at: int, accepted: set[str]) -> bool:
    """An operand stands directly after another, where an operator could stand."""
    operands = tokens[at].type in ("NAME", "NUMBER", "LPAR", "LSQB") and {"MINUS", "STAR"} <= accepted
    return operands and tokens[at - 1].type in ("NAME", "NUMBER", "RPAR", "RSQB") and not _begins(tokens, at - 1)


def _in_list(tokens: Sequence[Token], at: int) -> bool:
    """Whether the nearest bracket that is still open lists values, or the arguments of a call."""
    depth = 0
    for i in range(at - 1, -1, -1):
        kind = tokens[i].type
        depth += (kind in ("RPAR", "RSQB")) - (kind in ("LPAR", "LSQB"))
        if depth < 0:
            return kind == "LSQB" or (i > 0 and tokens[i - 1].type == "NAME")
        if kind in ("NL", "LBRACE"):
            return False
    return False


def _after_side_by_side(tokens: Sequence[Token], at: int, accepted: set[str]) -> bool:
    """`2k*x`: the two before could have been a term of a differential equation, which nothing may follow."""
    first, second = tokens[at - 2], tokens[at - 1]
    beside = first.type in ("NAME", "NUMBER", "RPAR", "RSQB") and second.type == "NAME" and not _begins(tokens, at - 2)
    follows = tokens[at].type in _OPERATORS | {"NAME", "NUMBER", "LPAR", "LSQB"}
    return beside and follows and "STAR" not in accepted


def _after_comparison(tokens: Sequence[Token], at: int) -> bool:
    return any(token.type == "COMPARE" for token in _statement(tokens, at))


def _in_stage(tokens: Sequence[Token], at: int) -> bool:
    """Whether the tokens before `at` are `|> name` or `|> name(...)`."""
    before = [token.type for token in _statement(tokens, at)[:3]]
    return before[:2] == ["NAME", "PIPE"] or before[:3] == ["LPAR", "NAME", "PIPE"]


def _found(token: Token) -> str:
    match token.type:
        case "NL":
            return "the end of the line"
        case "$END":
            return "the end of the file"
        case "NUMBER":
            return f"the number {token.value}"
        case "STRING":
            return f"the text {token.value}" if len(token.value) < 40 else "a text"
        case "NAME":
            return f"the name `{token.value}`"
    return f"`{token.value}`"


def _expected(accepted: set[str]) -> str:
    """What could have stood here, the most telling first."""
    parts: list[str] = []
    if {"NAME", "NUMBER"} <= accepted:
        parts.append("an expression")
    elif {"NAME", "CONST"} <= accepted:
        return "a declaration, such as `param`, `field` or `output`, or an assignment"
    elif "NAME" in accepted and "PIPE" not in accepted:
        parts.append("a name")
    elif "NUMBER" in accepted:
        parts.append("a number")
    if {"PLUS", "STAR"} <= accepted:
        parts.append("an operator")
    parts += [f"`{sign}`" for kind, sign in _SIGNS.items() if kind in accepted and _telling(kind, accepted)]
    parts += [f"`{word.lower()}`" for word in sorted(_WORDS & accepted - {"AND", "OR", "NOT", "SOLVE", "SCAN"})]
    parts += ["a text in quotes"] if "STRING" in accepted and "an expression" not in parts else []
    parts += ["the end of the line"] if accepted & {"NL", "$END"} else []
    return _listed(parts[:5])


def _telling(kind: str, accepted: set[str]) -> bool:
    """Openings of operands, and what any operand can be followed by, go without saying."""
    if {"NAME", "NUMBER"} <= accepted and kind in ("LPAR", "LSQB"):
        return False
    return not ({"PLUS", "STAR"} <= accepted and kind in ("LPAR", "LSQB", "DOT", "PIPE"))


def _listed(parts: Sequence[str]) -> str:
    if not parts:
        return "nothing more"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"

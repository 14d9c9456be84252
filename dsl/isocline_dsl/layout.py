"""Between lexer and parser: words become keywords, line ends become ends of statements, brackets are paired."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lark import Token

from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import syntax
from isocline_dsl.tree import Span

DEEPEST_BRACKETS = 100

RESERVED = frozenset({"solve", "scan", "from", "over", "at", "with", "in", "and", "or", "not"})
OF_SEVERAL_WORDS = frozenset({"native", "derivatives", "only"})
"""Settings of blocks that take names, separated by commas."""
DECLARING = frozenset(
    {"dyn", "model", "const", "input", "target", "param", "net", "function", "field", "control", "output", "noise"}
)
BLOCKS = frozenset({"data", "train", "deploy"})

_PAIRS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_SIGNS = {"LPAR": "(", "LSQB": "[", "LBRACE": "{", "RPAR": ")", "RSQB": "]", "RBRACE": "}"}
_OPENING = {closing: opening for opening, closing in _PAIRS.items()}
_OPERATORS = ("PLUS", "MINUS", "STAR", "SLASH", "MATMUL", "CIRCUMFLEX", "COMPARE", "AND", "OR", "NOT", "PIPE")
_LOOSENESS = {"PIPE": 0, "COMPARE": 1, "PLUS": 2, "MINUS": 2, "STAR": 3, "SLASH": 3, "MATMUL": 3, "CIRCUMFLEX": 4}
"""Operators that nest to one side, the loosest first; those of one number nest in one another."""
_SIGNS_BETWEEN = ("EQUAL", "RANGE", "COLON", "COMMA", "ARROW", "TILDE", "DOT", "LPAR", "LSQB")
_GOES_ON = frozenset({*_OPERATORS, *_SIGNS_BETWEEN, "IN", "FROM", "OVER", "AT", "WITH"})
_CONTINUES = frozenset({"from", "over", "at", "with"})
"""Words of a solve that may begin a line of their own."""
_OPERAND_ENDS = frozenset({"NAME", "NUMBER", "STRING", "RPAR", "RSQB", "RBRACE", "PRIME"})


def span_of(token: Token) -> Span:
    """Where a token stands."""
    start = token.start_pos or 0
    return Span(start, token.end_pos if token.end_pos is not None else start)


def arrange(tokens: Sequence[Token], length: int) -> tuple[list[Token], list[Diagnostic]]:
    """Tokens as the grammar wants them, and what is wrong with words, strings and brackets.

    Brackets that are missing are supplied and those in excess dropped, so that the parser can look at the rest.
    """
    layout = _Layout(list(tokens), length)
    layout.run()
    return layout.out, layout.diagnostics


@dataclass
class _Open:
    """An open bracket; `settings` inside the braces of `data`, `train` and `deploy`."""

    token: Token
    settings: bool = False


@dataclass
class _Layout:
    tokens: list[Token]
    length: int
    out: list[Token] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    brackets: list[_Open] = field(default_factory=list)
    at: int = 0
    skip: int = 0
    too_deep: bool = False
    chains: list[dict[int, int]] = field(default_factory=lambda: [{}])
    first: str = ""

    def run(self) -> None:
        for place, token in enumerate(self.tokens):
            self.at = place
            if place >= self.skip:
                self._take(token)
        self._close_down_to(0, "the end of the file", self.length)
        self._drop_line_end()

    # ------------------------------------------------------------------------------------------- one token

    def _take(self, token: Token) -> None:
        match token.type:
            case "LINE":
                self._line_end(token)
            case "SEMICOLON":
                self._statement_end(token)
            case "STRAY" | "OPEN_STRING":
                self._stray(token)
            case "LPAR" | "LSQB" | "LBRACE":
                self._open(token)
            case "RPAR" | "RSQB" | "RBRACE":
                self._close(token)
            case "NAME":
                self._word(token)
            case "STRING":
                self._string(token)
            case _:
                self._chain(token)
                self.out.append(token)

    def _next(self, ahead: int = 1) -> Token | None:
        """The token `ahead` places on, whatever it is."""
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def _next_is(self, kind: str, ahead: int = 1) -> bool:
        token = self._next(ahead)
        return token is not None and token.type == kind

    @property
    def _previous(self) -> str:
        return self.out[-1].type if self.out else "NL"

    @property
    def _begins_statement(self) -> bool:
        return self._previous in ("NL", "LBRACE")

    # --------------------------------------------------------------------------------------- ends of lines

    def _line_end(self, token: Token) -> None:
        if self._inside("LPAR", "LSQB") and not self._declaration_follows():
            return
        goes_on = self._previous in _GOES_ON and not self._statement_follows()
        if self._begins_statement or goes_on or self._continuation_follows():
            return
        if self._inside("LPAR", "LSQB"):
            self._close_down_to(self._depth_of_braces(), "the next declaration", token.start_pos or 0)
        self.chains[-1].clear()
        self.out.append(Token.new_borrow_pos("NL", token.value, token))

    def _statement_end(self, token: Token) -> None:
        self.chains[-1].clear()
        if not self._begins_statement:
            self.out.append(Token.new_borrow_pos("NL", token.value, token))

    def _continuation_follows(self) -> bool:
        """The next line begins with `|>`, or with a word of a solve that is not given a value."""
        ahead = 1
        while self._next_is("LINE", ahead):
            ahead += 1
        token = self._next(ahead)
        if token is None or token.type != "NAME" or token.value not in _CONTINUES:
            return token is not None and token.type == "PIPE"
        if token.value == "at" and self._opens_braces(ahead):
            return False
        return not any(self._next_is(kind, ahead + 1) for kind in ("EQUAL", "COLON", "PRIME"))

    def _opens_braces(self, ahead: int) -> bool:
        """Whether the line that begins so far ahead opens a brace: then its `at` or `when` says when states jump."""
        while (token := self._next(ahead)) is not None and token.type != "LINE":
            if token.type == "LBRACE":
                return True
            ahead += 1
        return False

    def _statement_follows(self) -> bool:
        """The next line is `name = ...`, `name' = ...` or a declaration, so this one ends although it should not."""
        if self._declaration_follows():
            return True
        equation = self._next_is("EQUAL", 2) or (self._next_is("PRIME", 2) and self._next_is("EQUAL", 3))
        return self._next_is("NAME") and equation and self._previous not in ("COMMA", "FROM", "LPAR", "LSQB")

    def _declaration_follows(self) -> bool:
        """The next line begins like a declaration: `param k: ...`, `train {`."""
        return self._declares(1)

    def _declares(self, ahead: int) -> bool:
        word, second, third = (self._next(ahead + place) for place in range(3))
        if word is None or second is None or word.type != "NAME":
            return False
        if word.value in BLOCKS:
            return self._begins_block(ahead)
        if word.value not in DECLARING or second.type != "NAME":
            return False
        settings = bool(self.brackets) and self.brackets[-1].settings
        return not settings or (third is not None and third.type in ("COLON", "EQUAL", "LPAR", "COMMA"))

    def _begins_block(self, ahead: int = 0) -> bool:
        """`data {`, `train {`, `train drift {`."""
        word = self._next(ahead)
        if word is None or word.value not in BLOCKS:
            return False
        named = word.value == "train" and self._next_is("NAME", ahead + 1)
        return self._next_is("LBRACE", ahead + 1 + named)

    def _drop_line_end(self) -> None:
        while self.out and self.out[-1].type == "NL":
            self.out.pop()

    # -------------------------------------------------------------------------------------------- brackets

    def _inside(self, *kinds: str) -> bool:
        return bool(self.brackets) and self.brackets[-1].token.type in kinds

    def _depth_of_braces(self) -> int:
        """How many brackets are open up to and with the innermost brace."""
        depth = len(self.brackets)
        while depth and self.brackets[depth - 1].token.type != "LBRACE":
            depth -= 1
        return depth

    def _open(self, token: Token) -> None:
        if len(self.brackets) == DEEPEST_BRACKETS and not self.too_deep:
            self.diagnostics.append(syntax.nested_too_deeply(span_of(token), DEEPEST_BRACKETS))
            self.too_deep = True
        head = {item.type for item in self.out[-2:]} if self._previous == "NAME" else {self._previous}
        settings = token.type == "LBRACE" and "BLOCK" in head
        self.brackets.append(_Open(token, settings))
        self.chains.append({})
        self.out.append(token)

    def _chain(self, token: Token) -> None:
        """Count operators of one kind in a row, which nest: a sum of 100 000 terms is refused before it is parsed."""
        chain = self.chains[-1]
        place = _LOOSENESS.get(token.type)
        if place is None:
            chain.clear()
        elif self._previous in _OPERAND_ENDS:
            for tighter in [other for other in chain if other > place]:
                del chain[tighter]
            chain[place] = chain.get(place, 0) + 1
            if chain[place] > DEEPEST_BRACKETS and not self.too_deep:
                self.diagnostics.append(syntax.nested_too_deeply(span_of(token), DEEPEST_BRACKETS))
                self.too_deep = True

    def _close(self, token: Token) -> None:
        opening = _OPENING[token.type]
        depth = self._depth_of_braces() if token.type == "RBRACE" else len(self.brackets)
        if depth == 0 or self.brackets[depth - 1].token.type != opening:
            self._close_nothing(token)
            return
        self._close_down_to(depth, f"this `{_SIGNS[token.type]}`", token.start_pos or 0)
        if token.type == "RBRACE":
            self._drop_line_end()
        self.brackets.pop()
        self.chains.pop()
        self.out.append(token)

    def _close_nothing(self, token: Token) -> None:
        sign, opening = _SIGNS[token.type], _SIGNS[_OPENING[token.type]]
        self.diagnostics.append(syntax.bracket_not_opened(span_of(token), sign, opening))

    def _close_down_to(self, depth: int, before: str, place: int) -> None:
        """Report brackets above `depth` as never closed, and supply what closes them."""
        while len(self.brackets) > depth:
            opened = self.brackets.pop().token
            self.chains.pop()
            closing = _PAIRS[opened.type]
            if not self.too_deep:
                self.diagnostics.append(
                    syntax.bracket_not_closed(span_of(opened), _SIGNS[opened.type], _SIGNS[closing], before)
                )
            if closing == "RBRACE":
                self._drop_line_end()
            self.out.append(Token(closing, _SIGNS[closing], start_pos=place, end_pos=place))

    # ------------------------------------------------------------------------------------- words and strings

    def _word(self, token: Token) -> None:
        if not token.value.isidentifier():
            ends = range(1, len(token.value) + 1)  # some characters may stand in a name, but not first
            bad = next(token.value[end - 1] for end in ends if not token.value[:end].isidentifier())
            begins = token.value.startswith(bad) and f"_{bad}".isidentifier()
            self.diagnostics.append(syntax.not_a_name(span_of(token), token.value, bad, begins))
        if self._begins_statement and self.brackets and self._declares_after_all(token):
            if self._closed_later:
                self._inside_braces(token)
                return
            self._close_down_to(0, "the next declaration", token.start_pos or 0)
            self.out.append(Token("NL", "", start_pos=token.start_pos, end_pos=token.start_pos))
        kind = self._kind(token)
        self.out.append(token if kind == "NAME" else Token.new_borrow_pos(kind, token.value, token))

    @cached_property
    def _closing(self) -> list[int]:
        """For each token how many braces close, from there on, that open before."""
        counts: list[int] = []
        count = 0
        for token in reversed(self.tokens):
            count = count + 1 if token.type == "RBRACE" else max(0, count - (token.type == "LBRACE"))
            counts.append(count)
        return counts[::-1]

    @property
    def _closed_later(self) -> bool:
        """Whether all open braces are closed further on, so that none was forgotten."""
        return self._closing[self.at] >= sum(bracket.token.type == "LBRACE" for bracket in self.brackets)

    def _inside_braces(self, token: Token) -> None:
        """Report a declaration inside braces, and leave it out."""
        opened = self.brackets[self._depth_of_braces() - 1].token
        self.diagnostics.append(syntax.declaration_inside(span_of(token), token.value, span_of(opened)))
        depth = 0
        for place in range(self.at, len(self.tokens)):
            kind = self.tokens[place].type
            depth += kind in _PAIRS
            if depth == 0 and kind in ("LINE", "SEMICOLON", "RBRACE"):
                self.skip = place
                return
            depth -= kind in _OPENING
        self.skip = len(self.tokens)

    def _declares_after_all(self, token: Token) -> bool:
        return token.value != "noise" and self._declares(0)

    def _kind(self, token: Token) -> str:
        word: str = token.value
        if self._next_is("EQUAL") and self._inside("LPAR"):
            return "NAME"
        if self._begins_statement:
            self.first = self._first_word(word)
            return self.first
        if word in RESERVED:
            return word.upper()
        return self._later_word(word)

    def _first_word(self, word: str) -> str:
        if self._begins_block():
            return "BLOCK"
        if self.brackets and self.brackets[-1].settings:
            return word.upper() if word in ("draw", "attribute") and self._next_is("NAME") else "NAME"
        if word == "when" and self.brackets and self._opens_braces(1) and not self._next_is("EQUAL"):
            return "WHEN"
        if word == "use" and self._next_is("STRING"):
            return "USE"
        return word.upper() if word in DECLARING or word in RESERVED else "NAME"

    def _later_word(self, word: str) -> str:
        after_operand = self._previous in _OPERAND_ENDS and not self._after_key()
        match word:
            case "wrt" | "by" if after_operand and self.first == "ATTRIBUTE":
                return word.upper()
            case "samples" | "step" if after_operand:
                return word.upper()
            case "step" if self._previous == "PER":
                return "STEP"
            case "weights" if after_operand and self._next_is_word("per"):
                return "WEIGHTS"
            case "per" if self._previous == "WEIGHTS":
                return "PER"
            case "unit" if after_operand and self._next_is("STRING"):
                return "UNIT"
        return "NAME"

    def _after_key(self) -> bool:
        """The word before is the key of a setting, so this one begins its value."""
        inside = bool(self.brackets) and self.brackets[-1].settings
        return inside and (len(self.out) < 2 or self.out[-2].type in ("NL", "LBRACE"))

    def _next_is_word(self, word: str) -> bool:
        token = self._next()
        return token is not None and token.type == "NAME" and token.value == word

    def _stray(self, token: Token) -> None:
        if token.type == "OPEN_STRING":
            self.diagnostics.append(syntax.string_not_closed(span_of(token)))
            self.out.append(Token.new_borrow_pos("STRING", token.value.rstrip("\\") + '"', token))
            return
        self.diagnostics.append(syntax.stray_character(span_of(token), _described(token.value)))

    def _string(self, token: Token) -> None:
        for escape in re.finditer(r"\\.", token.value):
            if escape.group() not in ('\\"', "\\\\", "\\n", "\\t"):
                start = (token.start_pos or 0) + escape.start()
                self.diagnostics.append(syntax.unknown_escape(Span(start, start + 2), escape.group()))
        self.out.append(token)


def _described(character: str) -> str:
    number = f"U+{ord(character):04X}"
    return (
        f"`{character}`"
        if "!" <= character <= "~"
        else f"`{character}` ({number})"
        if character.isprintable()
        else number
    )

"""From text to tree: `parse(source)`, or every mistake of the file in one `IsoclineError`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lark import Lark, Token, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.expected import accepts, unexpected_token
from isocline_dsl.layout import OF_SEVERAL_WORDS, arrange, span_of
from isocline_dsl.messages import syntax
from isocline_dsl.parse_table import grammar_text, stored_parser
from isocline_dsl.partly import Partly, partly
from isocline_dsl.rules import Bare, Beside, Builder, Fault, Model, Version
from isocline_dsl.tree import Span

LONGEST_FILE = 1_000_000
DEEPEST_TREE = 100
MOST_MISTAKES = 200


def read(path: Path) -> Source:
    """The text of a file, with line ends as newlines and without a byte order mark.

    Raises IsoclineError when the file cannot be opened or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as reason:
        message = syntax.file_not_read(str(path), reason.strerror or str(reason))
        raise IsoclineError([message], Source("", str(path))) from None
    except UnicodeDecodeError as reason:
        raise IsoclineError([syntax.not_utf8(reason.start)], Source("", str(path))) from None
    return Source(text.replace("\r\n", "\n").replace("\r", "\n"), str(path))


def parse(source: Source, *, shared: bool = False) -> tree.Program:
    """The tree of a program; a file that is `shared` need not name a model.

    Raises IsoclineError with all syntax errors of the text, in its order.
    """
    found = parse_partly(source, shared=shared)
    if found.mistakes:
        raise IsoclineError(found.mistakes, source)
    return found.program


def parse_partly(source: Source, *, shared: bool = False) -> Partly:
    """The tree as far as there is one, with all syntax errors of the text. Nothing is readable of a file that is too
    long, too deep, or of another version.
    """
    if len(source.text) > LONGEST_FILE:
        return _unreadable([syntax.file_too_long(Span(0, 0), len(source.text), LONGEST_FILE)])
    tokens, diagnostics = arrange(list(_lark().lex(source.text)), len(source.text))
    if any(d.code == syntax.nested_too_deeply.code for d in diagnostics):
        return _unreadable(diagnostics)
    reader = _Reader(tokens, diagnostics, len(source.text), source.text)
    items, mistakes = reader.run()
    diagnostics = diagnostics + mistakes
    program, more = _program(items, source.text)
    headless = not diagnostics and (found := list(_header_faults(items, shared)))
    if headless:
        return _unreadable([*more, *found])
    diagnostics += _not_beside(diagnostics, more, source)
    told = _first(sorted(set(diagnostics), key=_place))
    return partly(program, told, reader.dropped, _statements(tokens, len(source.text)), source.text)


def _statements(tokens: list[Token], length: int) -> Iterator[Span]:
    """The statements of the file, each with what is in its braces."""
    begin, depth = 0, 0
    for token in tokens:
        depth += {"LBRACE": 1, "RBRACE": -1}.get(token.type, 0)
        if token.type == "NL" and depth == 0:
            end = span_of(token).stop
            yield Span(begin, end)
            begin = end
    yield Span(begin, length + 1)


def _unreadable(diagnostics: list[Diagnostic]) -> Partly:
    told = _first(sorted(set(diagnostics), key=_place))
    return Partly(tree.Program(tree.Number("1"), tree.Identifier(""), None, ()), tuple(told), readable=False)


def _not_beside(known: list[Diagnostic], more: list[Diagnostic], source: Source) -> list[Diagnostic]:
    """Leave out what is found on a line that has a mistake already: most often it is the same one."""
    lines = {source.position(d.span.start)[0] for d in known[:MOST_MISTAKES] if d.span}
    return [d for d in more if d.span is None or source.position(d.span.start)[0] not in lines] if lines else more


def _first(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """The first mistakes of a file that has more than anyone would read, and how many there are."""
    more = len(diagnostics) - MOST_MISTAKES
    return diagnostics if more <= 0 else [*diagnostics[:MOST_MISTAKES], syntax.many_mistakes(None, more)]


def _place(diagnostic: Diagnostic) -> tuple[int, str]:
    return (diagnostic.span.start if diagnostic.span else 0, diagnostic.code)


class _Layout:
    """Keeps the tokens that only `layout.arrange` reads."""

    always_accept = ("LINE", "SEMICOLON", "OPEN_STRING", "STRAY")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@functools.cache
def _lark() -> Lark:
    return stored_parser(postlex=_Layout(), transformer=Builder()) or built_parser()


def built_parser() -> Lark:
    """The parser, made from the grammar."""
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="basic",
        start="program",
        keep_all_tokens=True,
        maybe_placeholders=False,
        postlex=_Layout(),
        transformer=Builder(),
    )


# ------------------------------------------------------------------------------------------------- recovery


def _copied(parser: InteractiveParser) -> InteractiveParser:
    """The parser as it is now; what it has built is shared, since nothing in it changes."""
    copy: Any = parser.copy
    made: InteractiveParser = copy(deepcopy_values=False)
    return made


class _Reader:
    """Feeds the parser; after a mistake it goes back to where the statement began and skips to where it ends."""

    def __init__(self, tokens: list[Token], known: list[Diagnostic], length: int, text: str) -> None:
        self.tokens = [*tokens, Token("$END", "", start_pos=length, end_pos=length)]
        self.known = [d.span for d in known if d.span]
        self.text = text
        self.diagnostics: list[Diagnostic] = []
        self.parser: InteractiveParser = _lark().parse_interactive()
        self.safe = [_copied(self.parser)]
        self.begin = 0
        self.dropped: list[Span] = []
        self.result: Any = []

    def run(self) -> tuple[list[Any], list[Diagnostic]]:
        at = 0
        while at < len(self.tokens):
            at = self._feed(at)
        return self.result, self.diagnostics

    def _feed(self, at: int) -> int:
        token = self.tokens[at]
        try:
            self.result = self.parser.feed_token(token)
        except UnexpectedToken:
            return self._recover(at)
        self._remember(token, at)
        return at + 1

    def _remember(self, token: Token, at: int) -> None:
        """Keep the state of the parser where a statement begins."""
        if token.type == "RBRACE":
            self.safe.pop()
        elif token.type == "LBRACE":
            self.safe.append(_copied(self.parser))
        elif token.type == "NL":
            self.safe[-1] = _copied(self.parser)
        if token.type in ("NL", "LBRACE"):
            self.begin = at + 1

    def _recover(self, at: int) -> int:
        end = self._end_of_statement(at)
        self._report(at, end)
        self.dropped.append(Span(span_of(self.tokens[min(self.begin, at)]).start, span_of(self.tokens[end]).start))
        self.parser = _copied(self.safe[-1])
        return end + 1 if self.tokens[end].type == "$END" and end == at and self._stuck(end) else end

    def _stuck(self, at: int) -> bool:
        return self.tokens[at].type not in accepts(self.parser)

    def _report(self, at: int, end: int) -> None:
        first = span_of(self.tokens[min(self.begin, at)]).start
        last = span_of(self.tokens[end]).stop
        if not any(first <= span.start <= last for span in self.known):
            self.diagnostics.append(unexpected_token(self.tokens, at, self.parser, self.text))

    def _end_of_statement(self, at: int) -> int:
        depth = 0
        for place in range(at, len(self.tokens)):
            kind = self.tokens[place].type
            if kind == "$END" or (depth == 0 and kind in ("NL", "RBRACE")):
                return place
            depth += {"LBRACE": 1, "RBRACE": -1}.get(kind, 0)
        return len(self.tokens) - 1


# -------------------------------------------------------------------------------------------- the whole file


def _program(items: list[Any], text: str) -> tuple[tree.Program, list[Diagnostic]]:
    """Take the header off the declarations and collect the faults in the tree."""
    found = list(_faults(items, text))
    version = next((i for i in items if isinstance(i, Version)), Version(tree.Number("1")))
    model = next((i for i in items if isinstance(i, Model)), Model(tree.Identifier(""), None))
    rest = tuple(i for i in items if not isinstance(i, (Version, Model, Fault)))
    span = Span(0, rest[-1].span.stop) if rest else Span()
    return tree.Program(version.number, model.name, model.description, rest, span=span), found


def _header_faults(items: list[Any], shared: bool) -> Iterator[Diagnostic]:
    first = items[0] if items else None
    if not isinstance(first, Version):
        where = Span(first.span.start, first.span.start + 1) if first is not None else Span()
        yield syntax.no_version_line(where)
    elif first.number.text != "1":
        yield syntax.unknown_version(first.number.span, first.number.text)
    elif not shared and (len(items) < 2 or not isinstance(items[1], Model)):
        yield syntax.no_model_line(first.span)
    for place, item in enumerate(items):
        if isinstance(item, Version) and place > 0:
            yield syntax.header_misplaced(item.span, "dyn")
        if isinstance(item, Model) and any(isinstance(other, Model) for other in items[:place]):
            yield syntax.header_misplaced(item.span, "model")


def _faults(items: list[Any], text: str) -> Iterator[Diagnostic]:
    """Walk everything, without recursion, for faults, stray differentials and expressions nested too deeply."""
    stack: list[tuple[tree.Node, int]] = [(item, 0) for item in items]
    listed: set[tree.Node] = set()
    for item in items:
        if isinstance(item, tree.Equation | tree.Differential):
            yield syntax.equation_outside_field(item.span, item.state.text)
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST_TREE:
            yield syntax.nested_too_deeply(node.span, DEEPEST_TREE)
            return
        if isinstance(node, Fault):
            yield node.diagnostic
        if isinstance(node, tree.Setting) and node.key.text in OF_SEVERAL_WORDS:
            listed.update(node.values)
        if isinstance(node, Beside):
            factor = _short(text, node.factor.span)
            yield syntax.side_by_side(node.span, factor, node.differential.text, node in listed)
        if isinstance(node, Bare):
            yield syntax.term_without_differential(node.span, _short(text, node.span), "dt")
        stack.extend((child, depth + 1) for child in node.children())


def _short(text: str, span: Span) -> str:
    """What stands in the text, on one line, cut when it is long."""
    words = " ".join(text[span.start : span.stop].split())
    return words if len(words) <= 40 else f"{words[:37]}..."

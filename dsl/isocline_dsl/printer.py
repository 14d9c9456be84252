"""Programs in their canonical layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from isocline_dsl import tree
from isocline_dsl.comments import Comment, comments_in, weave
from isocline_dsl.diagnostics import Source
from isocline_dsl.parse import parse
from isocline_dsl.phrases import (
    PIPE,
    call,
    derivative,
    jump_head,
    line,
    listed,
    phrase,
    pipeline,
    process,
    quoted,
    scan_head,
    solve_clauses,
    stage,
    times,
    type_text,
    words,
)  # fmt: skip
from isocline_dsl.rows import Row
from isocline_dsl.tree import Span

WIDEST = 100


def to_text(program: tree.Program) -> str:
    """A program in canonical layout; `parse` of it gives an equal program."""
    rows = list(_Layout(()).program(program))
    out: list[str] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and row.indent == 0 and _groups_differ(before, row):
            out.append("")
        out += row.lines()
    return "\n".join(out) + "\n"


def _groups_differ(before: Row, row: Row) -> bool:
    if row.closes:
        return False
    return before.closes or row.opens or before.text.split()[0] != row.text.split()[0] != "model"


def format_text(source: Source) -> str:
    """The text of a file in canonical layout, with its comments, and single empty lines where there were some.

    A file that others use has a layout too, without its `model`.

    Raises IsoclineError when the text is not a program.
    """
    program = parse(source, shared=True)
    comments = comments_in(source.text)
    rows = _Layout(comments).program(program)
    return weave(list(rows), comments, source.text)


@dataclass(frozen=True)
class _Layout:
    """Programs as rows; a block that holds comments is never put on one line."""

    comments: Sequence[Comment]

    def program(self, program: tree.Program) -> Iterator[Row]:
        yield Row(0, f"dyn {program.version.text}", program.version.span)
        said = f" {quoted(program.description)}" if program.description is not None else ""
        if program.name.text:
            yield Row(0, f"model {program.name.text}{said}", program.name.span)
        for declaration in program.declarations:
            yield from self._declaration(declaration)

    def _declaration(self, node: tree.Declaration) -> Iterator[Row]:
        match node:
            case tree.Field():
                yield from self._braced(_field_head(node), node.body, node.span, self._statement)
            case tree.Net():
                yield from self._net(node)
            case tree.Block():
                head = node.kind if node.name is None else f"{node.kind} {node.name.text}"
                yield from self._braced(head, node.items, node.span, self._item)
            case tree.Assign() | tree.Equation() | tree.Differential() | tree.NoiseDeclaration():
                yield from self._statement(node)
            case tree.Output(value=value):
                head = f"output {node.name.text}" + (" = " if value is not None else "")
                yield from self._with_value(head, value, _tail(node.unit, node.description), node.span)
            case tree.Const(value=value):
                head = f"const {node.name.text}{f': {type_text(node.type)}' if node.type else ''} = "
                yield from self._with_value(head, value, "", node.span)
            case _:
                yield Row(0, _one_line(node), node.span)

    # ------------------------------------------------------------------------------------------- with braces

    def _braced(
        self,
        head: str,
        items: Sequence[tree.Node],
        span: Span,
        rows: Callable[[tree.Node], Iterator[Row]],
        tail: str = "",
    ) -> Iterator[Row]:
        inner = [row for item in items for row in rows(item)]
        if not inner and not self._commented(span):
            yield Row(0, f"{head} {{ }}{tail}", span)
        elif len(inner) == 1 and len(items) == 1 and self._fits(head, inner[0], span, tail):
            yield Row(0, f"{head} {{ {inner[0].text} }}{tail}", span)
        else:
            yield Row(0, f"{head} {{", Span(span.start, span.start), opens=True)
            yield from (replace(row, indent=row.indent + 1) for row in inner)
            yield Row(0, f"}}{tail}", Span(span.stop - 1, span.stop), closes=True)

    def _fits(self, head: str, row: Row, span: Span, tail: str) -> bool:
        width = len(head) + len(row.text) + len(tail) + 5
        return not row.stages and width <= WIDEST and not self._commented(span)

    def _commented(self, span: Span) -> bool:
        return any(span.start < comment.span.start < span.stop for comment in self.comments)

    def _net(self, node: tree.Net) -> Iterator[Row]:
        result = f" -> {type_text(node.result_type)}" if node.result_type else ""
        word = "function" if isinstance(node, tree.Function) else "net"
        head = f"{word} {node.name.text}({_arguments(node.arguments)}){result}"
        if node.body:
            yield from self._braced(head, (*node.body, node.result), node.span, self._statement)
        else:
            yield from self._with_value(f"{head} = ", node.result, "", node.span)

    # ------------------------------------------------------------------------------------------- statements

    def _statement(self, node: tree.Node) -> Iterator[Row]:
        match node:
            case tree.Assign(name=name, value=value):
                yield from self._with_value(f"{name.text} = ", value, "", node.span)
            case tree.Equation(value=value):
                yield from self._with_value(f"{derivative(node)} = ", value, "", node.span)
            case tree.Differential() | tree.NoiseDeclaration():
                yield Row(0, line(node), node.span)
            case tree.Jump(body=body) | tree.Event(body=body):
                yield from self._braced(jump_head(node), body, node.span, self._statement)
            case _:
                yield from self._with_value("", node, "", node.span)

    def _with_value(self, head: str, value: tree.Node | None, tail: str, span: Span) -> Iterator[Row]:
        """`head value tail`; the body of a scan, the parts of a long pipeline or solve, on lines of their own."""
        if isinstance(value, tree.Scan):
            body = Span(span.start, value.span.stop)
            yield from self._braced(head + scan_head(value), value.body, body, self._statement, tail)
            return
        text = f"{head}{phrase(value) if value is not None else ''}{tail}"
        if isinstance(value, tree.Pipe) and len(text) > WIDEST:
            first, *stages = pipeline(value)
            stages[-1] += tail
            yield Row(0, head + first, span, tuple(f"|> {text}" for text in stages))
        elif isinstance(value, tree.Solve) and len(text) > WIDEST:
            first, *clauses = solve_clauses(value)
            clauses[-1] += tail
            yield Row(0, head + first, span, tuple(clauses))
        else:
            yield Row(0, text, span)

    def _item(self, node: tree.Node) -> Iterator[Row]:
        match node:
            case tree.Setting(key=key, values=values):
                yield Row(0, f"{key.text} {_values(values)}".rstrip(), node.span)
            case tree.Binding(name=name, value=value):
                yield from self._with_value(f"{name.text} = ", value, "", node.span)
            case tree.Draw(name=name):
                yield Row(0, f"draw {name.text}: {process(node)}", node.span)
            case tree.Attribution(output=output, wrt=wrt, methods=methods):
                by = ", ".join(stage(method) for method in methods)
                yield Row(0, f"attribute {output.text} wrt {words(wrt)} by {by}", node.span)


def _one_line(node: tree.Node) -> str:
    match node:
        case tree.Input():
            tail = _bounds(node.bounds) + _first_value(node.default) + _tail(node.unit, node.description)
            return f"input {node.name.text}: {type_text(node.type)}{tail}"
        case tree.Target():
            return f"target {node.name.text}: {type_text(node.type)}{_tail(node.unit, node.description)}"
        case tree.Param():
            prior = f" ~ {stage(node.prior)}" if node.prior is not None else ""
            group = f"[{node.group.text}]" if node.group is not None else ""
            head = f"param {words(node.names)}{group}: {type_text(node.type)}{_bounds(node.bounds)}"
            return f"{head}{_first_value(node.initial)}{prior}{_tail(node.unit, node.description)}"
        case tree.Use(path=path):
            return f"use {quoted(path)}"
        case tree.Control(name=name, value=value):
            return f"control {name.text} = {call(value)}"
    raise TypeError(f"{type(node).__name__} is not a declaration")


def _bounds(bounds: tree.Interval | None) -> str:
    return f" in ({listed((bounds.low, bounds.high))})" if bounds else ""


def _first_value(value: tree.Expression | None) -> str:
    return f" = {phrase(value)}" if value is not None else ""


def _tail(unit: str | None, description: str | None) -> str:
    text = f" unit {quoted(unit)}" if unit is not None else ""
    return text + (f" {quoted(description)}" if description is not None else "")


def _field_head(node: tree.Field) -> str:
    states = f", {_arguments(node.states)}" if node.states else ""
    return f"field {node.name.text}({node.time.text}{states}){' weights per step' if node.per_step else ''}"


def _arguments(arguments: Sequence[tree.Argument]) -> str:
    """Arguments with their types; neighbours of one type share it."""
    parts: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], None], strict=False):
        shared = following is not None and following.type == argument.type
        kind = f": {type_text(argument.type)}" if argument.type and not shared else ""
        parts.append(argument.name.text + kind)
    return ", ".join(parts)


def _values(values: Sequence[tree.Expression]) -> str:
    text = ""
    for before, value in zip([None, *values], values, strict=False):
        counted = isinstance(value, tree.Range) and isinstance(value.start, tree.Number)
        if before is not None:
            text += " " if isinstance(before, tree.Name) and counted else ", "
        text += times(value) if isinstance(value, tree.Range) else phrase(value, PIPE)
    return text

"""`use "rates.dyn"`: one program of the declarations of several files, and one source of their texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.messages import sharing
from isocline_dsl.parse import parse, read
from isocline_dsl.records import Part
from isocline_dsl.scopes import reached

SHARED = (tree.Use, tree.Const, tree.Param, tree.Net, tree.Field)
"""What a file that others use may declare; a function is a net."""

_WORDS: dict[type[tree.Node], str] = {
    tree.Input: "an `input`",
    tree.Target: "a `target`",
    tree.Output: "an `output`",
    tree.Control: "a `control`",
    tree.NoiseDeclaration: "a `noise`",
    tree.Assign: "a value",
}

AnyNode = TypeVar("AnyNode", bound=tree.Node)


def linked(program: tree.Program, source: Source) -> tuple[tree.Program, Source]:
    """The program with the declarations of the files that it uses in place of each `use`, and the text of them all.

    Each file is read once, however many use it. Spans lead into the joined text, whose `parts` know the files. Raises
    IsoclineError with the source of the file that is at fault.
    """
    if not any(isinstance(item, tree.Use) for item in program.declarations):
        return program, source
    link = _Link(source.text, seen={_place(source.name)})
    declarations = tuple(link.declarations(program, source, [source.name]))
    joined = Source(link.text, source.name, tuple(link.parts))
    return replace(program, declarations=declarations), joined


@dataclass
class _Link:
    """The text joined so far, where its parts begin, and the files in it."""

    text: str
    parts: list[Part] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def declarations(
        self, program: tree.Program, source: Source, users: list[str], start: int = 0
    ) -> Iterator[tree.Declaration]:
        """The declarations of a file whose text begins at `start`, those it uses in their places.

        `users` are the files that lead to it, itself the last.
        """
        used = dict(_read_all(program, source, users))
        for item in program.declarations:
            if not isinstance(item, tree.Use):
                yield moved(item, start) if start else item
            elif _place(used[item].name) not in self.seen:
                yield from self._file(used[item], users)

    def _file(self, source: Source, users: list[str]) -> Iterator[tree.Declaration]:
        self.seen.add(_place(source.name))
        program = parse(source, shared=True)
        faults = list(_misplaced(program, Path(users[-1]).name))
        if faults:
            raise IsoclineError(faults, source)
        self.text += f"\n# ---- {Path(source.name).name} ----\n"
        start = len(self.text)
        self.parts.append(Part(start, source.name))
        self.text += source.text
        yield from self.declarations(program, source, [*users, source.name], start)


def _read_all(program: tree.Program, source: Source, users: list[str]) -> Iterator[tuple[tree.Use, Source]]:
    """Each `use` of a file with the text it stands for. Raises IsoclineError with all that cannot be read."""
    found: list[tuple[tree.Use, Source]] = []
    faults: list[Diagnostic] = []
    for item in program.declarations:
        if not isinstance(item, tree.Use):
            continue
        path = str(Path(source.name).parent / item.path)
        circle = [_place(user) for user in users]
        if _place(path) in circle:
            files = [*users[circle.index(_place(path)) :], path]
            faults.append(sharing.use_circle(item.span, [Path(name).name for name in files]))
            continue
        try:
            found.append((item, read(Path(path))))
        except IsoclineError as error:
            reason = error.diagnostics[0].message.rpartition(": ")[2]
            faults.append(sharing.used_file_not_read(item.span, path, reason))
    if faults:
        raise IsoclineError(faults, source)
    yield from found


def _place(name: str) -> Path:
    return Path(name).resolve()


def _misplaced(program: tree.Program, user: str) -> Iterator[Diagnostic]:
    for item in program.declarations:
        if not isinstance(item, SHARED):
            what = f"`{item.kind}`" if isinstance(item, tree.Block) else _WORDS[type(item)]
            yield sharing.not_shared(item.span, f"{what} stands", user)


def moved(node: AnyNode, by: int) -> AnyNode:
    """The same node at another place of the text."""
    changed: dict[str, Any] = {item.name: _moved(getattr(node, item.name), by) for item in fields(node)}
    return replace(node, **changed)


def _moved(value: Any, by: int) -> Any:
    if isinstance(value, tree.Span):
        return tree.Span(value.start + by, value.stop + by)
    if isinstance(value, tree.Node):
        return moved(value, by)
    return tuple(_moved(item, by) for item in value) if isinstance(value, tuple) else value


def used_alone(program: tree.Program, source: Source) -> tree.Program:
    """The program without the declarations of other files that nothing of its own leans on."""
    if not source.parts:
        return program
    own = [item for item in program.declarations if item.span.start < source.own]
    edges = {name: dict.fromkeys(_names(item)) for item in program.declarations for name in _declares(item)}
    needed = reached((name for item in own for name in _names(item)), edges)

    def kept(item: tree.Declaration) -> bool:
        return item.span.start < source.own or any(name in needed for name in _declares(item))

    return replace(program, declarations=tuple(filter(kept, program.declarations)))


def _names(item: tree.Node) -> Iterator[str]:
    return (node.text for node in tree.walk(item) if isinstance(node, tree.Identifier | tree.Name))


def _declares(item: tree.Declaration) -> Iterator[str]:
    match item:
        case tree.Param(names=several):
            yield from (name.text for name in several)
        case tree.Block() | tree.Use():
            return
        case _:
            yield item.name.text

"""Names: everything about a program that can be decided without types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TypeGuard

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.equations import orders, read_field, read_net
from isocline_dsl.messages import dynamics, names, noise, panels, training
from isocline_dsl.messages.message import nearest
from isocline_dsl.scopes import BUILT_IN, Meaning, Scope, circles, reached
from isocline_dsl.settings import read_block
from isocline_dsl.uses import Place, Uses

_KINDS: dict[type[tree.Node], str] = {
    tree.Const: "constant",
    tree.Input: "input",
    tree.Target: "target",
    tree.Net: "net",
    tree.Function: "function",
    tree.Field: "field",
    tree.Control: "control",
    tree.NoiseDeclaration: "noise",
    tree.Assign: "value",
}


NOWHERE: Mapping[str, str] = MappingProxyType({})


def resolve(
    program: tree.Program,
    functions: Collection[str],
    valued: Collection[tuple[str, str]] = frozenset(),
    elsewhere: Mapping[str, str] = NOWHERE,
    own: int | None = None,
    lost: Collection[str] = frozenset(),
) -> list[Diagnostic]:
    """Mistakes in the names of a program, in the order of its text.

    `functions` are the functions and layers that can be called, `valued` their keywords that stand before values, such
    as ("logdet_jacobian", "probe"): before others a name that means nothing is a word. `elsewhere` says of
    names that are called in other places what they are. What stands behind `own` in the text, in files that this one
    uses, may be left unused. Declarations may stand in any order; definitions use each other
    without circles. Names that are `lost` are of declarations that could not be read.
    """
    file = Scope()
    uses = Uses(functions, valued, elsewhere)
    uses.found += _declare_all(program, file)
    for name in lost:
        file.declare(tree.Identifier(name), "lost")
    uses.orders = {d.name.text: orders(d) for d in program.declarations if isinstance(d, tree.Field)}
    uses.solved = _solved(program)
    uses.attributes = frozenset(_read_along(program))
    for declaration in program.declarations:
        _read(declaration, file, uses)
    uses.found += _circles(file)
    uses.found += _deployed_targets(file, uses)
    uses.found += _unused(file, own)
    uses.found += _missing(program)
    return sorted(set(uses.found), key=_place)


def _read_along(program: tree.Program) -> Iterator[str]:
    """What is read of solutions, and the outputs that are nothing else: a misspelt one is told as such."""
    for declaration in program.declarations:
        yield from (node.name.text for node in tree.walk(declaration) if isinstance(node, tree.Attribute))
        if isinstance(declaration, tree.Output) and isinstance(declaration.value, tree.Attribute):
            yield declaration.name.text


def _solved(program: tree.Program) -> dict[str, tree.Field]:
    """The field of each solution, by the solution's name."""
    fields = {d.name.text: d for d in program.declarations if isinstance(d, tree.Field)}
    solves = [d for d in program.declarations if isinstance(d, tree.Assign | tree.Output)]
    return {
        d.name.text: fields[d.value.field.text]
        for d in solves
        if isinstance(d.value, tree.Solve) and d.value.field.text in fields
    }


def _place(diagnostic: Diagnostic) -> tuple[int, str, str]:
    return (diagnostic.span.start if diagnostic.span else 0, diagnostic.code, diagnostic.message)


# --------------------------------------------------------------------------------------------- declarations


def _declared(declaration: tree.Declaration) -> Iterator[tuple[tree.Identifier, str]]:
    """The names that a declaration introduces. `output x` alone introduces none: it names a value that exists."""
    match declaration:
        case tree.Param(names=several):
            yield from ((name, "parameter") for name in several)
        case tree.Output(value=None) | tree.Block() | tree.Use():
            return
        case tree.Output(name=name):
            yield name, "output"
        case _:
            yield declaration.name, _KINDS[type(declaration)]


def _declare_all(program: tree.Program, file: Scope) -> Iterator[Diagnostic]:
    blocks: dict[tuple[str, str | None], tree.Span] = {}
    for declaration in program.declarations:
        if isinstance(declaration, tree.Block):
            word = tree.Span(declaration.span.start, declaration.span.start + len(declaration.kind))
            head = declaration.kind, declaration.name.text if declaration.name else None
            if head in blocks:
                yield names.block_twice(word, " ".join(filter(None, head)), blocks[head])
            blocks.setdefault(head, word)
        for name, kind in _declared(declaration):
            if name.text in BUILT_IN:
                yield names.reserved_name(name.span, name.text)
            elif name.text in file.names:
                again = _is_itself(declaration)
                yield names.duplicate_name(name.span, name.text, file.names[name.text].span, again)
            file.declare(name, kind)
    yield from _existing_outputs(program, file)


def _is_itself(declaration: tree.Declaration) -> TypeGuard[tree.Output]:
    """`output u = u`."""
    match declaration:
        case tree.Output(name=name, value=tree.Name(text=text)):
            return name.text == text
    return False


def _existing_outputs(program: tree.Program, file: Scope) -> Iterator[Diagnostic]:
    """`output h` makes an output of the value `h`: its meaning changes. Twice is once too many."""
    first: dict[str, tree.Span] = {}
    for declaration in program.declarations:
        if isinstance(declaration, tree.Output) and declaration.value is None:
            name = declaration.name
            meaning = file.find(name.text)
            if name.text in BUILT_IN:
                yield names.reserved_name(name.span, name.text)
            elif name.text in first or (meaning is not None and meaning.kind == "output"):
                before = first.get(name.text) or (meaning.span if meaning else None)
                yield names.duplicate_name(name.span, name.text, before)
            elif meaning is not None and meaning.kind == "value":
                file.names[name.text] = Meaning("output", meaning.span)
            first.setdefault(name.text, name.span)


def _read(declaration: tree.Declaration, file: Scope, uses: Uses) -> None:
    """Read one declaration; the names it uses are noted under the names it introduces."""
    if _is_itself(declaration):
        _read_existing(declaration, file, uses)
        return
    introduced = [name.text for name, _ in _declared(declaration)]
    file.current = introduced[0] if introduced else None
    match declaration:
        case tree.Net():
            read_net(declaration, file, uses)
        case tree.Field():
            read_field(declaration, file, uses)
        case tree.Block():
            read_block(declaration, file, uses)
        case tree.NoiseDeclaration(name=name):
            uses.found.append(noise.noise_outside_field(declaration.span, name.text))
        case tree.Output(value=None):
            _read_existing(declaration, file, uses)
        case tree.Param(group=tree.Identifier() as group):
            _read_group(group, file, uses)
    _read_sizes(declaration, file, uses)
    if not isinstance(declaration, (tree.Net, tree.Field, tree.Block)):
        _read_values(declaration, file, uses)
    file.current = None


def _read_group(group: tree.Identifier, file: Scope, uses: Uses) -> None:
    """`param ka[subject]`: an input says whose number it is."""
    meaning = file.find(group.text)
    file.use(group.text)
    if meaning is None or meaning.kind != "input":
        kind = "" if meaning is None else meaning.kind
        file.use(nearest(group.text, file.of_kind("input")) or group.text)
        uses.found.append(panels.group_of_no_input(group.span, group.text, kind, file.of_kind("input")))


def _read_existing(output: tree.Output, file: Scope, uses: Uses) -> None:
    name = tree.Name(output.name.text, span=output.name.span)
    uses.read(name, Place(file))


def _read_values(declaration: tree.Declaration, file: Scope, uses: Uses) -> None:
    for child in declaration.children():
        if isinstance(child, tree.Call) and isinstance(declaration, tree.Control):
            for given in (*child.arguments, *(item.value for item in child.keywords)):
                uses.read(given, Place(file))
        elif isinstance(child, tree.Call) and isinstance(declaration, tree.Param):
            uses.read(child, Place(file, any_call=True))
        elif isinstance(child, tree.Name) and isinstance(declaration, tree.Param):
            uses.read(child, Place(file, words=True))  # a first value such as `ones`
        elif not isinstance(child, (tree.TypeName, tree.Identifier)):
            uses.read(child, Place(file))


def _read_sizes(declaration: tree.Declaration, file: Scope, uses: Uses) -> None:
    """Sizes are constants or free names such as `T`; which, is a question of types."""
    if isinstance(declaration, tree.Block):
        return
    for node in tree.walk(declaration):
        if isinstance(node, tree.TypeName):
            for size in node.sizes:
                uses.read(size, Place(file, words=True))


# ------------------------------------------------------------------------------------------- the whole file


def _circles(file: Scope) -> Iterator[Diagnostic]:
    for circle in circles(file.edges):
        meanings = [file.names[name] for name in circle]
        if all(meaning.kind in ("net", "function") for meaning in meanings):
            yield dynamics.net_recursion(meanings[0].span, meanings[0].kind, circle)
        else:
            yield names.definition_cycle(meanings[0].span, circle)


def _deployed_targets(file: Scope, uses: Uses) -> Iterator[Diagnostic]:
    """Values, controls, fields and solves may read a target where no output leans on them: they are for the loss."""
    deployed = reached(sorted(file.of_kind("output")), file.edges)
    for reader, target in uses.targets:
        kind = file.names[reader].kind if reader else ""
        if kind not in ("value", "control", "field") or reader in deployed:
            through = deployed.get(reader or "", ())
            yield names.target_outside_training(target.span, target.text, file.names[target.text].span, through)


def _unused(file: Scope, own: int | None) -> Iterator[Diagnostic]:
    for name, meaning in file.names.items():
        if own is not None and meaning.span.start >= own:
            continue
        if name in file.used or meaning.kind in ("output", "noise") or name in BUILT_IN:
            continue
        if meaning.kind == "field":
            yield dynamics.field_not_solved(meaning.span, name)
        else:
            yield names.unused_name(meaning.span, meaning.kind, name)


def _missing(program: tree.Program) -> Iterator[Diagnostic]:
    if not any(isinstance(declaration, tree.Output) for declaration in program.declarations):
        yield training.missing_output(program.name.span)

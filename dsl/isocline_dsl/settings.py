"""Inside `data`, `train` and `deploy`: which settings exist, and which names their values use."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import names, proofs, training
from isocline_dsl.messages.message import nearest
from isocline_dsl.scopes import Scope
from isocline_dsl.uses import Place, Uses

SETTINGS = MappingProxyType(
    {
        "data": frozenset({"source", "split", "missing", "time", "stride", "group"}),
        "train": frozenset(
            [
                "loss",
                "regularize",
                "optimizer",
                "schedule",
                "epochs",
                "batch",
                "solver",
                "gradient",
                "clip",
                "early_stop",
                "validation",
                "seed",
                "precision",
                "engine",
                "only",
                "alternate",
            ]
        ),
        "deploy": frozenset(
            [
                "solver",
                "check",
                "stream",
                "native",
                "opset",
                "dtype",
                "batch",
                "bound",
                "derivatives",
                "target",
                "parity",
                "unroll",
                "samples",
            ]
        ),
    }
)
_ALONE = frozenset({"stream", "native"})
_SEVERAL = frozenset({"check"})
PROVED_ALONE = frozenset({"contracting", "stable"})
"""What `check` proves, and compares with nothing."""


def read_block(block: tree.Block, file: Scope, uses: Uses) -> None:
    """All that can be said of a block without types; what is wrong goes to `uses.found`."""
    uses.found += _misplaced(block)
    uses.found += _keys(block)
    uses.found += _bound_twice(block)
    scope = _local(block, file)
    for item in block.items:
        match item:
            case tree.Setting():
                _read_setting(item, scope, uses)
            case tree.Binding() if block.kind == "data":
                uses.found += _data_name(item, file)
            case tree.Binding() if block.kind == "train":
                scope.current = item.name.text
                uses.read(item.value, Place(scope, training=True))
                scope.current = None
            case tree.Draw(type=type_, arguments=arguments, keywords=keywords):
                for number in (*type_.sizes, *arguments, *keywords):
                    uses.read(number, Place(file, words=True))
            case tree.Attribution():
                uses.found += _attributed(item, file)
    uses.found += _unused(scope)


def _local(block: tree.Block, file: Scope) -> Scope:
    """The names that draws and bindings of `train` introduce."""
    scope = Scope(file)
    for item in block.items:
        if isinstance(item, tree.Draw):
            scope.declare(item.name, "draw")
        elif isinstance(item, tree.Binding) and block.kind == "train":
            scope.declare(item.name, "definition")
    return scope


def _unused(scope: Scope) -> Iterator[Diagnostic]:
    for name, meaning in scope.names.items():
        if name not in scope.used:
            yield names.unused_name(meaning.span, meaning.kind, name)


def _misplaced(block: tree.Block) -> Iterator[Diagnostic]:
    for item in block.items:
        match item:
            case tree.Binding() if block.kind == "deploy":
                yield names.item_misplaced(item.span, f"`{item.name.text} = ...`", "deploy", "data")
            case tree.Draw() if block.kind != "train":
                yield names.item_misplaced(item.span, "`draw`", block.kind, "train")
            case tree.Attribution() if block.kind != "deploy":
                yield names.item_misplaced(item.span, "`attribute`", block.kind, "deploy")


def _keys(block: tree.Block) -> Iterator[Diagnostic]:
    known = SETTINGS[block.kind]
    first: dict[str, tree.Span] = {}
    for item in block.items:
        if not isinstance(item, tree.Setting):
            continue
        key = item.key.text
        if key not in known:
            yield names.unknown_block_item(item.key.span, block.kind, key, known)
        elif not item.values and key not in _ALONE:
            yield names.setting_without_value(item.key.span, block.kind, key)
        elif key in first and key not in _SEVERAL:
            yield names.setting_twice(item.key.span, key, first[key])
        first.setdefault(key, item.key.span)
    if block.kind == "train" and "loss" not in first:
        yield training.missing_loss(tree.Span(block.span.start, block.span.start + len("train")))


def _read_setting(item: tree.Setting, scope: Scope, uses: Uses) -> None:
    for value in item.values:
        match item.key.text:
            case "loss":
                uses.read(value, Place(scope, training=True))
            case "regularize":
                uses.read(value, Place(scope, training=True, any_call=True))
            case "only" | "alternate":
                return  # names of what is trained, and of blocks: known when all is typed
            case "check":
                uses.found += _comparison(value)
                uses.read(value, Place(scope, training=True, any_call=True))
            case _:
                uses.read(value, Place(scope, training=True, words=True))
                uses.found += _of_output(value, scope)


def _comparison(value: tree.Node) -> Iterator[Diagnostic]:
    if isinstance(value, tree.Call) and value.name.text in PROVED_ALONE:
        return
    if isinstance(value, tree.Call) and value.name.text == "lipschitz":
        yield proofs.proof_form(value.span, "lipschitz", "lipschitz(f) <= 1")
    elif not (isinstance(value, tree.Binary) and value.operator in ("<", "<=", ">", ">=")):
        called = value.name.text if isinstance(value, tree.Call) else ""
        yield training.check_not_a_comparison(value.span, nearest(called, PROVED_ALONE))


def _of_output(value: tree.Node, scope: Scope) -> Iterator[Diagnostic]:
    """`auto(error=1e-2, of=probability)`: `of` names an output."""
    known = scope.of_kind("output")
    for keyword in value.keywords if isinstance(value, tree.Call) else ():
        if keyword.name.text == "of" and isinstance(keyword.value, tree.Name) and keyword.value.text not in known:
            yield names.unknown_output(keyword.value.span, keyword.value.text, known)


def _bound_twice(block: tree.Block) -> Iterator[Diagnostic]:
    first: dict[str, tree.Span] = {}
    for item in block.items:
        if isinstance(item, tree.Binding):
            if item.name.text in first:
                yield names.setting_twice(item.name.span, item.name.text, first[item.name.text])
            first.setdefault(item.name.text, item.name.span)


def _data_name(item: tree.Binding, file: Scope) -> Iterator[Diagnostic]:
    known = file.of_kind("input", "target")
    if item.name.text not in known:
        yield names.unknown_input(item.name.span, item.name.text, known)


def _attributed(item: tree.Attribution, file: Scope) -> Iterator[Diagnostic]:
    outputs, inputs = file.of_kind("output"), file.of_kind("input")
    if item.output.text not in outputs:
        yield names.unknown_output(item.output.span, item.output.text, outputs)
    for name in item.wrt:
        if name.text not in inputs:
            yield names.unknown_input(name.span, name.text, inputs)

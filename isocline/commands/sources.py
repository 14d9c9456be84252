"""`isocline check` and `isocline fmt`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import isocline
from isocline.commands.boundary import FAULT, tell
from isocline.commands.options import AsJson, DynFiles

if TYPE_CHECKING:
    from isocline_compiler.model import Model
    from isocline_dsl.diagnostics import IsoclineError


def check(files: DynFiles, as_json: AsJson = False) -> None:
    """Parse and type: every error of every file, or the signature and a table of what was declared."""
    results = [(path, _checked(path)) for path in files]
    if as_json:
        print(json.dumps([_facts(path, result) for path, result in results], indent=2))
    else:
        _show(results)
    if any(_failed(result) for _, result in results):
        raise typer.Exit(FAULT)


def fmt(
    files: DynFiles,
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not in the canonical layout.")
    ] = False,
) -> None:
    """Rewrite files in the canonical layout; comments stay."""
    results = [_formatted(path, write=not only_check) for path in files]
    if any(failed or (changed and only_check) for failed, changed in results):
        raise typer.Exit(FAULT)


def _checked(path: Path) -> Model | IsoclineError:
    from isocline_dsl.diagnostics import IsoclineError

    try:
        return isocline.check(path)
    except IsoclineError as error:
        return error


def _failed(result: Model | IsoclineError) -> bool:
    return isinstance(result, Exception)


def _show(results: list[tuple[Path, Model | IsoclineError]]) -> None:
    from isocline.tables import model_lines

    for _, result in results:
        if isinstance(result, Exception):
            _tell_error(result)
        else:
            print("\n".join(model_lines(result)))


def _tell_error(error: IsoclineError) -> None:
    from isocline_dsl.render import render_error

    tell(render_error(error) + "\n")


def _facts(path: Path, result: Model | IsoclineError) -> dict[str, object]:
    from isocline.facts import facts_of_error, facts_of_model

    if isinstance(result, Exception):
        return {"file": str(path), "ok": False, "diagnostics": facts_of_error(result)}
    return {"file": str(path), "ok": True, "diagnostics": [], "model": facts_of_model(result)}


def _formatted(path: Path, write: bool) -> tuple[bool, bool]:
    """Whether the file could not be read, and whether its layout was not the canonical one."""
    from isocline_dsl.diagnostics import IsoclineError

    try:
        before, after = isocline.format(path, write=write)
    except IsoclineError as error:
        _tell_error(error)
        return True, False
    if before != after:
        print(f"{path}: {'rewritten' if write else 'not in the canonical layout'}")
    return False, before != after

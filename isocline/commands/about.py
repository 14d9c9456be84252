"""`isocline explain` and `isocline doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

import isocline
from isocline.commands.boundary import FAULT, fault
from isocline.commands.options import AsJson


def explain(
    word: Annotated[str, typer.Argument(metavar="WORD", help="A code such as E214, a layer, a function, a scheme.")],
) -> None:
    """The long form of a message, and the documentation of a layer, a function or a scheme."""
    try:
        print(isocline.explain(word))
    except LookupError as error:
        raise fault(f"error: {error.args[0]}") from None


def doctor(as_json: AsJson = False) -> None:
    """What is installed, which providers of onnxruntime really work, and how to get what is missing."""
    report = isocline.doctor()
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        from isocline.tables import system_lines

        print("\n".join(system_lines(report)))
    if not report.can_run:
        raise typer.Exit(FAULT)

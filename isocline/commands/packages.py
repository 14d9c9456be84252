"""`isocline pack`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import isocline
from isocline.commands.options import ArtifactPath


class Form(StrEnum):
    """What takes the package."""

    c = "c"


def pack(
    artifact: ArtifactPath,
    form: Annotated[Form, typer.Option("--for", help="c: source, a program, a Makefile and a test.")],
    out: Annotated[
        Path | None, typer.Option("-o", metavar="DIR", help="Where it goes; if not given, beside the artifact.")
    ] = None,
) -> None:
    """An artifact as C source that builds anywhere."""
    folder = isocline.pack(artifact, form=form.value, out=out)
    for file in sorted(folder.iterdir()):
        print(file)

"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

DynFile: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="A .dyn file.")]
DynFiles: TypeAlias = Annotated[list[Path], typer.Argument(metavar="FILE...", help=".dyn files.")]
ArtifactPath: TypeAlias = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", help="The folder that `compile` wrote, or one .onnx file.")
]
DataFile: TypeAlias = Annotated[
    Path | None, typer.Option("--data", metavar="D", help="Data to use instead of the file's `source`.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what went wrong.")]

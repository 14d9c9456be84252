"""`isocline compare`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import isocline
from isocline.commands.boundary import FAULT, INTERRUPTED, tell
from isocline.commands.options import DataFile, DynFiles, Quiet


def compare(
    files: DynFiles,
    seeds: Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="From how many seeds each is trained.")] = 3,
    data: DataFile = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, metavar="N", help="The budget of every model, instead of its own.")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where runs, tables and the page go.")
    ] = Path("build/comparison"),
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="P", help="Runs at a time; one a core if not given.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train several models on the same data with the same budget, and put what they measure side by side."""

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    at_once = processes or os.cpu_count() or 1
    try:
        found = isocline.compare(files, out, seeds=seeds, data=data, epochs=epochs, processes=at_once, progress=say)
    except KeyboardInterrupt:
        tell("interrupted; the same command goes on where it was")
        raise typer.Exit(INTERRUPTED) from None
    print("\n".join(found.lines()))
    if not quiet:
        print(f"\npage      {out / 'comparison.html'}\nnumbers   {out / 'comparison.csv'}")
    if found.failures:
        raise typer.Exit(FAULT)

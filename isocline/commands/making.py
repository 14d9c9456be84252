"""`isocline train`, `compile` and `build`."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

import isocline
from isocline.commands.boundary import INTERRUPTED, tell
from isocline.commands.options import AsJson, DataFile, DynFile, Quiet

if TYPE_CHECKING:
    from isocline_compiler.driver import Compiled
    from isocline_compiler.training.progress import Progress

RunFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--run", metavar="RUN", help="Where checkpoints and metrics go; runs/NAME if not given.")
]
Artifact: TypeAlias = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where the artifact goes; build/NAME if not given.")
]
Sign: TypeAlias = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY", help="Sign the artifact with the ed25519 key in this PEM file.")
]
Resume: TypeAlias = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in RUN.")]
Device: TypeAlias = Annotated[str | None, typer.Option("--device", metavar="D", help="cpu, cuda, ...")]
Epochs: TypeAlias = Annotated[int | None, typer.Option("--epochs", min=1, help="Instead of the file's `epochs`.")]


def train(
    file: DynFile,
    data: DataFile = None,
    run: Annotated[
        Path | None,
        typer.Option("-o", "--run", metavar="RUN", help="Where checkpoints and metrics go; runs/NAME if not given."),
    ] = None,
    resume: Resume = False,
    device: Device = None,
    epochs: Epochs = None,
    quiet: Quiet = False,
) -> None:
    """Fit the parameters and weights of a model to its data."""
    model = isocline.check(file)  # before the compiler is loaded: that takes seconds, and a mistake is told at once
    with _resumable(f"isocline train {file}", run), _progress(quiet) as progress:
        result = isocline.train(
            model, data=data, run=run, resume=resume, device=device, epochs=epochs, progress=progress
        )
        if not result.complete:
            from isocline_compiler.training.interrupt import Interrupted

            raise Interrupted(result.folder)
    if not quiet:
        print(f"weights   {result.folder / 'weights.safetensors'}\nmetrics   {result.folder / 'metrics.csv'}")


def compile_(
    file: DynFile,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="W", help="A .safetensors file that `train` wrote.")
    ] = None,
    data: DataFile = None,
    solver: Annotated[
        str | None,
        typer.Option("--solver", metavar="S", help="A scheme for every solve, instead of the file's: 'rk4(steps=20)'."),
    ] = None,
    out: Artifact = None,
    sign: Sign = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the artifact: unroll, differentiate, optimise, write ONNX, and prove it."""
    model = isocline.check(file)
    with _progress(quiet or as_json) as progress:
        compiled = isocline.compile(
            model, weights=weights, data=data, out=out, solver=solver, sign=sign, progress=progress
        )
    _report(compiled, as_json, quiet)


def build(
    file: DynFile,
    data: DataFile = None,
    out: Artifact = None,
    run: RunFolder = None,
    resume: Resume = False,
    device: Device = None,
    epochs: Epochs = None,
    sign: Sign = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train, then compile: from a .dyn file to a proven artifact."""
    model = isocline.check(file)
    with _resumable(f"isocline build {file}", run), _progress(quiet or as_json) as progress:
        compiled = isocline.build(
            model,
            data=data,
            out=out,
            run=run,
            resume=resume,
            device=device,
            epochs=epochs,
            sign=sign,
            progress=progress,
        )
    _report(compiled, as_json, quiet)


def _report(compiled: Compiled, as_json: bool, quiet: bool) -> None:
    if as_json:
        print(json.dumps({"folder": str(compiled.folder), "certificate": dict(compiled.certificate)}, indent=2))
    elif not quiet:
        from isocline.summary import certificate_lines

        print("\n".join(certificate_lines(compiled.certificate)))
        print(f"\nartifact  {compiled.folder}\nreport    {compiled.folder / 'report.html'}")


@contextmanager
def _resumable(command: str, run: Path | None) -> Iterator[None]:
    """Ctrl-C leaves with 130 and says how to go on, when there is something to go on from."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        where = "" if run is None else f" --run {run}"
        if getattr(interrupt, "folder", None) is None:
            tell("interrupted before the first checkpoint: nothing was changed but the run's folder")
        else:
            tell(f"interrupted; go on from the last checkpoint with: {command}{where} --resume")
        raise typer.Exit(INTERRUPTED) from None


def _progress(quiet: bool) -> AbstractContextManager[Progress]:
    """What is said on the way. Loads the compiler first: what Python keeps of it is never searched for garbage."""
    _ = isocline.compile
    gc.freeze()
    from isocline_compiler.training.progress import progress_for

    return progress_for(sys.stderr, quiet)

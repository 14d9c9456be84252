"""The commands of `isocline`, in a table."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from isocline import __version__
from isocline.commands.about import doctor, explain
from isocline.commands.artifacts import bench, plot, run, show
from isocline.commands.attributing import attribute
from isocline.commands.boundary import Front
from isocline.commands.comparing import compare
from isocline.commands.making import build, compile_, train
from isocline.commands.packages import pack
from isocline.commands.sources import check, fmt
from isocline.commands.streaming import stream
from isocline.commands.verifying import verify

app = typer.Typer(
    cls=Front,
    help="Compiles dynamic networks (neural, mechanistic or both) to proven, self-contained ONNX.",
    epilog="Exit status: 0 done; 1 the file, the data or a bound is at fault; 2 usage; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"isocline {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an internal error.")] = False,
) -> None:
    if debug:
        os.environ["ISOCLINE_DEBUG"] = "1"


WRITING, MAKING, USING, HELP = "Write", "Make", "Use", "Ask"
COMMANDS = (
    (WRITING, "check", check),
    (WRITING, "fmt", fmt),
    (MAKING, "build", build),
    (MAKING, "train", train),
    (MAKING, "compile", compile_),
    (MAKING, "compare", compare),
    (USING, "run", run),
    (USING, "stream", stream),
    (USING, "attribute", attribute),
    (USING, "show", show),
    (USING, "plot", plot),
    (USING, "bench", bench),
    (USING, "pack", pack),
    (USING, "verify", verify),
    (HELP, "explain", explain),
    (HELP, "doctor", doctor),
)
for panel, name, command in COMMANDS:
    app.command(name, rich_help_panel=panel)(command)

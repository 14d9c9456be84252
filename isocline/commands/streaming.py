"""`isocline stream`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import isocline
from isocline.commands.artifacts import ON_CPU, Providers, Threads
from isocline.commands.noise import Seed
from isocline.commands.options import ArtifactPath

if TYPE_CHECKING:
    from isocline_runtime import Session, Stream


def stream(
    artifact: ArtifactPath,
    given: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="X", help="csv with a row for each step; without it, standard input."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="S", help="csv, parquet, json or npz: inputs that no step changes, one row."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="F.npz", help="Go on from this file, where it is, and leave the state in it."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="At most so many.")] = None,
    seed: Seed = None,
    row: Annotated[
        int | None, typer.Option("--row", min=0, metavar="R", help="The number of the sample, for its noise.")
    ] = None,
    providers: Providers = ON_CPU,
    threads: Threads = 1,
) -> None:
    """Run an artifact step by step: a csv row in, a csv row of answers out, and the state kept in a file."""
    session = isocline.load(artifact, providers, threads)
    running = _opened(session, start, state, seed, row)
    ports = session.stepper().rows
    rows: Iterable[Mapping[str, Any]] = _rows(given, ports) if ports else itertools.repeat({})
    done = 0
    try:
        for entry in itertools.islice(rows, steps) if ports or steps is not None else _until_ended(running, rows):
            answers = running.step(entry)
            _print_row(session, answers, header=done == 0)
            done += 1
    finally:
        if state is not None:  # also when a row is at fault, or Ctrl-C comes: what was done is not lost
            running.save(state)


def _opened(session: Session, start: Path | None, state: Path | None, seed: int | None, row: int | None) -> Stream:
    """From the file of the state where there is one, else from the beginning."""
    from isocline_runtime import read_inputs

    if state is not None and state.exists():
        if start is not None or seed is not None or row is not None:
            said = "--start" if start is not None else "--seed" if seed is not None else "--row"
            raise typer.BadParameter(f"{state} says already how the stream began", param_hint=said)
        return session.resume(state)
    stepper = session.stepper()
    inputs = read_inputs(start, stepper.given) if start is not None else {}
    return session.stream({name: _one(start, x) for name, x in inputs.items()}, seed=seed, rows=row)


def _one(path: Path | None, array: Any) -> Any:
    """The single sample of a file."""
    if getattr(array, "ndim", 0) and len(array) != 1:
        raise typer.BadParameter(f"{path} has {len(array)} rows: a stream begins with one", param_hint="--start")
    return array


def _rows(given: Path | None, ports: Any) -> Iterator[Mapping[str, Any]]:
    from isocline_runtime.csv_rows import read_csv_rows
    from isocline_runtime.messages_table import unreadable_table

    if given is None:
        yield from read_csv_rows(Path("standard input"), sys.stdin, ports)
        return
    try:
        with given.open(encoding="utf-8", newline="") as lines:
            yield from read_csv_rows(given, lines, ports)
    except OSError as error:
        raise unreadable_table(given, error.strerror or str(error)) from None


def _until_ended(running: Stream, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """As long as the model has steps."""
    return itertools.takewhile(lambda _: not running.ended, rows)


def _print_row(session: Session, answers: Mapping[str, Any], header: bool) -> None:
    """The answers of one step in a line, at once: whoever reads them waits for them."""
    from isocline_runtime.columns import spread_ports
    from isocline_runtime.csv_table import write_csv

    ports = [port for port in session.stepper().info.step_outputs if port.name in answers]
    text = write_csv(spread_ports(Path("standard output"), dict(answers), ports)).decode()
    print(text if header else text.partition("\n")[2], end="", flush=True)

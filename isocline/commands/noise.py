"""Options about the noise of a model: a seed, the numbers of the rows, arrays in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

Seed: TypeAlias = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Of the noise that is drawn; 0 if not given.")
]
RowNumbers: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rows", metavar="R", help="The numbers of the samples, 12,13 or 0:100; counted from 0 if not given."
    ),
]
NoiseFile: TypeAlias = Annotated[
    Path | None, typer.Option("--noise", metavar="F.npz", help="Noise to take instead of drawing it, by name.")
]
SavedNoise: TypeAlias = Annotated[
    Path | None, typer.Option("--save-noise", metavar="F.npz", help="Where the noise of this run goes.")
]


def row_numbers(text: str | None) -> list[int] | range | None:
    """`12,13` as a list, `0:100` as a range, and both joined by commas."""
    if text is None:
        return None
    try:
        parts = [_part(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither 12,13 nor 0:100", param_hint="--rows") from None
    return parts[0] if len(parts) == 1 else [row for part in parts for row in part]


def _part(text: str) -> range:
    begin, colon, end = text.partition(":")
    return range(int(begin), int(end) if colon else int(begin) + 1)


def given_noise(path: Path | None) -> dict[str, Any] | None:
    """The arrays of a file, where there is one."""
    from isocline_runtime.tables import read_arrays

    return None if path is None else read_arrays(path)


def save_noise(path: Path, model: str, arrays: Mapping[str, Any] | None) -> None:
    """Write the noise of a run as it can be given again."""
    from isocline_runtime import write_outputs

    if path.suffix.lower() != ".npz":
        raise typer.BadParameter(f"{path} does not end in .npz", param_hint="--save-noise")
    if not arrays:
        raise typer.BadParameter(f"{model} reads no noise", param_hint="--save-noise")
    write_outputs(path, arrays, ())

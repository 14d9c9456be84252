"""`isocline attribute`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import isocline
from isocline.commands.artifacts import ON_CPU, Providers, Threads
from isocline.commands.boundary import tell
from isocline.commands.noise import NoiseFile, RowNumbers, SavedNoise, given_noise, row_numbers, save_noise
from isocline.commands.options import ArtifactPath


def attribute(
    artifact: ArtifactPath,
    given: Annotated[
        Path, typer.Option("--input", "-i", metavar="X", help="csv, parquet, json or npz: one row a sample.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="Y", help="csv, parquet, json or npz; without it, JSON is printed."),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option("--index", metavar="K", help="The entry of the output to explain, such as a class."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the noise, of the model or where a method needs some.")
    ] = 0,
    rows: RowNumbers = None,
    noise: NoiseFile = None,
    saved: SavedNoise = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="P.svg", help="Draw the first samples, in a way that fits them.")
    ] = None,
    providers: Providers = ON_CPU,
    threads: Threads = 1,
) -> None:
    """Why a model answers what it does: attributions of an artifact, as arrays and as a picture."""
    if picture is not None and picture.suffix.lower() != ".svg":
        raise typer.BadParameter(f"{picture} does not end in .svg", param_hint="--picture")
    found = isocline.attribute(
        artifact, given, index=index, seed=seed, rows=row_numbers(rows), noise=given_noise(noise),
        providers=providers, threads=threads,
    )  # fmt: skip
    if saved is not None:
        save_noise(saved, found.session.name, found.noise)
    if out is not None:
        found.write(out)
    elif picture is None:
        print(json.dumps({name: value.tolist() for name, value in found.results.items()}))
    if picture is not None:
        for sentence in found.draw(picture):
            tell(sentence)

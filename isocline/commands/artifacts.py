"""`isocline run`, `show`, `plot` and `bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import isocline
from isocline.commands.boundary import tell
from isocline.commands.noise import NoiseFile, RowNumbers, SavedNoise, Seed, given_noise, row_numbers, save_noise
from isocline.commands.options import ArtifactPath, AsJson

if TYPE_CHECKING:
    from isocline_runtime.port import Port

Providers = Annotated[
    list[str],
    typer.Option(
        "--provider", metavar="P", help="cpu, cuda, ...; repeat it for an order. Nothing else is fallen back on."
    ),
]
ON_CPU: list[str] = ["cpu"]
"""The provider where none is named; typer wants a list, and nothing changes it."""
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of onnxruntime.")]


class EngineName(StrEnum):
    """What runs a model."""

    onnxruntime = "onnxruntime"
    native = "native"
    auto = "auto"


EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="`native` builds the artifact's C here and runs that; `auto` where it was before."),
]


class Stage(StrEnum):
    """How far a file is taken before it is shown."""

    tree = "tree"
    graph = "graph"
    unrolled = "unrolled"
    optimised = "optimised"
    onnx = "onnx"
    c = "c"


def run(
    artifact: ArtifactPath,
    given: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="X", help="csv, parquet, json or npz: one row a sample.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="Y", help="csv, parquet, json or npz; without it, JSON is printed."),
    ] = None,
    providers: Providers = ON_CPU,
    threads: Threads = 1,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, metavar="S", help="End the run after S; an hour if not given.")
    ] = None,
    seed: Seed = None,
    rows: RowNumbers = None,
    noise: NoiseFile = None,
    saved: SavedNoise = None,
    engine: EngineOption = EngineName.onnxruntime,
) -> None:
    """Run an artifact on the samples of a file."""
    from isocline_runtime import read_inputs, write_outputs
    from isocline_runtime.limits import TIME_LIMIT

    limit = TIME_LIMIT if seconds is None else seconds
    session = isocline.load(artifact, _places(providers), threads, seconds=limit, engine=engine.value)
    if engine is EngineName.auto:
        tell(f"engine: {session.engine} ({session.engine_reason})\n")
    inputs = read_inputs(given, session.inputs) if given is not None else {}
    for note in strangers(inputs, session.inputs):
        tell(f"{note}\n")
    numbers, arrays = row_numbers(rows), given_noise(noise)
    if saved is not None:
        arrays = session.noise_of(inputs, seed=seed, rows=numbers, noise=arrays)
        save_noise(saved, session.name, arrays)
    outputs = session.run(inputs, seed=seed, rows=numbers, noise=arrays)
    if out is not None:
        write_outputs(out, outputs, session.outputs)
    else:
        print(json.dumps({name: value.tolist() for name, value in outputs.items()}))


def _places(providers: list[str]) -> str | list[str]:
    """One provider is its name."""
    return providers[0] if len(providers) == 1 else providers


def strangers(inputs: Mapping[str, Any], ports: Sequence[Port]) -> Iterator[str]:
    """A sentence for each input that names members, about the samples of whoever is none of them."""
    from isocline_runtime.feeds import as_array

    for port in (item for item in ports if item.members and item.name in inputs):
        places = as_array(port, inputs[port.name])
        count = int((places == len(port.members)).sum())
        if count:
            yield (
                f"{count} of {places.size} samples are of a `{port.name}` that is none of the {len(port.members)} "
                "known: they have the values of the population"
            )


def show(
    path: Annotated[Path, typer.Argument(metavar="FILE|ARTIFACT", help="A .dyn file, or what `compile` wrote.")],
    stage: Annotated[Stage, typer.Option("--stage", help="What to show.")] = Stage.graph,
    out: Annotated[
        Path | None, typer.Option("-o", metavar="OUT", help="A .txt or .svg file, instead of the screen.")
    ] = None,
) -> None:
    """The tree, the graph or the ONNX nodes as text; with `-o picture.svg`, drawn."""
    text = isocline.show(path, stage.value, svg=out is not None and out.suffix == ".svg")
    if out is None:
        print(text)
    else:
        from isocline_runtime.artifact import write_atomic

        write_atomic(out, text.encode())


def plot(
    path: Annotated[Path, typer.Argument(metavar="RUN|ARTIFACT", help="A folder that `train` or `compile` wrote.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="DIR", help="Where the pictures go; if not given, into RUN or beside ARTIFACT."),
    ] = None,
) -> None:
    """Training curves of a run, or the pictures of an artifact's report, as svg."""
    for picture in isocline.plot(path, out=out):
        print(picture)


def bench(
    artifact: ArtifactPath,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a run.")] = 1,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Runs that are timed.")] = 200,
    providers: Providers = ON_CPU,
    threads: Threads = 1,
    engine: EngineOption = EngineName.onnxruntime,
    as_json: AsJson = False,
) -> None:
    """Latency, throughput, load time and number of nodes, here."""
    result = isocline.bench(
        artifact, batch=batch, repeats=repeats, providers=_places(providers), threads=threads, engine=engine.value
    )
    facts: dict[str, Any] = asdict(result)
    facts |= facts.pop("latency")
    if not result.noises:
        del facts["noises"], facts["noise_us"]
    elif not as_json:
        facts["noises"] = ", ".join(result.noises)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        from isocline.tables import pairs, table

        print("\n".join(table(facts.pop("name"), pairs(facts))))

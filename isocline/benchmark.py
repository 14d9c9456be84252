"""How fast an artifact is on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isocline_runtime import Latency, load, measure_latency


@dataclass(frozen=True)
class Benchmark:
    """`latency` holds the times; `nodes` counts the operations of the graph, `bytes` the model file."""

    name: str
    provider: str
    threads: int
    nodes: int
    bytes: int
    latency: Latency


def bench(
    path: str | Path,
    *,
    batch: int = 1,
    repeats: int = 200,
    providers: str | Sequence[str] = ("cpu",),
    threads: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> Benchmark:
    """Load an artifact and time it on random inputs inside their bounds.

    `sizes` gives numbers to named sizes. Raises what `isocline.load` and `Session.run` raise.
    """
    session = load(path, providers, threads)
    latency = measure_latency(session, batch, repeats, sizes=sizes)
    return Benchmark(session.name, session.providers[0], threads, session.facts.nodes, session.facts.bytes, latency)

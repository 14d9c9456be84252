"""How fast an artifact is on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isocline_runtime import Latency, Session, load, measure_latency
from isocline_runtime.manifest import MODEL_FILE


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
    return Benchmark(session.name, session.providers[0], threads, session.facts.nodes, _model_bytes(session), latency)


def _model_bytes(session: Session) -> int:
    if session.manifest is None:
        return session.path.stat().st_size
    return session.manifest.files[MODEL_FILE].bytes

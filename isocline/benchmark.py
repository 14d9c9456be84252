"""How fast an artifact is on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isocline_runtime import Latency, Session, load, measure_latency
from isocline_runtime.manifest import MODEL_FILE
from isocline_runtime.native.opening import Engine


@dataclass(frozen=True)
class Benchmark:
    """`latency` holds the times; `nodes` counts the operations of the graph, `bytes` the model file.

    `noises` lists what a run draws, which its time includes; `noise_us` is how long that takes alone, the median.
    """

    name: str
    provider: str
    threads: int
    nodes: int
    bytes: int
    latency: Latency
    noises: tuple[str, ...] = ()
    noise_us: float = 0.0


def bench(
    path: str | Path,
    *,
    batch: int = 1,
    repeats: int = 200,
    providers: str | Sequence[str] = ("cpu",),
    threads: int = 1,
    sizes: Mapping[str, int] | None = None,
    engine: Engine = "onnxruntime",
) -> Benchmark:
    """Load an artifact and time it on random inputs inside their bounds.

    `sizes` gives numbers to named sizes; `engine` is that of `load`. Raises what `load` and `Session.run` raise.
    """
    session = load(path, providers, threads, engine=engine)
    latency = measure_latency(session, batch, repeats, sizes=sizes)
    facts = session.providers[0], threads, session.facts.nodes, _model_bytes(session)
    noises = tuple(f"{info.name}: {info}" for info in session.noises)
    return Benchmark(
        session.name, *facts, latency, noises, _noise_us(session, batch, latency.repeats) if noises else 0.0
    )


def _noise_us(session: Session, batch: int, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        session.noise(range(batch))
        times.append((time.perf_counter_ns() - start) / 1e3)
    return statistics.median(times)


def _model_bytes(session: Session) -> int:
    if session.manifest is None:
        return session.path.stat().st_size
    return session.manifest.files[MODEL_FILE].bytes

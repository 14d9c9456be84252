"""How long a run takes here, on this machine, from Python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.manifest import BATCH, Port
from isocline_runtime.session import Session

OPEN_SIZE = 16  # for a size that has a name and no number, such as the length of a series
WARM_UP = 10
FEWEST = 10  # runs that a percentile needs


@dataclass(frozen=True)
class Latency:
    """Times of one `Session.run`, checks and drawing of noise included: percentiles in microseconds; loading in
    milliseconds."""

    batch: int
    repeats: int
    p50_us: float
    p99_us: float
    max_us: float
    load_ms: float
    samples_per_second: float


def measure_latency(
    session: Session,
    batch: int = 1,
    repeats: int = 200,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    inputs: Mapping[str, NDArray[Any]] | None = None,
    seconds: float = float("inf"),
) -> Latency:
    """Time `repeats` runs, after ten that are not counted, on `inputs`, or on inputs drawn inside their bounds.

    Once `seconds` have passed no further run begins, except that there are ten at least.
    `sizes` gives numbers to named sizes other than `batch`. Throughput is batch / median. Raises what
    `Session.run` raises.
    """
    inputs = inputs if inputs is not None else draw_inputs(session.inputs, batch, seed, sizes)
    rows = session.open_rows(batch)
    for _ in range(WARM_UP):
        session.run(inputs, rows=rows)
    until = time.perf_counter() + seconds
    times = np.array(
        [_time_run(session, inputs, rows) for run in range(repeats) if run < FEWEST or time.perf_counter() < until]
    )
    p50, p99 = (float(value) for value in np.percentile(times, (50, 99)))
    return Latency(batch, len(times), p50, p99, float(times.max()), session.load_ms, batch / p50 * 1e6)


def _time_run(session: Session, inputs: Mapping[str, NDArray[Any]], rows: range | None) -> float:
    start = time.perf_counter_ns()
    session.run(inputs, rows=rows)
    return (time.perf_counter_ns() - start) / 1e3


def draw_inputs(
    ports: Sequence[Port], batch: int, seed: int = 0, sizes: Mapping[str, int] | None = None
) -> dict[str, NDArray[Any]]:
    """Random inputs that the session accepts, the same for the same seed.

    Uniform between two bounds, a bound plus or minus an exponential where there is one, standard normal where
    there is none; classes uniform.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    known = {BATCH: batch, **(sizes or {})}
    shapes = {
        port.name: tuple(size if isinstance(size, int) else known.get(size, OPEN_SIZE) for size in port.shape)
        for port in ports
    }
    return {port.name: _draw(generator, port, shapes[port.name]) for port in ports}


def _draw(generator: np.random.Generator, port: Port, shape: tuple[int, ...]) -> NDArray[Any]:
    if port.dtype == "bool":
        return generator.random(shape) < 0.5
    if port.dtype == "int64":
        low = 0 if port.low is None else int(np.floor(port.low)) + 1
        high = low + 10 if port.high is None else int(np.ceil(port.high))
        return generator.integers(low, port.classes or high, size=shape)
    return _draw_reals(generator, port.low, port.high, shape).astype(port.dtype)


def _draw_reals(
    generator: np.random.Generator, low: float | None, high: float | None, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    if low is not None and high is not None:
        return low + (high - low) * generator.uniform(0.01, 0.99, shape)
    if low is not None:
        return low + 0.01 + generator.exponential(size=shape)
    if high is not None:
        return high - 0.01 - generator.exponential(size=shape)
    return generator.standard_normal(shape)

"""How long one call takes, beside what a user would take instead: one command, one run, ratios.

    python -m benchmarks.performance [--works net_2_64 ...] [--batches 1 32 1024] [--seconds 1] [--quick]

Contestants take turns in bursts on one thread; the number of each is the median over rounds of the median of a burst,
and of calls over 3 ms the time of the processor, since the machine is shared. Writes `benchmarks/results.json`, a
record for each measurement, from which `python -m benchmarks.performance_page` makes docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.ours import Call, deployed
from benchmarks.works import WORKS, Work
from isocline_compiler.graph import Array
from isocline_runtime.native.compilers import find_compiler

RESULTS = Path("benchmarks/results.json")
LONG = 3e-3
"""Seconds from which on the time of the processor counts."""
BURST = 0.02
"""Seconds of a burst, of one call at least."""
ROUNDS = 15
HELD = 64
"""Samples on which errors are measured."""
ERRORS = (1e-2, 1e-3, 1e-4)
PACKAGES = ("onnxruntime", "torch", "torchdiffeq", "jax", "diffrax", "openvino", "scipy", "numpy")


@dataclass(frozen=True)
class Record:
    """One measurement: `question` is "same scheme" or "same error E"; `ratio` is its time over our better engine's."""

    question: str
    work: str
    batch: int
    steps: str
    peer: str
    microseconds: float
    best: float
    error: float | None
    ratio: float


@dataclass
class Turn:
    """A contestant and what its bursts took."""

    call: Call
    walls: list[float]
    processors: list[float]
    best: float = float("inf")

    def burst(self) -> None:
        """Calls for a while; the median of them."""
        walls, processors = [], []
        until = time.perf_counter() + BURST
        while not walls or time.perf_counter() < until:
            begun, used = time.perf_counter(), time.process_time()
            self.call()
            walls.append(time.perf_counter() - begun)
            processors.append(time.process_time() - used)
        self.walls.append(statistics.median(walls))
        self.processors.append(statistics.fmean(processors))
        self.best = min(self.best, *walls)

    @property
    def seconds(self) -> float:
        """Of short calls the time on the wall, of long ones that of the processor."""
        wall = statistics.median(self.walls)
        return wall if wall < LONG else min(wall, statistics.median(self.processors))


def timed(calls: dict[str, Call], seconds: float) -> dict[str, Turn]:
    """All of them in turn, until the time is over, three rounds at least."""
    turns = {name: Turn(call, [], []) for name, call in calls.items()}
    for turn in turns.values():
        turn.call()
    until = time.perf_counter() + seconds * len(turns)
    for number in range(ROUNDS):
        for turn in turns.values():
            turn.burst()
        if number >= 2 and time.perf_counter() > until:
            break
    return turns


def same_scheme(work: Work, batch: int, seconds: float, steps: int) -> Iterator[Record]:
    """RK4 with the same steps everywhere."""
    starts = work.inputs(batch)
    ours = deployed(work, f"rk4(steps={steps})", batch)
    calls = {f"isocline, {name}": call for name, call in ours.calls(starts).items()}
    calls |= dict(peers.of_torch(work, starts, steps)) if steps <= 200 else {}
    if peers.is_here("jax"):
        calls |= dict(peers.of_jax(work, starts, steps))
    if peers.is_here("diffrax"):
        calls |= dict(peers.of_diffrax(work, starts, steps))
    if peers.is_here("openvino") and ours.nodes < 2000:
        calls |= dict(peers.of_openvino(ours.content, starts))
    yield from records("same scheme", work, f"rk4 x {steps}", calls, starts, calls["isocline, native"](), seconds)


def same_error(work: Work, batch: int, seconds: float, error: float) -> Iterator[Record]:
    """Whatever scheme meets the error on held-out samples, each solver by its largest tolerance or fewest steps."""
    starts, held = work.inputs(batch), work.inputs(HELD, seed=1)
    right = peers.reference(work, held)
    ours = deployed(work, f"auto(error={error})", batch)
    calls = {f"isocline, {name}: {ours.chosen}": call for name, call in ours.calls(starts).items()}
    few = held if batch > 1 else held[:16]
    for name, make in peers.adaptive(work, starts):
        tolerance = _largest(work, name, few, right[: len(few)], error)
        if tolerance is not None:
            calls[f"{name}, {tolerance:.0e}"] = make(tolerance)
    for name, by_steps in peers.fixed(work, starts):
        steps = _fewest(work, name, held, right, error)
        if steps is not None:
            calls[f"{name} x {steps}"] = by_steps(steps)
    yield from records(f"same error {error:g}", work, "", calls, starts, peers.reference(work, starts[:HELD]), seconds)


def _largest(work: Work, name: str, held: Array, right: Array, error: float) -> float | None:
    """The largest tolerance of a ladder with which a solver stays below the error."""
    for tolerance in (10.0**-exponent for exponent in np.arange(1.5, 8.1, 0.5)):
        found = [
            dict(peers.adaptive(work, part))[name](tolerance)()
            for part in ([held] if "diffrax" in name else np.split(held, len(held)))
        ]
        if peers.error_of(np.concatenate(found), right) <= error:
            return float(tolerance)
    return None


def _fewest(work: Work, name: str, held: Array, right: Array, error: float) -> int | None:
    for steps in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256):
        if peers.error_of(dict(peers.fixed(work, held))[name](steps)(), right) <= error:
            return steps
    return None


def records(
    question: str, work: Work, steps: str, calls: dict[str, Call], starts: Array, right: Array, seconds: float
) -> Iterator[Record]:
    """The measurements of one table; ratios are to the better of our engines."""
    turns = timed(calls, seconds)
    ours = min(turn.seconds for name, turn in turns.items() if name.startswith("isocline"))
    for name, turn in turns.items():
        error = peers.error_of(np.asarray(turn.call(), np.float64)[: len(right)], np.asarray(right, np.float64))
        yield Record(
            question, work.name, len(starts), steps, name, 1e6 * turn.seconds, 1e6 * turn.best, error,
            turn.seconds / ours,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", default=[work.name for work in WORKS])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 1024])
    parser.add_argument("--errors", nargs="*", type=float, default=list(ERRORS))
    parser.add_argument("--seconds", type=float, default=0.6, help="of each contestant and table")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    found: list[Record] = []
    for work in (work for work in WORKS if work.name in asked.works):
        for batch in asked.batches:
            tables = [same_scheme(work, batch, asked.seconds, work.steps)]
            if work is WORKS[0] and batch == 1:
                tables += [same_scheme(work, batch, asked.seconds, steps) for steps in (8, 100, 2000)]
            tables += [same_error(work, batch, asked.seconds, error) for error in asked.errors if batch != 32]
            for table in tables:
                for record in table:
                    print(_line(record), flush=True)
                    found.append(record)
                asked.out.write_text(_written(found))


def _line(record: Record) -> str:
    place = f"{record.work:15} {record.batch:5} {record.question:17} {record.steps:10}"
    return f"{place} {record.peer:44} {record.microseconds:10.1f} us {record.ratio:8.2f}  {record.error or 0:.1e}"


def _written(found: list[Record]) -> str:
    facts = {name: _version(name) for name in PACKAGES} | {
        "processor": platform.processor() or platform.machine(),
        "compiler": find_compiler().version,
        "python": platform.python_version(),
    }
    return json.dumps({"versions": facts, "records": [asdict(record) for record in found]}, indent=1) + "\n"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()

"""Streams: 10^5 steps in constant memory, and what a step costs beside a run over the whole.

    python -m benchmarks.stream

A recurrence over 10^5 observations, and solves of 10^4 and 10^3 steps that begin again until there are as many, each
for one sample and for 64 side by side.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import isocline
from isocline_runtime import Session

STEPS = 100_000
WARM = 1_000
SCAN = """dyn 1
model recurrence
data { source "series.npz"; xs = array(xs); y = array(y) }
input xs: real[T, 8] in (-5, 5)
target y: real
h = scan (x) over (xs) from h = zeros(32) { h = gru_cell(h, x) }
output score = h |> dense(1)
output last = h[-1, 0]
train { loss mean((last - y)^2); epochs 1; batch 8 }
deploy { stream; parity 1e-3 }
"""
SOLVE = """dyn 1
model oscillator
input q0: real in (-1, 1); input w: real in (0.9, 1.1)
field f(t, q: real, v: real) { q' = v; v' = -w*w*q }
path = solve f from q = q0, v = 0 at 0..100 step 0.01 with rk4(steps=10000)
output q = path.q
output v = path.v
deploy { stream; parity 1e-2 }
"""
NOISE = """dyn 1
model walk
input s0: real in (0.5, 1)
field f(t, s: real) {
  noise W: brownian[1]
  ds = (1 - s) dt + 0.3*s dW[0]
}
path = solve f from s = s0 at 0..100 step 0.1 with euler_maruyama(steps=1000)
output s = path
deploy { stream }
"""


@dataclass(frozen=True)
class Row:
    """What was measured of one model and one number of samples: microseconds a step, and the memory 10^5 steps took."""

    model: str
    samples: int
    step: float
    alone: float
    whole: float
    grown: int

    def __str__(self) -> str:
        return (
            f"| {self.model} | {self.samples} | {self.step:.0f} µs | {self.alone:.0f} µs | {self.whole:.1f} µs | "
            f"{self.grown} KiB |"
        )


def resident() -> int:
    """KiB of memory that the process holds now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def measured(session: Session, samples: int, given: dict[str, Any], sequence: str | None) -> Row:
    """A stream of 10^5 steps, `step.onnx` alone, and one run over all of it."""
    fixed = {name: x for name, x in given.items() if name != sequence}
    stream = session.stream(fixed, batch=samples)
    entries = given.get(sequence or "", np.zeros((samples, STEPS)))

    def run(first: int, last: int) -> float:
        started = time.perf_counter()
        for i in range(first, last):
            if stream.ended:
                stream.restart()
            stream.step({sequence: entries[:, i]} if sequence else {})
        return time.perf_counter() - started

    run(0, WARM)
    steps = STEPS if sequence else session.stepper().info.steps or STEPS
    before = resident()
    seconds = run(WARM, STEPS)
    grown = resident() - before
    started = time.perf_counter()
    session.run(given)
    whole = time.perf_counter() - started
    return Row(
        session.name, samples, 1e6 * seconds / (STEPS - WARM),
        alone(session, stream.state, entries[:, 0], sequence, given), 1e6 * whole / steps, grown,
    )  # fmt: skip


def alone(
    session: Session, state: dict[str, Any], entry: Any, sequence: str | None, given: dict[str, Any], count: int = 2_000
) -> float:
    """Microseconds of `step.onnx` by itself, its arrays ready."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    backend = onnxruntime.InferenceSession(session.path / "step.onnx", options)
    known = {**{name: np.asarray(x, np.float32) for name, x in given.items()}, **state}
    if sequence:
        known[sequence] = np.asarray(entry, np.float32)
    feed = {
        item.name: known[item.name]
        if item.name in known
        else np.zeros([len(entry) if isinstance(n, str) else n for n in item.shape], np.float32)
        for item in backend.get_inputs()
    }
    started = time.perf_counter()
    for _ in range(count):
        backend.run(None, feed)
    return 1e6 * (time.perf_counter() - started) / count


def main() -> None:
    draw = np.random.default_rng(0)
    print("| model | samples | a step | `step.onnx` alone | a step of one run over all | memory that 10^5 steps add |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        series = draw.normal(size=(16, 40, 8)).clip(-4, 4)
        np.savez(place / "series.npz", xs=series, y=series.mean((1, 2)))
        for name, text in (("recurrence", SCAN), ("oscillator", SOLVE), ("walk", NOISE)):
            (place / f"{name}.dyn").write_text(text)
            artifact = isocline.build(place / f"{name}.dyn", place / name, run=place / "runs")
            session = isocline.load(artifact.folder)
            for samples in (1, 64):
                given: dict[str, Any] = {
                    "recurrence": lambda n: {"xs": draw.normal(size=(n, STEPS, 8)).clip(-4, 4)},
                    "oscillator": lambda n: {"q0": draw.uniform(-0.9, 0.9, n), "w": draw.uniform(0.95, 1.05, n)},
                    "walk": lambda n: {"s0": draw.uniform(0.6, 0.9, n)},
                }[name](samples)
                print(measured(session, samples, given, "xs" if name == "recurrence" else None), flush=True)


if __name__ == "__main__":
    main()

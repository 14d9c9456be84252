"""Latency of an artifact under onnxruntime beside torchdiffeq's rk4 on the same field, weights and steps.

    python benchmarks/run.py [--steps 40] [--out build/benchmarks]

Both in float32 on one thread; rounds of the two alternate, and the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchdiffeq import odeint

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.lower.check import check
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights
from isocline_runtime import load

MODEL = """dyn 1
model run
input start: real[4] in (-10, 10)
field f(t, x: real[4]) { x' = x |> dense(64) |> tanh |> dense(4) }
x = solve f from x = start over 0..1
output x
"""
BATCHES = (1, 32, 1024)
ROUNDS = 30


class Slope(torch.nn.Module):
    """x' = tanh(x W + b) V + c."""

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(weights)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        first, b1, second, b2 = self.weights
        return torch.tanh(x @ first + b1) @ second + b2


def contestants(folder: Path, steps: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """By name, functions from starts (batch, 4) to ends (batch, 4)."""
    file = folder / "run.dyn"
    file.write_text(MODEL)
    model = check(file)
    weights = initial_weights(model.weights, 0)
    (solve,) = solves_of(model.graph)
    grid = discretisation(solve, "rk4", steps)
    graph = optimise(bind(unroll(model.graph, {solve.spec.choice: grid}).graph, weights))
    artifact = folder / "run.onnx"
    artifact.write_bytes(to_onnx(graph, weights).SerializeToString(deterministic=True))
    session = load(artifact)
    slope = Slope([torch.tensor(item, dtype=torch.float32) for item in weights.values()])
    times = torch.linspace(0, 1, steps + 1)

    def theirs(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(odeint(slope, torch.from_numpy(x), times, method="rk4")[-1])

    return {"isocline": lambda x: session.run(start=x)["x"], "torchdiffeq": theirs}


def medians(runs: dict[str, Callable[[np.ndarray], np.ndarray]], x: np.ndarray) -> dict[str, float]:
    """Milliseconds a call, the median of alternating rounds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 3):
        for name, run in runs.items():
            begin = time.perf_counter()
            run(x)
            if turn >= 3:  # the first rounds warm up
                times[name].append((time.perf_counter() - begin) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency beside torchdiffeq.")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    runs = contestants(arguments.out, arguments.steps)
    rows = []
    for batch in BATCHES:
        x = np.random.default_rng(0).normal(size=(batch, 4)).astype(np.float32)
        apart = float(np.abs(runs["isocline"](x) - runs["torchdiffeq"](x)).max())
        if apart > 1e-4:  # torchdiffeq's rk4 is the 3/8 rule, ours the classic one: equal up to their own errors
            raise SystemExit(f"the answers differ by {apart}")
        row = medians(runs, x)
        rows.append({"batch": batch, **row, "ratio": row["torchdiffeq"] / row["isocline"]})
        print(
            "batch {batch:5}: {isocline:8.3f} ms, torchdiffeq {torchdiffeq:8.3f} ms, {ratio:.1f} x".format(**rows[-1])
        )
    (arguments.out / "run.json").write_text(json.dumps({"steps": arguments.steps, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

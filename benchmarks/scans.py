"""Latency of a recurrence with a solve in every interval beside the same loop in eager torch.

    python benchmarks/scans.py

An ODE-RNN of 32 hidden numbers, three Runge-Kutta steps an interval, under onnxruntime; torch runs GRUCell and the
steps. Both in float32 on one thread; rounds of the two alternate, and the medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.graph import Array
from isocline_compiler.lower import lower
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse

MODEL = """dyn 1
model observed
input ts: time[T], xs: real[T, 12]
field f(t, h: real[32]) { h' = h |> dense(64) |> tanh |> dense(32) }
h = scan (t0, t1, x) over (ts, xs) from h = zeros(32) {
  h = solve f from h = h over t0..t1
  h = gru_cell(h, x)
}
output last = h[-1]
"""
SIZES = ((1, 100), (1, 1000), (32, 100), (256, 100))
ROUNDS, STEPS = 15, 3


def emitted(weights: dict[str, Array]) -> Callable[[Array, Array], Array]:
    source = Source(MODEL)
    model = lower(parse(source), source)
    weights.update(initial_weights(model.weights, 0))
    choices = {solve.spec.choice: discretisation(solve, "rk4", STEPS) for solve in solves_of(model.graph)}
    graph = optimise(unroll(optimise(bind(model.graph, weights)), choices).graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(graph, weights).SerializeToString(), options)
    return lambda ts, xs: np.asarray(session.run(["last"], {"ts": ts, "xs": xs})[0])


def eager(weights: dict[str, Array]) -> Callable[[Array, Array], Array]:
    w = {name: torch.tensor(x, dtype=torch.float32) for name, x in weights.items()}
    cell = [w[f"h.gru_cell.{name}"] for name in ("input_weight", "hidden_weight", "input_bias", "hidden_bias")]
    cell[:2] = [x.T.contiguous() for x in cell[:2]]

    def f(h: Tensor) -> Tensor:
        inner = torch.tanh(torch.addmm(w["f.h.dense.bias"], h, w["f.h.dense.weight"]))
        return torch.addmm(w["f.h.dense_2.bias"], inner, w["f.h.dense_2.weight"])

    def run(ts: Array, xs: Array) -> Array:
        times, values = torch.from_numpy(ts), torch.from_numpy(xs)
        h, before = torch.zeros(len(ts), 32), times[:, 0]
        with torch.inference_mode():
            for i in range(ts.shape[1]):
                width = ((times[:, i] - before) / STEPS)[:, None]
                for _ in range(STEPS):
                    a = f(h)
                    b = f(h + width / 2 * a)
                    c = f(h + width / 2 * b)
                    h = h + width / 6 * (a + 2 * b + 2 * c + f(h + width * c))
                before = times[:, i]
                h = torch.gru_cell(values[:, i], h, *cell)
        return h.numpy()

    return run


def main() -> None:
    torch.set_num_threads(1)
    weights: dict[str, Array] = {}
    contestants = [emitted(weights), eager(weights)]
    draw = np.random.default_rng(0)
    for batch, length in SIZES:
        ts = np.cumsum(draw.exponential(0.1, (batch, length)), axis=1).astype(np.float32)
        xs = draw.normal(size=(batch, length, 12)).astype(np.float32)
        first, second = (run(ts, xs) for run in contestants)
        taken: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for run, seconds in zip(contestants, taken, strict=True):
                start = time.perf_counter()
                run(ts, xs)
                seconds.append(1e3 * (time.perf_counter() - start))
        ours, theirs = map(statistics.median, taken)
        apart = float(np.abs(first - second).max())
        print(f"| {batch} | {length} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.1f} | {apart:.0e} |")


if __name__ == "__main__":
    main()

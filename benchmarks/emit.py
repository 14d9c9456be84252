"""Emission time and file size against the number of steps, beside `torch.onnx.export` of the same unrolled loop.

    python benchmarks/emit.py [--steps 10,30,100,300,1000] [--out build/benchmarks]

A field of one hidden layer (64 units, tanh) over four numbers is solved by the classic Runge-Kutta scheme. Ours: solve
to steps, passes, the bytes of the ONNX file. Theirs: the loop written in eager torch, exported by the dynamo exporter
and, where torch still has it, by the TorchScript one. At each size all take their turn before the next size begins.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import check
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.initial import initial_weights

MODEL = """dyn 1
model emit
input start: real[4] in (-1, 1)
field f(t, x: real[4]) { x' = x |> dense(64) |> tanh |> dense(4) }
x = solve f from x = start over 0..1
output x
"""
STEPS = (10, 30, 100, 300, 1000)
PATIENCE = 20.0
"""Seconds after which an exporter is not asked for a larger graph: three times as many steps take over a minute."""
REPEATS = 3
"""Of the runs of an exporter at one size, as long as they are short, the best counts."""
LINEAR = 1.1
"""The largest exponent of growth that passes for linear."""

Exporter = Callable[[int], bytes]


class Loop(torch.nn.Module):
    """The same scheme, field and weights in eager torch."""

    def __init__(self, weights: dict[str, Array], steps: int) -> None:
        super().__init__()
        self.layers = torch.nn.ParameterList([torch.tensor(item, dtype=torch.float32) for item in weights.values()])
        self.steps = steps

    def slope(self, x: Tensor) -> Tensor:
        first, b1, second, b2 = self.layers
        return torch.tanh(x @ first + b1) @ second + b2

    def forward(self, x: Tensor) -> Tensor:
        h = 1 / self.steps
        for _ in range(self.steps):
            k1 = self.slope(x)
            k2 = self.slope(x + h / 2 * k1)
            k3 = self.slope(x + h / 2 * k2)
            k4 = self.slope(x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x


def exporters(folder: Path) -> dict[str, Exporter]:
    """By name, functions from the number of steps to the bytes of the file."""
    file = folder / "emit.dyn"
    file.write_text(MODEL)
    model = check(file)
    weights = initial_weights(model.weights, 0)
    (solve,) = solves_of(model.graph)

    def ours(steps: int) -> bytes:
        grid = discretisation(solve, "rk4", steps)
        graph = optimise(bind(unroll(model.graph, {solve.spec.choice: grid}).graph, weights))
        return to_onnx(graph, weights, source=model.source).SerializeToString(deterministic=True)

    def dynamo(steps: int) -> bytes:
        batch = {0: torch.export.Dim("batch")}
        program = torch.onnx.export(Loop(weights, steps), (torch.zeros(2, 4),), dynamo=True, dynamic_shapes=(batch,))
        assert program is not None
        return bytes(program.model_proto.SerializeToString())

    def torchscript(steps: int) -> bytes:
        stream = io.BytesIO()
        axes = {"x": {0: "batch"}}
        torch.onnx.export(
            Loop(weights, steps), (torch.zeros(2, 4),), stream, dynamo=False, input_names=["x"], dynamic_axes=axes
        )
        return stream.getvalue()

    return {"isocline": ours, "torch.onnx (dynamo)": dynamo, "torch.onnx (TorchScript)": torchscript}


def measured(export: Exporter, steps: int) -> dict[str, float]:
    """Seconds of the processor, bytes, and the answer at one input: all must have exported the same function."""
    seconds = []
    while len(seconds) < REPEATS and sum(seconds) < PATIENCE:
        gc.collect()
        gc.freeze()  # what an exporter left behind is not walked at the next one's cost
        begin = time.process_time()
        data = export(steps)
        seconds.append(time.process_time() - begin)
    return {"steps": steps, "seconds": min(seconds), "bytes": len(data), "answer": _answer(data)}


def _answer(data: bytes) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    x = np.full((2, 4), 0.5, np.float32)
    return float(session.run(None, {session.get_inputs()[0].name: x})[0].sum())


def sweep(all_: dict[str, Exporter], steps: tuple[int, ...]) -> dict[str, list[dict[str, float]]]:
    """Rows by exporter. One that took too long, or that fails, is left out of the larger sizes."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in all_}
    out: set[str] = set()
    for export in all_.values():
        _quietly(export, steps[0])  # what is loaded on first use is not what is measured
    for count in steps:
        for name, export in all_.items():
            if name in out:
                continue
            rows[name].append(_quietly(lambda n, export=export: measured(export, n), count))
            row = rows[name][-1]
            print(f"{name:26} {count:6} steps {row['seconds']:9.3f} s {row['bytes']:12,} bytes", flush=True)
            if row["seconds"] > PATIENCE:
                out.add(name)
                print(f"{name}: over {PATIENCE:.0f} s, not asked for more steps")
    return rows


def _quietly(call: Callable[[int], dict[str, float] | bytes], steps: int) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = call(steps)
    return result if isinstance(result, dict) else {}


def exponent(rows: list[dict[str, float]], key: str) -> float:
    """p of a n^p through the upper half of the sizes, where constants no longer matter."""
    upper = rows[len(rows) // 2 :] if len(rows) > 2 else rows
    return float(np.polyfit(np.log([row["steps"] for row in upper]), np.log([row[key] for row in upper]), 1)[0])


def drawn(rows: dict[str, list[dict[str, float]]], file: Path) -> None:
    """Two log-log pictures side by side: seconds and bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for axis, key in zip(axes, ("seconds", "bytes"), strict=True):
        for name, items in rows.items():
            axis.loglog([row["steps"] for row in items], [row[key] for row in items], "o-", label=name)
        axis.set(xlabel="RK4 steps", ylabel=key)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Emission time and size against the number of steps.")
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = sweep(exporters(arguments.out), tuple(map(int, arguments.steps.split(","))))
    growth = {name: {key: exponent(items, key) for key in ("seconds", "bytes")} for name, items in rows.items()}
    for name, item in growth.items():
        print(f"{name:26} grows as steps^{item['seconds']:.2f} in time, steps^{item['bytes']:.2f} in size")
    (arguments.out / "emit.json").write_text(json.dumps({"rows": rows, "growth": growth}, indent=2) + "\n")
    drawn(rows, arguments.out / "emit.svg")
    answers = {round(items[0]["answer"], 4) for items in rows.values()}
    if len(answers) > 1:
        raise SystemExit(f"the exporters disagree: {answers}")
    if max(growth["isocline"].values()) > LINEAR:
        raise SystemExit("our emission grows faster than linearly")


if __name__ == "__main__":
    main()

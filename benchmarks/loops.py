"""Steps laid out beside steps in a loop, from few to very many, forwards and with a gradient.

    python benchmarks/loops.py [--steps 20,60,200,1000,10000] [--segments auto,1,2,5,10] [--rounds 7] [--batch 1]

The field of benchmarks/gradient.py and its gradient, in onnxruntime with one thread. Forms take turns; the fastest run
and the processor's time of a load are shown. Laid out, more than 1000 steps are not tried: they take minutes to load.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.gradient import as_the_product_does, forward_graph, node_count, with_gradient
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.graph import Graph
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.unroll.forms import Unrolling

STEPS = (20, 60, 200, 1000, 10_000)
FORMS = ("all", "auto", "1", "2", "5", "10")
MOST_LAID_OUT = 1000


@dataclass(frozen=True)
class Row:
    """One graph: its form (`all` is laid out, a number is the steps of a segment), its size, and milliseconds."""

    graph: str
    steps: int
    form: str
    nodes: int
    kilobytes: float
    compile_ms: float
    load_ms: float
    run_ms: float


class Trial:
    """One graph in onnxruntime, with its fastest run so far."""

    def __init__(self, graph: Graph, weights: dict[str, np.ndarray], batch: int) -> None:
        begin = time.process_time()
        self.content = to_onnx(optimise(bind(graph, weights)), {}).SerializeToString()
        self.compile_ms = 1e3 * (time.process_time() - begin)
        begin = time.process_time()
        self.session = as_the_product_does(self.content)
        self.load_ms = 1e3 * (time.process_time() - begin)
        self.feeds = {"start": np.linspace(-1, 1, 4 * batch, dtype=np.float32).reshape(batch, 4)}
        self.fastest = float("inf")

    def run(self, repetitions: int) -> np.ndarray:
        for _ in range(repetitions):
            begin = time.perf_counter()
            outputs = self.session.run(None, self.feeds)
            self.fastest = min(self.fastest, time.perf_counter() - begin)
        return outputs[-1]


def measured(steps: int, forms: list[str], rounds: int, batch: int) -> list[Row]:
    """All forms of one number of steps; their results must agree."""
    trials: dict[tuple[str, str], Trial] = {}
    for form in forms:
        unrolling: Unrolling = form if form in ("all", "auto") else int(form)
        if form != "all" or steps <= MOST_LAID_OUT:
            graph, weights = forward_graph(steps, unrolling)
            trials["forward", form] = Trial(graph, weights, batch)
            trials["adjoint", form] = Trial(with_gradient(graph), weights, batch)
    for _ in range(rounds):
        for trial in trials.values():
            trial.run(max(1, 500 // steps))
    for kind in ("forward", "adjoint"):
        found = [trial.run(1) for (name, _), trial in trials.items() if name == kind]
        for other in found[1:]:
            np.testing.assert_allclose(other, found[0], rtol=1e-3, atol=1e-4)
    return [
        Row(kind, steps, form, node_count(trial.content), len(trial.content) / 1024, trial.compile_ms, trial.load_ms,
            1e3 * trial.fastest)
        for (kind, form), trial in trials.items()
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--segments", default=",".join(FORMS), help="`all`, `auto`, or steps in the body of a loop")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    rows: list[Row] = []
    print(f"{'graph':8}{'steps':>7} {'form':>5}{'nodes':>8}{'KiB':>8}", end="")
    print(f"{'compile ms':>12}{'load ms':>9}{'run ms':>10}{'us/step':>9}")
    for steps in map(int, options.steps.split(",")):
        for row in measured(steps, options.segments.split(","), options.rounds, options.batch):
            rows.append(row)
            print(
                f"{row.graph:8}{row.steps:7} {row.form:>5}{row.nodes:8}{row.kilobytes:8.0f}{row.compile_ms:12.0f}"
                f"{row.load_ms:9.0f}{row.run_ms:10.3f}{1e3 * row.run_ms / steps:9.2f}",
                flush=True,
            )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "loops.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

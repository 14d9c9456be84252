"""The cost of a gradient: the adjoint graph beside the forward graph, and beside the package onnx-ad on the same one.

    python benchmarks/gradient.py [--steps 20,100] [--rounds 15] [--out build/benchmarks]

A field of two hidden layers (64 units, tanh) over four numbers, solved by the classic Runge-Kutta scheme; the
gradient of the sum of the result with respect to the start, batch 1, onnxruntime with one thread. `forward` and
`adjoint` are what is deployed by default; where that is a loop, the same with all steps laid out stands beside it.
All models take their turn in every round; a round's time is the fastest of its repetitions, and the median of the
rounds is shown. Of loads the fastest of six is.

Then integrated gradients of the same result, 32 points, batch 1: ours in onnxruntime, and captum's in eager torch on
the same equations and weights, one thread each. onnx-ad and captum (the extra `bench`) are left out when they are
not installed, and the result says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from isocline_compiler.attribution.explain import sizes_of
from isocline_compiler.attribution.methods import METHODS
from isocline_compiler.attribution.problem import Problem
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import INPUT, Array, Graph, leaf
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.lower import lower
from isocline_compiler.ops import OPS
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import Unrolling, solves_of, with_forms
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse
from isocline_runtime.model_facts import inspect_model
from isocline_runtime.provider import open_session

MODEL = """dyn 1
model gradient
input start: real[4] in (-1, 1)
field f(t, x: real[4]) { x' = x |> dense(64) |> tanh |> dense(64) |> tanh |> dense(4) }
x = solve f from x = start over 0..1
output x
"""
STEPS = (20, 100)
POINTS = 32
"""Of the rule that integrates."""
GOAL = 3.5
"""The adjoint graph takes at most this many times as long as the forward graph."""
LOADED = (20, 50, 100, 200, 400)
"""Steps of the graphs that are only loaded."""
LAID_OUT = ", laid out"
LOADS = 5
LINEAR = 1.1
"""The largest exponent of growth that passes for linear."""


@dataclass(frozen=True)
class Row:
    """One model at one number of steps: milliseconds a run and a load, and what it is made of."""

    model: str
    steps: int
    nodes: int
    kilobytes: float
    load_ms: float
    run_ms: float
    ratio: float
    """Over the forward graph of the same form."""


@dataclass(frozen=True)
class Load:
    """One graph at one number of steps: its size, and milliseconds of the fastest load by two clocks."""

    model: str
    steps: int
    nodes: int
    kilobytes: float
    cpu_ms: float
    wall_ms: float


Loader = Callable[[bytes], onnxruntime.InferenceSession]


def as_the_product_does(content: bytes) -> onnxruntime.InferenceSession:
    return open_session(content, "model.onnx", "cpu", 1)


def by_default(content: bytes) -> onnxruntime.InferenceSession:
    """Every optimizer that onnxruntime has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


@dataclass
class Contender:
    """A model in onnxruntime, its times a round."""

    name: str
    content: bytes
    feeds: dict[str, Array]
    loaders: tuple[Loader, ...] = (as_the_product_does,)
    base: str = "forward"

    def __post_init__(self) -> None:
        self.loads: list[float] = []
        self.runs: list[float] = []
        self.nodes = node_count(self.content)
        self.session = self.load()

    def load(self) -> onnxruntime.InferenceSession:
        session = None
        for loader in self.loaders:
            start = time.perf_counter()
            session = loader(self.content)
            self.loads.append(time.perf_counter() - start)
        return session

    def outputs(self) -> list[Array]:
        return list(self.session.run(None, self.feeds))

    def take_turn(self, repetitions: int) -> None:
        """One round: the fastest of a few runs."""
        times = []
        for _ in range(repetitions):
            start = time.perf_counter()
            self.session.run(None, self.feeds)
            times.append(time.perf_counter() - start)
        self.runs.append(min(times))


def node_count(content: bytes) -> int:
    """The nodes of a model, those in the bodies of loops too."""
    return inspect_model(content).nodes


def forward_graph(steps: int, unrolling: Unrolling = "auto") -> tuple[Graph, dict[str, Array]]:
    """The solve in steps, and its weights."""
    source = Source(MODEL, "gradient.dyn")
    model = lower(parse(source), source)
    (solve,) = solves_of(model.graph)
    choices = with_forms(model.graph, {solve.spec.choice: discretisation(solve, "rk4", steps)}, unrolling)
    return unroll(model.graph, choices).graph, initial_weights(model.weights, 0)


def is_loop(graph: Graph) -> bool:
    """Whether steps are in a loop."""
    return any(node.op is SCAN for node in graph.nodes())


def with_gradient(graph: Graph) -> Graph:
    """The same, with the gradient of the sum of the result beside it."""
    (start,), (y,) = graph.inputs, graph.outputs.values()
    (g,) = gradient(OPS["reduce_sum"](y, axes=(1,)), [start])
    return Graph(graph.inputs, {**graph.outputs, "gradient": g}, "gradient")


def emitted(graph: Graph, weights: dict[str, Array]) -> onnx.ModelProto:
    return to_onnx(optimise(bind(graph, weights)), {}, sizes={"batch": 1})


def contenders(steps: int) -> list[Contender]:
    """Forward, our adjoint, both laid out as well where they are loops, and onnx-ad's: all with the same gradient."""
    start = np.linspace(-1, 1, 4, dtype=np.float32)[None]
    graph, weights = forward_graph(steps)
    found = [*pair_of(graph, weights, start, "")]
    if is_loop(graph):
        graph, _ = forward_graph(steps, "all")
        found += pair_of(graph, weights, start, LAID_OUT)
    other = by_onnx_ad(emitted(graph, weights), start, found[-2].name)
    if other is not None:
        found.append(other)
    for item in found:
        if item.name != item.base:
            gradients = item.outputs()[-1].ravel(), found[1].outputs()[-1].ravel()
            np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)
    return found


def pair_of(graph: Graph, weights: dict[str, Array], start: Array, form: str) -> tuple[Contender, Contender]:
    """A graph, and it with its gradient."""
    forward, adjoint = (emitted(item, weights).SerializeToString() for item in (graph, with_gradient(graph)))
    base = f"forward{form}"
    return (
        Contender(base, forward, {"start": start}, base=base),
        Contender(f"adjoint{form}", adjoint, {"start": start}, base=base),
    )


def by_onnx_ad(forward: onnx.ModelProto, start: Array, base: str) -> Contender | None:
    try:
        import onnx_ad
    except ImportError:
        return None
    content = onnx_ad.reverse(forward, layout="onnx").SerializeToString()
    seeded = {"start": start, "adj_x": np.ones((1, 4, 1), np.float32)}
    return Contender("onnx-ad", content, seeded, (as_the_product_does, by_default), base)


def measured(steps: int, rounds: int) -> list[Row]:
    """Interleaved rounds of all models at one size."""
    found = contenders(steps)
    for round_ in range(rounds):
        for contender in found:
            contender.take_turn(max(5, 2000 // steps))
            if round_ < 5:
                contender.load()
    took = {item.name: statistics.median(item.runs) for item in found}
    return [
        Row(
            item.name, steps, item.nodes, len(item.content) / 1024, 1e3 * min(item.loads),
            1e3 * took[item.name], took[item.name] / took[item.base],
        )
        for item in found
    ]  # fmt: skip


def loaded(sizes: tuple[int, ...]) -> list[Load]:
    """Forward and adjoint graphs of every size, loaded in turn."""
    contents: dict[tuple[str, int], bytes] = {}
    for form, unrolling in (("", "auto"), (LAID_OUT, "all")):
        for steps in sizes:
            graph, weights = forward_graph(steps, unrolling)
            contents[f"forward{form}", steps] = emitted(graph, weights).SerializeToString()
            contents[f"adjoint{form}", steps] = emitted(with_gradient(graph), weights).SerializeToString()
    times: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in contents}
    for _ in range(LOADS):
        for key, content in contents.items():
            cpu, wall = time.process_time(), time.perf_counter()
            session = as_the_product_does(content)
            times[key].append((time.process_time() - cpu, time.perf_counter() - wall))
            del session
    found = []
    for (name, steps), content in contents.items():
        cpu, wall = (1e3 * min(column) for column in zip(*times[name, steps], strict=True))
        found.append(Load(name, steps, node_count(content), len(content) / 1024, cpu, wall))
    return sorted(found, key=lambda item: (item.model, item.steps))


def exponent(rows: list[Load], key: str) -> float:
    """p of a steps^p through all sizes but the smallest, where constants weigh most."""
    kept = rows[1:] if len(rows) > 2 else rows
    values = [getattr(row, key) for row in kept]
    return float(np.polyfit(np.log([row.steps for row in kept]), np.log(values), 1)[0])


def growth(rows: list[Load]) -> dict[str, dict[str, float]]:
    """The exponents of each model."""
    names = dict.fromkeys(row.model for row in rows)
    keys = ("nodes", "kilobytes", "cpu_ms", "wall_ms")
    return {name: {key: exponent([row for row in rows if row.model == name], key) for key in keys} for name in names}


def integrated(steps: int, rounds: int) -> list[Row]:
    """Integrated gradients at one size: ours, then captum's when it is there, which must agree to 1e-4."""
    graph, weights = forward_graph(steps)
    index = leaf(INPUT, "index", TensorType("int", ("batch",)))
    problem = Problem(graph, "x", ("start",), index)
    found = {item.kind: item.node for item in METHODS["integrated_gradients"].build(steps=POINTS)(problem)}
    whole = optimise(bind(Graph((*graph.inputs, index), {"attribution": found["attribution"]}), weights))
    content = to_onnx(whole, {}, sizes=sizes_of(whole, 1)).SerializeToString()
    start = np.linspace(-1, 1, 4, dtype=np.float32)[None]
    ours = Contender("integrated", content, {"start": start, "index": np.array([-1])})
    theirs = captum_of(weights, steps, start)
    if theirs is not None:
        np.testing.assert_allclose(ours.outputs()[0], theirs(), rtol=1e-4, atol=1e-5)
    times: list[float] = []
    for _ in range(rounds):
        ours.take_turn(5)
        if theirs is not None:
            begin = time.perf_counter()
            theirs()
            times.append(time.perf_counter() - begin)
    own = statistics.median(ours.runs)
    rows = [Row(ours.name, steps, ours.nodes, len(content) / 1024, 1e3 * min(ours.loads), 1e3 * own, 1.0)]
    if times:
        rows.append(Row("captum", steps, 0, 0.0, 0.0, 1e3 * statistics.median(times), statistics.median(times) / own))
    return rows


def captum_of(weights: dict[str, Array], steps: int, start: Array) -> Callable[[], Array] | None:
    """Captum's integrated gradients of the same scheme in eager torch."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return None
    torch.set_num_threads(1)
    layers = [torch.tensor(item, dtype=torch.float32) for item in weights.values()]
    h = 1 / steps

    def slope(x: Tensor) -> Tensor:
        first, b1, second, b2, third, b3 = layers
        return torch.tanh(torch.tanh(x @ first + b1) @ second + b2) @ third + b3

    def total(x: Tensor) -> Tensor:
        for _ in range(steps):
            k1 = slope(x)
            k2 = slope(x + h / 2 * k1)
            k3 = slope(x + h / 2 * k2)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3))
        return x.sum(1)

    method, given = IntegratedGradients(total), torch.tensor(start)
    return lambda: np.asarray(method.attribute(given, n_steps=POINTS).numpy())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--loaded", default=",".join(map(str, LOADED)), help="steps of the graphs that are only loaded")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    rows = [row for steps in map(int, options.steps.split(",")) for row in measured(steps, options.rounds)]
    rows += [row for steps in map(int, options.steps.split(",")) for row in integrated(steps, options.rounds)]
    print(f"{'model':20}{'steps':>6}{'nodes':>8}{'KiB':>9}{'load ms':>10}{'run ms':>10}{'ratio':>8}")
    for row in rows:
        print(
            f"{row.model:20}{row.steps:6}{row.nodes:8}{row.kilobytes:9.0f}{row.load_ms:10.1f}{row.run_ms:10.3f}"
            f"{row.ratio:8.2f}"
        )
    for package in ("onnx-ad", "captum"):
        if not any(row.model == package for row in rows):
            print(f"{package} is not installed: pip install {package}")
    loads = loaded(tuple(map(int, options.loaded.split(","))))
    powers = growth(loads)
    print(f"\n{'loaded':20}{'steps':>6}{'nodes':>8}{'KiB':>9}{'cpu ms':>10}{'wall ms':>10}")
    for item in loads:
        print(
            f"{item.model:20}{item.steps:6}{item.nodes:8}{item.kilobytes:9.0f}{item.cpu_ms:10.1f}{item.wall_ms:10.1f}"
        )
    for name, power in powers.items():
        print(
            f"{name:20} grows as steps^{power['nodes']:.2f} in nodes, {power['kilobytes']:.2f} in bytes, "
            f"{power['cpu_ms']:.2f} in the processor's time of a load, {power['wall_ms']:.2f} by the wall clock"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"rows": [asdict(row) for row in rows], "loads": [asdict(item) for item in loads], "growth": powers}
    (options.out / "gradient.json").write_text(json.dumps(record, indent=1) + "\n")
    slow = any(row.model == "adjoint" and row.ratio > GOAL for row in rows)
    return 1 if slow or powers["adjoint"]["cpu_ms"] > LINEAR else 0


if __name__ == "__main__":
    raise SystemExit(main())

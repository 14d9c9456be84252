"""What the tests of packed steps stand on: models as text, what they give by hand in numpy, and in each form."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from hypothesis import HealthCheck, Phase, settings

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import Graph, Node, everything
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower.check import model
from isocline_compiler.packing import ROUNDED, Packed, deployed
from isocline_compiler.packing.layouts import Layout
from isocline_compiler.passes import bind, optimise
from isocline_compiler.solvers.schemes.explicit import EXPLICIT
from isocline_compiler.training.initial import initial_weights
from tests.stated import stated
from tests.steppers import runge_kutta

BATCH = 3
SUMS = tuple(ROUNDED)
SCHEMES = {scheme.name: scheme for scheme in EXPLICIT}
QUICK = settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Trial:
    """A model whose solves name their schemes, its weights drawn, and what it gives in each form."""

    def __init__(self, text: str, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.lowered = lowered = model(text)
        drawn = initial_weights(lowered.weights, seed)
        self.weights = {name: value + 0.3 * rng.normal(size=value.shape) for name, value in drawn.items()}
        self.bound = bind(lowered.graph, self.weights)
        self.choices = stated(self.bound)
        self.inputs = {
            node.attrs["name"]: rng.uniform(0.2, 1.0, [BATCH if isinstance(n, str) else n for n in node.shape])
            for node in self.bound.inputs
        }

    def graph(self, layout: Layout | None, sums: str, unrolling: int | str = "all") -> Graph:
        form = Packed(layout, sums, 0.0)
        found = deployed(self.bound, self.choices, unrolling, form=form).graph
        verify(found)
        return found

    def exact(self, graph: Graph) -> dict[str, np.ndarray]:
        """In float64, by torch."""
        fed = {name: torch.tensor(value) for name, value in self.inputs.items()}
        return {
            key: value.numpy()
            for key, value in zip(graph.outputs, evaluate(tuple(graph.outputs.values()), fed), strict=True)
        }

    def single(self, graph: Graph) -> dict[str, np.ndarray]:
        """In float32, by onnxruntime."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        content = to_onnx(graph, {}).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        fed = {name: value.astype(np.float32) for name, value in self.inputs.items()}
        return dict(zip(graph.outputs, session.run(None, fed), strict=True))


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], bound: float) -> None:
    for name, array in expected.items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(found[name], array, rtol=0, atol=bound * scale, err_msg=name)


def nodes(graph: Graph) -> int:
    return sum(1 for node in everything(graph.outputs.values()) if node.inputs)


FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "tanh": np.tanh, "sin": np.sin, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "sqrt": np.sqrt, "where": np.where,
    "max": np.maximum,
}  # fmt: skip


def scalar_model(equations: list[str], scheme: str, steps: int) -> str:
    states = [f"x{i}" for i in range(len(equations))]
    read = [re.findall(r"\bp\b", item) for item in equations]
    return "\n".join([
        "dyn 1", "model scalars", *(["input p: real in (0, 1)"] if any("p" in item for item in read) else []),
        *(f"input s{i}: real in (0, 1)" for i in range(len(states))),
        f"field f(t, {', '.join(f'{x}: real' for x in states)}) {{",
        *(f"  {x}' = {e}" for x, e in zip(states, equations, strict=True)), "}",
        f"s = solve f from {', '.join(f'{x} = s{i}' for i, x in enumerate(states))} at [0, 0.2, 0.6] "
        f"with {scheme}(steps={steps})",
        *(f"output {x} = s.{x}" for x in states),
    ]) + "\n"  # fmt: skip


def by_hand(equations: list[str], scheme: str, steps: int, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tableau = SCHEMES[scheme]
    compiled = [compile(item.replace("^", "**"), "equation", "eval") for item in equations]

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        known = {f"x{i}": row for i, row in enumerate(x)} | {"t": t, "p": inputs.get("p"), **FUNCTIONS}
        return np.array([eval(item, known) * np.ones(BATCH) for item in compiled])

    start = np.array([inputs[f"s{i}"] for i in range(len(equations))])
    half = steps // 2
    times = np.concatenate([np.linspace(0, 0.2, half + 1), np.linspace(0.2, 0.6, half + 1)[1:]])
    with np.errstate(all="ignore"):
        path = runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, start, times)
    kept = path[[0, half, steps]]
    return {f"x{i}": kept[:, i].T for i in range(len(equations))}


CHAINS = {
    "lotka_volterra": ["1.1 * x0 - 0.4 * x0 * x1", "0.1 * x0 * x1 - 0.4 * x1"],
    "lorenz": ["10.0 * (x1 - x0)", "x0 * (28.0 - x2) - x1", "x0 * x1 - 2.6 * x2"],
    "sir": ["-p * x0 * x1", "p * x0 * x1 - 0.3 * x1", "0.3 * x1"],
    "squares": ["0.3 * x1^2 - x0", "x0 - 0.2 * x1^2"],
    "logistic": ["x0 * (1.5 - x1) - 0.2 * x0 * x0", "x1 * (0.7 - x0) - 0.1 * x1 * x1"],
    "decays": ["1.0 - tanh(x0)", "0.5 - tanh(x1)"],
    "michaelis": [
        f"{1 + 0.1 * i} * x{(i - 1) % 6} / ({0.5 + 0.1 * i} + x{(i - 1) % 6}) - 1.2 * x{i} / (0.7 + x{i})"
        for i in range(6)
    ],
}
"""Equations of a kind, and how many operations a step of the classic scheme may have."""


ACTIVATIONS = {"tanh": np.tanh, "sigmoid": FUNCTIONS["sigmoid"], "relu": lambda x: np.maximum(x, 0)}


def net_model(widths: list[int], activation: str, scheme: str, steps: int) -> str:
    hidden = " ".join(f"|> dense({width}) |> {activation}" for width in widths[1:])
    return (
        f"dyn 1\nmodel net\ninput start: real[{widths[0]}] in (-1, 1)\n"
        f"field f(t, x: real[{widths[0]}]) {{ x' = x {hidden} |> dense({widths[0]}) }}\n"
        f"s = solve f from x = start over 0..1 with {scheme}(steps={steps})\noutput y = s.x\n"
    )


def net_by_hand(trial: Trial, activation: str, scheme: str, steps: int) -> np.ndarray:
    arrays = list(trial.weights.values())

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        for w, b in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            x = ACTIVATIONS[activation](x @ w + b)
        return x @ arrays[-2] + arrays[-1]

    tableau = SCHEMES[scheme]
    times = np.linspace(0, 1, steps + 1)
    return runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, trial.inputs["start"], times)[-1]


HAMILTON = """dyn 1
model ham
input q0: real[2] in (-1, 1)
input p0: real[2] in (-1, 1)
net energy(q, p: real[2]) -> real = concat(q, p) |> dense(8) |> tanh |> dense(1, bias=false) |> squeeze(-1)
field f(t, q, p: real[2]) {
  H = energy(q, p)
  q' = grad(H, p)
  p' = -grad(H, q)
}
s = solve f from q = q0, p = p0 at [0, 0.5, 1] with %s(steps=6)
output q = s.q
output p = s.p
"""
SCALAR_HAMILTON = HAMILTON.replace("real[2]", "real").replace("concat(", "stack(")


def hamilton_by_hand(trial: Trial, scheme: str) -> dict[str, np.ndarray]:
    first, bias, last = trial.weights.values()
    start = [item.reshape(BATCH, -1) for item in (trial.inputs["q0"], trial.inputs["p0"])]
    half = start[0].shape[1]

    def slopes(t: float, z: np.ndarray) -> np.ndarray:
        gradient = ((1 - np.tanh(z @ first + bias) ** 2) * last[:, 0]) @ first.T
        return np.concatenate([gradient[:, half:], -gradient[:, :half]], axis=1)

    tableau = SCHEMES[scheme]
    times = np.linspace(0, 1, 7)
    path = runge_kutta(tableau.matrix, tableau.weights, tableau.nodes, slopes, np.concatenate(start, axis=1), times)
    kept = path[[0, 3, 6]].transpose(1, 0, 2)
    shape = (BATCH, 3, *trial.inputs["q0"].shape[1:])
    return {"q": kept[:, :, :half].reshape(shape), "p": kept[:, :, half:].reshape(shape)}


def fields_in(trial: Trial, layout: Layout) -> list[list[Node]]:
    from isocline_compiler.packing import _laid

    laid = _laid(optimise(trial.bound), layout, trial.choices)
    return [
        list(Graph((), {str(i): item for i, item in enumerate(Solve.of(node).region.results)}).nodes())
        for node in laid.nodes() if node.op is SOLVE
    ]  # fmt: skip

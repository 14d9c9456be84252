"""Small files compiled as far as `attribute.onnx`, with the same graph in torch beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnxruntime
import torch

from isocline_compiler.attribution.explain import ExplanationGraph, explain
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Solve
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import Unrolling, solves_of, with_forms
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import Source, parse

LYNX = """dyn 1
model lynx
input first: real[2] in (0, 10)
input season: real in (0, 1)
param birth: positive = 0.6
param death: positive = 0.8
net correction(z: real[2]) = z |> dense(8) |> tanh |> dense(2)
field populations(t, hare, lynx: real) {
  c = correction([hare, lynx])
  hare' = birth*hare*(1 + 0.1*season) - 0.2*hare*lynx + 0.1*c[0]
  lynx' = -death*lynx + 0.2*hare*lynx + 0.1*c[1]*t
}
path = solve populations from hare = first[0], lynx = first[1] at 0..2 step 0.5
output forecast = stack(path.hare, path.lynx, axis=-1)
"""

LYNX_WITH_DATA = (
    LYNX
    + """data {
  source "none.npz"
  first = array(firsts)
  season = array(seasons)
}
"""
)

DIGITS = """dyn 1
model small
data {
  source "none.npz"
  image = array(images)
  label = array(labels)
  split fraction(train=0.8, seed=0)
}
input image: real[1, 6, 6] in (-5, 5)
target label: class[3]
h0 = image |> conv(4, kernel=3, pad=1) |> tanh
field f(t, h: real[4, 6, 6]) { h' = h |> conv(4, kernel=3, pad=1) |> tanh }
h = solve f from h = h0 over 0..1
output logits = h |> flatten |> dense(3)
train { loss cross_entropy(logits, label) }
"""


@dataclass
class Case:
    """One file with its `attribute` items, solved with RK4, its steps laid out unless `unrolling` says otherwise."""

    text: str
    items: tuple[str, ...]
    steps: int = 3
    seed: int = 3
    dtype: str = "float32"
    unrolling: Unrolling = "all"
    background: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def model(self) -> Model:
        block = "\n".join(("deploy {", *self.items, f"dtype {self.dtype}", "}"))
        source = Source(self.text + block, "case.dyn")
        return lower(parse(source), source)

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        return dict(initial_weights(self.model.weights, self.seed))

    def choice(self, solve: Solve):
        stated = solve.spec.scheme
        return scheme_steps(solve, stated) if stated is not None else discretisation(solve, "rk4", self.steps)

    @cached_property
    def choices(self):
        chosen = {solve.spec.choice: self.choice(solve) for solve in solves_of(self.model.graph)}
        return with_forms(self.model.graph, chosen, self.unrolling)

    @cached_property
    def explanations(self) -> ExplanationGraph:
        found = explain(self.model, self.choices, self.weights, self.stored if self.background else None)
        assert found is not None
        return found

    def stored(self, name: str, count: int) -> np.ndarray:
        return self.background[name][:count]

    @cached_property
    def onnx(self):
        return to_onnx(self.explanations.graph, {}, dtype=self.dtype, name="attribute")

    def run(self, arrays: Mapping[str, np.ndarray], level: str = "ORT_ENABLE_ALL") -> dict[str, np.ndarray]:
        """onnxruntime's results; indices and noise not given are -1 and zeros."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(self.onnx.SerializeToString(), options, ["CPUExecutionProvider"])
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(None, self.feed(arrays)), strict=True))

    def feed(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = len(next(iter(arrays.values())))
        fed = {}
        for node in self.explanations.graph.inputs:
            name = node.attrs["name"]
            if name in arrays:
                value = arrays[name]
            elif name.endswith("_index"):
                value = np.full(rows, -1)
            else:
                value = np.zeros((rows, *node.type.sample))
            fed[name] = value.astype(np.int64 if node.type.kind == "int" else self.dtype)
        return fed

    @cached_property
    def unrolled(self) -> Graph:
        return unroll(self.model.graph, self.choices).graph

    @cached_property
    def program(self) -> TorchProgram:
        return TorchProgram(self.unrolled)

    def bound(self, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(value, dtype=dtype) for name, value in self.weights.items()}


class Module(torch.nn.Module):
    """The unrolled graph as captum sees a model: positional inputs to the flattened output."""

    def __init__(self, case: Case, output: str, names: tuple[str, ...]) -> None:
        super().__init__()
        self.case, self.output, self.names = case, output, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        bound = {**self.case.bound(inputs[0].dtype), **dict(zip(self.names, inputs, strict=True))}
        return self.case.program(bound)[self.output].flatten(1)

"""The gradients of whole models, unrolled and emitted, against torch's tape on the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Array, Graph, Node, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.ops import OPS
from isocline_compiler.passes import bind, optimise, share
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import parse, read
from tests.compiler.test_ops import NOT_IN_FLOAT64
from tests.solves import unrolled as stepped

ROOT = Path(__file__).parents[2]
LONG = {"examples/pendulum/pendulum.dyn", "examples/pendulum/unconstrained.dyn", "examples/river/river.dyn"}
"""Hundreds of kept times: minutes for what `models/pendulum.dyn` shows in a second."""
FILES = sorted(
    path
    for folder in ("examples/*", "tests/acceptance/programs", "tests/acceptance/models")
    for path in ROOT.glob(f"{folder}/*.dyn")
    if str(path.relative_to(ROOT)) not in LONG and "input" in path.read_text(encoding="utf-8")
)
SAMPLES, LENGTH = 3, 5


def chosen(solve: Solve, stiff: str | None = None) -> Discretisation:
    stated = solve.spec.scheme
    usual = "euler_maruyama" if solve.spec.noises else stiff or "rk4"
    return scheme_steps(solve, stated) if stated is not None else discretisation(solve, usual, 1)


def unrolled(path: Path) -> tuple[Model, Graph]:
    """With one explicit step between times, or an implicit one where that overflows: a stiff field is told by it."""
    source = read(path)
    model = lower(parse(source), source)
    graph = stepped(model.graph, chosen)
    bound = {name: torch.tensor(value) for name, value in moved_weights(model).items()} | inputs_of(graph)
    with torch.no_grad():
        found = evaluate(tuple(node for node in graph.outputs.values() if node.type.kind == "real"), bound)
    if all(bool((x.abs() < FAR).all()) for x in found):
        return model, graph
    return model, stepped(model.graph, lambda solve: chosen(solve, "rodas4"))


FAR = 1e6
"""Answers beyond this are those of steps that overflow, or soon will."""


def moved_weights(model: Model) -> dict[str, Array]:
    """First values, moved: layers that start at zero would make a gradient trivial.

    Kernels are moved to both sides: a thousand entries that all grow would drown what differs between paths of noise.
    """
    rng = np.random.default_rng(0)
    return {
        name: value + 0.05 * rng.uniform(-1.0 if value.ndim > 1 else 0.0, 1.0, value.shape)
        for name, value in initial_weights(model.weights, 0).items()
    }


def height(graph: Graph) -> Node:
    """One number for each sample: all real outputs, each entry weighted by a number of its own."""
    rng, result = np.random.default_rng(1), constant(0.0)
    for node in graph.outputs.values():
        if node.type.kind == "real":
            sizes = [size if isinstance(size, int) else 1 for size in node.type.sample]
            weights = constant(rng.uniform(0.5, 1.5, sizes))
            first = int(node.type.batched)
            result = result + OPS["reduce_sum"](node * weights, axes=tuple(range(first, node.type.rank)))
    return result


def inputs_of(graph: Graph) -> dict[str, torch.Tensor]:
    """Values between 0.3 and 1; times, where a model takes them, in order. A length that has a name is `LENGTH`."""
    rng, made = np.random.default_rng(2), {}
    for node in graph.inputs:
        shape = [size if isinstance(size, int) else SAMPLES if size == "batch" else LENGTH for size in node.shape]
        values = np.sort(rng.uniform(0.3, 1.0, shape), axis=-1) if shape[1:] else rng.uniform(0.3, 1.0, shape)
        kinds = {"real": values, "bool": values > 0.5}
        made[node.attrs["name"]] = torch.tensor(kinds.get(node.type.kind, values.astype(np.int64)))
    return made


def relative(ours: Array, theirs: Array) -> float:
    """The largest difference by the largest magnitude of a gradient."""
    return float(np.max(np.abs(ours - theirs)) / max(float(np.max(np.abs(theirs))), 1e-12))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_gradient_of_a_model_is_that_of_torch(path: Path) -> None:
    """In float64, and in float32 by onnxruntime as it would be deployed; of an input that is only compared it is 0."""
    model, graph = unrolled(path)
    graph = share(graph)
    weights, values = moved_weights(model), inputs_of(graph)
    wrt = [node for node in graph.inputs if node.type.kind == "real"]
    y = height(graph)
    derivatives = Graph(graph.inputs, {f"d_{x.attrs['name']}": g for x, g in zip(wrt, gradient(y, wrt), strict=True)})
    bound = {**{name: torch.tensor(value) for name, value in weights.items()}, **values}
    leaves = {x.attrs["name"]: bound[x.attrs["name"]].clone().requires_grad_() for x in wrt}
    (total,) = evaluate([y], {**bound, **leaves})
    found = torch.autograd.grad(total.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    expected = [item.numpy() for item in found]
    with torch.no_grad():
        exact = evaluate(tuple(derivatives.outputs.values()), bound)
    assert any(np.abs(item).max() > 1e-6 for item in expected)
    for ours, theirs in zip(exact, expected, strict=True):
        assert relative(ours.numpy(), theirs) <= 1e-6
    optimised = optimise(bind(derivatives, weights))
    deployed = in_onnxruntime(optimised, values, "float32")
    for ours, theirs in zip(deployed, expected, strict=True):
        assert relative(ours, theirs) <= 1e-4
    if not {node.op.name for node in graph.nodes()} & NOT_IN_FLOAT64:
        wide = in_onnxruntime(optimised, values, "float64")
        for ours, theirs in zip(wide, expected, strict=True):
            assert relative(ours, theirs) <= 1e-6


def in_onnxruntime(graph: Graph, values: dict[str, torch.Tensor], dtype: str) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = to_onnx(graph, {}, dtype=dtype).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    given = {item.name for item in session.get_inputs()}
    fed = {name: item.numpy() for name, item in values.items() if name in given}
    cast = {name: item.astype(dtype) if item.dtype.kind == "f" else item for name, item in fed.items()}
    return list(session.run(None, cast))

"""`adj_model.onnx` and `fwd_model.onnx` proved: products with random directions, against central differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.attribution import BOUNDS, MEASURED
from isocline_compiler.certify.certificate import AttributionProof
from isocline_compiler.certify.oracle import STEP
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Graph
from isocline_compiler.model import Model
from isocline_runtime import Session


def prove_derivative(model: Model, kind: str, graph: Graph, session: Session, samples: Samples) -> AttributionProof:
    """u^T J v three ways: by the file, and by central differences of the deployed graph in float64 along v.

    v moves all real inputs, relative to their magnitude, the noise held; u weighs all real outputs. The error is
    relative to the sum of the magnitudes of the terms.
    """
    rows = model.deployment.batch or min(MEASURED, samples.count)
    x = {key: np.resize(a, (rows, *a.shape[1:])) for key, a in samples.first(rows).inputs.items()}
    real = [port.name for port in model.inputs if x[port.name].dtype.kind == "f"]
    generator = np.random.default_rng(0)
    v: dict[str, Array] = {name: generator.normal(size=x[name].shape) * _size(x[name]) for name in real}
    above, below = (_outputs(graph, {**x, **{n: x[n] + s * STEP * v[n] for n in real}}) for s in (1, -1))
    slopes = {name: (above[name] - below[name]) / (2 * STEP) for name in above}
    u: dict[str, Array] = {name: generator.normal(size=a.shape) / _size(a) for name, a in slopes.items()}
    products = np.concatenate([(u[name] * slopes[name]).reshape(-1) for name in u])
    expected, terms = float(products.sum()), float(np.abs(products).sum())
    prefix, given, weights = ("adj_", u, v) if kind == "adjoint" else ("fwd_", v, u)
    ports = {port.name: port for port in session.inputs}
    seeds = {prefix + name: a.reshape(-1, _columns(ports[prefix + name].shape)) for name, a in given.items()}
    answers = session.run({**x, **seeds})
    found = sum(float((answers[prefix + name].reshape(-1) * a.reshape(-1)).sum()) for name, a in weights.items())
    error = abs(found - expected) / terms if terms > 0 else abs(found)
    outputs = ", ".join(u)
    return AttributionProof(
        f"{prefix}model.onnx", outputs, kind, None, rows, error=error, bound=BOUNDS[model.deployment.dtype]
    )


def _outputs(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    bound = {name: torch.tensor(array) for name, array in arrays.items()}
    with torch.no_grad():
        found = TorchProgram(graph)(bound)
    return {name: tensor.numpy() for name, tensor in found.items() if graph.outputs[name].type.kind == "real"}


def _size(array: Array) -> Array:
    """The typical magnitude of an entry."""
    return np.asarray(max(float(np.abs(array).mean()), 1e-6))


def _columns(shape: tuple[int | str, ...]) -> int:
    assert isinstance(shape[-1], int), "the columns of a seed are known"
    return shape[-1]

"""The model's own derivative as files beside it, in the convention that CasADi reads.

`adj_model.onnx` computes adj_x = (dy/dx)^T adj_y and `fwd_model.onnx` fwd_y = (dy/dx) fwd_x. Both take the inputs and
give the outputs of the model first, then one seed for each real output (or input) and one derivative for each real
input (or output). The noise of a stochastic model is held: a derivative is that along its paths. Seeds are matrices: a
vector is a column, higher ranks are flattened; there is one seed a call, so CasADi is told `max_num_dir` 1.
The names are those of the package onnx-ad and of CasADi's `FunctionInternal::diff_prefix`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from isocline_compiler.derivatives.reverse_forward import jvp, vjp
from isocline_compiler.graph import INPUT, Graph, Node, leaf
from isocline_compiler.graph.tensor_type import Shape, TensorType, points_of
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shapes import known
from isocline_compiler.ops.shaping import RESHAPE


def adjoint(graph: Graph, held: Collection[str] = ()) -> Graph:
    """(x, adj_y) -> (y, adj_x), for all inputs but those that are held. Raises `Fault` for an operation without a
    derivative.
    """
    inputs, outputs = _real_inputs(graph, held), _real_outputs(graph)
    seeds = {name: _seed(f"adj_{name}", node.type) for name, node in outputs.items()}
    cotangents = [_unpacked(seeds[name], node.shape) for name, node in outputs.items()]
    found = vjp(list(outputs.values()), cotangents, list(inputs.values()))
    derivatives = {f"adj_{name}": _packed(node) for name, node in zip(inputs, found, strict=True)}
    return Graph((*graph.inputs, *seeds.values()), {**graph.outputs, **derivatives}, f"adj_{graph.name}")


def forward(graph: Graph, held: Collection[str] = ()) -> Graph:
    """(x, fwd_x) -> (y, fwd_y), for all inputs but those that are held. Raises `Fault` for an operation without a
    derivative.
    """
    inputs, outputs = _real_inputs(graph, held), _real_outputs(graph)
    seeds = {name: _seed(f"fwd_{name}", node.type) for name, node in inputs.items()}
    tangents = [_unpacked(seeds[name], node.shape) for name, node in inputs.items()]
    found = jvp(list(outputs.values()), list(inputs.values()), tangents)
    derivatives = {f"fwd_{name}": _packed(node) for name, node in zip(outputs, found, strict=True)}
    return Graph((*graph.inputs, *seeds.values()), {**graph.outputs, **derivatives}, f"fwd_{graph.name}")


SEEDED: Mapping[str, tuple[str, Callable[[Graph, Collection[str]], Graph]]] = {
    "adjoint": ("adj_", adjoint),
    "forward": ("fwd_", forward),
}
"""What `derivatives` may name: the prefix of the file, and what makes its graph."""


def _real_inputs(graph: Graph, held: Collection[str]) -> dict[str, Node]:
    named = {str(node.attrs["name"]): node for node in graph.inputs if node.type.kind == "real"}
    return {name: node for name, node in named.items() if name not in held}


def _real_outputs(graph: Graph) -> dict[str, Node]:
    return {name: node for name, node in graph.outputs.items() if node.type.kind == "real"}


def _matrix(shape: Shape) -> Shape:
    """The shape of one seed of a value."""
    if len(shape) == 2:
        return shape
    if len(shape) < 2:
        return (*(shape or (1,)), 1)
    count = _count(shape[1:])
    return (points_of(shape[0], count) if isinstance(shape[0], str) else shape[0] * count, 1)


def _count(sizes: Shape) -> int:
    """How many entries a seed has of each sample. Raises `Fault` where a size has a name."""
    return math.prod(known("a derivative file", size) for size in sizes)


def _seed(name: str, type_: TensorType) -> Node:
    return leaf(INPUT, name, TensorType("real", _matrix(type_.shape)))


def _packed(node: Node) -> Node:
    """A value as the matrix that its seed is."""
    if node.type.rank > 2 and node.type.batched:
        rows = RESHAPE(node, shape=(node.shape[0], _count(node.type.sample)))
        node = MERGE_POINTS(rows)
    return RESHAPE(node, shape=_matrix(node.shape) if node.type.rank != 2 else node.shape)


def _unpacked(seed: Node, shape: Shape) -> Node:
    """A seed in the shape of its value."""
    if len(shape) > 2 and isinstance(shape[0], str):
        column = RESHAPE(seed, shape=(seed.shape[0],))
        seed = SPLIT_POINTS(column, count=_count(shape[1:]))
    return RESHAPE(seed, shape=shape)

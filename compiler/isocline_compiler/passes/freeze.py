"""noise -> its mean, batch_norm -> x scale + shift, stop_gradient(x) -> x: training is over."""

from __future__ import annotations

from isocline_compiler.graph import Graph, Node, constant
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.elementwise import STOP_GRADIENT
from isocline_compiler.ops.noise import NOISE_LIKE
from isocline_compiler.ops.normalisation import BATCH_NORM, affine_form
from isocline_compiler.passes.rewrite import rewrite


def freeze(graph: Graph) -> Graph:
    """noise_like(x) -> its number; stop_gradient(x) -> x; batch_norm(x, ...) -> x scale + shift, which then fold."""
    return rewrite(graph, _frozen)


def _frozen(node: Node, inputs: tuple[Node, ...]) -> Node:
    if node.op is STOP_GRADIENT:
        return inputs[0]
    if node.op is NOISE_LIKE:
        return broadcast_like(constant(node.attrs["deployed"]), inputs[0])
    if node.op is BATCH_NORM:
        x, gamma, beta, mean, var = inputs
        return affine_form(x, gamma, beta, mean, var, **node.attrs)
    return node.rebuilt(inputs)

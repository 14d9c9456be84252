"""Where numbers stop being finite: the graph is evaluated again, node by node, and the first culprit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, evaluate
from isocline_compiler.graph import CONSTANT, Node, topological
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.training.objective import Objective
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Culprit:
    """What is not finite, in words, and the place in the file that it comes from."""

    words: str
    span: Span | None


def find_culprit(objective: Objective, bound: Mapping[str, Tensor], source: Source) -> Culprit | None:
    """The first node whose value is not finite although its arguments are; else, of the gradients, the last.

    A gradient is not finite where an equation has no derivative (the root at 0): the equation is the user of
    the value with the first bad gradient, going backwards from the loss.
    """
    nodes = [node for node in topological(tuple(objective.graph.outputs.values())) if node.op is not SOLVE]
    values = _values(nodes, bound, objective.solver.integrator)
    return _bad_value(nodes, values, source) or _bad_gradient(objective, nodes, values, source)


def _values(nodes: Sequence[Node], bound: Mapping[str, Tensor], integrator: Integrator) -> dict[Node, Tensor]:
    results = evaluate(nodes, bound, training=True, integrator=integrator)
    return {node: value for node, value in zip(nodes, results, strict=True) if isinstance(value, Tensor)}


def _bad_value(nodes: Sequence[Node], values: Mapping[Node, Tensor], source: Source) -> Culprit | None:
    for node in nodes:
        if node.op is CONSTANT or node not in values or _finite(values[node]):
            continue
        name = node.attrs.get("name")
        if name is not None:
            return Culprit(f"`{name}` itself is not finite", node.span)
        arguments = ", ".join(_range(values[item]) for item in node.inputs if item in values)
        return Culprit(f"{_quoted(node, source)} is not finite ({node.op.name} of {arguments})", node.span)
    return None


def _bad_gradient(
    objective: Objective, nodes: Sequence[Node], values: Mapping[Node, Tensor], source: Source
) -> Culprit | None:
    loss = values[objective.graph.outputs["loss"]].mean()
    inner = [node for node in nodes if node in values and values[node].requires_grad]
    found = torch.autograd.grad(loss, [values[node] for node in inner], allow_unused=True)
    gradients = dict(zip(inner, found, strict=True))
    users = {item: node for node in nodes for item in node.inputs}
    for node in reversed(inner):
        gradient = gradients[node]
        if gradient is not None and not _finite(gradient):
            user = users.get(node, node)
            return Culprit(f"{_quoted(user, source)} has no finite derivative ({user.op.name})", user.span)
    return None


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _quoted(node: Node, source: Source) -> str:
    """The text that the node comes from, on one line and not too long."""
    if node.span is None or node.span.stop <= node.span.start:
        return f"`{node.op.name}`"
    text = " ".join(source.text[node.span.start : node.span.stop].split())
    return f"`{text[:60]}{'...' if len(text) > 60 else ''}`"


def _range(value: Tensor) -> str:
    """`[-0.2, 1.4]`: the least and the greatest of the finite numbers."""
    if not value.is_floating_point():
        return str(value.dtype).removeprefix("torch.")
    finite = value.detach()[torch.isfinite(value.detach())]
    if not finite.numel():
        return "nothing finite"
    low, high = float(finite.min()), float(finite.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"

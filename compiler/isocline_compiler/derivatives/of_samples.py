r"""Per-sample gradients: what each sample's number owes to a value that all samples share, from one reverse pass.

The reverse mode alone adds up the samples of a batch, and the forward mode takes a pass for each entry of the value.
But a shared value p reaches a sample through few operations: those with an axis for the samples that read what has
none. Call them y_j. Before them nothing depends on a sample, and forwards is cheap; from them to the number S,
backwards keeps the samples apart. Along a direction v of p

    dS/dp v = sum_j <dS/dy_j, dy_j/dp v>,

where dS/dy_j comes from the one reverse pass, dy_j/dp v is the derivative of y_j with its other arguments held, and <,>
sums over a sample. Every direction adds a product and a sum for each y_j.

Griewank, Walther (2008), Evaluating Derivatives, 2nd ed., chapter 10, on orders between the two modes.
"""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.derivatives.reverse_forward import dependent, jvps, pull_back, push_forward, zeros_like
from isocline_compiler.graph import ARGUMENT, Node, constant, leaf, substitute, topological
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.points import SPLIT_POINTS
from isocline_compiler.ops.reduction import REDUCE_SUM


def derivatives_of_samples(score: Node, shared: Node, directions: Sequence[Node]) -> list[Node]:
    """dS/dp v of each sample, (batch,), for a p without an axis for them; each direction v has the shape of p.

    S is one number for each sample, (batch,). Where samples do not stay apart, or an operation has several results, the
    forward mode answers. Raises `Fault` for an operation without a derivative.
    """
    depends = dependent(topological([score]), [shared])
    order = [node for node in topological([score]) if node in depends]
    if not _apart(order, depends):
        return [found for (found,) in jvps([score], [shared], [[v] for v in directions])]
    met = [node for node in order if node.type.batched and _shared_inputs(node, depends)]
    adjoints = dict(zip(met, pull_back([score], [broadcast_like(constant(1.0), score)], met), strict=True))
    reached = {node: adjoint for node, adjoint in adjoints.items() if adjoint is not None}
    return [_summed(score, reached, moved) for moved in _moved(list(reached), shared, directions, depends)]


def _apart(order: Sequence[Node], depends: set[Node]) -> bool:
    """Whether nothing that depends on the shared value adds up samples, or has several results."""
    return all(
        len(node.types) == 1
        and (node.type.batched or not any(item in depends and item.type.batched for item in node.inputs))
        for node in order
    )


def _shared_inputs(node: Node, depends: set[Node]) -> list[Node]:
    return [item for item in node.inputs if item in depends and not item.type.batched]


def _moved(
    met: Sequence[Node], shared: Node, directions: Sequence[Node], depends: set[Node]
) -> list[tuple[Node | None, ...]]:
    """dy_j/dp v with the other arguments of y_j held, for each direction; None for zero."""
    read = list(dict.fromkeys(item for node in met for item in _shared_inputs(node, depends)))
    tangents = push_forward(read, [shared], [(v,) for v in directions])
    held = {item: leaf(ARGUMENT, f"held_{i}", item.type) for i, item in enumerate(_arguments(met))}
    alone = [node.rebuilt(tuple(held[item] for item in node.inputs)) for node in met]
    found = push_forward(alone, [held[item] for item in read], tangents)
    known = {stand_in: item for item, stand_in in held.items()}
    rest = iter(substitute([node for along in found for node in along if node is not None], known))
    return [tuple(None if node is None else next(rest) for node in along) for along in found]


def _arguments(nodes: Sequence[Node]) -> dict[Node, None]:
    return dict.fromkeys(item for node in nodes for item in node.inputs)


def _summed(score: Node, adjoints: dict[Node, Node], moved: Sequence[Node | None]) -> Node:
    """sum_j <dS/dy_j, dy_j/dp v>, those of one shape before a sample is summed."""
    sums: dict[object, Node] = {}
    for adjoint, tangent in zip(adjoints.values(), moved, strict=True):
        if tangent is not None:
            product = adjoint * tangent
            sums[product.shape] = sums[product.shape] + product if product.shape in sums else product
    total = None
    for part in map(_over_a_sample, sums.values()):
        total = part if total is None else total + part
    return zeros_like(score) if total is None else total


def _over_a_sample(x: Node) -> Node:
    """(batch, ...) or (batch m, ...) summed to (batch,)."""
    while x.shape[0] != BATCH:
        x = SPLIT_POINTS(x, count=int(str(x.shape[0]).partition("*")[0]))
    axes = tuple(range(1, x.type.rank))
    return REDUCE_SUM(x, axes=axes, keepdims=False) if axes else x

r"""Derivatives of graphs, as graphs: made of ordinary operations, they export, optimise, and differentiate again.

Reverse mode walks the operations backwards once and lets each one's rule, stated beside it in the op table, pass the
cotangent on. Forward mode is reverse mode twice: g(u) = (dy/dx)^T u is linear in u, and its own transpose at v is
(dy/dx) v. Through a solve only the forward mode goes, as another solve (`variations`); once it is laid out or made a
loop, both do, and the reverse of a loop is a loop (`reversal`). A node that does not depend on what is differentiated
with respect to is never visited, so a gradient that is zero is absent rather than added.

Griewank, Walther (2008), Evaluating Derivatives, 2nd ed., chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from isocline_compiler.derivatives.of_loops import reverse_scan
from isocline_compiler.derivatives.of_solves import Tangents, mentions, varied
from isocline_compiler.graph import ARGUMENT, Fault, Node, Stop, constant, leaf, substitute, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, SOLVE, pick
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.shaping import SPREAD
from isocline_dsl import messages

K = TypeVar("K")


def gradient(y: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """dy/dx for each x in `wrt`, in the shape of x; zeros where y does not depend on it.

    y holds one number for each sample, shape (batch,), or one number, shape (). Where x has no batch axis and y has,
    the samples' gradients are summed. Raises `Fault` for an operation without a derivative.
    """
    return vjp([y], [_ones(y, wrt)], wrt)


def _ones(y: Node, wrt: Sequence[Node]) -> Node:
    """1 for each sample, counted on what is differentiated by, so that y itself need not be computed."""
    batched = next((x for x in wrt if x.type.batched), None)
    if batched is not None and y.shape == (BATCH,):
        return SPREAD(constant(1.0), batched)
    return broadcast_like(constant(1.0), y)


def vjp(outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node]) -> tuple[Node, ...]:
    """sum_i (dy_i/dx)^T u_i for each x in `wrt`: u_i has the shape of y_i. Raises `Fault`."""
    found = pull_back(outputs, cotangents, wrt)
    return tuple(zeros_like(x) if node is None else node for x, node in zip(wrt, found, strict=True))


def jvp(outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node]) -> tuple[Node, ...]:
    """sum_j (dy/dx_j) v_j for each y in `outputs`: v_j has the shape of x_j. Raises `Fault`.

    Where x has no batch axis and y has, v holds for every sample: the result has a row for each.
    """
    return jvps(outputs, wrt, [tangents])[0]


def jvps(outputs: Sequence[Node], wrt: Sequence[Node], directions: Sequence[Sequence[Node]]) -> list[tuple[Node, ...]]:
    """The same along several directions, which share what they can: a solve is walked once for all of them."""
    return [
        tuple(zeros_like(y) if node is None else node for y, node in zip(outputs, found, strict=True))
        for found in push_forward(outputs, wrt, [tuple(direction) for direction in directions])
    ]


def push_forward(outputs: Sequence[Node], wrt: Sequence[Node], directions: Sequence[Tangents]) -> list[Tangents]:
    """Forward accumulation along each direction, solve after solve; None for zero."""
    order = topological(outputs)
    depends = dependent(order, wrt)
    reached, moved = list(wrt), [list(direction) for direction in directions]
    cut: list[Node] = []
    for solve in [node for node in order if node.op is SOLVE and node in depends and node not in wrt]:
        tangents = _straight(solve.inputs, reached, moved, cut)
        free = [(x, tuple(along[i] for along in moved)) for i, x in enumerate(wrt) if mentions(solve, {x})]
        together, count = varied(solve, tangents, free, push_forward), len(solve.types)
        for node in [item for item in order if item.op is PICK and item.inputs[0] is solve and item not in wrt]:
            cut.append(node)
            reached.append(node)
            for i, along in enumerate(moved):
                along.append(pick(together, count * (1 + i) + node.attrs["index"]))
    return _straight(outputs, reached, moved, cut)


def _straight(
    outputs: Sequence[Node], wrt: Sequence[Node], directions: Sequence[Sequence[Node | None]], cut: Sequence[Node]
) -> list[Tangents]:
    """Forward accumulation where no solve lies between: the reverse mode, once, and its transpose along each."""
    moving = [i for i in range(len(wrt)) if any(along[i] is not None for along in directions)]
    probes = [leaf(ARGUMENT, f"probe_{i}", y.type) for i, y in enumerate(outputs)]
    transposed = dict(zip(moving, pull_back(outputs, probes, [wrt[i] for i in moving], cut), strict=True))
    found = [_transpose(transposed, along, probes) for along in directions]
    # linear in the probes, so none of them is left in the result; zeros in their place settle the rest
    none_left = {probe: zeros_like(y) for probe, y in zip(probes, outputs, strict=True)}
    rest = iter(substitute([node for along in found for node in along if node is not None], none_left))
    return [tuple(None if node is None else next(rest) for node in along) for along in found]


def _transpose(
    transposed: Mapping[int, Node | None], tangents: Sequence[Node | None], probes: Sequence[Node]
) -> Tangents:
    """The derivative by the probes of what is linear in them, along the tangents that are not zero."""
    pairs = [(node, v) for i, node in transposed.items() if node is not None and (v := tangents[i]) is not None]
    return pull_back([node for node, _ in pairs], [v for _, v in pairs], probes)


def pull_back(
    outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node], cut: Sequence[Node] = ()
) -> Tangents:
    """Reverse accumulation; None for an x that no output depends on. What lies behind the `cut` is held constant."""
    order = topological(outputs, cut)
    depends = dependent(order, wrt)
    sums: dict[Node, Node] = {}
    for y, cotangent in zip(outputs, cotangents, strict=True):
        _accumulate(sums, y, cotangent)
    for node, found in _backwards(order, sums):
        if not _moves(node, depends):
            continue
        if isinstance(found, dict):
            parts = reverse_scan(node, found, [item in depends for item in node.inputs], pull_back)
        else:
            parts = _pulled(node, found)
        for item, part in zip(node.inputs, parts, strict=True):
            if part is not None and item in depends:
                _accumulate(sums, item, part)
    return tuple(sums.get(x) if x in depends else None for x in wrt)


def _backwards(order: Sequence[Node], sums: Mapping[Node, Node]) -> Iterator[tuple[Node, Node | dict[int, Node]]]:
    """The nodes that have a cotangent by the time they are reached, with it; of a scan, its results' by index."""
    picked: dict[Node, dict[int, Node]] = {}
    for node in reversed(order):
        if node.op is PICK and node.inputs[0].op is SCAN:
            if node in sums:
                _accumulate(picked.setdefault(node.inputs[0], {}), node.attrs["index"], sums[node])
        elif node in picked:
            yield node, picked[node]
        elif node in sums:
            yield node, sums[node]


def dependent(order: Iterable[Node], wrt: Iterable[Node]) -> set[Node]:
    """The nodes of a topological order that depend on any of `wrt`, those themselves included."""
    found = set(wrt)
    for node in order:
        if _moves(node, found):
            found.add(node)
    return found


def _moves(node: Node, found: set[Node]) -> bool:
    """Whether a node depends on any of `found` by an argument, or a solve by what its field is written in."""
    return any(item in found for item in node.inputs) or (node.op is SOLVE and mentions(node, found))


def zeros_like(x: Node) -> Node:
    """Zeros in the shape of x."""
    return broadcast_like(constant(0.0), x)


def _accumulate(sums: dict[K, Node], key: K, part: Node) -> None:
    sums[key] = sums[key] + part if key in sums else part


def _pulled(node: Node, cotangent: Node) -> tuple[Node | None, ...]:
    """The rule of one operation, applied. A piecewise constant one has a derivative where it matters: zero."""
    rule = node.op.vjp
    if rule is None:
        raise Fault(lambda span: messages.no_derivative(node.span or span, node.op.name, "without a rule"))
    if isinstance(rule, Stop):
        if rule.reason == PIECEWISE:
            return (None,) * len(node.inputs)
        raise Fault(lambda span: messages.no_derivative(node.span or span, node.op.name, rule.reason))
    attrs: Mapping[str, object] = node.attrs
    return rule(cotangent, node, *node.inputs, **attrs)


PIECEWISE = "piecewise constant"
"""The reason of operations whose derivative is zero almost everywhere: a step, a comparison, a cast."""

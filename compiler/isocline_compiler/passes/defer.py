"""f(x repeated) -> f(x) repeated, f(x repeated, y) -> f(x, y): what repeats comes last, or not at all."""

from __future__ import annotations

from functools import reduce

from isocline_compiler.graph import Fault, Graph, Node
from isocline_compiler.ops.arithmetic import ADD
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.linear import LINEAR, MATMUL
from isocline_compiler.ops.points import MERGE_POINTS
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import EXPAND, EXPAND_LIKE, RESHAPE, SPREAD
from isocline_compiler.passes.rewrite import rewrite


def defer(graph: Graph) -> Graph:
    """linear(x repeated) -> linear(x) repeated; f(x repeated, y) -> f(x, y) for an f that repeats it to the same shape;
    f(x repeated, y repeated alike) -> f(x, y) repeated.

    What is the same for all samples or points is computed once, and folds where it is a literal: the seeds of
    gradients are of this kind. tract 0.23 stops at a product with a repeated argument, so that none may be left.
    """
    return rewrite(graph, _deferred)


def _deferred(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if node.op.broadcasts:
        node = _once(node) or _bare(node)
    if node.op in (LINEAR, MATMUL):
        later = _product(node)
        return node if later is None else later
    return node


def _bare(node: Node) -> Node:
    """The operation on what was repeated, where the result stays the same."""
    for i, item in enumerate(node.inputs):
        if item.op.repeats:
            bare = _applied(node, (*node.inputs[:i], item.inputs[0], *node.inputs[i + 1 :]))
            if bare is not None and bare.types == node.types:
                return _bare(bare)
    return node


def _once(node: Node) -> Node | None:
    """Of arguments that are repeated in the shape of one value, or single numbers: the operation once, repeated."""
    repeated = [item for item in node.inputs if item.op in (EXPAND_LIKE, SPREAD)]
    alike = len({(item.op, item.inputs[1]) for item in repeated}) == 1
    if not alike or any(item.shape for item in node.inputs if item not in repeated):
        return None
    inputs = tuple(item.inputs[0] if item in repeated else item for item in node.inputs)
    bare = _applied(node, inputs)
    found = None if bare is None else repeated[0].op(bare, repeated[0].inputs[1])
    return found if found is not None and found.types == node.types else None


def _applied(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    try:
        return node.op(*inputs, **node.attrs)
    except Fault:
        return None


# ---------------------------------------------------------------------------------------------------- products


def _product(node: Node) -> Node | None:
    """x w + b of a repeated x, for a matrix w; None where x is not repeated."""
    x, w, *_ = node.inputs
    if w.type.rank != 2 or w.type.batched or not x.type.batched:
        return None
    return _of_one_for_all(node, x) or _of_points(node, x) or _of_expanded(node, x) or _of_parts(node, x)


def _of_one_for_all(node: Node, x: Node) -> Node | None:
    """x the same for all samples: the product once, spread."""
    found = _one_for_all(x)
    if found is None or not found[0].type.rank:
        return None
    once, like = found
    return SPREAD(node.op(once, *node.inputs[1:], **node.attrs), like)


def _one_for_all(x: Node) -> tuple[Node, Node] | None:
    """(s, like): x is s, which has no batch axis, for each sample of `like`. None where samples may differ."""
    if not x.type.batched or not all(isinstance(size, int) for size in x.type.sample):
        return None
    if x.op is SPREAD:
        return x.inputs[0], x.inputs[1]
    if x.op is EXPAND_LIKE:
        return _of_like(*x.inputs)
    if x.op in (RESHAPE, EXPAND) and x.inputs[0].shape[:1] == x.shape[:1]:
        found = _one_for_all(x.inputs[0])
        return None if found is None else (x.op(found[0], shape=x.type.sample), found[1])
    return None


def _of_like(s: Node, like: Node) -> tuple[Node, Node] | None:
    """What is repeated in the shape of another value, when it has no batch axis or one of one entry."""
    if any(isinstance(size, str) for size in s.shape):
        return None
    if s.type.rank == like.type.rank:
        s = RESHAPE(s, shape=s.shape[1:])
    return EXPAND(s, shape=like.type.sample), like


def _of_points(node: Node, x: Node) -> Node | None:
    """x the same for all points of a sample: the product once a sample, repeated and merged."""
    if x.op is not MERGE_POINTS or x.inputs[0].op is not EXPAND:
        return None
    points = x.inputs[0]
    single = points.inputs[0]
    if single.type.rank != points.type.rank or single.size(1) != 1 or single.shape[2:] != points.shape[2:]:
        return None
    each = RESHAPE(single, shape=(single.shape[0], *single.shape[2:]))
    result = node.op(each, *node.inputs[1:], **node.attrs)
    batch, *sample = result.shape
    repeated = EXPAND(RESHAPE(result, shape=(batch, 1, *sample)), shape=(batch, points.size(1), *sample))
    return MERGE_POINTS(repeated)


def _of_expanded(node: Node, x: Node) -> Node | None:
    """x with axes that were repeated: the product before; one repeated last axis meets the sums of the weights."""
    if x.op is not EXPAND or x.inputs[0].type.rank != x.type.rank:
        return None
    s, (w, *b) = x.inputs[0], node.inputs[1:]
    if s.size(-1) != x.size(-1):
        w = REDUCE_SUM(w, axes=(_rows(node),), keepdims=True)
    return EXPAND(node.op(s, w, *b, **node.attrs), shape=node.shape)


def _of_parts(node: Node, x: Node) -> Node | None:
    """x a concatenation, some parts of it repeated: the product of the others, and that of each of these beside it."""
    if x.op is not CONCAT or x.attrs["axis"] % x.type.rank != x.type.rank - 1:
        return None
    w, *b = node.inputs[1:]
    others, weights, products, start = [], [], [], 0
    for part in x.inputs:
        stop = start + int(part.size(-1))
        rows = SLICE(w, axis=_rows(node), start=start, stop=stop)
        product = _product(node.op(part, rows, **node.attrs))
        if product is None:
            others.append(part)
            weights.append(rows)
        else:
            products.append(product)
        start = stop
    if not products:
        return None
    if others:
        rest = CONCAT(*others, axis=-1), CONCAT(*weights, axis=_rows(node))
        return reduce(ADD, products, node.op(*rest, *b, **node.attrs))
    return reduce(ADD, [*products, *b])


def _rows(node: Node) -> int:
    """The axis of the weights that meets the last one of x."""
    return 1 if node.attrs.get("transposed", False) else 0

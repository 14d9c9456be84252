"""Algebraic simplification: x + 0 -> x, 1 x -> x, 0 x -> 0, -(-x) -> x, and their like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from isocline_compiler.graph import Graph, Node, Op, constant, value_of
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, POW, SUB
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import CAST, CLIP, WHERE
from isocline_compiler.ops.elementwise import ABS, SQUARE
from isocline_compiler.ops.shaping import EXPAND_LIKE
from isocline_compiler.passes.layout import LAYOUT, joined
from isocline_compiler.passes.rewrite import rewrite, rewritten

Rule = Callable[[Node], Node | None]

_SAFE = (1e-30, 1e30)
"""A product of two literals in here loses nothing when it is rounded to float32."""


def simplify(graph: Graph) -> Graph:
    """x + 0 -> x; x - 0 -> x; 1 x -> x; 0 x -> 0; x / 1 -> x; -(-x) -> x; a (b x) -> (a b) x; two reshapes -> one.

    A result keeps its kind and shape: a rule that would change them does not apply. `0 x -> 0` holds for finite x.
    """
    return rewrite(graph, _simplified)


def simplified(root: Node, kept: Iterable[Node]) -> Node:
    """The same for one value, those to be kept aside."""
    return rewritten([root], _simplified, kept)[0]


def _simplified(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    rule = RULES.get(node.op)
    simpler = rule(node) if rule is not None else None
    return simpler if simpler is not None and simpler.types == node.types else node


# ---------------------------------------------------------------------------------------------------- literals


def filled(node: Node) -> float | None:
    """The number that all entries of a literal are, also of one repeated or regrouped; None for anything else.

    -0.0 is none: x + -0.0 is x, but the sign of a zero is not ours to lose.
    """
    while node.op.moves:
        node = node.inputs[0]
    value = value_of(node)
    if value is None or value.dtype.kind == "b" or not value.size:
        return None
    first = float(value.flat[0])
    negative_zero = first == 0 and math.copysign(1.0, first) < 0
    return first if bool((value == first).all()) and not negative_zero else None


def _zero_like(node: Node) -> Node | None:
    """Zeros of a node's type, when they can be written without computing it."""
    zero = constant(np.zeros((), dtype=np.float64 if node.type.kind == "real" else np.int64))
    if all(isinstance(size, int) for size in node.shape):
        return broadcast_like(zero, node)
    like = next((item for item in node.inputs if item.shape == node.shape), None)
    return None if like is None else EXPAND_LIKE(zero, like)


# ---------------------------------------------------------------------------------------------------- arithmetic


def _add(node: Node) -> Node | None:
    a, b = node.inputs
    if filled(a) == 0:
        return b
    if filled(b) == 0:
        return a
    if b.op is NEG:
        return a - b.inputs[0]
    return b - a.inputs[0] if a.op is NEG else joined(node)


def _sub(node: Node) -> Node | None:
    a, b = node.inputs
    if filled(b) == 0:
        return a
    if filled(a) == 0:
        return -b
    return a + b.inputs[0] if b.op is NEG else None


def _mul(node: Node) -> Node | None:
    for a, b in (node.inputs, node.inputs[::-1]):
        number = filled(a)
        if number == 1:
            return b
        if number == -1 and b.shape == node.shape:
            return -b
        if number == 0:
            return _zero_like(node)
    return _scaled_twice(node)


def _scaled_twice(node: Node) -> Node | None:
    """a (b x) -> (a b) x for single numbers whose product neither overflows nor underflows."""
    outer, rest = _scale(node)
    inner, x = _scale(rest) if outer is not None and rest is not None else (None, None)
    if outer is None or inner is None or x is None:
        return None
    product = outer * inner
    return x * product if _SAFE[0] < abs(product) < _SAFE[1] else None


def _scale(node: Node) -> tuple[float | None, Node | None]:
    """(a, x) of a x, a a single number and x a real that is no literal; (-1, x) of -x."""
    if node.op is NEG:
        return -1.0, node.inputs[0]
    if node.op is not MUL or node.type.kind != "real":
        return None, None
    for a, x in (node.inputs, node.inputs[::-1]):
        value = value_of(a)
        if value is not None and value.shape == () and value_of(x) is None:
            return float(value), x
    return None, None


def _div(node: Node) -> Node | None:
    """x / 1 -> x, and x / 2^k -> x 2^-k, which is exact."""
    x, divisor = node.inputs
    number = filled(divisor)
    if number == 1:
        return x
    if number and value_of(divisor) is not None and abs(math.frexp(number)[0]) == 0.5 and 1e-30 < abs(number) < 1e30:
        return x * (1.0 / number)
    return None


def _neg(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op is NEG:
        return x.inputs[0]
    return x.inputs[1] - x.inputs[0] if x.op is SUB else None


def _pow(node: Node) -> Node | None:
    x, exponent = node.inputs
    number = filled(exponent)
    if number == 1:
        return x
    return SQUARE(x) if number == 2 else None


def _where(node: Node) -> Node | None:
    condition, a, b = node.inputs
    value = value_of(condition)
    if a is b:
        return a
    if value is None or not value.size:
        return None
    return a if value.all() else b if not value.any() else None


def _clip(node: Node) -> Node | None:
    return node.inputs[0] if (node.attrs["low"], node.attrs["high"]) == (-math.inf, math.inf) else None


def _abs(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op is ABS:
        return x
    return ABS(x.inputs[0]) if x.op is NEG else None


def _cast(node: Node) -> Node | None:
    return node.inputs[0]  # kept only when the kind is the same: a result keeps its type


RULES: Mapping[Op, Rule] = {
    ADD: _add,
    SUB: _sub,
    MUL: _mul,
    DIV: _div,
    NEG: _neg,
    POW: _pow,
    WHERE: _where,
    CLIP: _clip,
    ABS: _abs,
    CAST: _cast,
    **LAYOUT,
}

"""Derivatives in the language. The result is an expression like any other: it trains, deploys, is differentiated again.

A derivative is taken with respect to a *value*: a state, an argument, an input, a parameter, a name defined from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isocline_compiler.derivatives.reverse_forward import dependent, gradient, jvps, pull_back
from isocline_compiler.derivatives.reverse_forward import vjp as pull
from isocline_compiler.graph import Fault, Node, Stop, constant, everything, regions_of, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.graph.tensor_type import BATCH, Shape, describe
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.elementwise import STOP_GRADIENT
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.vocabulary.functions.broadcasting import elementwise, known_sample
from isocline_compiler.vocabulary.functions.kinds import Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl import messages

MOST_PASSES = 256
"""More rows or columns than this are refused: each is a pass over the whole expression."""

MOST_OPERATIONS = 2_000
"""More than these are not differentiated: each derivative of a derivative is two to three times as large."""

MOST_PASSED = 12_000
"""Operations that all passes together may go through."""

SPELLED = {
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip
"""Operations that a file writes as signs."""


def grad(y: Value, x: Value) -> Node:
    """The gradient of a number with respect to a value: dy/dx, in the shape of x.

    With x one value for all samples, such as a parameter, there is a gradient for each sample.

    Example: grad(sum(x^2), x)
    """
    _require_number(y)
    _require_dependence("grad", y, x)
    if _by_columns(y, x):
        return _columns("grad", y, x)
    return gradient(y, [x])[0]


def jacobian(y: Value, x: Value) -> Node:
    """All derivatives of y with respect to x, of shape (y..., x...).

    Computed by rows, a reverse pass each, or by columns, a forward pass each, whichever is fewer.

    Example: jacobian(tanh(x), x)
    """
    _require_dependence("jacobian", y, x)
    if _by_columns(y, x) or math.prod(known_sample("jacobian", x)) < math.prod(known_sample("jacobian", y)):
        return _columns("jacobian", y, x)
    return _rows("jacobian", y, x)


def vjp(y: Value, x: Value, u: Value) -> Node:
    """The product (dy/dx)^T u, in the shape of x: one reverse pass. u has the shape of y.

    Example: vjp(tanh(x), x, y)
    """
    _require_dependence("vjp", y, x)
    _require_same("vjp", y, u)
    if _by_columns(y, x) or (u.type.batched and not y.type.batched):
        return _joined([inner(column, u) for column in _pushed("vjp", y, x)], x.type.sample)
    return pull([y], [broadcast_like(u, y)], [x])[0]


def jvp(y: Value, x: Value, v: Value) -> Node:
    """The product (dy/dx) v, in the shape of y: one forward pass. v has the shape of x.

    Example: jvp(tanh(x), x, y)
    """
    _require_dependence("jvp", y, x)
    _require_same("jvp", x, v)
    if v.type.batched and not x.type.batched:
        return _along_each(y, x, v)
    return jvps([y], [x], [[broadcast_like(v, x)]])[0][0]


def divergence(y: Value, x: Value) -> Node:
    """The trace of dy/dx, for y and x of one shape: how fast a volume carried along y grows.

    Example: divergence(tanh(x), x)
    """
    _require_dependence("divergence", y, x)
    _require_same("divergence", y, x)
    return trace_of("divergence", y, x)


def hessian(y: Value, x: Value) -> Node:
    """The matrix of second derivatives of a number, of shape (x..., x...).

    Example: hessian(sum(x^3), x)
    """
    return jacobian(grad(y, x), x)


def laplacian(y: Value, x: Value) -> Node:
    """The sum of the second derivatives of a number along each entry of x.

    Example: laplacian(sum(x^3), x)
    """
    return trace_of("laplacian", grad(y, x), x)


# ---------------------------------------------------------------------------------------------------- passes


def _rows(function: str, y: Node, x: Node) -> Node:
    """One reverse pass for each entry of y, stacked: (y..., x...)."""
    parts = [pull([y], [_unit(y, index)], [x])[0] for index in range(_count(function, y, y))]
    return _arranged(parts, y.type.sample + x.type.sample, first=True)


def _pushed(function: str, y: Node, x: Node) -> list[Node]:
    """dy/dx_i in the shape of y for each entry of x: a forward pass each."""
    units = [[_unit(x, index)] for index in range(_count(function, x, y))]
    return [column for (column,) in jvps([y], [x], units)]


def _columns(function: str, y: Node, x: Node) -> Node:
    """One forward pass for each entry of x, stacked last: (y..., x...)."""
    return _arranged(_pushed(function, y, x), y.type.sample + x.type.sample, first=False)


def _along_each(y: Node, x: Node, v: Node) -> Node:
    """sum_i (dy/dx_i) v_i where every sample has a direction v of its own and x is common to all."""
    total = constant(0.0)
    for column, unit in zip(_pushed("jvp", y, x), _units(x), strict=True):
        total = total + elementwise("mul", column, inner(v, unit))
    return total


def _units(like: Node) -> list[Node]:
    """For each entry of a sample the array that is 1 there and 0 elsewhere."""
    return [_unit(like, index) for index in range(_count("jvp", like, like))]


def trace_of(function: str, y: Node, x: Node) -> Node:
    """sum_i dy_i/dx_i: a pass each, forwards where there is a solve between."""
    count = _count(function, x, y)
    units = [_unit(y, index) for index in range(count)]
    passes = _pushed(function, y, x) if _by_columns(y, x) else [pull([y], [unit], [x])[0] for unit in units]
    total = constant(0.0)
    for part, unit in zip(passes, units, strict=True):
        total = total + inner(part, unit)
    return total


def inner(left: Node, right: Node) -> Node:
    """The sum of the products of entries: one number for each sample."""
    product = left * right
    axes = tuple(range(int(product.type.batched), product.type.rank))
    return REDUCE_SUM(product, axes=axes, keepdims=False) if axes else product


def _joined(numbers: Sequence[Node], sample: Shape) -> Node:
    """Numbers of a sample as one array."""
    head = (BATCH,) if numbers[0].type.batched else ()
    columns = [RESHAPE(number, shape=(*head, 1)) for number in numbers]
    return RESHAPE(CONCAT(*columns, axis=len(head)), shape=(*head, *sample))


def _unit(like: Node, index: int) -> Node:
    """1 at one entry of a sample and 0 elsewhere, in the shape of `like`."""
    values = np.zeros([int(size) for size in like.type.sample])
    values.flat[index] = 1.0
    return broadcast_like(constant(values), like)


def _arranged(parts: Sequence[Node], sample: Shape, first: bool) -> Node:
    """Passes stacked before (rows) or after (columns) the axes that each has, and given the shape of the sample."""
    head = (BATCH,) if parts[0].type.batched else ()
    count = math.prod(int(size) for size in parts[0].type.sample)
    shape = (*head, 1, count) if first else (*head, count, 1)
    joined = CONCAT(*(RESHAPE(part, shape=shape) for part in parts), axis=len(head) + (not first))
    return RESHAPE(joined, shape=(*head, *sample))


# ---------------------------------------------------------------------------------------------------- requirements


def _require_number(y: Node) -> None:
    if y.type.sample != ():
        raise Fault(lambda span: messages.derivative_of_array(span, describe(y.type)))


def _require_same(function: str, left: Node, right: Node) -> None:
    if left.type.sample != right.type.sample:
        raise Fault(lambda span: messages.derivative_shapes(span, function, describe(left.type), describe(right.type)))


def _count(function: str, value: Node, y: Node) -> int:
    """Entries of a sample. Raises `Fault` when each would take a pass through y and that is too much."""
    count = math.prod(known_sample(function, value))
    if count > MOST_PASSES:
        raise Fault(lambda span: messages.derivative_too_large(span, function, count, MOST_PASSES))
    size = count * len(topological([y]))
    if size > MOST_PASSED:
        raise Fault(lambda span: messages.derivative_of_too_much(span, function, size, MOST_PASSED))
    return count


def _solves(y: Node, x: Node) -> bool:
    """Whether a solve lies between."""
    return any(node.op is SOLVE for node in dependent(topological([y]), [x]) - {x})


def _by_columns(y: Node, x: Node) -> bool:
    """Whether only the forward mode does: through a solve, and for the samples' gradients of a common value."""
    return (y.type.batched and not x.type.batched) or _solves(y, x)


def _require_dependence(function: str, y: Node, x: Node) -> None:
    """A derivative that is zero for every input is a mistake, and is told from one that cannot be computed."""
    order = topological([y])
    if len(order) > MOST_OPERATIONS:
        raise Fault(lambda span: messages.derivative_of_too_much(span, function, len(order), MOST_OPERATIONS))
    between = dependent(order, [x])
    if y not in between and x in everything([y]):
        what = f"`{function}` by a value that the body of a `scan`, or a solve with jumps, reads as a parameter"
        raise Fault(lambda span: messages.not_available_yet(span, what))
    if y not in between:
        raise Fault(lambda span: messages.no_dependence(span, function))
    bodies = [region.results for node in between - {x} if node.op is SCAN for region in regions_of(node)]
    if any(node.op is SOLVE for results in bodies for node in everything(results)):
        raise Fault(lambda span: messages.not_available_yet(span, f"`{function}` through the solves of a `scan`"))
    if any(node.op is SOLVE for node in between - {x}):
        return
    if pull_back([y], [broadcast_like(constant(1.0), y)], [x])[0] is None:
        blocking = next((node for node in order if node in between and node is not x and _blocks(node)), None)
        if blocking is None:
            raise Fault(lambda span: messages.no_dependence(span, function))
        name = SPELLED.get(blocking.op.name, blocking.op.name)
        raise Fault(lambda span: messages.no_derivative(blocking.span or span, name, _blocks(blocking)))


def _blocks(node: Node) -> str:
    """Why nothing passes an operation backwards; empty where something does."""
    if node.op is STOP_GRADIENT:
        return "there to stop derivatives"
    return node.op.vjp.reason if isinstance(node.op.vjp, Stop) else ""


DERIVATIVES = functions("derivative", grad, jacobian, vjp, jvp, divergence, hessian, laplacian)

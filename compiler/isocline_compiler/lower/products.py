"""The product `@` of vectors and matrices of one sample, batched or not."""

from __future__ import annotations

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import BATCH, Shape, describe
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_dsl import messages


def product(left: Node, right: Node) -> Node:
    """`left @ right`: joins the last axis of `left` with the first (of a vector) or second-to-last axis of `right`.

    Sample shapes (..., m, k) @ (..., k, n) -> (..., m, n); a vector on a side has no m or no n.
    Raises Fault when k differs.
    """
    a, b = left.type.sample, right.type.sample
    if not a or not b or a[-1] != (b[0] if len(b) == 1 else b[-2]):
        raise _mismatch(left, right)
    if len(a) == len(b) == 1:
        return REDUCE_SUM(left * right, axes=(max(left.type.rank, right.type.rank) - 1,), keepdims=False)
    if len(b) == 1:
        return _matrix_vector(left, right)
    if len(a) == 1 and right.type.batched:
        return _reshaped(MATMUL(_reshaped(left, (1, *a)), right), (*b[:-2], b[-1]))
    return MATMUL(left, right)


def _matrix_vector(left: Node, right: Node) -> Node:
    """A x: as x A^T when A is one matrix (which is one Gemm for a whole batch), as a batch of products otherwise."""
    if not left.type.batched and left.type.rank == 2:
        return MATMUL(right, TRANSPOSE(left, perm=(1, 0)))
    column = _reshaped(right, (*right.type.sample, 1))
    return _reshaped(MATMUL(left, column), left.type.sample[:-1])


def _reshaped(node: Node, sample: Shape) -> Node:
    return RESHAPE(node, shape=(BATCH, *sample) if node.type.batched else sample)


def _mismatch(left: Node, right: Node) -> Fault:
    a, b = left.type, right.type
    last = str(a.sample[-1]) if a.sample else "none"
    first = str(b.sample[0] if b.rank == 1 or len(b.sample) == 1 else b.sample[-2]) if b.sample else "none"
    return Fault(lambda span: messages.matmul_mismatch(span, describe(a), describe(b), last, first))

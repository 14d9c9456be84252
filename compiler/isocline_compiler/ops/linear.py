"""Products of matrices, and affine maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocline_compiler.graph import Example, Fault, Node, Op
from isocline_compiler.graph.c_form import Rewritten
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Shape, TensorType, broadcast, describe
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.c_loops import LINEAR_IN_C, MATMUL_IN_C
from isocline_compiler.ops.enclosures import bilinear, product, total
from isocline_compiler.ops.shapes import misfit, real, require
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_dsl import messages


def _mismatch(a: TensorType, b: TensorType) -> Fault:
    left, right = str(a.shape[-1]) if a.rank else "none", str(b.shape[-2:][0]) if b.rank else "none"
    return Fault(lambda span: messages.matmul_mismatch(span, describe(a), describe(b), left, right))


def _product(a: TensorType, b: TensorType) -> TensorType:
    """Numpy's rule: the last two axes multiply, the others broadcast; a vector is a row or a column as it stands."""
    require("`@`", ("real",), a, b)
    if not a.rank or not b.rank:
        raise _mismatch(a, b)
    rows, left = (a.shape if a.rank > 1 else (1, *a.shape))[:-1], a.shape[-1]
    right = b.shape[-2] if b.rank > 1 else b.shape[0]
    stack = broadcast(rows[:-1], b.shape[:-2])
    if left != right or stack is None:
        raise _mismatch(a, b)
    ends: Shape = (rows[-1:] if a.rank > 1 else ()) + (b.shape[-1:] if b.rank > 1 else ())
    return a.with_shape(stack + ends)


def _swap(x: Node) -> Node:
    """The last two axes exchanged."""
    rank = x.type.rank
    return TRANSPOSE(x, perm=(*range(rank - 2), rank - 1, rank - 2))


def _grad_matmul(g: Node, y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """dA = g B^T and dB = A^T g, vectors taken as matrices of one row or column."""
    row, column = a.type.rank == 1, b.type.rank == 1
    left = RESHAPE(a, shape=(1, *a.shape)) if row else a
    right = RESHAPE(b, shape=(*b.shape, 1)) if column else b
    full = MATMUL(left, right)
    if row or column:
        g = RESHAPE(g, shape=full.shape)
    back = LINEAR(g, right, transposed=True) if right.type.rank == 2 else MATMUL(g, _swap(right))
    to_left, to_right = sum_to(back, left), sum_to(MATMUL(_swap(left), g), right)
    return (
        RESHAPE(to_left, shape=a.shape) if row else to_left,
        RESHAPE(to_right, shape=b.shape) if column else to_right,
    )


def _price(node: Node) -> float:
    """A tenth of a nanosecond for each product that is added."""
    contracted = node.inputs[0].shape[-1]
    return 0.1 * contracted if isinstance(contracted, int) else 1.0


def _enclose_matmul(precision: Precision, a: Interval, b: Interval) -> Interval:
    return bilinear(precision, np.matmul, a, b, a.low.shape[-1])


def _torch_matmul(torch: Any, a: Any, b: Any) -> Any:
    return torch.matmul(*_alike(torch, a, b))


def _alike(torch: Any, *values: Any) -> Any:
    """The values in the widest of their precisions, as sums and products have it: a time is kept in float64 while the
    weights that meet it are in float32.
    """
    kinds = {value.dtype for value in values}
    if len(kinds) == 1:
        return values
    widest = torch.float64 if torch.float64 in kinds else torch.float32
    return tuple(value.to(widest) for value in values)


MATMUL = Op(
    "matmul", _product, _torch_matmul, "MatMul", _grad_matmul, "The product of matrices, batched as numpy's `@`.",
    examples=(
        Example((real("batch", 3), real(3, 4))),
        Example((real("batch", 2, 3), real("batch", 3, 2))),
        Example((real(2, 3), real("batch", 3, 1))),
        Example((real("batch", 2, 3), real(3))),
        Example((real(3), real(3, 2))),
        Example((real(3), real(3))),
    ),
    broadcasts=True,
    enclose=_enclose_matmul, price=_price, c=MATMUL_IN_C,
)  # fmt: skip


def _affine(x: TensorType, w: TensorType, b: TensorType | None = None, *, transposed: bool = False) -> TensorType:
    require("a dense layer", ("real",), x, w, *((b,) if b else ()))
    ends = w.shape[::-1] if transposed else w.shape
    fits = w.rank == 2 and x.rank > 0 and x.shape[-1] == ends[0] and (b is None or b.shape == ends[1:])
    if not fits:
        raise misfit(
            "a dense layer",
            f"{describe(x)} with weights {w}",
            "as many entries on the last axis as its weights have rows",
        )
    return x.with_shape((*x.shape[:-1], ends[1]))


def _torch_linear(torch: Any, x: Any, w: Any, b: Any = None, transposed: bool = False) -> Any:
    w = w.T if transposed else w
    if b is None:
        return torch.matmul(*_alike(torch, x, w))
    x, w, b = _alike(torch, x, w, b)
    return torch.addmm(b, x, w) if x.ndim == 2 else torch.matmul(x, w) + b


def _emit_linear(emitter: Emitter, node: Node, x: str, w: str, *b: str) -> str:
    """Gemm for a matrix: onnxruntime loads it twice as fast as MatMul and Add, and reads w transposed as it lies.

    OpenVINO 2026.4 gives wrong values where one square initializer is read both ways: each has its own.
    """
    transposed = node.attrs.get("transposed", False)
    if node.inputs[1].shape[0] == node.inputs[1].shape[1]:
        w = emitter.apart(w, "transposed" if transposed else "straight")
    if node.type.rank == 2 and (b or transposed):
        return emitter.node("Gemm", x, w, *b, **({"transB": 1} if transposed else {}))
    product = emitter.node("MatMul", x, emitter.once("Transpose", w) if transposed else w)
    return emitter.node("Add", product, *b) if b else product


def _enclose_linear(
    precision: Precision, x: Interval, w: Interval, b: Interval | None = None, transposed: bool = False
) -> Interval:
    w = Interval(w.low.T, w.high.T) if transposed else w
    mapped = _enclose_matmul(precision, x, w)
    return mapped if b is None else total(precision, mapped, b)


def _grad_linear(g: Node, y: Node, x: Node, w: Node, *b: Node, transposed: bool = False) -> tuple[Node, ...]:
    to_x = LINEAR(g, w, transposed=True) if not transposed else LINEAR(g, w)
    left, right = (g, x) if transposed else (x, g)
    if x.type.rank == 1:
        to_w = RESHAPE(left, shape=(*left.shape, 1)) * RESHAPE(right, shape=(1, *right.shape))
    else:
        to_w = sum_to(MATMUL(_swap(left), right), w)
    return (to_x, to_w, *(sum_to(g, item) for item in b))


LINEAR: Op = Op(
    "linear", _affine, _torch_linear, _emit_linear, _grad_linear,
    "x w + b on the last axis of x; w is (in, out), or (out, in) when `transposed`; b may be absent.",
    examples=(
        Example((real("batch", 3), real(3, 4), real(4))),
        Example((real("batch", 2, 3), real(3, 4), real(4))),
        Example((real("batch", 3), real(3, 1))),
        Example((real(3), real(3, 4), real(4))),
        Example((real("batch", 4), real(3, 4)), {"transposed": True}),
        Example((real("batch", 2, 4), real(3, 4), real(3)), {"transposed": True}),
        Example((real(4), real(3, 4)), {"transposed": True}),
    ),
    enclose=_enclose_linear, price=_price, c=LINEAR_IN_C,
)  # fmt: skip


def _gemm_type(x: TensorType, w: TensorType, c: TensorType, *, alpha: float) -> TensorType:
    require("a sum with a product", ("real",), x, w, c)
    if x.rank != 2 or w.rank != 2 or x.shape[1] != w.shape[0]:
        raise _mismatch(x, w)
    found = x.with_shape((x.shape[0], w.shape[1]))
    if broadcast(c.shape, found.shape) != found.shape:
        raise misfit("a sum with a product", f"{describe(found)} and {describe(c)}", "a value that fits the product")
    return found


def _torch_gemm(torch: Any, x: Any, w: Any, c: Any, alpha: float) -> Any:
    x, w, c = _alike(torch, x, w, c)
    return torch.addmm(c, x, w, alpha=alpha)


def _emit_gemm(emitter: Emitter, node: Node, x: str, w: str, c: str) -> str:
    alpha = node.attrs["alpha"]
    return emitter.node("Gemm", x, w, c, **({} if alpha == 1 else {"alpha": alpha}))


def _grad_gemm(g: Node, y: Node, x: Node, w: Node, c: Node, alpha: float) -> tuple[Node, ...]:
    to_x, to_w = _grad_matmul(g, y, x, w)
    return to_x * alpha, to_w * alpha, sum_to(g, c)


def _enclose_gemm(precision: Precision, x: Interval, w: Interval, c: Interval, alpha: float) -> Interval:
    """alpha may be rounded, and multiply a factor or the product."""
    number = np.asarray(alpha, dtype=np.float64)
    scale = precision.rounded(number, number)
    return total(precision, product(precision, scale, _enclose_matmul(precision, x, w)), c)


GEMM: Op = Op(
    "gemm", _gemm_type, _torch_gemm, _emit_gemm, _grad_gemm,
    "alpha x w + c for matrices x and w, c repeated where it has to be: a state and what a scheme adds to it.",
    examples=(
        Example((real("batch", 3), real(3, 4), real("batch", 4)), {"alpha": 0.5}),
        Example((real("batch", 3), real(3, 2), real(2)), {"alpha": 1.0}),
        Example((real(2, 3), real(3, "batch"), real(2, "batch")), {"alpha": -0.25}),
        Example((real(2, 3), real(3, "batch"), real(2, 1)), {"alpha": 1.0}),
    ),
    broadcasts=True, enclose=_enclose_gemm, price=_price,
    c=Rewritten(lambda x, w, c, alpha: MATMUL(x, w) * alpha + c),
)  # fmt: skip

LINEAR_MAPS = (MATMUL, LINEAR, GEMM)

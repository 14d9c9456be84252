"""A sum whose products are read off stages: computed as one product, enclosed as what it stands for.

y + sum_j r_j (Y_j - y) + x M with Y_j = y + t_j A_j + b_j. As it is computed, the interval of y would grow by
sum_j 2 |r_j| a step: interval arithmetic does not see that Y_j and y move together. It is
y + sum_j r_j (t_j A_j + b_j) + x M, and what rounding adds to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from isocline_compiler.graph import Array, Node, Op, Stop
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.enclosures import total
from isocline_compiler.ops.linear import GEMM, MATMUL


@dataclass(frozen=True, eq=False)
class Read:
    """A stage Y = y + t A + b that stands for its product, times `ratio`."""

    matrix: Array
    bias: Array | None
    ratio: float


def _type(
    x: TensorType, w: TensorType, y: TensorType, *ts: TensorType, reads: tuple[Read, ...], kept: int, right: bool
) -> TensorType:
    found = GEMM.infer(x, w, y, alpha=1.0)
    assert isinstance(found, TensorType), "a product has one result"
    return found


def _torch(torch: Any, x: Any, w: Any, y: Any, *ts: Any, **_: Any) -> Any:
    return torch.addmm(y, x, w)


def _emit(emitter: Emitter, node: Node, x: str, w: str, y: str, *ts: str) -> str:
    return emitter.node("Gemm", x, w, y)


def _enclose(
    precision: Precision, x: Interval, w: Interval, y: Interval, *ts: Interval,
    reads: tuple[Read, ...], kept: int, right: bool,
) -> Interval:  # fmt: skip
    """Of the `kept` first entries of what is multiplied, and of the products in place of the stages behind them."""
    values, matrix = (x, w) if right else (w, x)
    parts, slack = [y], _share(precision, _length(values, right)) * (_times(values, matrix, right) + y.size)
    if kept:
        parts.append(_product(precision, _first(values, kept, right), _first(matrix, kept, not right), right))
    for read, t in zip(reads, ts, strict=True):
        scaled, own = read.ratio * read.matrix, Interval(read.matrix, read.matrix)
        parts.append(_product(precision, t, Interval(scaled, scaled), right))
        bias = np.zeros(()) if read.bias is None else read.bias
        parts.append(Interval(read.ratio * bias, read.ratio * bias))
        size = _times(t, own, right) + y.size + np.abs(bias)
        slack = slack + _share(precision, _length(t, right)) * abs(read.ratio) * size
    found = reduce(lambda a, b: total(precision, a, b), parts)
    plain = GEMM.enclose(precision, x, w, y, alpha=1.0) if GEMM.enclose is not None else found
    return Interval(np.fmax(found.low - slack, plain.low), np.fmin(found.high + slack, plain.high))


def _share(precision: Precision, terms: int) -> float:
    """What rounding adds to a sum of so many products and its literals, relative to the sum of absolute values."""
    return 1.01 * (terms + 8) * (precision.unit + 2.0**-50)


def _length(values: Interval, right: bool) -> int:
    return int(values.low.shape[-1] if right else values.low.shape[0])


def _first(values: Interval, count: int, last_axis: bool) -> Interval:
    cut = (..., slice(count)) if last_axis else (slice(count),)
    return Interval(values.low[cut], values.high[cut])


def _times(values: Interval, matrix: Interval, right: bool) -> Array:
    found: Array = values.size @ matrix.size if right else matrix.size @ values.size
    return found


def _product(precision: Precision, values: Interval, matrix: Interval, right: bool) -> Interval:
    assert MATMUL.enclose is not None, "products of matrices are enclosed"
    found: Interval = MATMUL.enclose(precision, *((values, matrix) if right else (matrix, values)))
    return found


RECOVERED = Op(
    "recovered", _type, _torch, _emit, Stop("derivatives are those of the plain steps"),
    "x w + y, of which `reads` says for what the entries of x behind the `kept` first ones stand.",
    enclose=_enclose, price=GEMM.price,
)  # fmt: skip

"""The inverse of a matrix of any size, by block elimination: what is factored once and applied often.

    [A B; C D]^-1 = [A^-1 + E S^-1 F, -E S^-1; -S^-1 F, S^-1],   E = A^-1 B,  F = C A^-1,  S = D - C E

Blocks are halved down to `LARGEST` rows, which are eliminated with partial pivoting. Rows of different blocks are not
exchanged, so leading blocks must not be singular: I/(gamma h) - J has none that is, where J decays. In torch it is
LAPACK's. Higham (2002), Accuracy and Stability of Numerical Algorithms, 13.2 and 14.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision, exactly
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.c_kernels import INVERSE_IN_C
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.linear_algebra import LARGEST, emitted_solution, enclose_solution, transposed, wide
from isocline_compiler.ops.shapes import misfit, real, require


def _square(a: TensorType) -> TensorType:
    require("inverse", ("real",), a)
    if a.rank < 2 or not isinstance(a.shape[-1], int) or a.shape[-1] != a.shape[-2]:
        raise misfit("inverse", (a,), "square matrices")
    return a


def _torch_inverse(torch: Any, a: Any) -> Any:
    """What is singular has an inverse that is not finite, and is no error: other samples have theirs."""
    return torch.linalg.inv_ex(wide(torch, a)).inverse.to(a.dtype)


def _emit_inverse(emitter: Emitter, node: Node, a: str) -> str:
    return _Blocks(emitter, node.type.rank - 2).inverse(a, int(node.type.shape[-1]))


class _Blocks:
    """Writes the inverse of (..., n, n) matrices, whose rows are at axis `lead`."""

    def __init__(self, emitter: Emitter, lead: int) -> None:
        self.emitter, self.lead = emitter, lead

    def inverse(self, a: str, rows: int) -> str:
        """Of a block with so many rows."""
        node = self.emitter.node
        if rows == 1:
            return node("Div", self.emitter.real(1.0), a)
        if rows == 2:
            return self._of_two(a)
        if rows <= LARGEST:
            return emitted_solution(self.emitter, rows, self.lead, a, self._identity(a, rows))
        half = rows // 2
        (p, q), (r, s) = ([self._part(row, 1, *ends) for ends in ((0, half), (half, rows))] for row in
                          (self._part(a, 0, *ends) for ends in ((0, half), (half, rows))))  # fmt: skip
        first = self.inverse(p, half)
        right, left = node("MatMul", first, q), node("MatMul", r, first)
        last = self.inverse(node("Sub", s, node("MatMul", r, right)), rows - half)
        corner = node("MatMul", right, last)
        top = node("Concat", node("Add", first, node("MatMul", corner, left)), node("Neg", corner), axis=self.lead + 1)
        bottom = node("Concat", node("Neg", node("MatMul", last, left)), last, axis=self.lead + 1)
        return node("Concat", top, bottom, axis=self.lead)

    def _part(self, a: str, axis: int, start: int, stop: int) -> str:
        bounds = [self.emitter.ints([item]) for item in (start, stop, self.lead + axis)]
        return self.emitter.node("Slice", a, *bounds)

    def _identity(self, a: str, rows: int) -> str:
        """I for every matrix."""
        across = self.emitter.ints(list(range(rows)))
        down = self.emitter.once("Unsqueeze", across, self.emitter.ints([1]))
        one = self.emitter.once("Cast", self.emitter.once("Equal", across, down), to=self.emitter.elements("real"))
        return self.emitter.node("Expand", one, self.emitter.node("Shape", a)) if self.lead else one

    def _of_two(self, a: str) -> str:
        """[a b; c d]^-1 = [d -b; -c a] / (a d - b c)."""
        node, emitter = self.emitter.node, self.emitter
        signs = emitter.once("Cast", emitter.ints([1, -1, -1, 1]), to=emitter.elements("real"))
        entries = node("Reshape", a, emitter.ints([0] * self.lead + [4]))
        across, turned = (node("Gather", entries, emitter.ints(order), axis=self.lead)
                          for order in ([3, 2, 1, 0], [3, 1, 2, 0]))  # fmt: skip
        products = node("Mul", node("Mul", entries, across), signs)
        ends = [emitter.ints([item]) for item in (0, 2, self.lead)]
        det = node("ReduceSum", node("Slice", products, *ends), emitter.ints([self.lead]), keepdims=1)
        adjugate = node("Mul", turned, signs)
        return node("Reshape", node("Div", adjugate, det), emitter.ints([0] * self.lead + [2, 2]))


def _grad_inverse(g: Node, y: Node, a: Node) -> tuple[Node]:
    """d A^-1 = -A^-1 dA A^-1."""
    back = transposed(y)
    return (-MATMUL(MATMUL(back, g), back),)


def _enclose_inverse(precision: Precision, a: Interval) -> Interval:
    """That of A X = I; nothing is known where blocks are eliminated, since their pivots are not exchanged."""
    rows = a.low.shape[-1]
    found = enclose_solution(precision, a, exactly(np.broadcast_to(np.eye(rows), a.low.shape)))
    return found if rows <= LARGEST else found.unknown_where(np.full(found.low.shape, True))


def _price(node: Node) -> float:
    return 0.2 * int(node.inputs[0].size(-1))


INVERSE: Op = Op(
    "inverse", _square, _torch_inverse, _emit_inverse, _grad_inverse,
    "The inverse of A, (..., n, n), by elimination of blocks.",
    examples=(
        Example((real("batch", 1, 1),), within=((0.5, 2.0),)),
        Example((real("batch", 2, 2),)),
        Example((real(3, 3),)),
        Example((real("batch", 2, 2, 2),)),
    ),
    enclose=_enclose_inverse, price=_price, c=INVERSE_IN_C,
)  # fmt: skip

r"""Multivariate normal densities in the graph: -log p(r) = (r^T S^{-1} r + log det S + n log 2 pi) / 2.

S = L D L^T entry by entry, for the few entries that the states of a stochastic equation have; no operation of the graph
factorises matrices, and none is needed for these. Golub, Van Loan (2013), 4.1.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isocline_compiler.graph import Node
from isocline_compiler.ops.elementwise import LOG, SQRT, SQUARE

Matrix = Sequence[Sequence[Node]]
"""Rows of numbers, one of each for every sample: (batch,)."""


@dataclass(frozen=True)
class Factors:
    """The lower unit triangle L, row by row without its diagonal, and the diagonal D of S = L D L^T."""

    lower: tuple[tuple[Node, ...], ...]
    diagonal: tuple[Node, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Factors:
        """d_i = s_ii - sum_k l_ik^2 d_k,   l_ij = (s_ij - sum_k l_ik l_jk d_k) / d_j."""
        lower: list[tuple[Node, ...]] = []
        diagonal: list[Node] = []
        for i, row in enumerate(matrix):
            scaled: list[Node] = []  # l_ik d_k
            for j in range(i):
                scaled.append(_less(row[j], zip(scaled, lower[j], strict=True)))
            own = tuple(a / d for a, d in zip(scaled, diagonal, strict=True))
            diagonal.append(_less(row[i], zip(scaled, own, strict=True)))
            lower.append(own)
        return cls(tuple(lower), tuple(diagonal))

    def square(self, r: Sequence[Node]) -> Node:
        """r^T S^{-1} r."""
        return total([SQUARE(y) / d for y, d in zip(self._solved(r), self.diagonal, strict=True)])

    def whitened(self, columns: Matrix) -> list[list[Node]]:
        """D^{-1/2} L^{-1} c of each column c, whose products are c^T S^{-1} c'."""
        roots = [SQRT(d) for d in self.diagonal]
        return [[y / root for y, root in zip(self._solved(c), roots, strict=True)] for c in columns]

    def _solved(self, r: Sequence[Node]) -> list[Node]:
        """L^{-1} r."""
        solved: list[Node] = []
        for entry, row in zip(r, self.lower, strict=True):
            solved.append(_less(entry, zip(row, solved, strict=True)))
        return solved

    def log_determinant(self) -> Node:
        """log det S."""
        return total([LOG(d) for d in self.diagonal])


def negative_log_density(square: Node, log_determinant: Node, entries: int) -> Node:
    """-log p of `entries` numbers together."""
    return 0.5 * (square + log_determinant + entries * math.log(2.0 * math.pi))


def total(nodes: Sequence[Node]) -> Node:
    """The sum of some nodes."""
    found = nodes[0]
    for node in nodes[1:]:
        found = found + node
    return found


def _less(start: Node, products: Iterable[tuple[Node, Node]]) -> Node:
    for a, b in products:
        start = start - a * b
    return start

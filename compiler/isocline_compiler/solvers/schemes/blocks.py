"""Block tridiagonal systems as a few operations on all blocks at once: cyclic reduction.

    L_i x_{i-1} + D_i x_i + U_i x_{i+1} = r_i,   i = 0 ... K-1

The even blocks are eliminated from the odd ones, which are a system of half as many blocks, and so on: 2 log2 K levels
of products of small matrices. One block is a dense system. No rows are exchanged between blocks; within a block they
are (see `inverse`). Vectors are rows, (batch, K, m), and matrices act from the right: they hold their transposes,
(batch, K, m, m). Golub, Van Loan (2013), Matrix Computations, 4th ed., 4.5.4; Heller (1976), SIAM J. Numer. Anal. 13,
484-496.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isocline_compiler.graph import Node, constant
from isocline_compiler.ops.indexing import CONCAT, PAD, SLICE
from isocline_compiler.ops.inverse import INVERSE
from isocline_compiler.ops.linear import MATMUL
from isocline_compiler.ops.shaping import RESHAPE


def applied(x: Node, matrix: Node) -> Node:
    """A_i x_i for every block, from x (batch, K, m) and the transposes of A, (batch, K, m, m)."""
    row = RESHAPE(x, shape=(*x.shape[:2], 1, x.shape[2]))
    return RESHAPE(MATMUL(row, matrix), shape=x.shape)


def padded(x: Node, before: int, after: int) -> Node:
    """With blocks of zeros before and behind."""
    return PAD(x, pads=((0, 0), (before, after), *((0, 0),) * (x.type.rank - 2)), value=0.0)


def _every_other(x: Node, start: int) -> Node:
    return SLICE(x, axis=1, start=start, stop=None, step=2)


def _first(x: Node, count: int) -> Node:
    return SLICE(x, axis=1, start=0, stop=count)


def _last(x: Node) -> Node:
    return SLICE(x, axis=1, start=1, stop=None)


@dataclass(frozen=True, eq=False)
class BlockTridiagonal:
    """L, D and U of all blocks as transposes, (batch, K, m, m); L_0 and U_{K-1} are zero. Without L and U, none of the
    blocks reads another.
    """

    diagonal: Node
    lower: Node | None = None
    upper: Node | None = None

    @property
    def count(self) -> int:
        return int(self.diagonal.size(1))

    @cached_property
    def factors(self) -> BlockFactors:
        """Factored: levels of cyclic reduction, down to one block."""
        if self.lower is None or self.upper is None or self.count == 1:
            return BlockFactors(self.count, INVERSE(self.diagonal))
        d, left, right = self._odd()
        odd = int(d.size(1)) // 2
        inverse = INVERSE(_every_other(d, 0))
        to_left, to_right = _every_other(left, 0), _every_other(right, 0)
        # of the odd block i, what takes the even ones before and behind it away: L_i D^-1_{i-1}, U_i D^-1_{i+1}
        before = MATMUL(_first(inverse, odd), _every_other(left, 1))
        behind = MATMUL(_last(inverse), _every_other(right, 1))
        reduced = BlockTridiagonal(
            _every_other(d, 1) - MATMUL(_first(to_right, odd), before) - MATMUL(_last(to_left), behind),
            -MATMUL(_first(to_left, odd), before),
            -MATMUL(_last(to_right), behind),
        )
        return BlockFactors(self.count, inverse, Level(before, behind, to_left, to_right, reduced.factors))

    def _odd(self) -> tuple[Node, Node, Node]:
        """With one more block, x_K = r_K, where their number is even."""
        assert self.lower is not None
        assert self.upper is not None
        if self.count % 2:
            return self.diagonal, self.lower, self.upper
        one = np.zeros((1, self.count + 1, *(int(size) for size in self.diagonal.shape[2:])))
        one[0, -1] = np.eye(one.shape[-1])
        return padded(self.diagonal, 0, 1) + constant(one), padded(self.lower, 0, 1), padded(self.upper, 0, 1)


@dataclass(frozen=True, eq=False)
class Level:
    """One level: what reduces the right side of odd blocks, what even ones read of their neighbours, and the rest."""

    before: Node
    behind: Node
    to_left: Node
    to_right: Node
    rest: BlockFactors


@dataclass(frozen=True, eq=False)
class BlockFactors:
    """D^-1 of the even blocks of a level, and the level below; or of all blocks, where none reads another."""

    count: int
    inverse: Node
    level: Level | None = None

    def solve(self, right: Node) -> Node:
        """x for one right side, (batch, K, m)."""
        if self.level is None:
            return applied(right, self.inverse)
        level = self.level
        r = right if self.count % 2 else padded(right, 0, 1)
        even, odd = _every_other(r, 0), _every_other(r, 1)
        half = int(odd.size(1))
        reduced = odd - applied(_first(even, half), level.before) - applied(_last(even), level.behind)
        between = level.rest.solve(reduced)
        rest = even - applied(padded(between, 1, 0), level.to_left) - applied(padded(between, 0, 1), level.to_right)
        return self._woven(applied(rest, self.inverse), padded(between, 0, 1))

    def _woven(self, even: Node, odd: Node) -> Node:
        """even_0, odd_0, even_1, ...: `count` blocks."""
        lead, blocks, size = even.shape[0], int(even.size(1)), even.shape[2]
        pairs = CONCAT(*(RESHAPE(x, shape=(lead, blocks, 1, size)) for x in (even, odd)), axis=2)
        return _first(RESHAPE(pairs, shape=(lead, 2 * blocks, size)), self.count)

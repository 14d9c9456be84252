"""Systems (shift I - J) d = r of coupled states, all numbers at once: block tridiagonal, in an order that is narrow.

What J couples is found before anything is computed (`solvers/sparsity.py`): columns that share no row are one direction
of a single product, so that a diffusion along a line costs as many products as its stencil is wide. A Jacobian in which
everything is coupled is one block, and its columns are products side by side. Where it depends on no state, as that of
linear equations, it is there once for all samples, and a number where it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isocline_compiler.graph import Array, Node, Nodes, Operand, constant
from isocline_compiler.ops.indexing import ARRANGE, CONCAT, PAD, SELECT, SLICE
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.blocks import BlockTridiagonal
from isocline_compiler.solvers.sparsity import Sparsity, pattern, size_of
from isocline_compiler.solvers.tangent import Tangent

MOST_COUPLED = 256
"""Numbers in a block, and in states that are all coupled: the work grows with the cube of it."""
MOST_NUMBERS = 2048
"""Numbers in a group of states, whose Jacobian is looked through when compiling."""
NARROW = 3
"""A matrix is tridiagonal in blocks where there are more of them than so many."""


@dataclass(frozen=True, eq=False)
class Blocked:
    """The Jacobian in blocks, transposed, (batch or 1, K, m, m); L and U are absent where no block reads another."""

    diagonal: Node
    lower: Node | None
    upper: Node | None


@dataclass(frozen=True, eq=False)
class BlockSystem:
    """The systems of the states at some `places`; a vector is one value (batch, K, m), in the order in which the
    Jacobian is narrow.
    """

    places: tuple[int, ...]
    tangent: Tangent

    @cached_property
    def sparsity(self) -> Sparsity:
        return Sparsity(pattern([v for v in self.tangent.moved if v is not None], self.tangent.probes))

    @cached_property
    def numbers(self) -> int:
        """Numbers in the states of one sample."""
        return sum(size_of(item.type) for item in self.tangent.probes)

    @cached_property
    def size(self) -> int:
        """m: as many as the Jacobian is wide, or all, where that would be few blocks."""
        wide = max(self.sparsity.width, 1)
        return wide if wide * NARROW < self.numbers else self.numbers

    @property
    def blocks(self) -> int:
        return -(-self.numbers // self.size)

    @property
    def fault(self) -> str | None:
        """Why they cannot be solved."""
        if self.numbers > MOST_NUMBERS:
            return f"it solves for {MOST_NUMBERS} numbers at most, and its states are {self.numbers}"
        if self.size <= MOST_COUPLED:
            return None
        return f"it solves for {MOST_COUPLED} numbers at most that are all coupled, and its states are {self.numbers}"

    # ---------------------------------------------------------------------------------------------- vectors

    @cached_property
    def _order(self) -> tuple[int, ...]:
        """By place in the blocks which number stands there; -1 for those that fill the last one."""
        order = [*range(self.numbers)] if self.blocks == 1 else self.sparsity.order.tolist()
        return (*order, *(-1,) * (self.blocks * self.size - self.numbers))

    @cached_property
    def _places(self) -> tuple[int, ...]:
        """By number its place in the blocks."""
        return tuple(np.argsort(self._order[: self.numbers]).tolist())

    @property
    def _as_given(self) -> bool:
        return self._order == tuple(range(self.numbers))

    def flat(self, x: Nodes) -> Node:
        """These states as one vector."""
        joined = _joined(x)
        placed = joined if self._as_given else ARRANGE(joined, places=self._order)
        return RESHAPE(placed, shape=(joined.shape[0], self.blocks, self.size))

    def shaped(self, vector: Node, like: Nodes) -> Nodes:
        """These states, that a vector is."""
        row = RESHAPE(vector, shape=(vector.shape[0], self.blocks * self.size))
        row = row if self._as_given else ARRANGE(row, places=self._places)
        found, start = [], 0
        for value in like:
            count = size_of(value.type)
            part = row if len(like) == 1 else SLICE(row, axis=1, start=start, stop=start + count)
            lead = row.shape[:1] if value.type.batched or row.type.batched else ()
            found.append(RESHAPE(part, shape=(*lead, *value.type.sample)))
            start += count
        return tuple(found)

    # ---------------------------------------------------------------------------------------------- matrices

    def jacobian(self, field: Field, t: Operand, x: Nodes) -> Blocked:
        """J at (t, x), where x are all states of the solve."""
        products = self._products(field, t, x)
        coupled = self.blocks > 1 and self.sparsity.width > 0
        places = self._entries(coupled)
        found = products if places == tuple(range(int(products.size(1)))) else ARRANGE(products, places=places)
        shape = (found.shape[0], 3 if coupled else 1, self.blocks, self.size, self.size)
        parts = RESHAPE(found, shape=shape)
        if not coupled:
            return Blocked(SELECT(parts, axis=1, index=0), None, None)
        lower, diagonal, upper = (SELECT(parts, axis=1, index=i) for i in range(3))
        return Blocked(diagonal, lower, upper)

    def matrix(self, jacobian: Blocked, shift: Operand) -> BlockTridiagonal:
        """shift I - J."""
        return BlockTridiagonal(
            _scaled(shift, np.eye(self.size)) - jacobian.diagonal,
            None if jacobian.lower is None else -jacobian.lower,
            None if jacobian.upper is None else -jacobian.upper,
        )

    def paired(self, jacobian: Blocked, real: Operand, imaginary: Operand) -> BlockTridiagonal:
        """((re + i im) I - J)(u + i v) as the real system of u and v, side by side in each block."""
        single, m = self.matrix(jacobian, real), self.size
        turned = np.block([[np.zeros((m, m)), np.eye(m)], [-np.eye(m), np.zeros((m, m))]])
        return BlockTridiagonal(
            _twice(single.diagonal) + _scaled(imaginary, turned),
            None if single.lower is None else _twice(single.lower),
            None if single.upper is None else _twice(single.upper),
        )

    @cached_property
    def _colours(self) -> Array:
        """By number its direction; in one block each has its own, and the products need no sorting."""
        return np.arange(self.numbers) if self.blocks == 1 else self.sparsity.colours

    def _entries(self, coupled: bool) -> tuple[int, ...]:
        """By entry of L^T, D^T and U^T where in the products it stands."""
        known, n, m = self.sparsity.entries, self.numbers, self.size
        order = np.array(self._order).reshape(self.blocks, m)
        outside = np.full((1, m), -1)
        columns = [np.concatenate([outside, order[:-1]]), order, np.concatenate([order[1:], outside])]
        found = []
        for column in columns if coupled else [order]:
            of, by = np.broadcast_arrays(order[:, None, :], column[:, :, None])
            there = (of >= 0) & (by >= 0) & (known[of, by] if self.blocks > 1 else True)
            found.append(np.where(there, self._colours[by] * n + of, -1).ravel())
        return tuple(np.concatenate(found).tolist())

    def _products(self, field: Field, t: Operand, x: Nodes) -> Node:
        """J e for the sum e of the units of each colour, one after another: (batch or 1, colours n)."""
        seeds = (np.arange(self._colours.max() + 1)[:, None] == self._colours).astype(np.float64)
        units, start = [], 0
        for item in self.tangent.probes:
            end = start + size_of(item.type)
            units.append(seeds[:, start:end].reshape(-1, *(int(size) for size in item.type.sample)))
            start = end
        found = self.tangent.along(field, t, x, units, self.places)
        rows = [
            RESHAPE(v, shape=(*v.shape[:2], size_of(item.type)))
            for v, item in zip(found, self.tangent.probes, strict=True)
        ]
        whole = rows[0] if len(rows) == 1 else CONCAT(*rows, axis=2)
        return RESHAPE(whole, shape=(whole.shape[0], len(seeds) * self.numbers))


def _scaled(factor: Operand, matrix: Array) -> Node:
    """A number, or one for each sample (batch, 1, 1), times a matrix in every block."""
    if isinstance(factor, Node) and factor.type.rank:
        factor = RESHAPE(factor, shape=(*factor.shape, 1))
    return factor * constant(matrix[None, None])


def _twice(blocks: Node) -> Node:
    """[A 0; 0 A] of every block."""
    m = int(blocks.size(2))
    ends = ((0, m), (m, 0))
    first, last = (PAD(blocks, pads=((0, 0), (0, 0), end, end), value=0.0) for end in ends)
    return first + last


def _joined(x: Nodes) -> Node:
    """The numbers of the states side by side, (batch, n), or (1, n)."""
    lead = next((value.shape[:1] for value in x if value.type.batched), (1,))
    rows = [RESHAPE(value, shape=(value.shape[0] if value.type.batched else 1, size_of(value.type))) for value in x]
    if len(rows) == 1:
        return rows[0]
    like = next(row for row in rows if row.shape[:1] == lead)
    one = SLICE(like, axis=1, start=0, stop=1)
    wide = [row if row.shape[:1] == lead else row + 0.0 * one for row in rows]
    return CONCAT(*wide, axis=1)

"""Systems (shift I - J) d = r of groups of states, one after another: block triangular form.

States that read each other are a group, solved for at once (`block_systems.py`). A group that reads others, and is read
by none of them, comes behind them, (shift I - J_gg) d_g = r_g + sum_e J_ge d_e, where the products are tangents and no
matrix is made. So are the tangents of a solution: they share the factors of what they vary, however many directions
there are; and integrals along it, which read all and are read by none. Duff, Reid (1978), ACM Trans. Math. Softw. 4,
137-147: permutations to block triangular form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import Node, Nodes, Operand, constant, topological
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.block_systems import Blocked, BlockSystem
from isocline_compiler.solvers.schemes.blocks import BlockFactors
from isocline_compiler.solvers.tangent import Tangent


@dataclass(frozen=True, eq=False)
class Group:
    """States that are solved for at once: their `system`, that of the group whose Jacobian theirs is, and what they
    read of the groups before, `coupling` by the states at the places `reads`.
    """

    system: BlockSystem
    base: int
    reads: tuple[int, ...]
    coupling: Tangent


@dataclass(frozen=True, eq=False)
class GroupedJacobian:
    """The Jacobian at (t, x): by group its diagonal block, one for all groups that share it."""

    field: Field
    t: Operand
    x: Nodes
    diagonal: Mapping[int, Blocked]


@dataclass(frozen=True, eq=False)
class GroupedFactors:
    """The factors of the diagonal blocks; `copies`: 2 where a vector is a pair (u, v)."""

    systems: GroupedSystems
    jacobian: GroupedJacobian
    diagonal: Mapping[int, BlockFactors]
    copies: int = 1

    def solve(self, right: Sequence[Node]) -> list[Node]:
        """The solution for one right side, group after group."""
        groups = self.systems.groups
        found: list[list[Node]] = []
        for place, group in enumerate(groups):
            sides = []
            for copy in range(self.copies):
                known = [vectors[copy] for vectors in found]
                read = self.systems.read_by(group, self.jacobian, known)
                side = right[copy * len(groups) + place]
                sides.append(side if read is None else side + read)
            found.append(self._solved(group, sides))
        return [vectors[copy] for copy in range(self.copies) for vectors in found]

    def _solved(self, group: Group, sides: Sequence[Node]) -> list[Node]:
        size = group.system.size
        joined = sides[0] if self.copies == 1 else CONCAT(*sides, axis=2)
        solved = self.diagonal[group.base].solve(joined)
        if self.copies == 1:
            return [solved]
        return [SLICE(solved, axis=2, start=i * size, stop=(i + 1) * size) for i in range(self.copies)]


@dataclass(frozen=True, eq=False)
class GroupedSystems:
    """The systems of a solve; a vector is one value for each group."""

    groups: tuple[Group, ...]

    @classmethod
    def of(cls, solve: Solve, slopes: Sequence[Node | None]) -> GroupedSystems:
        """Of the slopes of all states. Raises Fault for an operation without a derivative."""
        arguments = solve.state_arguments
        reads = [_reads(slope, arguments) for slope in slopes]
        parts = _in_order(reads)
        roots = [tuple(_origin(solve, place) for place in part) for part in parts]
        groups = []
        for index, part in enumerate(parts):
            mine = [slopes[i] for i in part]
            outside = tuple(sorted({j for i in part for j in reads[i]} - set(part)))
            system = BlockSystem(part, Tangent.of(mine, [arguments[i] for i in part]).within())
            same = [i for i, other in enumerate(parts) if other == roots[index]]
            base = same[0] if same else index
            groups.append(Group(system, base, outside, Tangent.of(mine, [arguments[i] for i in outside])))
        return cls(tuple(groups))

    @cached_property
    def fault(self) -> str | None:
        """Why they cannot be solved."""
        return next((group.system.fault for group in self._bases.values() if group.system.fault is not None), None)

    @property
    def _bases(self) -> dict[int, Group]:
        return {group.base: self.groups[group.base] for group in self.groups}

    def _system(self, group: Group) -> BlockSystem:
        return self.groups[group.base].system

    def flat(self, x: Nodes) -> list[Node]:
        """The states, a vector for each group."""
        return [self._system(group).flat(tuple(x[i] for i in group.system.places)) for group in self.groups]

    def shaped(self, numbers: Sequence[Node], like: Nodes) -> Nodes:
        """The states that these vectors are."""
        found: dict[int, Node] = {}
        for group, vector in zip(self.groups, numbers, strict=True):
            places = group.system.places
            found |= zip(places, self._system(group).shaped(vector, tuple(like[i] for i in places)), strict=True)
        return tuple(found[i] for i in range(len(like)))

    def some(self, found: Sequence[Node | None], like: Nodes) -> list[Node | None]:
        """The vectors of what is known of some states, zero for the others; None for a group of which nothing is."""
        wide = [broadcast_like(constant(0.0) if v is None else v, x) for v, x in zip(found, like, strict=True)]
        known = [any(found[i] is not None for i in group.system.places) for group in self.groups]
        return [vector if there else None for vector, there in zip(self.flat(tuple(wide)), known, strict=True)]

    def width(self, h: Operand) -> Operand:
        """The width of a step, as it multiplies vectors."""
        return RESHAPE(h, shape=(*h.shape, 1, 1)) if isinstance(h, Node) and h.type.rank else h

    def jacobian(self, field: Field, t: Operand, x: Nodes) -> GroupedJacobian:
        """J at (t, x)."""
        diagonal = {place: group.system.jacobian(field, t, x) for place, group in self._bases.items()}
        return GroupedJacobian(field, t, x, diagonal)

    def factored(self, jacobian: GroupedJacobian, shift: Operand | Sequence[Operand]) -> GroupedFactors:
        """shift I - J, factored."""
        assert not isinstance(shift, Sequence), "groups are solved for with one shift"
        pairs = self._bases.items()
        found = {i: group.system.matrix(jacobian.diagonal[i], shift).factors for i, group in pairs}
        return GroupedFactors(self, jacobian, found)

    def paired(self, jacobian: GroupedJacobian, real: Operand, imaginary: Operand) -> GroupedFactors:
        """((re + i im) I - J)(u + i v) as the real system of (u, v), factored."""
        pairs = self._bases.items()
        found = {i: group.system.paired(jacobian.diagonal[i], real, imaginary).factors for i, group in pairs}
        return GroupedFactors(self, jacobian, found, copies=2)

    def read_by(self, group: Group, jacobian: GroupedJacobian, known: Sequence[Node]) -> Node | None:
        """sum_e J_ge d_e over the groups before, whose d are known; None where it is zero."""
        if not group.reads:
            return None
        states: dict[int, Node] = {}
        for other, vector in zip(self.groups, known, strict=False):
            places = other.system.places
            shaped = self._system(other).shaped(vector, tuple(jacobian.x[i] for i in places))
            states |= zip(places, shaped, strict=True)
        v = tuple(states[i] for i in group.reads)
        moved = group.coupling.at(jacobian.field, jacobian.t, jacobian.x, v)
        if all(item is None for item in moved):
            return None
        like = [jacobian.x[i] for i in group.system.places]
        wide = [broadcast_like(constant(0.0) if m is None else m, x) for m, x in zip(moved, like, strict=True)]
        return self._system(group).flat(tuple(wide))


def _reads(slope: Node | None, arguments: Nodes) -> frozenset[int]:
    if slope is None:
        return frozenset()
    return frozenset(i for i, x in enumerate(arguments) if slope in dependent(topological([slope]), [x]))


def _in_order(reads: Sequence[frozenset[int]]) -> list[tuple[int, ...]]:
    """The groups of states that read each other, each behind those that it reads."""
    count = len(reads)
    arrows = np.zeros((count, count), dtype=np.int8)
    for i, read in enumerate(reads):
        arrows[i, list(read)] = 1
    _, labels = connected_components(csr_array(arrows), directed=True, connection="strong")
    before = {int(label): {int(labels[j]) for i in range(count) if labels[i] == label for j in reads[i]} - {int(label)}
              for label in labels}  # fmt: skip
    order = TopologicalSorter(before).static_order()
    return [tuple(int(i) for i in np.flatnonzero(labels == label)) for label in order]


def _origin(solve: Solve, place: int) -> int:
    """The place of the author's state that a tangent varies, however often it was varied; of another state its own."""
    states = solve.spec.states
    if states[place].role != "tangent":
        return place
    name, _, _ = str(states[place].of).partition("~")
    return next((i for i, state in enumerate(states) if state.name == name), place)

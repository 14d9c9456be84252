"""The derivative of slopes along several directions, all in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isocline_compiler.derivatives.reverse_forward import dependent, push_forward
from isocline_compiler.graph import ARGUMENT, Array, Node, Nodes, Operand, constant, leaf, substitute, topological
from isocline_compiler.graph import transform as rebuilt
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import EXPAND, EXPAND_LIKE, RESHAPE, SPREAD
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.points import enlarge, repeated


@dataclass(frozen=True, eq=False)
class Tangent:
    """(df/dx) v, linear in the `probes` v, in terms of a region's arguments."""

    probes: Nodes
    moved: tuple[Node | None, ...]

    @classmethod
    def of(cls, slopes: Sequence[Node | None], arguments: Sequence[Node]) -> Tangent:
        """Of these slopes by these arguments; it is zero where there is none. Raises Fault for an operation without a
        derivative.
        """
        probes = tuple(leaf(ARGUMENT, f"v{i}", item.type) for i, item in enumerate(arguments))
        (found,) = push_forward([item for item in slopes if item is not None], arguments, [probes])
        moved = iter(found)
        return cls(probes, tuple(None if slope is None else next(moved) for slope in slopes))

    def within(self) -> Tangent:
        """Of as many slopes as arguments: each of them in the shape of its state."""
        pairs = [(v, 0.0 * probe) for v, probe in zip(self.moved, self.probes, strict=True)]
        return Tangent(self.probes, tuple(broadcast_like(zero if v is None else v, zero) for v, zero in pairs))

    def at(self, field: Field, t: Operand, x: Nodes, v: Nodes) -> list[Node | None]:
        """(df/dx) v at (t, x); None for zero."""
        moved = field.filled([item for item in self.moved if item is not None], t, x)
        found = iter(substitute(moved, dict(zip(self.probes, v, strict=True))))
        return [None if item is None else next(found) for item in self.moved]

    def along(self, field: Field, t: Operand, x: Nodes, units: Sequence[Array], places: Sequence[int]) -> list[Node]:
        """At (t, x) along C directions, `units` (C, *argument): for each slope that is not zero (batch, C, *state).

        The arguments are the states at these `places`. Where the derivative reads nothing of a sample it is taken once,
        (1, C, *state). Where it does, the directions are further samples, so that a product of matrices stays one.
        """
        moved = field.filled([v for v in self.moved if v is not None], t, x)
        count = len(units[0])
        once = self._once(moved, units)
        if once is not None:
            return [RESHAPE(v, shape=(1, *v.shape)) for v in once]
        loops = any(node.op is SCAN for node in dependent(topological(moved, self.probes), self.probes))
        if not loops and all(probe.type.batched and probe.shape[0] == BATCH for probe in self.probes):
            return [SPLIT_POINTS(v, count=count) for v in self._as_samples(moved, units, [x[i] for i in places])]
        return self._one_by_one(moved, units)

    def _once(self, moved: Nodes, units: Sequence[Array]) -> Nodes | None:
        """With the directions in place of the samples; None where something of the samples is read."""
        if not all(probe.type.batched for probe in self.probes):
            return None
        count = len(units[0])
        known = {probe: constant(unit) for probe, unit in zip(self.probes, units, strict=True)}
        for node in topological(moved, self.probes):
            if node.op in (EXPAND_LIKE, SPREAD) and not node.inputs[0].type.batched:
                known[node] = EXPAND(node.inputs[0], shape=(count, *node.type.sample))
        order = topological(moved, known)
        moving = dependent(order, known)
        if any((node.type.batched and node not in moving) or node.op is SCAN for node in order):
            return None

        def visit(node: Node, inputs: Nodes) -> Node:
            if node not in moving:
                return node
            attrs: dict[str, Any] = dict(node.attrs)
            if "shape" in attrs:
                attrs["shape"] = tuple(count if size == BATCH else size for size in attrs["shape"])
            return node.op(*inputs, **attrs)

        return rebuilt(moved, visit, known)

    def _as_samples(self, moved: Nodes, units: Sequence[Array], x: Sequence[Node]) -> Nodes:
        """(C batch, *state): what does not depend on the direction is repeated where it meets what does."""
        count = len(units[0])
        visit = enlarge(count)

        def widened(node: Node, inputs: Nodes) -> Node:
            if all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
                return node
            pairs = zip(inputs, node.inputs, strict=True)
            return visit(node, tuple(_repeated(new, count) if new is old else new for new, old in pairs))

        known = {
            probe: MERGE_POINTS(broadcast_like(constant(unit[None]), repeated(like, count)))
            for probe, like, unit in zip(self.probes, x, units, strict=True)
        }
        return rebuilt(moved, widened, known)

    def _one_by_one(self, moved: Nodes, units: Sequence[Array]) -> list[Node]:
        found: list[list[Node]] = [[] for _ in moved]
        for i in range(len(units[0])):
            known = {
                probe: broadcast_like(constant(unit[i]), like)
                for probe, unit, like in zip(self.probes, units, self.probes, strict=True)
            }
            for column, v in zip(found, substitute(moved, known), strict=True):
                lead = v.shape[: int(v.type.batched)] or (1,)
                column.append(RESHAPE(v, shape=(*lead, 1, *v.type.sample)))
        return [column[0] if len(column) == 1 else CONCAT(*column, axis=1) for column in found]


def _repeated(x: Node, count: int) -> Node:
    return MERGE_POINTS(repeated(x, count)) if x.type.batched else x

r"""The adjoint of a loop: a loop from the last iteration to the first, over what was stored.

    (a_i, ds_i) = (d body / d(x, s))^T (a_{i+1}, dy_i),    dc = sum_i (d body / dc)^T (a_{i+1}, dy_i)

The values that the derivative reads are stored by the loop while they are few. Of a long loop, of one whose length has
a name, or one of large values, only the states are: checkpoints, from which each iteration is computed again. The
result is a scan like any other, and is differentiated like one.

Griewank, Walther (2008), Evaluating Derivatives, 2nd ed., chapters 4 and 12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from isocline_compiler.derivatives.of_solves import Tangents
from isocline_compiler.graph import ARGUMENT, Node, Nodes, Region, at, constant, leaf, substitute, topological
from isocline_compiler.graph.scan import scan, stored_again, stored_by
from isocline_compiler.graph.solve import Parts, parts, pick
from isocline_compiler.graph.tensor_type import points_in
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.ops.shaping import FLIP

Pull = Callable[[Sequence[Node], Sequence[Node], Sequence[Node]], Tangents]
"""Reverse accumulation: (results, their cotangents, values) -> the cotangents of the values, None for zero."""

MOST_STORED = 1 << 21
"""Entries, for each sample with all its points, that a loop stores for its reverse: eight megabytes in float32."""


def reverse_scan(node: Node, cotangents: Mapping[int, Node], wanted: Sequence[bool], pull: Pull) -> Tangents:
    """The cotangents of a scan's arguments, from those of its results by index; None where none is `wanted`.

    Raises `Fault` for an operation of the body without a derivative.
    """
    with at(node.span):
        found = _Reversal(node, cotangents, tuple(wanted), pull)
        return found.parts() if found.is_stored else _Reversal(stored_again(node), *found.question).parts()


@dataclass(frozen=True, eq=False)
class _Reversal:
    node: Node
    cotangents: Mapping[int, Node]
    wanted: tuple[bool, ...]
    pull: Pull

    @property
    def question(self) -> tuple[Mapping[int, Node], tuple[bool, ...], Pull]:
        return self.cotangents, self.wanted, self.pull

    @cached_property
    def given(self) -> Parts:
        return parts(self.node)

    @cached_property
    def region(self) -> Region:
        region: Region = self.node.attrs["region"]
        return region

    @cached_property
    def moving(self) -> tuple[int, ...]:
        """The states that have derivatives."""
        return tuple(i for i, x in enumerate(self.given.initial) if x.type.kind == "real")

    @cached_property
    def summed(self) -> tuple[int, ...]:
        """The captured values whose cotangents are wanted: they add up over the iterations."""
        return self._chosen(self.given.captured, len(self.given.initial))

    @cached_property
    def rowwise(self) -> tuple[int, ...]:
        """The stacked values whose cotangents are wanted: each iteration gives its row."""
        return self._chosen(self.given.stacked, len(self.given.initial) + len(self.given.captured))

    @cached_property
    def observed(self) -> tuple[int, ...]:
        """The stacked results that something depends on."""
        return tuple(i for i in range(len(self.given.initial), len(self.node.types)) if i in self.cotangents)

    def _chosen(self, values: Nodes, first: int) -> tuple[int, ...]:
        return tuple(i for i, x in enumerate(values) if self.wanted[first + i] and x.type.kind == "real")

    # ------------------------------------------------------------------------------------------ one iteration

    @cached_property
    def seeds(self) -> Nodes:
        """What stands for the cotangents of the next states and of a row of each observed result."""
        results = [self.region.results[i] for i in (*self.moving, *self.observed)]
        return tuple(leaf(ARGUMENT, f"seed{i}", result.type) for i, result in enumerate(results))

    @cached_property
    def pulled(self) -> Nodes:
        """One iteration backwards, in terms of the seeds and of the nodes of the body: the cotangents of the moving
        states, of the summed values, of the rows.
        """
        first = len(self.given.initial)
        second = first + len(self.given.captured)
        places = [*self.moving, *(first + i for i in self.summed), *(second + i for i in self.rowwise)]
        values = [self.region.arguments[place] for place in places]
        found = self.pull([self.region.results[i] for i in (*self.moving, *self.observed)], self.seeds, values)
        return tuple(_zeros(v) if g is None else g for v, g in zip(values, found, strict=True))

    @cached_property
    def stored(self) -> dict[Node, int]:
        """What is read from where it was stored, and in which result: all that is needed, or the states."""
        everything = stored_by(self.node)
        states = set(self.region.arguments[: len(self.given.initial)])
        read = self._read(everything)
        size = sum(_entries(node) for node in read if node not in states)
        length = self.node.attrs["length"]
        if isinstance(length, int) and size * length <= MOST_STORED:
            return {node: everything[node] for node in read}
        checkpoints = {node: place for node, place in everything.items() if node in states}
        return {node: place for node, place in checkpoints.items() if node in self._read(checkpoints)}

    def _read(self, stored: Mapping[Node, int]) -> list[Node]:
        """The stored nodes that one iteration backwards reads."""
        inside = topological(self.pulled, tuple(stored))
        reached = {item for node in inside for item in node.inputs} | set(self.pulled)
        return [node for node in stored if node in reached]

    @property
    def is_stored(self) -> bool:
        """Whether the states that are needed have been stored."""
        states = set(self.region.arguments[: len(self.given.initial)])
        return not states & set(topological(self.pulled, tuple(self.stored)))

    # ------------------------------------------------------------------------------------------ the loop

    def parts(self) -> Tangents:
        given, moving, summed = self.given, self.moving, self.summed
        last = [self.cotangents.get(i) or _zeros(given.initial[i]) for i in moving]
        totals = [_zeros(given.captured[i]) for i in summed]
        kept = (pick(self.node, place) for place in self.stored.values())
        rows = [_flipped(x) for x in (*kept, *given.stacked, *(self.cotangents[i] for i in self.observed))]
        names = [f"adjoint_{self.region.arguments[i].attrs['name']}" for i in moving]
        done = scan((*last, *totals), given.captured, rows, self._body, length=self.node.attrs["length"], names=names)
        first: dict[int, Node] = dict(zip(moving, done.last, strict=False))
        sums = dict(zip(summed, done.last[len(moving) :], strict=True))
        sent = dict(zip(self.rowwise, map(_flipped, done.stacked), strict=True))
        return (
            *(first.get(i) for i in range(len(given.initial))),
            *(sums.get(i) for i in range(len(given.captured))),
            *(sent.get(i) for i in range(len(given.stacked))),
        )

    def _body(self, states: Nodes, held: Nodes, rows: Nodes) -> tuple[Sequence[Node], Sequence[Node]]:
        first = len(self.stored)
        second = first + len(self.given.stacked)
        end, count = len(self.moving), len(self.given.initial)
        known = dict(zip(self.stored, rows[:first], strict=True))
        known |= zip(self.region.arguments[count:], (*held, *rows[first:second]), strict=True)
        known |= zip(self.seeds, (*states[:end], *rows[second:]), strict=True)
        found = substitute(self.pulled, known)
        added = [total + part for total, part in zip(states[end:], found[end : end + len(self.summed)], strict=True)]
        return [*found[:end], *added], found[end + len(self.summed) :]


def _entries(node: Node) -> int:
    """Entries of a value for each sample, its points counted."""
    points = points_in(str(node.shape[0])) if node.type.batched else 1
    return points * prod(size for size in node.type.sample if isinstance(size, int))


def _flipped(rows: Node) -> Node:
    """The last row first: a loop takes rows in order, and not every engine takes them the other way round."""
    if not isinstance(rows.size(0), int):
        return FLIP(rows, axis=0)
    return SLICE(rows, axis=0, start=None, stop=None, step=-1)


def _zeros(x: Node) -> Node:
    return broadcast_like(constant(0.0), x)

r"""The reverse of a loop: a loop from the last iteration to the first, over the states that were stored.

    (a_i, ds_i) = (d body / d(x, s))^T (a_{i+1}, dy_i),    dc = sum_i (d body / dc)^T (a_{i+1}, dy_i)

Each iteration is computed again from the state at its start, so one state for each is stored, and one of them is in
memory at a time: checkpoints. The result is a scan like any other, and is differentiated like one.

Griewank, Walther (2008), Evaluating Derivatives, 2nd ed., chapter 12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from isocline_compiler.graph import Node, Region, at, constant
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.scan_node import Nodes, scan, starts_of
from isocline_compiler.solve_node import SolveParts, parts, pick
from isocline_compiler.variations import Tangents

Pull = Callable[[Sequence[Node], Sequence[Node], Sequence[Node]], Tangents]
"""Reverse accumulation: (results, their cotangents, values) -> the cotangents of the values, None for zero."""


def reverse_scan(node: Node, cotangents: Mapping[int, Node], wanted: Sequence[bool], pull: Pull) -> Tangents:
    """The cotangents of a scan's arguments, from those of its results by index; None where none is `wanted`.

    Raises `Fault` for an operation of the body without a derivative.
    """
    with at(node.span):
        return _Reversal(node, cotangents, tuple(wanted), pull).found()


@dataclass(frozen=True, eq=False)
class _Reversal:
    node: Node
    cotangents: Mapping[int, Node]
    wanted: tuple[bool, ...]
    pull: Pull

    @cached_property
    def given(self) -> SolveParts:
        return parts(self.node)

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

    @property
    def starts(self) -> Nodes:
        """The states at the start of each iteration: as the scan has stored them, or from one that stores them."""
        places = starts_of(self.node)
        known = tuple(pick(self.node, place) for place in places if place is not None)
        if len(known) == len(places):
            return known
        region: Region = self.node.attrs["region"]
        count = len(places)

        def again(x: Nodes, c: Nodes, s: Nodes) -> tuple[Nodes, Nodes]:
            results = region(*x, *c, *s)
            return results[:count], results[count:]

        given, length = self.given, self.node.attrs["length"]
        return scan(given.initial, given.captured, given.stacked, again, length=length).starts

    def found(self) -> Tangents:
        given, moving, summed = self.given, self.moving, self.summed
        last = [self.cotangents.get(i) or _zeros(given.initial[i]) for i in moving]
        totals = [_zeros(given.captured[i]) for i in summed]
        rows = [_flipped(x) for x in (*self.starts, *given.stacked, *(self.cotangents[i] for i in self.observed))]
        done = scan((*last, *totals), given.captured, rows, self._body, length=self.node.attrs["length"])
        first: dict[int, Node] = dict(zip(moving, done.last, strict=False))
        sums = dict(zip(summed, done.last[len(moving) :], strict=True))
        sent = dict(zip(self.rowwise, map(_flipped, done.stacked), strict=True))
        return (
            *(first.get(i) for i in range(len(given.initial))),
            *(sums.get(i) for i in range(len(given.captured))),
            *(sent.get(i) for i in range(len(given.stacked))),
        )

    def _body(self, states: Nodes, held: Nodes, rows: Nodes) -> tuple[Sequence[Node], Sequence[Node]]:
        """One iteration backwards: computed again, then pulled back."""
        region: Region = self.node.attrs["region"]
        first = len(self.given.initial)
        second = first + len(self.given.stacked)
        x, s, observed = rows[:first], rows[first:second], rows[second:]
        adjoint, totals = states[: len(self.moving)], states[len(self.moving) :]
        results = region(*x, *held, *s)
        values = [*(x[i] for i in self.moving), *(held[i] for i in self.summed), *(s[i] for i in self.rowwise)]
        outputs = [results[i] for i in (*self.moving, *self.observed)]
        found = self.pull(outputs, [*adjoint, *observed], values)
        parts_ = [_zeros(v) if g is None else g for v, g in zip(values, found, strict=True)]
        end = len(self.moving)
        added = [total + part for total, part in zip(totals, parts_[end : end + len(totals)], strict=True)]
        return [*parts_[:end], *added], parts_[end + len(totals) :]


def _flipped(rows: Node) -> Node:
    """The last row first: a loop takes rows in order, and not every engine takes them the other way round."""
    return Node.algebra["slice"](rows, axis=0, start=None, stop=None, step=-1)


def _zeros(x: Node) -> Node:
    return broadcast_like(constant(0.0), x)

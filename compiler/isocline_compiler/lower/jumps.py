r"""States that jump at known times: a solve from each time to the next, and what replaces its states there.

The times at which the solution is kept and those of all jumps are put in order, one list for each sample where they are
values; a loop goes over them. In each iteration the field is solved up to the next time, and where a jump happens at
it, states are replaced. Of equal times jumps come first, in the order of the file: a solution is continuous from the
right. Times before the start or behind the end are moved onto it, and their jumps do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isocline_compiler.graph import Node, constant
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.conform import spread
from isocline_compiler.lower.expressions import Expressions, Solution
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.scans import Observed, ScanLowering
from isocline_compiler.ops.arithmetic import MAXIMUM, MINIMUM
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import LESS_EQUAL, WHERE
from isocline_compiler.ops.indexing import CONCAT, SELECT, SLICE
from isocline_compiler.ops.ordering import SORT, SORT_BY
from isocline_compiler.ops.shaping import RESHAPE
from isocline_dsl import messages, tree
from isocline_dsl.tree import Assign, Binding, Field, Identifier, Jump, Name, Solve, Span

BETWEEN = "between"
"""What the solve from one time to the next is called, behind the name of the solution."""


def jumps_of(declaration: Field) -> tuple[Jump, ...]:
    """The jumps of a field in the order of the file."""
    return tuple(item for item in declaration.body if isinstance(item, Jump))


@dataclass(frozen=True)
class JumpLowering:
    """Lowers a solve of a field with jumps by a loop over all times."""

    scans: ScanLowering
    numbers: Numbers

    def lower(self, name: str, solve: Solve, declaration: Field, stops: Node, outer: Expressions) -> Solution:
        """The states at the `stops`, real[k] or (batch, k), or at the last of them. Raises LowerError."""
        jumps = jumps_of(declaration)
        _require_plain(solve, declaration)
        times = [_times(jump, outer) for jump in jumps]
        amounts = [
            [_amounts(item, outer, node) for item in jump.over[1:]] for jump, node in zip(jumps, times, strict=True)
        ]
        given = [stops, *times, *(node for group in amounts for node in group)]
        like = next((node for node in given if node.type.batched), None)
        stops, *times = (node if like is None else spread(node, like) for node in (stops, *times))
        amounts = [[node if like is None else spread(node, like) for node in group] for group in amounts]
        merged = _Merged.of(stops, times)
        observed = [Observed(merged.sorted, ("t0~", "t1~"))]
        for i, group in enumerate(amounts):
            observed.append(Observed(merged.in_order(merged.among_all(merged.happens[i], i)), (f"happens{i}~",)))
            rows = (merged.in_order(merged.among_all(node, i)) for node in group)
            observed += [Observed(row, (f"entry{i}_{j}~",)) for j, row in enumerate(rows)]
        scan = self._scan(solve, declaration, jumps)
        found = self.scans.over(name, scan, outer, observed)
        return Solution({key: merged.kept(node, solve.everywhere) for key, node in found.states.items()})

    def _scan(self, solve: Solve, declaration: Field, jumps: Sequence[Jump]) -> tree.Scan:
        """One iteration as the author would write it."""
        states = [item.name.text for item in declaration.states]
        between = BETWEEN + "_" * (BETWEEN in states)
        span = solve.span
        own = tuple(Binding(_word(name, span), _name(name, span), span=span) for name in states)
        times = tree.Range(_name("t0~", span), _name("t1~", span), span=span)
        step = replace(solve, initial=own, times=times, everywhere=False, scheme=self._scheme(solve))
        body = [Assign(_word(between, span), step, span=span)]
        for name in states:
            end: tree.Expression = _name(between, span)
            body.append(Assign(_word(name, span), tree.Attribute(end, _word(name, span), span=span), span=span))
        for i, jump in enumerate(jumps):
            body += _replacing(i, jump, declaration.time.text, frozenset(states))
        return tree.Scan((), (), solve.initial, tuple(body), span=span)

    def _scheme(self, solve: Solve) -> tree.Call | None:
        """As many of its steps for each stretch as fall on one between neighbouring stops."""
        if solve.scheme is None or not isinstance(solve.times, tree.Range) or not solve.everywhere:
            return solve.scheme
        stretches = len(self.numbers.times(solve.times)) - 1
        keywords = tuple(self._shared(item, stretches) for item in solve.scheme.keywords)
        return replace(solve.scheme, keywords=keywords)

    def _shared(self, item: tree.Keyword, stretches: int) -> tree.Keyword:
        if item.name.text != "steps":
            return item
        steps = self.numbers.integer(item.value)
        if steps % stretches:
            nearest = tuple(n for n in (steps // stretches * stretches, (steps // stretches + 1) * stretches) if n)
            raise LowerError(messages.steps_not_a_multiple(item.span, steps, stretches, nearest))
        return replace(item, value=tree.Number(str(steps // stretches), span=item.value.span))


def _require_plain(solve: Solve, declaration: Field) -> None:
    """Raises LowerError for what a loop over times does not follow."""
    second = any(isinstance(item, tree.Equation) and item.order > 1 for item in declaration.body)
    noise = any(isinstance(item, tree.NoiseDeclaration) for item in declaration.body)
    per_step = "its steps have weights of their own, and between jumps there is no number of them"
    for wrong, why in (
        (second, "it has an equation of second order"),
        (noise or solve.samples is not None, "it has noise"),
        (declaration.per_step, per_step),
    ):
        if wrong:
            raise LowerError(messages.jumps_not_here(solve.span, declaration.name.text, why))


def _times(jump: Jump, outer: Expressions) -> Node:
    item = jump.over[0]
    node = outer.node(item)
    if node.type.kind != "real" or len(node.type.sample) != 1 or not isinstance(node.type.sample[0], int):
        raise LowerError(messages.jump_times(item.span, describe(node.type)))
    return node


def _amounts(item: tree.Expression, outer: Expressions, times: Node) -> Node:
    node = outer.node(item)
    if node.type.kind != "real" or node.type.sample != times.type.sample:
        raise LowerError(messages.jump_amounts(item.span, describe(node.type), int(times.type.sample[0])))
    return node


def _replacing(i: int, jump: Jump, time: str, states: frozenset[str]) -> Iterator[Assign]:
    """x <- value where the jump happens, statement by statement; values between are plain ones."""
    span = jump.span
    happens = tree.Binary(">", _name(f"happens{i}~", span), tree.Number("0.5", span=span), span=span)
    yield Assign(_word(time, span), _name("t1~", span), span=span)
    for j, name in enumerate(jump.names):
        source = "t1~" if j == 0 else f"entry{i}_{j - 1}~"
        yield Assign(name, _name(source, span), span=span)
    for line in jump.body:
        if not isinstance(line, Assign):
            raise Poisoned  # reported where names are resolved
        value = line.value
        if line.name.text in states:
            before = _name(line.name.text, line.span)
            value = tree.Call(_word("where", line.span), (happens, line.value, before), span=line.value.span)
        yield replace(line, value=value)


def _word(text: str, span: Span) -> Identifier:
    return Identifier(text, span=span)


def _name(text: str, span: Span) -> Name:
    return Name(text, span=span)


@dataclass(frozen=True, eq=False)
class _Merged:
    """The times of all jumps and stops, as they stand in the file and in order: real[N] or (batch, N).

    `happens` is 1 for the jumps of a block that lie within the solve; `first` is where each block begins.
    """

    times: Node
    sorted: Node
    happens: tuple[Node, ...]
    first: tuple[int, ...]
    stops: int

    @classmethod
    def of(cls, stops: Node, times: Sequence[Node]) -> _Merged:
        axis = int(stops.type.batched)
        count = int(stops.type.sample[0])
        start, end = SLICE(stops, axis=axis, start=0, stop=1), SLICE(stops, axis=axis, start=count - 1, stop=count)
        inside = [MINIMUM(MAXIMUM(x, start), end) for x in times]
        one = constant(1.0)
        happens = tuple(
            WHERE(LESS_EQUAL(start, x), WHERE(LESS_EQUAL(x, end), one, constant(0.0)), constant(0.0)) for x in times
        )
        every = CONCAT(*inside, stops, axis=axis)
        first = np.cumsum([0, *(int(x.type.sample[0]) for x in times)])
        return cls(every, SORT(every, axis=axis), happens, tuple(map(int, first)), count)

    @property
    def axis(self) -> int:
        return int(self.times.type.batched)

    def among_all(self, entries: Node, block: int) -> Node:
        """Entries of one block, and zeros for all other times."""
        total = int(self.times.type.sample[0])
        before, after = self.first[block], total - self.first[block + 1]
        parts = [_zeros(entries, before, self.axis), entries, _zeros(entries, after, self.axis)]
        return CONCAT(*(part for part in parts if part is not None), axis=self.axis)

    def in_order(self, entries: Node) -> Node:
        """What belongs to the times, in their order."""
        return SORT_BY(entries, self.times, axis=self.axis)

    def kept(self, states: Node, everywhere: bool) -> Node:
        """Of the states after every time, (batch, N, ...), those at the stops, or at the last of them."""
        axis = int(states.type.batched)
        key = self.times
        if states.type.batched and not key.type.batched:
            key = spread(key, states)
        trailing = (1,) * (states.type.rank - axis - 1)
        key = broadcast_like(RESHAPE(key, shape=(*key.shape, *trailing)), states)
        back = SORT_BY(states, key, axis=axis, inverse=True)
        total = int(self.times.type.sample[0])
        if not everywhere:
            return SELECT(back, axis=axis, index=total - 1)
        return SLICE(back, axis=axis, start=total - self.stops, stop=total)


def _zeros(like: Node, count: int, axis: int) -> Node | None:
    if not count:
        return None
    if not axis:
        return constant(np.zeros(count))
    return spread(constant(np.zeros(count)), like)


__all__ = ["JumpLowering", "jumps_of"]

r"""States that jump at known times: a solve from each time to the next, and what replaces its states there.

The times at which the solution is kept and those of all jumps are put in order, one list for each sample where they are
values; a loop goes over them. In each iteration the field is solved up to the next time, and where a jump happens at
it, states are replaced. Of equal times jumps come first, in the order of the file: a solution is continuous from the
right. Times before the start or behind the end are moved onto it, and their jumps do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from isocline_compiler.graph import Array, Node, constant, value_of
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.conform import spread
from isocline_compiler.lower.expressions import Expressions, Solution
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.scans import Observed, ScanLowering
from isocline_compiler.ops.arithmetic import MAXIMUM, MINIMUM
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import LESS_EQUAL, WHERE
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
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
class Integrand:
    """What is integrated from one time to the next and added up: `call` is `integral(value, over=path)`."""

    call: tree.Call
    value: tree.Expression
    shape: tuple[int, ...]
    state: ClassVar[str] = "integral~"

    @property
    def start(self) -> Binding:
        """The state from zero."""
        span = self.call.span
        sizes = tuple(tree.Number(str(size), span=span) for size in self.shape)
        zero = tree.Call(_word("zeros", span), sizes, span=span) if sizes else tree.Number("0", span=span)
        return Binding(_word(self.state, span), zero, span=span)

    def over(self, solution: Name) -> tree.Call:
        """The integral along another solution."""
        keyword = tree.Keyword(_word("over", self.call.span), solution, span=self.call.span)
        return replace(self.call, arguments=(self.value,), keywords=(keyword,))

    def added(self, solution: Name) -> Assign:
        """What one stretch adds to it."""
        span = self.call.span
        more = tree.Binary("+", _name(self.state, span), self.over(solution), span=span)
        return Assign(_word(self.state, span), more, span=span)


@dataclass(frozen=True)
class JumpLowering:
    """Lowers a solve of a field with jumps by a loop over all times."""

    scans: ScanLowering
    numbers: Numbers

    def lower(
        self, name: str, solve: Solve, declaration: Field, stops: Node, outer: Expressions,
        integrand: Integrand | None = None,
    ) -> Solution:  # fmt: skip
        """The states at the `stops`, real[k] or (batch, k), or at the last of them; what is integrated is one more of
        them. Raises LowerError.
        """
        jumps = jumps_of(declaration)
        _require_plain(solve, declaration)
        times = [_times(jump, outer) for jump in jumps]
        amounts = [
            [_amounts(item, outer, node) for item in jump.over[1:]] for jump, node in zip(jumps, times, strict=True)
        ]
        for jump, node in zip(jumps, times, strict=True):
            _require_within(jump, node, stops)
        ordered = _in_order(stops, times, [node for group in amounts for node in group])
        observed = [Observed(ordered.begin, ("t0~",)), Observed(ordered.end, ("t1~",))]
        for i, group in enumerate(amounts):
            observed.append(Observed(ordered.happens[i], (f"happens{i}~",)))
            observed += [Observed(ordered.entries(x, i), (f"entry{i}_{j}~",)) for j, x in enumerate(group)]
        scan = self._scan(solve, declaration, jumps, integrand)
        found = self.scans.over(name, scan, outer, observed)
        return Solution({key: ordered.kept(node, solve.everywhere) for key, node in found.states.items()})

    def _scan(self, solve: Solve, declaration: Field, jumps: Sequence[Jump], integrand: Integrand | None) -> tree.Scan:
        """One iteration as the author would write it, the velocity of a state of second order a state of its own."""
        orders = {item.state.text: item.order for item in declaration.body if isinstance(item, tree.Equation)}
        names = [item.name.text for item in declaration.states]
        states = [(name, order) for name in names for order in range(orders.get(name, 1))]
        between = BETWEEN + "_" * (BETWEEN in names)
        span = solve.span
        own = tuple(
            Binding(_word(name, span), _name(name + "'" * order, span), order, span=span) for name, order in states
        )
        times = tree.Range(_name("t0~", span), _name("t1~", span), span=span)
        step = replace(solve, initial=own, times=times, everywhere=False, scheme=self._scheme(solve))
        body = [Assign(_word(between, span), step, span=span)]
        body += [] if integrand is None else [integrand.added(_name(between, span))]
        for name, order in states:
            end: tree.Expression = _name(between, span)
            after = tree.Attribute(end, _word(name, span), order, span=span)
            body.append(Assign(_word(name + "'" * order, span), after, span=span))
        every = frozenset(name + "'" * order for name, order in states)
        for i, jump in enumerate(jumps):
            body += _replacing(i, jump, declaration.time.text, every)
        starts = tuple(
            replace(item, name=_word(item.name.text + "'" * item.order, item.name.span), order=0)
            for item in solve.initial
        )
        starts += () if integrand is None else (integrand.start,)
        return tree.Scan((), (), starts, tuple(body), span=span)

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
    noise = any(isinstance(item, tree.NoiseDeclaration) for item in declaration.body)
    per_step = "its steps have weights of their own, and between jumps there is no number of them"
    for wrong, why in (
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


def _require_within(jump: Jump, times: Node, stops: Node) -> None:
    """Raises LowerError where all times are known and none of them lies within the solve."""
    every, kept = value_of(times), value_of(stops)
    if every is None or kept is None or ((kept[0] <= every) & (every <= kept[-1])).any():
        return
    ends = (f"{float(x):g}" for x in (every.min(), every.max(), kept[0], kept[-1]))
    raise LowerError(messages.jumps_outside(jump.over[0].span, *ends))


def _amounts(item: tree.Expression, outer: Expressions, times: Node) -> Node:
    node = outer.node(item)
    if node.type.kind != "real" or node.type.sample[:1] != times.type.sample:
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
        if not isinstance(line, Assign | tree.Equation):
            raise Poisoned  # reported where names are resolved
        name, value = (line.name if isinstance(line, Assign) else _velocity(line)), line.value
        if name.text in states:
            before = _name(name.text, line.span)
            value = tree.Call(_word("where", line.span), (happens, line.value, before), span=line.value.span)
        yield Assign(name, value, span=line.span)


def _velocity(line: tree.Equation) -> Identifier:
    """`q' = ...` in a jump gives the velocity of q a new value."""
    return _word(line.state.text + "'" * line.order, line.state.span)


def _word(text: str, span: Span) -> Identifier:
    return Identifier(text, span=span)


def _name(text: str, span: Span) -> Name:
    return Name(text, span=span)


class _Ordered(Protocol):
    """The times of all jumps and stops in order, a row for each iteration: where a stretch begins and ends, and of each
    block 1 where it happens at the end.
    """

    @property
    def begin(self) -> Node: ...

    @property
    def end(self) -> Node: ...

    @property
    def happens(self) -> tuple[Node, ...]: ...

    def entries(self, node: Node, block: int) -> Node:
        """What comes with the times of a block, in the rows at which it happens; elsewhere any entry of it, so that
        what is computed of it there and dropped is as finite as where it is wanted.
        """

    def kept(self, states: Node, everywhere: bool) -> Node:
        """Of the states after every row, (batch, N, ...), those at the stops, or at the last of them."""


def _in_order(stops: Node, times: Sequence[Node], amounts: Sequence[Node]) -> _Ordered:
    """Times that are known are put in order now, and are the same for all samples; others by the graph."""
    known = [value_of(node) for node in (stops, *times)]
    numbers = [np.asarray(x, float) for x in known if x is not None]
    if len(numbers) == len(known):
        return _Known.of(numbers[0], numbers[1:])
    like = next((node for node in (stops, *times, *amounts) if node.type.batched), None)
    spreading = (lambda x: x) if like is None else (lambda x: spread(x, like))
    return _Given.of(spreading(stops), [spreading(x) for x in times])


@dataclass(frozen=True, eq=False)
class _Known:
    """Jumps of different blocks that follow one another at one time share a row. `places`: which entry of a block
    belongs to a row; `reached`: the row of each stop.
    """

    begin: Node
    end: Node
    happens: tuple[Node, ...]
    places: tuple[Array, ...]
    reached: Array

    @classmethod
    def of(cls, stops: Array, times: Sequence[Array]) -> _Known:
        inside = [
            (float(t), block, i)
            for block, every in enumerate((*times, stops))
            for i, t in enumerate(every)
            if stops[0] <= t <= stops[-1]
        ]
        rows: list[tuple[float, dict[int, int]]] = [(float(stops[0]), {})]
        reached = []
        for t, block, i in sorted(inside):
            if t != rows[-1][0] or block <= max(rows[-1][1], default=-1):
                rows.append((t, {}))
            if block < len(times):
                rows[-1][1][block] = i
            else:
                reached.append(len(rows) - 1)
        ends = np.array([t for t, _ in rows])
        happening = [np.array([float(block in found) for _, found in rows]) for block in range(len(times))]
        places = tuple(np.array([found.get(block, 0) for _, found in rows]) for block in range(len(times)))
        begin = constant(np.concatenate([ends[:1], ends[:-1]]))
        return cls(begin, constant(ends), tuple(map(constant, happening)), places, np.array(reached))

    def entries(self, node: Node, block: int) -> Node:
        return GATHER(node, constant(self.places[block]), axis=int(node.type.batched))

    def kept(self, states: Node, everywhere: bool) -> Node:
        axis = int(states.type.batched)
        if not everywhere:
            return SELECT(states, axis=axis, index=int(self.reached[-1]))
        return GATHER(states, constant(self.reached), axis=axis)


@dataclass(frozen=True, eq=False)
class _Given:
    """Times as they stand in the file, blocks first, and in order: real[N] or (batch, N).

    `first` is where each block begins among them.
    """

    times: Node
    begin: Node
    end: Node
    happens: tuple[Node, ...]
    first: tuple[int, ...]
    stops: int

    @classmethod
    def of(cls, stops: Node, times: Sequence[Node]) -> _Given:
        axis = int(stops.type.batched)
        count = int(stops.type.sample[0])
        start, end = SLICE(stops, axis=axis, start=0, stop=1), SLICE(stops, axis=axis, start=count - 1, stop=count)
        inside = [MINIMUM(MAXIMUM(x, start), end) for x in times]
        every = CONCAT(*inside, stops, axis=axis)
        total = int(every.type.sample[0])
        first = [int(i) for i in np.cumsum([0, *(int(x.type.sample[0]) for x in times)])]
        one, none = constant(1.0), constant(0.0)
        happens = []
        for block, x in enumerate(times):
            within = WHERE(LESS_EQUAL(start, x), WHERE(LESS_EQUAL(x, end), one, none), none)
            before, after = (_zeros(x, n, axis) for n in (first[block], total - first[block + 1]))
            padded = CONCAT(*(part for part in (before, within, after) if part is not None), axis=axis)
            happens.append(SORT_BY(padded, every, axis=axis))
        ends = SORT(every, axis=axis)
        begin = CONCAT(start, SLICE(ends, axis=axis, start=0, stop=total - 1), axis=axis)
        return cls(every, begin, ends, tuple(happens), tuple(first), count)

    def entries(self, node: Node, block: int) -> Node:
        node = spread(node, self.times) if self.times.type.batched else node
        before, behind = self.first[block], self.first[block + 1]
        total = int(self.times.type.sample[0])
        places = np.array([0] * before + [*range(behind - before)] + [0] * (total - behind))
        padded = GATHER(node, constant(places), axis=int(node.type.batched))
        return SORT_BY(padded, self._key(padded), axis=int(padded.type.batched))

    def kept(self, states: Node, everywhere: bool) -> Node:
        axis, total = int(states.type.batched), int(self.times.type.sample[0])
        back = SORT_BY(states, self._key(states), axis=axis, inverse=True)
        if not everywhere:
            return SELECT(back, axis=axis, index=total - 1)
        return SLICE(back, axis=axis, start=total - self.stops, stop=total)

    def _key(self, like: Node) -> Node:
        """The times in the shape of what is put in their order."""
        key = spread(self.times, like) if like.type.batched else self.times
        trailing = (1,) * (like.type.rank - key.type.rank)
        return broadcast_like(RESHAPE(key, shape=(*key.shape, *trailing)), like)


def _zeros(like: Node, count: int, axis: int) -> Node | None:
    if not count:
        return None
    if not axis:
        return constant(np.zeros(count))
    return spread(constant(np.zeros(count)), like)


__all__ = ["BETWEEN", "Integrand", "JumpLowering", "jumps_of"]

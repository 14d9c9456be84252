r"""A solve whose states jump at known times: a loop over the stretches between them.

    x(t_{i+1}^-) = the solution from x(t_i) over (t_i, t_{i+1}),     x(t_{i+1}) = the jumps at t_{i+1} of x(t_{i+1}^-)

The times t_i are those of the solve and of its jumps together, in order; what is kept at a time is the value behind its
jumps. Known times are put in order here, given ones by the graph, each row of the loop with a mask for every jump.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isocline_compiler.graph import ARGUMENT, INPUT, Node, at, constant, leaf, topological, value_of
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.scan import row_of, scan
from isocline_compiler.graph.solve import Interval, State
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.expressions import Expressions, Frame, Solution, Value
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.field_body import Around
from isocline_compiler.lower.weights import LayerScope
from isocline_compiler.ops.comparison import GREATER, WHERE
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.ordering import SORT, SORT_BY
from isocline_compiler.ops.shaping import TRANSPOSE
from isocline_compiler.vocabulary.functions.broadcasting import align, elementwise, insert_axis, offset, reshape_sample
from isocline_compiler.vocabulary.functions.shaping import stack
from isocline_dsl import messages
from isocline_dsl.messages import jumps as said
from isocline_dsl.phrases import phrase
from isocline_dsl.tree import Assign, Equation, Field, Jump, NoiseDeclaration, Solve, Span


@dataclass(frozen=True)
class Start:
    """What a solve begins with: the states and their values, where it goes, and the scheme if the model says it."""

    states: tuple[State, ...]
    initial: tuple[Node, ...]
    apart: bool
    interval: Interval
    times: Node | None
    scheme: Called | None


@dataclass(frozen=True)
class Rows:
    """What the loop goes over, a row an iteration along the first axis of a sample: where a stretch begins and ends,
    for every jump whether it happens at the end (1 or 0) and what comes with it.
    """

    begin: Node
    end: Node
    happens: tuple[Node, ...]
    given: tuple[tuple[Node, ...], ...]

    def every(self) -> tuple[Node, ...]:
        pairs = zip(self.happens, self.given, strict=True)
        return (self.begin, self.end, *(x for mask, given in pairs for x in (mask, *given)))


@dataclass(frozen=True)
class Timed:
    """A jump with its times, (n,) or (batch, n), and the values that come with them."""

    jump: Jump
    path: str
    times: Node
    given: tuple[Node, ...]

    @property
    def count(self) -> int:
        return int(self.times.type.sample[0])


def jumps_of(declaration: Field) -> tuple[Jump, ...]:
    """The jumps of a field, in the order of its text."""
    return tuple(item for item in declaration.body if isinstance(item, Jump))


@dataclass
class JumpLowering:
    """What a solve with jumps needs of the file around it."""

    around: Around
    name: str
    solve: Solve
    declaration: Field
    start: Start

    def lower(
        self, jumps: Sequence[Jump], outer: Expressions, solved: Callable[[Start], Mapping[str, Node]]
    ) -> Solution:
        """The states at the times of the solve, or at its end. `solved` solves over one stretch. Raises LowerError."""
        self._check()
        timed = [self._timed(jump, place, outer) for place, jump in enumerate(jumps)]
        stops = self.start.times
        known = stops is None and all(value_of(item.times) is not None for item in timed)
        if not known and stops is None:
            assert self.start.interval.times is not None
            stops = constant(np.asarray(self.start.interval.times))
        if stops is not None:
            return self._given(timed, stops, solved)
        return self._known(timed, solved)

    def _check(self) -> None:
        """What does not go together with jumps. Raises LowerError."""
        if any(isinstance(item, NoiseDeclaration) for item in self.declaration.body):
            raise LowerError(said.jumps_with_noise(self.solve.span, self.declaration.name.text))
        span, times = self.solve.times.span, self.start.interval.times
        if self.declaration.per_step:
            raise LowerError(messages.not_available_yet(self.solve.span, "weights per step of a field that jumps"))
        if self.solve.samples is not None:
            raise LowerError(messages.samples_without_noise(self.solve.samples.span, self.declaration.name.text))
        if times is not None and times[-1] < times[0]:
            raise LowerError(said.jumps_outside(span, "", "", f"{times[0]:g}", f"{times[-1]:g}"))

    def _timed(self, jump: Jump, place: int, outer: Expressions) -> Timed:
        if jump.names and len(jump.names) != len(jump.over):
            shown = [phrase(item) for item in jump.over]
            span = Span(jump.names[0].span.start, jump.names[-1].span.stop)
            raise LowerError(said.jump_names(span, len(jump.names), len(jump.over), shown))
        times, *given = (outer.node(item) for item in jump.over)
        if times.type.kind != "real" or len(times.type.sample) != 1:
            raise LowerError(said.jump_times(jump.over[0].span, describe(times.type)))
        for value, item in zip(given, jump.over[1:], strict=True):
            if value.type.kind != "real" or value.type.sample[:1] != times.type.sample:
                length = str(value.type.sample[0]) if value.type.sample else "no"
                raise LowerError(said.jump_lengths(item.span, length, str(times.type.sample[0])))
        if not isinstance(times.type.sample[0], int):
            what = f"jumps as many as `{times.type.sample[0]}`, a length that comes with the data,"
            raise LowerError(messages.not_available_yet(jump.over[0].span, what))
        path = f"{self.declaration.name.text}.at" + (f"_{place + 1}" if place else "")
        return Timed(jump, path, times, tuple(given))

    # ----------------------------------------------------------------------------------------- times in order

    def _known(self, timed: Sequence[Timed], solved: Callable[[Start], Mapping[str, Node]]) -> Solution:
        """Times in order while compiling. What jumps at the beginning does so before the loop, and jumps at one time
        share a row where their order allows it.
        """
        stops = self.start.interval.times
        assert stops is not None
        events = []
        for place, item in enumerate(timed):
            times = np.asarray(value_of(item.times), float)
            inside = [(float(t), place, i) for i, t in enumerate(times) if stops[0] <= t <= stops[-1]]
            if not inside:
                bounds = (f"{x:g}" for x in (times.min(), times.max(), stops[0], stops[-1]))
                raise LowerError(said.jumps_outside(item.jump.over[0].span, *bounds))
            events += inside
        events += [(t, len(timed), i) for i, t in enumerate(stops)]
        states = self.start.initial
        begin = constant(np.asarray(stops[0]))
        rows: list[tuple[float, dict[int, int]]] = []
        reached: list[int] = []
        for t, place, i in sorted(events):
            if t > stops[0] and (not rows or rows[-1][0] != t or place <= max(rows[-1][1], default=-1)):
                rows.append((t, {}))
            if place == len(timed):
                reached.append(len(rows))
            elif rows:
                rows[-1][1][place] = i
            else:
                given = [SELECT(x, axis=offset(x), index=i) for x in timed[place].given]
                states = self._replaced(timed[place], states, begin, given)
        ends = [stops[0], *(t for t, _ in rows)]
        indices = [np.asarray([at_.get(place, 0) for _, at_ in rows]) for place in range(len(timed))]
        table = Rows(
            constant(np.asarray(ends[:-1])), constant(np.asarray(ends[1:])),
            tuple(constant(np.asarray([float(p in at_) for _, at_ in rows])) for p in range(len(timed))),
            tuple(
                tuple(GATHER(x, constant(index), axis=offset(x)) for x in item.given)
                for item, index in zip(timed, indices, strict=True)
            ),
        )  # fmt: skip
        last, stacked, first = self._looped(timed, states, table, solved)
        if not self.start.interval.everywhere:
            return self._solution(last)
        kept = []
        for x, before in zip(stacked, first, strict=True):
            whole = CONCAT(insert_axis(before, 0), x, axis=offset(x))
            kept.append(GATHER(whole, constant(np.asarray(reached)), axis=offset(x)))
        return self._solution(kept)

    def _given(self, timed: Sequence[Timed], stops: Node, solved: Callable[[Start], Mapping[str, Node]]) -> Solution:
        """Times put in order by the graph: those outside of the solve move to its ends, where they do nothing."""
        count = stops.type.sample[0]
        if not isinstance(count, int):
            what = f"jumps in a solve through `{count}` times, a length that comes with the data,"
            raise LowerError(messages.not_available_yet(self.solve.times.span, what))
        every = [stops, *(x for item in timed for x in (item.times, *item.given))]
        batched = next((x for x in every if x.type.batched), None)

        def alike(x: Node) -> Node:
            return x if batched is None else spread(x, batched)

        stops = alike(stops)
        axis = offset(stops)
        first, last = (SLICE(stops, axis=axis, start=i, stop=i + 1) for i in (0, count - 1))
        own = [alike(item.times) for item in timed]
        within = [elementwise("minimum", elementwise("maximum", x, first), last) for x in own]
        key = CONCAT(*within, stops, axis=axis)
        total = int(key.type.sample[0])
        ends = SORT(key, axis=axis)
        begins = CONCAT(first, SLICE(ends, axis=axis, start=0, stop=total - 1), axis=axis)

        def in_order(parts: Sequence[Node], inverse: bool = False) -> Node:
            x = parts[0] if len(parts) == 1 else CONCAT(*map(alike, parts), axis=axis)
            beside = spread(key, x) if x.type.batched else key
            shape = (total, *(1 for _ in x.type.sample[1:]))
            still = constant(np.zeros([int(size) for size in x.type.sample]))
            return SORT_BY(x, elementwise("add", reshape_sample(beside, shape), still), axis=axis, inverse=inverse)

        counts = [item.count for item in timed]
        happens, given = [], []
        for place, (item, times) in enumerate(zip(timed, own, strict=True)):
            before, after = sum(counts[:place]), total - sum(counts[: place + 1])
            inside = elementwise("mul", *(elementwise("less_equal", *pair) for pair in ((first, times), (times, last))))
            zeros = (constant(np.zeros(size)) for size in (before, after))
            happens.append(in_order([next(zeros), inside, next(zeros)]))
            places = np.asarray([0] * before + [*range(item.count)] + [0] * after)  # where nothing jumps, what may be
            given.append(tuple(in_order([GATHER(alike(x), constant(places), axis=axis)]) for x in item.given))
        rows = Rows(begins, ends, tuple(happens), tuple(given))
        done, stacked, _ = self._looped(timed, self.start.initial, rows, solved)
        if not self.start.interval.everywhere:
            return self._solution(done)
        back = [in_order([x], inverse=True) for x in stacked]
        return self._solution([SLICE(x, axis=offset(x), start=total - count, stop=total) for x in back])

    # ----------------------------------------------------------------------------------------------- the loop

    def _looped(
        self, timed: Sequence[Timed], states: Sequence[Node], rows: Rows, solved: Callable[[Start], Mapping[str, Node]]
    ) -> tuple[Sequence[Node], Sequence[Node], Sequence[Node]]:
        """The states at the end, those behind each row, (batch, n, ...), and those that the loop began with."""
        stretch = Interval(None, everywhere=False)

        def body(now: Sequence[Node], _: Sequence[Node], row: Sequence[Node]) -> tuple[list[Node], list[Node]]:
            begin, end, *rest = row
            begun = replace(self.start, initial=tuple(now), interval=stretch, times=stack(begin, end))
            found: Sequence[Node] = tuple(solved(begun).values())
            given = iter(rest)
            for item in timed:
                happens = GREATER(next(given), constant(np.asarray(0.5)))
                after = self._replaced(item, found, end, [next(given) for _ in item.given])
                found = [WHERE(*align(happens, *pair)) for pair in zip(after, found, strict=True)]
            found = [spread(x, y) if y.type.batched else x for x, y in zip(found, now, strict=True)]
            return list(found), list(found) if self.start.interval.everywhere else []

        every = [TRANSPOSE(x, perm=(1, 0, *range(2, x.type.rank))) if x.type.batched else x for x in rows.every()]
        batched = next((x for x in (*states, *rows.every()) if x.type.batched), None)
        if batched is None:
            arguments = tuple(leaf(ARGUMENT, "x", x.type) for x in states)
            found, _ = body(arguments, (), tuple(leaf(ARGUMENT, "s", row_of(x.type)) for x in every))
            batched = next((x for x in topological(found) if x.op is INPUT), None)
        first = [x if batched is None else spread(x, batched) for x in states]
        names = [state.name for state in self.start.states]
        named = ["t0", "t1", *(word for item in timed for word in ("happens", *_words(item)))]
        length = rows.end.type.sample[0]
        done = scan(first, (), every, body, length=length, names=names, rows_named=named, storing=False)
        stacked = [
            TRANSPOSE(x, perm=(1, 0, *range(2, x.type.rank))) if y.type.batched else x
            for x, y in zip(done.stacked, first, strict=bool(done.stacked))
        ]
        return done.last, stacked, first

    def _replaced(self, item: Timed, states: Sequence[Node], time: Node, given: Sequence[Node]) -> tuple[Node, ...]:
        """The states behind a jump: the assignments one after the other. Raises LowerError."""
        shapes = {state.name: state.shape for state in self.start.states}
        names: dict[str, Value] = dict(zip(shapes, states, strict=True))
        names |= zip((word.text for word in item.jump.names), (time, *given), strict=False)
        names[self.declaration.time.text] = time
        own = frozenset(argument.name.text for argument in self.declaration.states)
        frame = Frame(LayerScope(self.around.table, item.path), self.around.outer, names, own)
        inside = Expressions(frame, self.around.numbers, self.around.nets, self.around.call_net)
        for line in item.jump.body:
            name = _assigned(line)
            if name not in shapes:
                raise Poisoned  # no state: reported where names are resolved
            with at(line.span):
                assert isinstance(line, Assign | Equation)
                found = inside.node(line.value)
                fitted = conform(found, shapes[name])
            if fitted is None:
                expected = describe(TensorType("real", shapes[name]))
                raise LowerError(said.jump_state_shape(line.span, name, describe(found.type), expected))
            frame.names[name] = fitted
        replaced = [frame.names[name] for name in shapes]
        assert all(isinstance(x, Node) for x in replaced)
        return tuple(x for x in replaced if isinstance(x, Node))

    def _solution(self, values: Sequence[Node]) -> Solution:
        return Solution({state.name: x for state, x in zip(self.start.states, values, strict=True)})


def _words(item: Timed) -> list[str]:
    return [word.text for word in item.jump.names[1:]] or [f"a{i}" for i in range(len(item.given))]


def _assigned(line: object) -> str:
    """The name of the state that a statement replaces: `q'` for the velocity of a state of second order."""
    match line:
        case Assign(name=name):
            return name.text
        case Equation(state=state, order=order):
            return state.text + "'" * order
    raise Poisoned  # no assignment: reported where names are resolved


__all__ = ["JumpLowering", "Start", "jumps_of"]

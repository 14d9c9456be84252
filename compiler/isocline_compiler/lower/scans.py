"""`scan (t0, t1, x) over (ts, xs) from h = h0 { ... }` to a loop over observations, whose body is a region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from isocline_compiler.graph import ARGUMENT, CONSTANT, INPUT, Fault, Node, Nodes, at, leaf, topological
from isocline_compiler.graph.scan import row_of, scan
from isocline_compiler.graph.tensor_type import Size, TensorType, describe
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.expressions import Expressions, Frame, IntegralCall, Solution, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.weights import LayerScope, WeightTable
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.shaping import TRANSPOSE
from isocline_dsl import messages
from isocline_dsl.tree import Assign, Scan, Solve, Span
from isocline_dsl.tree import Node as Tree

SolveCall = Callable[[str, Solve, Expressions], Solution]
"""(name, solve, what lowers the expressions in it) -> its solution."""

_AFFINE = frozenset({"add", "sub", "mul", "div", "neg", "slice", "gather", "flip", "select", "reshape"})
"""What makes times of times, where what stands beside them is known or trained."""
_MOVING = frozenset({"add", "sub"})
"""What moves times by a number, that of a sample too."""


@dataclass(frozen=True, eq=False)
class Observed:
    """One value that a scan goes over: its rows (T, ...), the names of a row, and whether it is of times."""

    value: Node
    names: tuple[str, ...]

    @property
    def is_time(self) -> bool:
        return len(self.names) == 2

    @property
    def rows(self) -> Node:
        """(batch, T, ...) -> (T, batch, ...): a loop takes rows along the first axis."""
        return swapped(self.value) if self.value.type.batched else self.value

    @property
    def first(self) -> Node:
        return SELECT(self.value, axis=int(self.value.type.batched), index=0)


@dataclass
class ScanLowering:
    """What a scan needs of the file around it; `times` are the names of the inputs that are declared as times, and of a
    scan within others `moments` what holds times in an iteration of those; `integral` lowers integrals in its body,
    where there may be any.
    """

    table: WeightTable
    solve: SolveCall
    times: frozenset[str]
    excerpt: Callable[[Tree], str]
    moments: frozenset[Node] = frozenset()
    integral: IntegralCall | None = None

    def lower(self, name: str, node: Scan, outer: Expressions) -> Solution:
        """The states after every observation, (batch, T, ...) each, under the names of the states. Raises LowerError.

        For times the loop carries the last one along, which begins as the first: nothing of a sequence is cut off, so
        that its length may be a name.
        """
        if not all(isinstance(item, Assign) for item in node.body):
            raise Poisoned  # an equation: reported where names are resolved
        return self.over(name, node, outer, self._sequences(node, outer))

    def over(self, name: str, node: Scan, outer: Expressions, given: Sequence[Observed]) -> Solution:
        """The same over values that are given with the names of their rows, in place of those that the scan names."""
        length = self._length(node, [item.value for item in given])
        starts = [_real(outer.node(item.value), item.value.span) for item in node.initial]
        before = [item.first for item in given if item.is_time]
        body = _Body(self, name, node, given, outer)
        batched = next((x for x in (*starts, *(item.value for item in given)) if x.type.batched), None)
        if batched is None:
            batched = body.batched_outside([*starts, *before])
        initial = [*(x if batched is None else spread(x, batched) for x in starts), *before]
        names = (*(item.name.text for item in node.initial), *(item.names[0] for item in given if item.is_time))
        rows = [item.rows for item in given]
        named = [item.names[-1] for item in given]
        done = scan(initial, (), rows, body, length=length, names=names, rows_named=named, storing=False)
        kept = done.stacked[: len(starts)]
        every = [swapped(x) if state.type.batched else x for x, state in zip(kept, initial, strict=False)]
        return Solution({item.name.text: x for item, x in zip(node.initial, every, strict=True)})

    def _sequences(self, node: Scan, outer: Expressions) -> list[Observed]:
        """The values with the names of their rows: two for times, one for all others. Raises LowerError."""
        names = [item.text for item in node.names]
        values = [outer.node(item) for item in node.over]
        for value, item in zip(values, node.over, strict=True):
            if not value.type.sample:
                raise LowerError(messages.scan_of_no_sequence(item.span, describe(value.type)))
        counts = [2 if self._is_time(value) else 1 for value in values]
        lists = [len(value.type.sample) == 1 and _is_known(value) for value in values]
        if len(names) == sum(counts) + sum(lists):  # numbers of the file are times where they are named as times
            counts = [count + known for count, known in zip(counts, lists, strict=True)]
        if len(names) != sum(counts):
            shown = [self.excerpt(item) for item in node.over]
            span = Span(node.names[0].span.start, node.names[-1].span.stop)
            raise LowerError(messages.scan_names(span, len(names), _suggested(counts), shown))
        found, taken = [], 0
        for value, count in zip(values, counts, strict=True):
            found.append(Observed(value, tuple(names[taken : taken + count])))
            taken += count
        return found

    def _is_time(self, node: Node) -> bool:
        """Whether a value is a list of times: an input `time[T]`, reversed, cut, moved or scaled."""
        return len(node.type.sample) == 1 and self.holds_times(node)

    def holds_times(self, node: Node) -> bool:
        """Whether the entries of a value are times, whatever its shape: moved by a number of the sample they still are,
        and the difference of two lists is none.
        """
        if node in self.moments:
            return True
        if node.op is INPUT:
            return node.attrs["name"] in self.times
        if node.op.name not in _AFFINE:
            return False
        moving = [x for x in node.inputs if any(item.op in (INPUT, ARGUMENT) for item in topological([x]))]
        several = [x for x in moving if x.type.sample not in ((), (1,))]
        if len(several) == 1 and node.op.name in _MOVING:
            moving = several
        return len(moving) == 1 and self.holds_times(moving[0])

    def _length(self, node: Scan, values: Sequence[Node]) -> Size:
        sizes = [value.type.sample[0] for value in values]
        for size, item in zip(sizes, node.over, strict=False):
            if size != sizes[0]:
                first = describe(values[0].type)
                raise LowerError(messages.scan_lengths(item.span, str(size), first, str(sizes[0])))
        return sizes[0]


@dataclass
class _Body:
    """One iteration: assignments in their order, each with the values that the ones before left."""

    around: ScanLowering
    name: str
    node: Scan
    given: Sequence[Observed]
    outer: Expressions

    def __call__(self, states: Nodes, held: Nodes, rows: Nodes) -> tuple[list[Node], list[Node]]:
        """The next states, and these again, which are stacked."""
        own, before = states[: len(self.node.initial)], iter(states[len(self.node.initial) :])
        values: dict[str, Value] = {item.name.text: x for item, x in zip(self.node.initial, own, strict=True)}
        last, moments = [], set(self.around.moments)
        for sequence, row in zip(self.given, rows, strict=True):
            named = (next(before), row) if sequence.is_time else (row,)
            values |= zip(sequence.names, named, strict=True)
            last += [row] if sequence.is_time else []
            moments |= set(named) if sequence.is_time or self.around.holds_times(sequence.value) else set()
        within = replace(self.around, moments=frozenset(moments))
        found = self._states(self._assigned(values, within), own)
        return [*found, *last], found

    def batched_outside(self, starts: Sequence[Node]) -> Node | None:
        """What gives the states a batch axis where only values that the body reads from outside have one."""
        arguments = [leaf(ARGUMENT, "x", x.type) for x in starts]
        rows = [leaf(ARGUMENT, item.names[-1], row_of(item.rows.type)) for item in self.given]
        found, _ = self(tuple(arguments), (), tuple(rows))
        return next((x for x in topological(found) if x.type.batched and not x.inputs), None)

    def _assigned(self, values: dict[str, Value], within: ScanLowering) -> Mapping[str, Value]:
        around, outer = self.outer.frame, self.outer
        frame = Frame(LayerScope(self.around.table, self.name), around.lookup, values, bodies=around.known)
        inside = Expressions(frame, outer.numbers, outer.nets, outer.call_net, integral=self.around.integral)
        mistakes, named = Mistakes(), Counter[str]()
        for item in self.node.body:
            assert isinstance(item, Assign)
            frame.names.pop(item.name.text, None) if mistakes.poisoned else None
            with mistakes.noted(), at(item.span):
                frame.names[item.name.text] = self._value(item, inside, named, within)
        mistakes.settle()
        return frame.names

    def _value(self, item: Assign, inside: Expressions, named: Counter[str], within: ScanLowering) -> Value:
        """The value of one assignment; solves and scans are named after what they are assigned to."""
        if not isinstance(item.value, Solve | Scan):
            return inside.value(item.value)
        name = f"{self.name}.{item.name.text}"
        named[name] += 1
        name = name if named[name] == 1 else f"{name}_{named[name]}"
        if isinstance(item.value, Solve):
            return self.around.solve(name, item.value, inside)
        with at(item.value.span):
            try:
                return within.lower(name, item.value, inside)
            except Fault as fault:
                raise LowerError(fault.make(item.value.span)) from None

    def _states(self, values: Mapping[str, Value], states: Nodes) -> list[Node]:
        """What the states are by the end of the body, in the types that they began with."""
        spans = {item.name.text: item.span for item in self.node.body if isinstance(item, Assign)}
        found = []
        for item, state in zip(self.node.initial, states, strict=True):
            value = values[item.name.text]
            node = value.only() if isinstance(value, Solution) else value
            span = spans.get(item.name.text, item.span)
            if not isinstance(node, Node):
                raise LowerError(messages.solution_needs_state(span, sorted(getattr(value, "states", ()))))
            fitted = conform(node, state.type.sample)
            if fitted is None:
                shapes = describe(node.type), describe(state.type)
                raise LowerError(messages.scan_state_shape(span, item.name.text, *shapes))
            found.append(spread(fitted, state) if state.type.batched else fitted)
        return found


def _suggested(counts: Sequence[int]) -> list[str]:
    """Names for the rows: `t0`, `t1` of the first times, `x`, `y` and so on of the others."""
    letters, found = iter("xyzuvwabcdefg"), []
    for i, count in enumerate(counts):
        again = "" if 2 not in counts[:i] else f"_{i + 1}"
        found += [f"t0{again}", f"t1{again}"] if count == 2 else [next(letters, f"x{i + 1}")]
    return found


def _is_known(node: Node) -> bool:
    """Whether a value is numbers of the file, or made of them: `range(48) - 47`."""
    return all(item.inputs or item.op is CONSTANT for item in topological([node]))


def swapped(x: Node) -> Node:
    """The first two axes exchanged: those of the batch and of the observations."""
    return TRANSPOSE(x, perm=(1, 0, *range(2, x.type.rank)))


def _real(node: Node, span: Span) -> Node:
    if node.type.kind != "real":
        raise LowerError(messages.start_shape(span, "state", describe(node.type), describe(TensorType("real"))))
    return node


__all__ = ["Observed", "ScanLowering"]

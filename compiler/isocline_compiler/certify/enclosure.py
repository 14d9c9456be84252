"""Whether every output is a finite number for every input within its bounds: intervals through the deployed graph.

The rules of the operations (`Op.enclose`) round outward and hold what the deployed precision adds, so what is proved is
proved of the emitted file. What is not proved may still be true: intervals forget that two values come from one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from isocline_compiler.graph import ARGUMENT, CONSTANT, INPUT, WEIGHT, Array, Graph, Node, Region, topological
from isocline_compiler.graph.interval import Interval, Precision, precision_of, unknown
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, SOLVE, parts
from isocline_compiler.graph.tensor_type import is_batch
from isocline_compiler.model import Port
from isocline_compiler.ops.enclosures import enclosed, sample_shape
from isocline_dsl.diagnostics import Source

WORK = 20_000
"""Operations that may be evaluated in loops, of all loops together."""
LEAVES = (INPUT, WEIGHT, ARGUMENT, CONSTANT)
ROOM = 0.1
"""By which part of itself what a loop was seen to reach is widened before it is tried as an invariant."""

Values = dict[Node, tuple[Interval, ...]]


@dataclass(frozen=True)
class Finite:
    """Proved: every output is a finite number for every input within its bounds. Else `why` not, in words.

    `operation` is what could fail at `line` of the file, on the way to `output`. `ranges` hold what every output lies
    between, where that is known.
    """

    proved: bool
    why: str = ""
    operation: str | None = None
    line: int | None = None
    output: str | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """What could fail: a node, the intervals of its arguments and of its result, and in which loop, if in one."""

    node: Node
    arguments: tuple[Interval, ...]
    result: Interval
    within: str = ""


class Unproved(Exception):
    """Nothing can be said: why, and the node that it is about."""

    def __init__(self, why: str, node: Node) -> None:
        self.why, self.node = why, node
        super().__init__(why)


def finite(graph: Graph, ports: Sequence[Port], dtype: str, source: Source) -> Finite:
    """Prove that the outputs of a graph without solves or weights are finite within the bounds of its inputs."""
    precision = precision_of(dtype)
    walk = Walk(precision, {port.name: port for port in ports})
    try:
        found = walk.through(tuple(graph.outputs.values()), {})
    except Unproved as stop:
        return Finite(False, stop.why, stop.node.op.name, _line(stop.node, source))
    outputs = {name: found[node][0] for name, node in graph.outputs.items()}
    ranges = {name: _range(item) for name, item in outputs.items() if item.is_finite and item.low.size}
    for name, item in outputs.items():
        if not item.is_finite:
            failure = walk.blamed(graph.outputs[name], found)
            line = _line(failure.node, source)
            return Finite(False, _told(failure, source), failure.node.op.name, line, name, ranges)
    return Finite(True, ranges=ranges)


@dataclass
class Walk:
    """Intervals of nodes, arguments first; loops are walked iteration by iteration, as long as there is work left."""

    precision: Precision
    ports: Mapping[str, Port]
    left: int = field(default_factory=lambda: WORK)
    failures: dict[Node, Failure | int] = field(default_factory=dict)
    """By loop, what failed in its body, or which of its arguments had failed before."""

    def through(self, roots: Sequence[Node], known: Values) -> Values:
        """The intervals of all that the roots reach."""
        found = dict(known)
        for node in topological(roots, known):
            found[node] = self._of(node, found)
        return found

    def _of(self, node: Node, found: Values) -> tuple[Interval, ...]:
        if node.op is INPUT:
            return (self._box(node),)
        if node.op is CONSTANT:
            return (self.precision.literal(node.attrs["value"]),)
        if node.op is PICK:
            return (found[node.inputs[0]][node.attrs["index"]],)
        if node.op is SCAN:
            return self._loop(node, found)
        if node.op in (SOLVE, WEIGHT, ARGUMENT):
            raise AssertionError(f"{node!r} is gone before a graph is emitted")
        if any(map(_over_samples, node.inputs)) and not _over_samples(node):
            raise Unproved(f"`{node.op.name}` mixes samples", node)
        return (enclosed(self.precision, node, [found[item][0] for item in node.inputs]),)

    def _box(self, node: Node) -> Interval:
        """The bounds of an input, and what rounding makes of a number between them."""
        port, shape = self.ports[node.attrs["name"]], sample_shape(node.type)
        named = [size for size in node.type.sample if isinstance(size, str)]
        if named:
            raise Unproved(f"the size `{named[0]}` of the input `{port.name}` is known only with its data", node)
        if port.kind in ("class", "bool"):
            return Interval(np.zeros(shape), np.full(shape, (port.classes or 2) - 1.0))
        if port.bounds is None or not np.isfinite(port.bounds).all():
            raise Unproved(f"the input `{port.name}` has no finite bounds", node)
        low, high = (np.full(shape, float(end)) for end in port.bounds)
        return self.precision.rounded(low, high)

    # ------------------------------------------------------------------------------------------------ loops

    def _loop(self, node: Node, found: Values) -> tuple[Interval, ...]:
        """Iteration by iteration; where that is too much work, what was reached is tried as an invariant."""
        roles, region, length = parts(node), node.attrs["region"], node.attrs["length"]
        now, held, stacked = (
            tuple(found[item][0] for item in role) for role in (roles.initial, roles.captured, roles.stacked)
        )
        cost = max(1, sum(item.op not in LEAVES for item in topological(region.results, region.arguments)))
        met, rows, rest = now, [], 0
        for i in range(min(length, self.left // cost)):
            now, made, failed = self._iteration(node, (*now, *held, *(item.row(i) for item in stacked)), cost, i)
            if failed is not None:
                self.failures[node] = failed
                return self._nothing_known(node)
            met = tuple(a.joined(b) for a, b in zip(met, now, strict=True))
            rows.append(made)
        if len(rows) < length:
            rest = length - len(rows) - 1
            now, made = self._invariant(node, met, held, stacked, cost)
            rows.append(made)
        return (*now, *(_stack(column, rest) for column in zip(*rows, strict=True)))

    def _iteration(
        self, node: Node, arguments: tuple[Interval, ...], cost: int, index: int
    ) -> tuple[tuple[Interval, ...], tuple[Interval, ...], Failure | int | None]:
        """The next states, what is stacked, and what failed if one of them may not be a finite number."""
        region: Region = node.attrs["region"]
        self.left -= cost
        values = self.through(region.results, {a: (x,) for a, x in zip(region.arguments, arguments, strict=True)})
        results = tuple(values[item][0] for item in region.results)
        bad = [item for item, found in zip(region.results, results, strict=True) if not found.is_finite]
        failed: Failure | int | None = None
        if bad:
            failure = self.blamed(bad[0], values)
            within = f", in step {index + 1} of a loop of {node.attrs['length']}"
            failed = Failure(failure.node, failure.arguments, failure.result, within)
            if failure.node in region.arguments:
                failed = region.arguments.index(failure.node)
        states = node.attrs["states"]
        return results[:states], results[states:], failed

    def _invariant(
        self, node: Node, met: tuple[Interval, ...], held: tuple[Interval, ...], stacked: tuple[Interval, ...],
        cost: int,
    ) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:  # fmt: skip
        """States that an iteration leads into themselves, whichever row it reads, and what it stacks from them."""
        tried = tuple(_widened(item) for item in met)
        rows = tuple(Interval(item.low.min(0), item.high.max(0)) for item in stacked)
        after, made, failed = self._iteration(node, (*tried, *held, *rows), cost, 0)
        if failed is not None or not all(a.within(b) for a, b in zip(after, tried, strict=True)):
            low, high = _range(reduce(_spread, met))
            length = node.attrs["length"]
            raise Unproved(
                f"a loop of {length} steps: {WORK} operations do not reach its end, and what they reach, {low:.3g} to "
                f"{high:.3g}, is left again",
                node,
            )
        return tried, made

    def _nothing_known(self, node: Node) -> tuple[Interval, ...]:
        return tuple(unknown(sample_shape(type_)) for type_ in node.types)

    # ------------------------------------------------------------------------------------------------ blame

    def blamed(self, node: Node, found: Values) -> Failure:
        """The first operation on the way to `node` that turns finite numbers into what may be none."""
        while True:
            if node.op is PICK:
                node = node.inputs[0]
            if node.op is SCAN and isinstance(inside := self.failures.get(node), Failure):
                return inside
            bad = [item for item in node.inputs if node not in found or not found[item][0].is_finite]
            if node.op is SCAN and isinstance(inside, int):
                bad = [node.inputs[inside]]
            if not bad:
                return Failure(node, tuple(found[item][0] for item in node.inputs), found[node][0])
            node = bad[0]


def _over_samples(node: Node) -> bool:
    return any(is_batch(size) for size in node.shape)


def _stack(column: Sequence[Interval], again: int) -> Interval:
    """The rows of a loop, the last of them `again` times more."""
    ends = []
    for rows in ([item.low for item in column], [item.high for item in column]):
        ends.append(np.concatenate([np.stack(rows), np.broadcast_to(rows[-1], (again, *rows[-1].shape))]))
    return Interval(*ends)


def _widened(item: Interval) -> Interval:
    room = ROOM * (item.high - item.low)
    return Interval(item.low - room, item.high + room)


def _spread(a: Interval, b: Interval) -> Interval:
    """The range of both, as numbers."""
    (low, high), (least, most) = _range(a), _range(b)
    return Interval(np.array(min(low, least)), np.array(max(high, most)))


def _range(item: Interval) -> tuple[float, float]:
    """From the least to the greatest number of all entries, infinite where one may be anything."""
    low, high = np.where(item.is_unknown, -np.inf, item.low), np.where(item.is_unknown, np.inf, item.high)
    return float(low.min()), float(high.max())


def _line(node: Node, source: Source) -> int | None:
    return None if node.span is None else source.position(node.span.start)[0]


def _told(failure: Failure, source: Source) -> str:
    """`log` at line 7 may meet -0.3 to 2."""
    span = failure.node.span
    place = "" if span is None else f" at {source.line(span.start)}"
    said = f"`{failure.node.op.name}`{place}"
    if failure.node.op.enclose is None and failure.node.op not in LEAVES:
        return f"{said} has no rule of enclosure{failure.within}"
    bad = ~(np.isfinite(failure.result.low) & np.isfinite(failure.result.high))
    ranges = [_range(_at(item, bad)) for item in failure.arguments]
    met = " and ".join(f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ranges)
    return f"{said} may meet {met}{failure.within}" if met else f"{said} is infinite{failure.within}"


def _at(item: Interval, bad: Array) -> Interval:
    """The entries that a result that is bad was computed from, where they stand in the same places; else all."""
    try:
        low, high = np.broadcast_to(item.low, bad.shape), np.broadcast_to(item.high, bad.shape)
    except ValueError:
        return item
    return Interval(low[bad], high[bad])

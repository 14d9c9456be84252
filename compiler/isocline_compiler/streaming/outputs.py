"""Which outputs a step has: those that are computed of the path entry by entry, or of where it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isocline_compiler.graph import ARGUMENT, INPUT, Fault, Graph, Node, Region, constant, leaf, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import Solve, parts
from isocline_compiler.graph.tensor_type import Size
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.streaming.entries import Entries
from isocline_compiler.streaming.loops import Loop, chosen_loop, counting_batch
from isocline_compiler.streaming.rows import Iteration, WholePath, depending_on
from isocline_dsl.tree import Span


def answers(graph: Graph, loop: Loop, one: Iteration) -> tuple[dict[str, int | None], dict[str, Node]]:
    """The outputs that an iteration has, by their axis of steps in the model's own, and what they are.

    Of an output without such an axis it is what the model gives when the path ends there.
    """
    along: dict[str, int | None] = {}
    found: dict[str, Node] = {}
    for name, node in graph.outputs.items():
        if node not in one.moving:
            continue
        for axis in candidates(node, loop):
            try:
                found[name] = SELECT(one.rows(node, axis, one.path), axis=axis, index=0)
                along[name] = axis
                break
            except WholePath:
                continue
        else:
            try:
                found[name], along[name] = one.after(node), None
            except (WholePath, Fault):
                continue
    return along, found


def whole_inputs(node: Node, one: Iteration) -> set[str]:
    """The names of the inputs that a value of an iteration reads otherwise than by its entries."""
    computed = {item: value for value, item in one.held.items()}
    found: set[str] = set()
    for item in topological([node]):
        if item in computed:
            found |= {str(x.attrs["name"]) for x in topological([computed[item]]) if x.op is INPUT}
        elif item.op is INPUT and item not in one.windows:
            found.add(str(item.attrs["name"]))
    return found


def candidates(node: Node, loop: Loop) -> list[int]:
    """Axes that may count the steps: those of the path's length."""
    length = loop.length
    count = length + 1 if loop.is_solve and isinstance(length, int) else length
    return [i for i in range(int(node.type.batched), node.type.rank) if node.size(i) == count]


@dataclass(frozen=True)
class Streamed:
    """What is said of a stream before there are grids: its loop, which outputs a step has, and which it has not.

    Those `along` the path have an entry of each step, the others of `ends` are what the model gives when the path ends
    there; `given` depend on no step.
    """

    loop: str
    along: tuple[str, ...]
    ends: tuple[str, ...]
    given: tuple[str, ...]
    whole: tuple[str, ...]


def outputs_of_steps(rolled: Graph, asked: str | None, span: Span | None) -> Streamed:
    """Which outputs the steps of a rolled graph have. Raises IsoclineError E690 to E692."""
    graph = counting_batch(rolled)
    loop = _rolled(chosen_loop(graph, asked, span))
    moving = depending_on(graph.outputs, loop.node)
    path = Entries.one_each(loop.length, int(loop.is_solve))

    def value(pick: Node, axis: int | None) -> Node:
        shape = pick.shape if axis is None else (*pick.shape[:axis], 1, *pick.shape[axis + 1 :])
        return leaf(ARGUMENT, str(pick.attrs["index"]), pick.type.with_shape(shape))

    def stacked(pick: Node, axis: int, entries: Entries) -> Node:
        if axis != loop.time_axis(pick) or not entries.same_as(path):
            raise WholePath
        return value(pick, axis)

    def last(pick: Node) -> Node:
        if loop.time_axis(pick) is not None:
            raise WholePath
        return value(pick, None)

    one = Iteration(loop.node, moving, stacked, last, path, constant(0))
    along, found = answers(graph, loop, one)
    coming = along_inputs(loop)
    late = {name for name, node in found.items() if whole_inputs(node, one) & coming}
    given = [name for name, node in graph.outputs.items() if node not in moving and not _inputs([node]) & coming]
    return Streamed(
        loop.name,
        tuple(name for name, axis in along.items() if axis is not None and name not in late),
        tuple(name for name, axis in along.items() if axis is None and name not in late),
        tuple(given),
        tuple(name for name in graph.outputs if name not in given and (name not in along or name in late)),
    )


def _inputs(nodes: Iterable[Node]) -> set[str]:
    return {str(item.attrs["name"]) for item in topological(nodes) if item.op is INPUT}


def along_inputs(loop: Loop) -> set[str]:
    """The inputs that go along with a loop: what a scan goes over, and the values of a solve's controls."""
    given = parts(loop.node)
    if not loop.is_solve:
        return _inputs(given.stacked)
    solve = Solve.of(loop.node)
    tables = {item.inputs[0] for item in topological(solve.region.results) if item.op is LOOKUP}
    pairs = zip(solve.captured_arguments, solve.captured, strict=True)
    return _inputs([value for argument, value in pairs if argument in tables])


def _rolled(node: Node) -> Loop:
    """The loop of a graph whose solves have no grids yet: its path has the entries of the output times."""
    if node.op is SCAN:
        region: Region = node.attrs["region"]
        count: int = node.attrs["states"]
        names = tuple(str(item.attrs["name"]) for item in region.arguments[:count])
        return Loop(node, node, names, count, node.attrs["length"])
    solve = Solve.of(node)
    interval, states = solve.spec.interval, solve.spec.states
    count = len(interval.times) if interval.times is not None else _known(solve)
    names = tuple(state.name for state in states)
    return Loop(node, node, names, len(states), count - 1, keeps=interval.everywhere, paths=solve.spec.samples)


def _known(solve: Solve) -> int:
    size: Size = solve.times.size(-1) if solve.times is not None else 2
    return int(size)

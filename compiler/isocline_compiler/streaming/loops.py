"""The loop whose iterations are the steps of a stream: which it is, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from isocline_compiler.graph import Graph, Node, Nodes, Region, transform
from isocline_compiler.graph.scan import SCAN, closed
from isocline_compiler.graph.solve import SOLVE, Solve, choice_of, parts
from isocline_compiler.graph.tensor_type import Size
from isocline_compiler.ops.points import SPLIT_POINTS
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll import fitted
from isocline_compiler.solvers.unroll.loop import loop_parts
from isocline_compiler.solvers.unroll.time_span import stack, steps_of
from isocline_compiler.streaming.rows import BATCH_LEAF
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span


def loops_of(graph: Graph) -> dict[str, Node]:
    """The solves and scans that the outputs need, by name, in the order they are computed: a solve has the name of its
    solution, a scan that of its first state.
    """
    found: dict[str, Node] = {}
    for node in graph.nodes():
        if node.op in (SOLVE, SCAN):
            found.setdefault(name_of(node), node)
    return found


def name_of(loop: Node) -> str:
    """The name of a solve or a scan."""
    if loop.op is SOLVE:
        return choice_of(loop)
    region: Region = loop.attrs["region"]
    return str(region.arguments[0].attrs["name"])


def chosen_loop(graph: Graph, asked: str | None, span: Span | None) -> Node:
    """The loop that is streamed. Raises IsoclineError E690 to E692."""
    found = loops_of(graph)
    if not found:
        raise IsoclineError([messages.nothing_to_stream(span)])
    if asked is not None and asked not in found:
        raise IsoclineError([messages.unknown_to_stream(span, asked, list(found))])
    if asked is None and len(found) > 1:
        raise IsoclineError([messages.several_to_stream(span, list(found))])
    return found[asked] if asked is not None else next(iter(found.values()))


def counting_batch(graph: Graph) -> Graph:
    """spread(x, like) -> spread(x, the leaf that stands for the batch): how many samples there are is no value."""
    roots = tuple(graph.outputs.values())
    return graph.with_outputs(dict(zip(graph.outputs, by_batch(roots), strict=True)))


def by_batch(roots: Nodes) -> Nodes:
    """The same of any nodes."""

    def visit(node: Node, inputs: Nodes) -> Node:
        if node.op is SPREAD and node.inputs[1].shape[0] == BATCH_LEAF.shape[0]:
            return SPREAD(inputs[0], BATCH_LEAF)
        return node.rebuilt(inputs)

    return transform(roots, visit)


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop by iterations.

    `scan` is the loop, `states` of what goes round in it are those that the author knows: of a solve `names` has them.
    `first` iterations are behind it when it begins, with the `start` of each state on the way, (first + 1) entries;
    `length` are all of them. An iteration is `per` steps of a solve. `keeps`: the solution is kept after each of them;
    `paths` are the samples of a solve with noise.
    """

    node: Node
    scan: Node
    names: tuple[str, ...]
    states: int
    length: Size
    first: int = 0
    per: int = 1
    keeps: bool = True
    paths: int | None = None
    start: Nodes = ()

    @property
    def name(self) -> str:
        """The name of the solve or scan."""
        return name_of(self.node)

    @property
    def is_solve(self) -> bool:
        """Whether the steps are those of a solve, whose path begins with its start."""
        return self.node.op is SOLVE

    @property
    def iterations(self) -> Size:
        """How many the loop has."""
        return self.length - self.first if isinstance(self.length, int) else self.length

    def time_axis(self, pick: Node) -> int | None:
        """The axis of a result that counts iterations; None of what is kept at the end only."""
        if not self.is_solve:
            return 0 if pick.attrs["index"] >= len(self.names) else None
        return int(pick.type.batched) + (self.paths is not None) if self.keeps else None

    def apart(self, x: Node) -> Node:
        """A value of the loop with its axis of samples: (batch samples, ...) -> (batch, samples, ...)."""
        return x if self.paths is None else SPLIT_POINTS(x, count=self.paths)


def loop_of(node: Node, choices: Mapping[str, Discretisation], span: Span | None) -> Loop:
    """The iterations of a solve or a scan. Raises IsoclineError E693 of one that cannot be taken step by step."""
    if node.op is SCAN:
        whole = closed(node)
        region: Region = whole.attrs["region"]
        count: int = whole.attrs["states"]
        names = tuple(str(item.attrs["name"]) for item in region.arguments[:count])
        return Loop(node, whole, names, count, whole.attrs["length"])
    solve = Solve.of(node)
    per, keeps = per_iteration(solve, choices[choice_of(node)], span), solve.spec.interval.everywhere
    choice = fitted(solve, replace(choices[choice_of(node)], segment=per))
    found = loop_parts(solve, choice)
    count = steps_of(solve, choice) // per
    if found is None:
        reason = f"the first of its {count} intervals gather what `{choice.scheme.name}` remembers"
        reason = "it is a single step" if count == 1 else f"{reason}, and at most one is left"
        raise IsoclineError([messages.cannot_step(span, choice_of(node), reason, "take more steps")])
    before = found.before[::per]
    start = tuple(stack([x[i] for x in before]) for i in range(found.states)) if keeps else ()
    names = tuple(state.name for state in solve.spec.states)
    paths = solve.spec.samples
    return Loop(node, found.scan, names, found.states, count, len(before) - 1, per, keeps, paths, start)


def per_iteration(solve: Solve, choice: Discretisation, span: Span | None) -> int:
    """Steps from one kept time to the next, equally many everywhere; one where only the end is kept."""
    if not solve.spec.interval.everywhere:
        return 1
    if not isinstance(choice.grid, Grid):
        return choice.grid
    keep = choice.grid.keep
    gaps = {b - a for a, b in pairwise(keep)}
    if len(gaps) != 1 or keep[0]:
        least, most = min(gaps), max(gaps)
        reason = f"from one output time to the next it takes between {least} and {most} steps"
        hint = "name a solver, which takes as many steps in every interval: `solver rk4(steps=200)`"
        raise IsoclineError([messages.cannot_step(span, solve.spec.name, reason, hint)])
    return next(iter(gaps))


def captured_of(scan: Node) -> tuple[Nodes, Nodes, Nodes]:
    """What a loop begins with, what it reads in every iteration, and of what it takes a row."""
    found = parts(scan)
    return found.initial, found.captured, found.stacked

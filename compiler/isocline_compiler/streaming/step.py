"""A model as a stream: the graph of one step, and that of what there is before the first.

    start(first entries of the sequences, other inputs) -> initial states, held values
    step(past states, one entry of each sequence, held values, other inputs) -> outputs, present states

The iterations of one loop, a solve or a scan, are the steps. Outputs that are computed of its path entry by entry, or
of where it ends, are outputs of the step; others need the whole path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from isocline_compiler.graph import INPUT, Graph, Node, Nodes, Region, constant, leaf, substitute, topological
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.ops.arithmetic import ADD
from isocline_compiler.ops.indexing import GATHER, SELECT
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.streaming.ensembles import Kept, ensemble_loop
from isocline_compiler.streaming.entries import Entries, places, union
from isocline_compiler.streaming.loops import Loop, by_batch, captured_of, chosen_loop, counting_batch, loop_of
from isocline_compiler.streaming.outputs import along_inputs, answers, candidates, whole_inputs
from isocline_compiler.streaming.rows import BATCH_LEAF, Iteration, WholePath, Window, depending_on
from isocline_compiler.streaming.states import COUNTER, Pair, distinct, merged, outside, split
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span

NOISE_STEPS = 2
"""The axis of steps of an input of noise, (batch, samples, steps, channels)."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """An input of the model of which each step takes `entries` along an axis; a single one without the axis."""

    name: str
    axis: int
    entries: Entries
    single: bool


@dataclass(frozen=True, eq=False)
class StreamGraphs:
    """One step of a model, and its start.

    `along` are the outputs of a step, by their axis of steps in the model's own output; None where the model has but
    the last. `given` are outputs that the start knows, `first` those with entries of the path before the first step, so
    many as `behind` says, `whole` those that need the whole path. `steps` may be taken after the start (None: any
    number), `per` of a solver in each. Of the inputs `known` no entries can be told apart: they are given whole, before
    the first step.
    """

    loop: str
    start: Graph
    step: Graph
    pairs: tuple[Pair, ...]
    held: tuple[str, ...]
    sequences: tuple[Sequence, ...]
    along: Mapping[str, int | None]
    given: tuple[str, ...]
    first: tuple[str, ...]
    whole: tuple[str, ...]
    steps: int | None
    behind: int
    per: int
    known: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Asked:
    """What is streamed: a rolled graph of literals and inputs, the grids, and the loop's name in the file, if any, with
    its place; of an ensemble also what it was made of.
    """

    graph: Graph
    choices: Mapping[str, Discretisation]
    name: str | None = None
    span: Span | None = None
    kept: Kept | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the model's inputs; all others are noise."""
        graph = self.graph if self.kept is None else self.kept.plain
        return tuple(str(item.attrs["name"]) for item in graph.inputs)

    def loop(self) -> tuple[Graph, Loop]:
        """The graph and the loop in it whose iterations are the steps. Raises IsoclineError E690 to E693."""
        if self.kept is not None:
            return ensemble_loop(self.graph, self.kept, self.choices, self.name, self.span)
        graph = counting_batch(self.graph)
        return graph, loop_of(chosen_loop(graph, self.name, self.span), self.choices, self.span)


def stream_graphs(asked: Asked) -> StreamGraphs:
    """The stream of a model. Raises IsoclineError E690 to E694."""
    graph, loop = asked.loop()
    whole: frozenset[str] = frozenset()
    while True:
        made = _Making(asked, graph, loop, whole)
        found = made.graphs()
        if isinstance(found, StreamGraphs):
            return found
        whole |= found


@dataclass(frozen=True, eq=False)
class _Start:
    """What is known before the first step, as an iteration has it: the first states, outputs that no step changes, and
    entries of others.
    """

    one: Iteration
    states: Mapping[str, Node]
    given: Mapping[str, Node]
    early: Mapping[str, Node]


@dataclass(eq=False)
class _Making:
    """The graphs, for inputs of which some are given whole."""

    asked: Asked
    graph: Graph
    loop: Loop
    whole: frozenset[str]
    counter: Node = field(default_factory=lambda: leaf(INPUT, f"past_{COUNTER}", TensorType("int")))

    def graphs(self) -> StreamGraphs | frozenset[str]:
        """The stream, or the names of inputs that have to be given whole."""
        loop, region = self.loop, self.loop.scan.attrs["region"]
        assert isinstance(region, Region)
        initial, captured, stacked = (by_batch(items) for items in captured_of(loop.scan))
        taken = {*(str(item.attrs["name"]) for item in self.graph.inputs), *self.graph.outputs}
        names = distinct([*loop.names, *(f"memory_{i}" for i in range(len(initial) - len(loop.names)))], taken)
        pairs = tuple(map(Pair, names))
        past = [outside(pair.past, item.type) for pair, item in zip(pairs, region.arguments, strict=False)]
        after: list[Node] = []

        def last(pick: Node) -> Node:
            index: int = pick.attrs["index"]
            if loop.time_axis(pick) is not None:
                raise WholePath
            return loop.apart(after[index])

        moving = depending_on(self.graph.outputs, loop.node)
        path = Entries.one_each(loop.iterations, loop.first + 1 if loop.is_solve else 0)

        def stacked_result(pick: Node, axis: int, entries: Entries) -> Node:
            if axis != loop.time_axis(pick) or not entries.same_as(path):
                raise WholePath
            value = loop.apart(after[pick.attrs["index"]])
            return RESHAPE(value, shape=(*value.shape[:axis], 1, *value.shape[axis:]))

        one = Iteration(loop.node, moving, stacked_result, last, path, self.counter, self.whole, taken=taken)
        each = Entries.one_each(loop.iterations)
        slices = [SELECT(one.rows(item, 0, each), axis=0, index=0) for item in stacked]
        inside = [merged(item, argument.type) for item, argument in zip(past, region.arguments, strict=False)]
        after += region(*inside, *map(one.before, captured), *slices)

        along, outputs = answers(self.graph, loop, one)
        present = {pair.present: split(item) for pair, item in zip(pairs, after, strict=False)}
        coming = self._coming(one, present.values())
        outputs = {name: node for name, node in outputs.items() if not whole_inputs(node, one) & coming}
        along = {name: axis for name, axis in along.items() if name in outputs}
        start = self._start(pairs, initial, moving, coming)
        if not along:
            raise IsoclineError([messages.nothing_along(self.asked.span, loop.name, list(self.graph.outputs))])
        return self._graphs(one, start, (pairs, past), along, {**outputs, **present})

    def _graphs(
        self, one: Iteration, start: _Start, going: tuple[tuple[Pair, ...], list[Node]],
        along: Mapping[str, int | None], roots: Mapping[str, Node],
    ) -> StreamGraphs | frozenset[str]:  # fmt: skip
        """The graphs of a step and its start, without what neither reads; or inputs that have to be given whole.

        `going` are the pairs with their values before a step, `roots` what a step answers and leaves.
        """
        loop, (pairs, past) = self.loop, going
        bound = self._bound(one, roots.values())
        if isinstance(bound, frozenset):
            return bound
        values, sequences = bound
        step = dict(zip(roots, substitute(tuple(roots.values()), values), strict=True))
        step, pairs, past = self._needed(step, pairs, past)
        if self.counter in topological(step.values()):
            pairs = (*pairs, Pair(COUNTER))
            step[f"present_{COUNTER}"] = ADD(self.counter, constant(1))
            past.append(self.counter)
        held = {item: node for node, item in one.held.items() if item in set(topological(step.values()))}
        early = {name: node for name, node in start.early.items() if name in along}
        start = replace(start, early=early)
        starts = self._started(start, held, frozenset(item.name for item in sequences), pairs)
        if isinstance(starts, frozenset):
            return starts
        return StreamGraphs(
            loop.name, self._deployed("start", starts), self._deployed("step", step, past), pairs,
            tuple(str(item.attrs["name"]) for item in held), sequences, along, tuple(start.given), tuple(early),
            tuple(name for name in self.graph.outputs if name not in {*along, *start.given}),
            loop.iterations if isinstance(loop.iterations, int) else None, loop.first, loop.per,
            tuple(name for name in self.asked.own if name in along_inputs(loop) - {item.name for item in sequences}),
        )  # fmt: skip

    def _needed(
        self, step: dict[str, Node], pairs: tuple[Pair, ...], past: list[Node]
    ) -> tuple[dict[str, Node], tuple[Pair, ...], list[Node]]:
        """Without what a scheme remembers and no step reads: widths that are equal."""
        own = self.loop.states
        others = [step[name] for name in step if name not in {pair.present for pair in pairs[own:]}]
        while True:
            memory = [step[pair.present] for pair in pairs[own:]]
            idle = [
                i for i in range(own, len(pairs))
                if past[i] not in topological([*others, *(x for k, x in enumerate(memory, own) if k != i)])
            ]  # fmt: skip
            if not idle:
                return step, pairs, past
            dropped = pairs[idle[0]]
            step = {name: node for name, node in step.items() if name != dropped.present}
            pairs = tuple(pair for pair in pairs if pair is not dropped)
            past = [item for i, item in enumerate(past) if i != idle[0]]

    @staticmethod
    def _coming(one: Iteration, states: Iterable[Node]) -> set[str]:
        """The inputs that come step by step: what the states read of them are entries and nothing else."""
        reached = set(topological(states))
        names = {str(window.port.attrs["name"]) for item, window in one.windows.items() if item in reached}
        return names.difference(*(whole_inputs(node, one) for node in states))

    # ------------------------------------------------------------------------------------------------ before the steps

    def _start(self, pairs: tuple[Pair, ...], initial: Nodes, moving: set[Node], coming: set[str]) -> _Start:
        """What is known before the first step: an iteration of its own, whose path are the entries until then."""
        loop = self.loop
        path = Entries(np.arange(loop.first + 1)[None])
        start = by_batch(loop.start)

        def stacked_result(pick: Node, axis: int, entries: Entries) -> Node:
            if not start or axis != loop.time_axis(pick) or not entries.same_as(path):
                raise WholePath
            return loop.apart(start[pick.attrs["index"]])

        def last(pick: Node) -> Node:
            raise WholePath

        one = Iteration(loop.node, moving, stacked_result, last, path, constant(0), self.whole, holding=False)
        outputs = self.graph.outputs.items()
        given = {name: node for name, node in outputs if node not in moving and not whole_inputs(node, one) & coming}
        early: dict[str, Node] = {}
        for name, node in outputs if start else ():
            for axis in candidates(node, loop) if node in moving else ():
                try:
                    early[name] = one.rows(node, axis, path)
                    break
                except WholePath:
                    continue
        states = {pair.initial: split(x) for pair, x in zip(pairs, initial, strict=True)}
        return _Start(one, states, given, early)

    def _started(
        self, start: _Start, held: Mapping[Node, Node], sequences: frozenset[str], pairs: tuple[Pair, ...]
    ) -> dict[str, Node] | frozenset[str]:
        """The outputs of the start, made of the first entries of the sequences."""
        named = {str(item.attrs["name"]): node for item, node in held.items()}
        states = {pair.initial: start.states[pair.initial] for pair in pairs if pair.initial in start.states}
        wanted = {**states, **start.given, **named, **start.early}
        roots = {name: start.one.first(node, sequences) for name, node in wanted.items()}
        if Pair(COUNTER) in pairs:
            roots[Pair(COUNTER).initial] = constant(np.array(0))
        bound = self._bound(start.one, roots.values(), prefix=True, sequences=sequences)
        if isinstance(bound, frozenset):
            return bound
        return dict(zip(roots, substitute(tuple(roots.values()), bound[0]), strict=True))

    # ------------------------------------------------------------------------------------------------ inputs

    def _bound(
        self, of: Iteration, roots: Iterable[Node], prefix: bool = False, sequences: frozenset[str] = frozenset()
    ) -> tuple[dict[Node, Node], tuple[Sequence, ...]] | frozenset[str]:
        """What stands for each window, and the sequences; or the inputs of which more than windows are read.

        With `prefix` a sequence is given with all entries until the last that is read.
        """
        reached = set(topological(roots))
        windows = {item: window for item, window in of.windows.items() if item in reached}
        by_port: dict[Node, dict[Node, Window]] = {}
        for item, window in windows.items():
            by_port.setdefault(window.port, {})[item] = window
        plain = {item for item in reached if item.op is INPUT} - windows.keys()
        mixed = {port for port in by_port if port in plain or len({x.axis for x in by_port[port].values()}) > 1}
        mixed |= {item for item in plain if item.attrs["name"] in sequences}
        mixed |= {port for port in by_port if self._is_one_draw(port, by_port[port].values())}
        if mixed:
            names = frozenset(str(port.attrs["name"]) for port in mixed)
            if names <= self.whole:
                raise IsoclineError([messages.cannot_step(
                    self.asked.span, self.loop.name, f"every step reads all of {', '.join(sorted(names))}",
                    "take what a step reads at its own time only",
                )])  # fmt: skip
            return names
        values: dict[Node, Node] = {}
        found = []
        for port, items in by_port.items():
            sequence = self._sequence(port, list(items.values()), prefix)
            found.append(sequence)
            whole = _of_sequence(port, sequence)
            for item, window in items.items():
                chosen = places(window.entries, sequence.entries)
                every = np.array_equal(chosen, np.arange(sequence.entries.width))
                values[item] = whole if every else GATHER(whole, constant(chosen), axis=window.axis)
        return values, tuple(found)

    def _is_one_draw(self, port: Node, windows: Iterable[Window]) -> bool:
        """Whether parts of a single draw are read of a noise, whose steps alone are drawn one by one."""
        return port.attrs["name"] not in self.asked.own and any(item.axis != NOISE_STEPS for item in windows)

    def _sequence(self, port: Node, windows: list[Window], prefix: bool) -> Sequence:
        """What is given of an input in a step, or before the first one; noise keeps its axis of steps."""
        name, axis = str(port.attrs["name"]), windows[0].axis
        entries = union([item.entries for item in windows])
        if prefix and entries.numbers is not None:
            entries = Entries(np.arange(entries.numbers.max() + 1)[None])
        return Sequence(name, axis, entries, entries.width == 1 and not prefix and name in self.asked.own)

    def _deployed(self, name: str, outputs: Mapping[str, Node], always: Iterable[Node] = ()) -> Graph:
        """The graph with steps in place of further solves, its passes run, and its inputs in order."""
        ready = self._with_inputs(Graph((), self._counted(outputs), name), always)
        stepped = unroll(optimise(ready), self.asked.choices).graph
        return self._with_inputs(optimise(stepped), always)

    def _counted(self, outputs: Mapping[str, Node]) -> dict[str, Node]:
        """A value with a batch in place of the leaf that stands for it, where there is one."""
        inputs = [item for item in topological(outputs.values()) if item.op is INPUT and item is not BATCH_LEAF]
        like = next((item for item in inputs if item.shape[:1] == (BATCH,)), None)
        if like is None:
            return dict(outputs)
        return dict(zip(outputs, substitute(tuple(outputs.values()), {BATCH_LEAF: like}), strict=True))

    def _with_inputs(self, graph: Graph, always: Iterable[Node]) -> Graph:
        """The model's own inputs in their order, then noise, states, held values, and what counts samples."""
        reached = {str(item.attrs["name"]): item for item in topological(graph.outputs.values()) if item.op is INPUT}
        reached |= {str(item.attrs["name"]): item for item in always}
        own = self.asked.own
        order = [*(name for name in own if name in reached), *(name for name in reached if name not in own)]
        return Graph(tuple(reached[name] for name in order), graph.outputs, graph.name)


def _of_sequence(port: Node, sequence: Sequence) -> Node:
    """The input, with the axis that it has in the model."""
    before, after = port.shape[: sequence.axis], port.shape[sequence.axis + 1 :]
    if not sequence.single:
        shape = (*before, sequence.entries.width, *after)
        return leaf(INPUT, sequence.name, port.type.with_shape(shape))
    given = leaf(INPUT, sequence.name, port.type.with_shape((*before, *after)))
    return RESHAPE(given, shape=(*before, 1, *after))


__all__ = ["Asked", "StreamGraphs", "stream_graphs"]

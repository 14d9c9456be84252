"""Ensembles (MC dropout, EnResNet): noise that regularizes is kept, and samples are points of a larger batch.

Every draw that training would make is a step of an input of the graph. From there on the batch holds m points for each
sample, as that of a stochastic solve does; `members` splits them again, and an output that is left with them is their
mean. Gal, Ghahramani (2016); Wang, Yuan, Shi, Osher (2019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TypeAlias

from isocline_compiler.graph import (
    ARGUMENT,
    INPUT,
    Graph,
    Node,
    Nodes,
    Region,
    at,
    leaf,
    regions_of,
    topological,
    transform,
)
from isocline_compiler.graph.noise import Noise, Process
from isocline_compiler.graph.scan import SCAN, row_of
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType, is_batch
from isocline_compiler.model import Model
from isocline_compiler.ops.indexing import SELECT, SLICE
from isocline_compiler.ops.noise import NOISE_LIKE, Parameters
from isocline_compiler.ops.points import MEMBERS, SPLIT_POINTS
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.points import at_points, enlarge, enlarged
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.driven import stacked
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Source:
    """Where draws come from that share an input: the layer as it stands in the file, its law, and entries a sample."""

    span: Span | None
    layer: str
    law: str
    parameters: Parameters
    channels: int

    @classmethod
    def of(cls, node: Node) -> Source:
        channels = 1
        for size in node.type.sample:
            assert isinstance(size, int), "an ensemble is of values with known sizes"
            channels *= size
        return cls(node.span, node.attrs["layer"], node.attrs["law"], node.attrs["parameters"], channels)


@dataclass(frozen=True)
class KeptNoise:
    """One input of the graph, (batch, samples, steps, channels): a step for each draw of `source`, a channel for each
    entry.
    """

    noise: Noise
    samples: int
    steps: int
    source: Source

    @cached_property
    def input(self) -> Node:
        """The one input of the graph."""
        return leaf(INPUT, self.noise.name, TensorType("real", (BATCH, self.samples, self.steps, self.source.channels)))


@dataclass(frozen=True, repr=False)
class EnsembleModel(Model):
    """A model whose noise is kept: `graph` is that of the ensemble, and reads the `kept` noises behind its inputs.

    Solves with such noise in their field are steps in it already; `stepped` says which they were, on which grids, and
    `plain` is the graph before, where they are solves.
    """

    plain: Graph | None = None
    kept: tuple[KeptNoise, ...] = ()
    stepped: tuple[tuple[Solve, Discretisation], ...] = ()


def ensemble_model(model: Model, choices: Mapping[str, Discretisation]) -> EnsembleModel:
    """The model with its noise kept; `choices` are those of the solves that have such noise in their fields."""
    assert model.deployment.samples is not None, "an ensemble of so many samples"
    noisy = noisy_solves(model.graph)
    taken = [port.name for port in (*model.inputs, *model.outputs)]
    graph, kept = ensemble(unroll(model.graph, choices).graph, model.deployment.samples, taken)
    own = {item.name: getattr(model, item.name) for item in fields(Model)}
    stepped = tuple((solve, choices[name]) for name, solve in noisy.items())
    return EnsembleModel(**{**own, "graph": graph}, plain=model.graph, kept=kept, stepped=stepped)


def noisy_solves(graph: Graph) -> dict[str, Solve]:
    """By the name of its choice each solve that has noise to be kept in its field, in the order they are computed."""
    found: dict[str, Solve] = {}
    for solve in solves_of(graph):
        if draws_of(solve.region.results):
            found.setdefault(solve.spec.choice, solve)
    return found


Scale: TypeAlias = "Callable[..., Node]"
LAWS: Mapping[str, tuple[Process, Scale]] = {
    "normal": ("brownian", lambda z, std: z * std),
    "uniform": ("uniform", lambda u, low, high: low + u * (high - low)),
    "bernoulli": ("bernoulli", lambda b, p: b),
    "kept": ("bernoulli", lambda b, p: b * (1 / p)),
}
"""By the law of a noise: of which kind its standard form is, and what makes the noise of it."""


def is_kept(node: Node) -> bool:
    """Whether a node is noise that an ensemble keeps: what derivatives alone meet while training is none."""
    return node.op is NOISE_LIKE and bool(node.attrs["layer"])


def draws_of(roots: Sequence[Node]) -> Counter[Source]:
    """How often what `roots` reach is drawn, the iterations of loops included, in the order of the graph."""
    found: Counter[Source] = Counter()
    for node in topological(roots):
        if is_kept(node):
            found[Source.of(node)] += 1
        for region in regions_of(node):
            for source, count in draws_of(region.results).items():
                found[source] += count * (int(node.attrs["length"]) if node.op is SCAN else 1)
    return found


def ensemble(graph: Graph, samples: int, taken: Collection[str]) -> tuple[Graph, tuple[KeptNoise, ...]]:
    """noise_like(x) -> a step of an input, for each of so many samples of a row; outputs -> their means over samples.

    Solves that are left have no such noise in their fields. Inputs are named after their layers, apart from `taken`.
    """
    outputs = tuple(graph.outputs.values())
    kept = []
    names = _names(taken)
    for source, steps in draws_of(outputs).items():
        process, _ = LAWS[source.law]
        parameter = source.parameters[0] if process == "bernoulli" else 0.0
        noise = Noise(names(source.layer), source.channels, process, parameter=parameter)
        kept.append(KeptNoise(noise, samples, steps, source))
    return _widened(graph, kept, _Widening.reading(kept)), tuple(kept)


def _widened(graph: Graph, kept: Sequence[KeptNoise], walk: _Widening) -> Graph:
    outputs = tuple(graph.outputs.values())
    means = (_mean(a, b, walk.count) for a, b in zip(outputs, walk.through(outputs, {}), strict=True))
    named = dict(zip(graph.outputs, means, strict=True))
    return Graph((*graph.inputs, *(item.input for item in kept)), named, graph.name)


@dataclass(eq=False)
class Beside:
    """A noisy solve that stays in an ensemble, and the loop of its steps beside it: `node` and values of the loop
    before noise is kept; then `widened`, the solve and the same values on the points of the ensemble, and what is
    `drawn` for them.
    """

    node: Node
    values: Nodes
    widened: tuple[Node, Nodes] | None = None
    drawn: Counter[Source] = field(default_factory=Counter)


def ensemble_beside(graph: Graph, kept: Sequence[KeptNoise], beside: Beside) -> tuple[Graph, bool]:
    """The ensemble of a graph in which the solve `beside.node` stays, no other of its kind, with the draws of the loop
    of its steps; and whether these are the draws that the `kept` noises hold for it.
    """
    walk = _Widening.reading(kept)
    walk.beside = beside
    made = _widened(graph, kept, walk)
    steps = Counter({item.source: item.steps for item in kept})
    alone = all(walk.taken[source] == count for source, count in beside.drawn.items())
    return made, alone and walk.taken == steps


def _names(taken: Collection[str]) -> Callable[[str], str]:
    """dropout, dropout_2, ...: each once."""
    known = set(taken)

    def new(name: str) -> str:
        count, found = 1, name
        while found in known:
            count += 1
            found = f"{name}_{count}"
        known.add(found)
        return found

    return new


def _mean(old: Node, new: Node, samples: int) -> Node:
    return new if new.type == old.type else REDUCE_MEAN(SPLIT_POINTS(new, count=samples), axes=(1,), keepdims=False)


@dataclass
class _Widening:
    """Rebuilds what noise reaches on `count` points a sample. What has another type than before is such a value.

    `supply` holds the draws by their source, (draws, points, channels); `taken` counts those that are used.
    """

    count: int
    supply: Mapping[Source, Node]
    taken: Counter[Source] = field(default_factory=Counter)
    beside: Beside | None = None

    @classmethod
    def reading(cls, kept: Sequence[KeptNoise]) -> _Widening:
        """Draws from these inputs."""
        return cls(kept[0].samples, {item.source: stacked(item.input, item.samples) for item in kept})

    def through(self, roots: Sequence[Node], known: Mapping[Node, Node]) -> tuple[Node, ...]:
        return transform(roots, self._visit, known)

    def _visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        with at(node.span):
            if is_kept(node):
                return self._drawn(node)
            if node.op is PICK:
                return pick(inputs[0], node.attrs["index"])
            if node.op is SCAN:
                return self._loop(node, inputs)
            if self.beside is not None and node is self.beside.node:
                return self._beside(self.beside, inputs)
            if all(old.type == new.type for old, new in zip(node.inputs, inputs, strict=True)):
                return node.rebuilt(inputs)
            if node.op is MEMBERS:
                return SPLIT_POINTS(inputs[0], count=self.count)
            wide = self._widened(node, inputs)
            return self._solve(node, wide) if node.op is SOLVE else enlarge(self.count)(node, wide)

    def _drawn(self, node: Node) -> Node:
        source = Source.of(node)
        row = SELECT(self.supply[source], axis=0, index=self.taken[source])
        self.taken[source] += 1
        _, scale = LAWS[source.law]
        return scale(RESHAPE(row, shape=(row.shape[0], *node.type.sample)), *source.parameters)

    def _widened(self, node: Node, inputs: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(self._wide(old, new) for old, new in zip(node.inputs, inputs, strict=True))

    def _wide(self, old: Node, new: Node) -> Node:
        """The value for all points of a sample: the batch axis is the first, or behind that of a loop's rows."""
        axis = next((i for i, size in enumerate(old.shape) if is_batch(size)), None)
        if axis is None or new.type != old.type:
            return new
        if axis == 0:
            return at_points(new, self.count)
        order = (axis, *(i for i in range(old.type.rank) if i != axis))
        back = tuple(sorted(range(len(order)), key=lambda i: order[i]))
        return TRANSPOSE(at_points(TRANSPOSE(new, perm=order), self.count), perm=back)

    def _solve(self, node: Node, wide: Sequence[Node]) -> Node:
        assert not draws_of(Solve.of(node).region.results), "a solve with noise in its field is laid out in steps first"
        return self._enlarged(node, wide)

    def _enlarged(self, node: Node, wide: Sequence[Node]) -> Node:
        solve, new = Solve.of(node), dict(zip(node.inputs, wide, strict=True))
        return solve.rebuilt(
            region=enlarged(solve.region, self.count),
            initial=tuple(new[x] for x in solve.initial),
            captured=tuple(new[x] for x in solve.captured),
            stacked=tuple(new[x] for x in solve.stacked),
            times=None if solve.times is None else new[solve.times],
        ).node()

    def _beside(self, beside: Beside, inputs: Sequence[Node]) -> Node:
        """The solve on all points, whose steps are those of the loop beside it."""
        before, node = self.taken.copy(), beside.node
        new = self.through(beside.values, dict(zip(node.inputs, inputs, strict=True)))
        beside.drawn = self.taken - before
        large = self._enlarged(node, self._widened(node, inputs))
        beside.widened = large, tuple(self._wide(a, b) for a, b in zip(beside.values, new, strict=True))
        return large

    def _loop(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The loop over the points, with its draws as rows: (iterations, draws of an iteration, points, channels)."""
        region: Region = node.attrs["region"]
        inner = draws_of(region.results)
        if not inner and all(old.type == new.type for old, new in zip(node.inputs, inputs, strict=True)):
            return node.rebuilt(inputs)
        wide = self._widened(node, inputs)
        whole = len(wide) - node.attrs["stacked"]
        rows = list(self._rows(inner, int(node.attrs["length"])))
        types = [*(x.type for x in wide[:whole]), *(row_of(x.type) for x in wide[whole:])]
        fresh = [leaf(ARGUMENT, str(a.attrs["name"]), t) for a, t in zip(region.arguments, types, strict=True)]
        drawn = [leaf(ARGUMENT, source.layer, row_of(x.type)) for source, x in zip(inner, rows, strict=True)]
        inside = _Widening(self.count, dict(zip(inner, drawn, strict=True)))
        results = list(inside.through(region.results, dict(zip(region.arguments, fresh, strict=True))))
        for i in range(node.attrs["states"]):  # what goes round is for all points from the first iteration on
            results[i] = self._wide(region.results[i], results[i])
        attrs = {"region": Region((*fresh, *drawn), tuple(results)), "stacked": node.attrs["stacked"] + len(rows)}
        return SCAN(*wide, *rows, **{**node.attrs, **attrs})

    def _rows(self, inner: Mapping[Source, int], length: int) -> Iterator[Node]:
        for source, each in inner.items():
            start = self.taken[source]
            self.taken[source] += each * length
            part = SLICE(self.supply[source], axis=0, start=start, stop=self.taken[source], step=1)
            yield RESHAPE(part, shape=(length, each, *part.shape[1:]))

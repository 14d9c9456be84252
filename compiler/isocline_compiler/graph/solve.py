r"""A solve as one node of the graph: the field is a region, what is said of it one record, scheme and grid come later.

    x' = sum of the terms of region(t, x, c, rows)      x(t_0) = the initial states

The record says who each state is (the author's own, a tangent, an integral), what each result of the region is a term
of, and what a step reads besides its state. Everything that looks at a solve goes by it and by the solve's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from isocline_compiler.graph import ARGUMENT, Fault, Node, Nodes, Op, Region, Stop, here, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.noise import Calculus, Noise, NoiseKind, Ordering
from isocline_compiler.graph.tensor_type import BATCH, Shape, Size, TensorType, points_of
from isocline_compiler.graph.terms import DETERMINISTIC, Event, Term, TermKind, events_of
from isocline_dsl import messages
from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Interval:
    """Where a solve goes, in the order of travel; `times[0]` is where it starts, backwards in time when decreasing.

    `times` are float64 numbers, known when compiling. None: they are the solve's last argument, a value of shape
    (batch, n) or (n,). `everywhere`: keep the solution at every time (a leading time axis), else at the last only.
    """

    times: tuple[float, ...] | None
    everywhere: bool


Role: TypeAlias = Literal["own", "tangent", "integral", "measure", "log_density", "companion"]


@dataclass(frozen=True)
class State:
    """One state of a solve. `shape` is that of a sample.

    `role`: "own" (the author declared it), "tangent" (how the state `of` varies along a `direction`), "integral" (of a
    function along the solution, read by nothing), "measure" (a sum over the steps: the equation leaves it at rest, and
    each step of a scheme adds what its `measure` says), "log_density", "companion" (what a scheme keeps of a state).
    States of one `group` move together in a scheme that moves states in turn.
    """

    name: str
    shape: Shape = ()
    role: Role = "own"
    of: str | None = None
    direction: tuple[int, ...] = ()
    group: str | None = None
    measure: Callable[..., Node] | None = None


@dataclass(frozen=True)
class Row:
    """What a step reads besides its state: a slice of a stacked value (N, ...).

    `kind` says whose: "weights", "control" and "delay" are read by the field, through an argument of the region;
    "noise" and "coefficients" by the scheme, under their names. `indexing`: "piecewise" (constant in time: step i of n
    takes slice floor((i + 1/2) N / n)), "backwards" (the same pieces, from the last one on) or "each" (slice i).
    """

    name: str
    kind: Literal["weights", "control", "delay", "noise", "coefficients"] = "weights"
    indexing: Literal["piecewise", "backwards", "each"] = "piecewise"

    @property
    def read_by_field(self) -> bool:
        return self.kind not in ("noise", "coefficients")

    def index(self, step: int, steps: int, depth: int) -> int:
        """Which of N = `depth` slices step i of n takes."""
        i = steps - 1 - step if self.indexing == "backwards" else step
        return step if self.indexing == "each" else (2 * i + 1) * depth // (2 * steps)

    def turned(self) -> Row:
        """What the same steps read when they are walked from the last to the first."""
        if self.indexing == "each":
            return self
        return replace(self, indexing="piecewise" if self.indexing == "backwards" else "backwards")

    def at(self, progress: float, depth: int) -> int:
        """The slice at a part p in [0, 1] of the way, for solvers that choose their own steps: floor(N p)."""
        met = min(max(int(progress * depth), 0), depth - 1)
        return depth - 1 - met if self.indexing == "backwards" else met


@dataclass(frozen=True)
class SolveSpec:
    """Everything that is said of a solve but its values.

    `name` is that of the solution, unique in a graph; `field` that of the declaration, for messages. `varies` names the
    solve whose variation this one is: it shares that one's scheme and grid. `kinds` are all that hold of its noise,
    `samples` the paths of each sample, whose axis follows that of the batch; they start `apart` where initial states
    hold them side by side, (samples batch, ...). `undoes` names the solve whose scheme this one's undoes, step by step.
    """

    name: str
    field: str
    states: tuple[State, ...]
    interval: Interval
    scheme: Called | None = None
    terms: tuple[Term, ...] = ()
    rows: tuple[Row, ...] = ()
    noises: tuple[Noise, ...] = ()
    varies: str | None = None
    kinds: frozenset[NoiseKind] = frozenset()
    samples: int | None = None
    apart: bool = False
    ordering: Ordering = "independent"
    undoes: str | None = None

    def __post_init__(self) -> None:
        if not self.terms:
            object.__setattr__(self, "terms", (Term("drift", tuple(range(len(self.states)))),))

    @property
    def choice(self) -> str:
        """The name under which its scheme and grid are chosen."""
        return self.varies or self.name

    @property
    def own(self) -> tuple[int, ...]:
        """The places of the states that the author declared."""
        return self.places("own")

    def places(self, *roles: Role) -> tuple[int, ...]:
        """The places of the states with these roles."""
        return tuple(i for i, state in enumerate(self.states) if state.role in roles)

    @property
    def calculus(self) -> Calculus:
        """How integrals along its Brownian motions are meant."""
        return next((noise.calculus for noise in self.noises if noise.process == "brownian"), "ito")

    def results(self, kind: TermKind) -> dict[int, tuple[int, ...]]:
        """Which results of the region are terms of this kind, by the place of their state."""
        found: dict[int, tuple[int, ...]] = {}
        for term, state, result in self.by_term():
            if term.kind == kind:
                found[state] = (*found.get(state, ()), result)
        return found

    def by_term(self) -> Iterator[tuple[Term, int, int]]:
        """Each result of the region that is of a state: its term, the place of the state, and its own place."""
        start = 0
        for term in self.terms:
            yield from ((term, state, start + offset) for offset, state in enumerate(term.states))
            start += term.results

    @property
    def events(self) -> tuple[Event, ...]:
        """The jumps at a state, in the order of the file."""
        return events_of(self.terms)


def _solve_types(*types: TensorType, spec: SolveSpec, **_: Any) -> tuple[TensorType, ...]:
    """Each state, with the axes of samples and of time after that of the batch, where there are such.

    What is driven by noise differs from sample to sample wherever it starts.
    """
    states, interval = types[: len(spec.states)], spec.interval
    count: Size = len(interval.times) if interval.times is not None else types[-1].shape[-1]
    times = (count,) if interval.everywhere else ()
    paths: tuple[Size, ...] = () if spec.samples is None else (spec.samples,)
    return tuple(x.with_shape((*_lead(x, spec), *paths, *times, *x.sample)) for x in states)


def _lead(state: TensorType, spec: SolveSpec) -> Shape:
    """The batch axis of a state, without the paths that start apart."""
    if not state.batched:
        return (BATCH,) if spec.noises else ()
    paths = points_of("", spec.samples) if spec.apart and spec.samples else ""
    return (str(state.shape[0]).removeprefix(paths),)


def _no_torch(*_: Any, **__: Any) -> Any:
    raise AssertionError("a solve is integrated or unrolled, never applied as an operation")


SOLVE = Op(
    "solve",
    _solve_types,
    _no_torch,
    None,
    Stop("unroll the solve first"),
    """x(t) with x' = region(t, x) from the initial states.

    Arguments: the initial states, the captured values, the stacked values (N, ...) of the rows, the times if not known.
    Attributes: `spec`, the record; `region` over (t, states..., captured..., one slice of each row the field reads...).
    """,
)


PICK = Op(
    "pick", lambda *_, index, of: of, _no_torch, None, Stop("unroll the solve first"),
    "One result of an operation with several.",
)  # fmt: skip


def pick(node: Node, index: int) -> Node:
    """Result `index` of a node with several results."""
    return Node(PICK, (node,), {"index": index, "of": node.types[index]}, (node.types[index],), here())


def spec_of(node: Node) -> SolveSpec:
    """The record of a solve node."""
    spec: SolveSpec = node.attrs["spec"]
    return spec


def choice_of(node: Node) -> str:
    """The name under which the scheme and the grid of a solve node are chosen."""
    return spec_of(node).choice


@dataclass(frozen=True, eq=False)
class Parts:
    """The arguments of a solve or a scan by role."""

    initial: Nodes
    captured: Nodes
    stacked: Nodes
    times: Node | None = None


def parts(node: Node) -> Parts:
    """Take the arguments of a solve or a scan apart."""
    inputs = node.inputs
    if node.op is SOLVE:
        spec = spec_of(node)
        times = inputs[-1] if spec.interval.times is None else None
        end = len(inputs) - (times is not None)
        first, second = len(spec.states), end - len(spec.rows)
        return Parts(inputs[:first], inputs[first:second], inputs[second:end], times)
    first = node.attrs["states"]
    second = first + node.attrs["captured"]
    return Parts(inputs[:first], inputs[first:second], inputs[second:])


@dataclass(frozen=True, eq=False)
class Solve:
    """A solve with its values: `node` puts it together, `of` takes it apart.

    `arguments` are the region's by role: t, then as many as `initial`, `captured`, and rows that the field reads.
    """

    spec: SolveSpec
    region: Region
    initial: Nodes
    captured: Nodes = ()
    stacked: Nodes = ()
    times: Node | None = None
    span: Span | None = field(default=None)

    @classmethod
    def of(cls, node: Node) -> Solve:
        given = parts(node)
        return cls(
            spec_of(node), node.attrs["region"], given.initial, given.captured, given.stacked, given.times, node.span
        )

    def node(self) -> Node:
        """The node of the graph."""
        times = () if self.times is None else (self.times,)
        inputs = (*self.initial, *self.captured, *self.stacked, *times)
        attrs = {"spec": self.spec, "region": self.region}
        types = SOLVE.infer(*(item.type for item in inputs), **attrs)
        assert isinstance(types, tuple)
        return Node(SOLVE, inputs, attrs, types, self.span)

    @property
    def time(self) -> Node:
        """The region's argument for the time."""
        return self.region.arguments[0]

    @property
    def state_arguments(self) -> Nodes:
        return self.region.arguments[1 : 1 + len(self.initial)]

    @property
    def captured_arguments(self) -> Nodes:
        first = 1 + len(self.initial)
        return self.region.arguments[first : first + len(self.captured)]

    @property
    def argument_types(self) -> tuple[TensorType, ...]:
        """What the region's arguments after the time are: those of the states are driven apart by noise."""
        slices = [value.type.with_shape(value.type.shape[1:]) for _, value in self.field_rows]
        return (*map(self.argument_type, self.initial), *(x.type for x in self.captured), *slices)

    def argument_type(self, start: Node) -> TensorType:
        """What the region's argument of a state that starts so is: of one path, though each may have a start."""
        return start.type.with_shape((*_lead(start.type, self.spec), *start.type.sample))

    @property
    def row_arguments(self) -> Nodes:
        return self.region.arguments[1 + len(self.initial) + len(self.captured) :]

    @property
    def field_rows(self) -> tuple[tuple[Row, Node], ...]:
        """The rows that the field reads, with their stacked values."""
        pairs = zip(self.spec.rows, self.stacked, strict=True)
        return tuple((row, value) for row, value in pairs if row.read_by_field)

    def slopes(self, places: Sequence[int] | None = None) -> Nodes:
        """x' of the states at these places, or of all: the sum of their terms, noise aside."""
        found = self.parts(*DETERMINISTIC)
        chosen = [found[i] for i in (range(len(found)) if places is None else places)]
        assert all(item is not None for item in chosen), "every equation has a term that is no noise"
        return tuple(item for item in chosen if item is not None)

    def parts(self, *kinds: TermKind) -> tuple[Node | None, ...]:
        """The sum of the terms of these kinds, for every state; None where it has none."""
        found: list[Node | None] = [None] * len(self.initial)
        for kind in kinds:
            for place, terms in self.spec.results(kind).items():
                for i in terms:
                    total, result = found[place], self.region.results[i]
                    found[place] = result if total is None else total + result
        return tuple(found)

    def refuse_events(self, why: str) -> None:
        """Raises `Fault` with a reason for what does not hold across the jumps of its states."""
        if self.spec.events:
            raise Fault(lambda span: messages.events_not_here(span, self.spec.field, why))

    def rebuilt(self, **changed: Any) -> Solve:
        """The same solve with some of its parts replaced."""
        return replace(self, **changed)

    def with_states(
        self, states: Sequence[State], initial: Sequence[Node], arguments: Sequence[Node], slopes: Sequence[Node]
    ) -> Solve:
        """With further states behind its own: their records, starts, arguments in the region, and slopes."""
        count = len(self.initial)
        spec = replace(
            self.spec,
            states=(*self.spec.states, *states),
            terms=(*self.spec.terms, Term("drift", tuple(range(count, count + len(states))))),
        )
        old = self.region.arguments
        region = Region((*old[: 1 + count], *arguments, *old[1 + count :]), (*self.region.results, *slopes))
        return replace(self, spec=spec, region=region, initial=(*self.initial, *initial))

    def with_captured(self, values: Sequence[Node], arguments: Sequence[Node]) -> Solve:
        """With further captured values and their arguments."""
        place = 1 + len(self.initial) + len(self.captured)
        old = self.region.arguments
        region = Region((*old[:place], *arguments, *old[place:]), self.region.results)
        return replace(self, region=region, captured=(*self.captured, *values))

    def capturing(self, pairs: Sequence[tuple[Node, Node]]) -> tuple[Solve, dict[Node, Node]]:
        """With captured values that an argument each stands for elsewhere, and which argument of its own is which's: a
        value that it has captured already stays one.
        """
        places = dict(zip(self.captured, self.captured_arguments, strict=True))
        known: dict[Node, Node] = {}
        fresh: dict[Node, Node] = {}
        for value, argument in pairs:
            if value not in places:
                places[value] = fresh[value] = leaf(ARGUMENT, str(argument.attrs["name"]), value.type)
            known[argument] = places[value]
        return self.with_captured(list(fresh), list(fresh.values())), known

    def with_rows(self, rows: Sequence[Row], stacked: Sequence[Node], arguments: Sequence[Node] = ()) -> Solve:
        """With further rows; those that the field reads have an argument each."""
        region = Region((*self.region.arguments, *arguments), self.region.results)
        spec = replace(self.spec, rows=(*self.spec.rows, *rows))
        return replace(self, spec=spec, region=region, stacked=(*self.stacked, *stacked))

    def reading(self, read: Mapping[Node, Any] | set[Node]) -> Solve:
        """Without the captured values and rows whose arguments are not among `read`."""
        kept = [(v, a) for v, a in zip(self.captured, self.captured_arguments, strict=True) if a in read]
        arguments = iter(self.row_arguments)
        rows = []
        for row, value in zip(self.spec.rows, self.stacked, strict=True):
            argument = next(arguments) if row.read_by_field else None
            if argument is None or argument in read:
                rows.append((row, value, argument))
        if len(kept) == len(self.captured) and len(rows) == len(self.stacked):
            return self
        own = (self.time, *self.state_arguments, *(a for _, a in kept), *(a for _, _, a in rows if a is not None))
        spec, region = replace(self.spec, rows=tuple(row for row, _, _ in rows)), Region(own, self.region.results)
        captured, stacked = tuple(value for value, _ in kept), tuple(value for _, value, _ in rows)
        return replace(self, spec=spec, region=region, captured=captured, stacked=stacked)

"""The torch back end: a graph becomes a straight line of calls, made once and run many times.

Precision and device follow the tensors that are bound. Solves are not computed here: an `Integrator` is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from operator import itemgetter
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import torch

from isocline_compiler.graph import (
    ARGUMENT,
    CONSTANT,
    INPUT,
    WEIGHT,
    Array,
    Graph,
    Node,
    Op,
    Region,
    topological,
)
from isocline_compiler.graph.invariant import frontier
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, parts, spec_of
from isocline_compiler.ops.evaluation import TorchNamespace

Tensor: TypeAlias = torch.Tensor


class TorchField(Protocol):
    """The region of a solve, ready to be evaluated: captured values are bound, what depends on them alone is computed.

    `fixed` is what captured values and weights decide. `parameters` are the tensors of it that require a gradient: what
    an adjoint method must be told of. `bound` is what it was made of.
    """

    fixed: tuple[Any, ...]
    parameters: tuple[Tensor, ...]
    bound: Bound

    def __call__(self, t: Tensor, states: Sequence[Tensor], slices: Sequence[Tensor] = ()) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Bound:
    """A region over (t, states..., captured..., slices...) with its captured values, in one evaluation of a graph."""

    region: Region
    states: int
    captured: tuple[Tensor, ...]
    run: Run


class Integrator(Protocol):
    """Solves one `solve` node: gives each state at the end, or at every time when the node keeps it everywhere.

    The captured values are bound in `field` already; `stacked` are the weights of all steps; `times` is the tensor of
    times when they are a value of the graph, else None (see the node's `interval`).
    """

    def __call__(
        self,
        node: Node,
        field: TorchField,
        initial: tuple[Tensor, ...],
        captured: tuple[Tensor, ...],
        stacked: tuple[Tensor, ...],
        times: Tensor | None,
    ) -> tuple[Tensor, ...]: ...


def no_integrator(
    node: Node,
    field: TorchField,
    initial: tuple[Tensor, ...],
    captured: tuple[Tensor, ...],
    stacked: tuple[Tensor, ...],
    times: Tensor | None,
) -> tuple[Tensor, ...]:
    """The integrator of a graph that should hold no solve."""
    raise AssertionError(f"{node!r} has to be integrated, and no integrator was given")


def namespace_of(bound: Mapping[Any, Tensor]) -> TorchNamespace:
    """The precision of the first real tensor (float64 when there is none) and the device of the first tensor."""
    working = next((item.dtype for item in bound.values() if item.is_floating_point()), torch.float64)
    device = next((item.device for item in bound.values()), torch.device("cpu"))
    return TorchNamespace(working, device)


@dataclass
class Run:
    """One evaluation: the named values, the precision, whether it trains, who solves, and the updates it asks for.

    `iteration` numbers those of the loops that are being run, from the outermost: one solve in their bodies is many.
    `lengths` are how many iterations each of them has.
    """

    bound: Mapping[str, Tensor]
    setting: TorchNamespace
    training: bool = False
    integrator: Integrator = no_integrator
    updates: dict[str, Tensor] = field(default_factory=dict)
    iteration: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()


def solution_of(node: Node, field: TorchField) -> str:
    """The name of the solution that is being computed: that of the solve, with the iterations where loops solve it."""
    name, iteration = spec_of(node).name, field.bound.run.iteration
    return f"{name}[{','.join(map(str, iteration))}]" if iteration else name


def stretches_of(field: TorchField) -> int:
    """How many solves the loops around make of one: the stretches of a way that is cut at its jumps or observations."""
    return prod(field.bound.run.lengths)


# ---------------------------------------------------------------------------------------------------- calls


@dataclass(frozen=True)
class Call:
    """A function of the values of a node's arguments, after the `Run` or its precision where it asks for one."""

    function: Callable[..., Any]
    reads: Literal["run", "setting"] | None = None


def _plain(op: Op, attrs: dict[str, Any]) -> Call:
    """The call of an operation that does the same in training."""
    if isinstance(op.torch, str):
        return Call(getattr(torch, op.torch))
    return Call(partial(op.torch, **attrs) if attrs else op.torch, "setting")


def _with_training(node: Node, trained: Callable[..., Any], attrs: dict[str, Any]) -> Call:
    """The call of an operation that does something else in training, and may ask for weights to be updated."""
    deployed = _plain(node.op, attrs)
    names = [item.attrs["name"] if item.op is WEIGHT else None for item in node.inputs]

    def call(run: Run, *xs: Tensor) -> Any:
        if not run.training:
            return deployed.function(*(() if deployed.reads is None else (run.setting,)), *xs)

        def record(position: int, value: Tensor) -> None:
            name = names[position]
            if name is not None:
                run.updates[name] = value

        return trained(run.setting, record, *xs, **attrs)

    return Call(call, "run")


def _solve(node: Node) -> Call:
    roles = parts(node)
    solve = Solve.of(node)
    program = FieldProgram(Region(solve.region.arguments, solve.slopes()), len(roles.initial), len(roles.captured))
    first = len(roles.initial)
    second = first + len(roles.captured)
    third = second + len(roles.stacked)

    def call(run: Run, *xs: Tensor) -> tuple[Tensor, ...]:
        captured = xs[first:second]
        times = xs[third] if len(xs) > third else None
        return run.integrator(node, program.bind(run, captured), xs[:first], captured, xs[second:third], times)

    return Call(call, "run")


def _scan(node: Node) -> Call:
    """A loop, iteration by iteration."""
    region: Region = node.attrs["region"]
    states, last = node.attrs["states"], node.attrs["states"] + node.attrs["captured"]
    program = StraightLineProgram(region.results, region.arguments)

    def call(run: Run, *xs: Tensor) -> tuple[Tensor, ...]:
        now, held, stacked = xs[:states], xs[states:last], xs[last:]
        rows: list[tuple[Tensor, ...]] = []
        around, outside = run.iteration, run.lengths
        length = len(stacked[0]) if stacked else node.attrs["length"]
        run.lengths = (*outside, length)
        for i in range(length):
            run.iteration = (*around, i)
            found = program(run, (*now, *held, *(item[i] for item in stacked)))
            now = found[:states]
            rows.append(found[states:])
        run.iteration, run.lengths = around, outside
        return (*now, *(torch.stack(values) for values in zip(*rows, strict=True)))

    return Call(call, "run")


def _call(node: Node) -> Call:
    if node.op is SOLVE:
        return _solve(node)
    if node.op is SCAN:
        return _scan(node)
    attrs = dict(node.attrs)
    if node.op is PICK:
        return Call(itemgetter(attrs["index"]))
    if node.op.training is not None:
        return _with_training(node, node.op.training, attrs)
    return _plain(node.op, attrs)


# ---------------------------------------------------------------------------------------------------- lines


class Instruction(NamedTuple):
    """`values[target] = function(*arguments(values))`, after which the values at `dead` are no longer needed."""

    function: Callable[..., Any]
    arguments: Callable[[list[Any]], Sequence[Any]]
    target: int
    dead: tuple[int, ...]


class StraightLineProgram:
    """The calls that compute `roots`, in order, over numbered places; those of `given` are filled in beforehand.

    The last two places hold the run and its precision.
    """

    def __init__(self, roots: Sequence[Node], given: Sequence[Node] = ()) -> None:
        rest = topological(roots, given)
        place = {node: i for i, node in enumerate((*given, *rest))}
        _refuse_free_arguments(rest)
        self._size = len(place)
        self._constants = [(place[node], node.attrs["value"]) for node in rest if node.op is CONSTANT]
        self._named = [(place[node], node.attrs["name"]) for node in rest if node.op in (INPUT, WEIGHT)]
        self._results = tuple(place[root] for root in roots)
        self._steps = _steps([node for node in rest if node.op not in _LEAVES], place, {*self._results})
        self._cache: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}

    def __call__(self, run: Run, given: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The values of the roots. With autograd on, the tape itself keeps what it needs of the dropped ones."""
        values: list[Any] = [*given, *(None,) * (self._size - len(given)), run, run.setting]
        for (target, _), value in zip(self._constants, self._constant_tensors(run.setting), strict=True):
            values[target] = value
        for target, name in self._named:
            values[target] = run.bound[name]
        for function, arguments, target, dead in self._steps:
            values[target] = function(*arguments(values))
            for i in dead:
                values[i] = None
        return tuple(values[i] for i in self._results)

    def _constant_tensors(self, setting: TorchNamespace) -> list[Tensor]:
        key = (setting.working, setting.device)
        if key not in self._cache:
            self._cache[key] = [as_tensor(value, setting) for _, value in self._constants]
        return self._cache[key]


_LEAVES = frozenset((INPUT, WEIGHT, ARGUMENT, CONSTANT))


def as_tensor(value: Array, setting: TorchNamespace) -> Tensor:
    """The array on the device; reals in the working precision."""
    dtype = setting.working if value.dtype.kind == "f" else None
    return torch.tensor(value, dtype=dtype, device=setting.device)


def _refuse_free_arguments(nodes: Sequence[Node]) -> None:
    free = [node.attrs["name"] for node in nodes if node.op is ARGUMENT]
    if free:
        raise AssertionError(f"arguments without a value: {', '.join(free)}")


def _steps(nodes: Sequence[Node], place: Mapping[Node, int], kept: set[int]) -> list[Instruction]:
    """The calls in order; a computed value dies at its last use unless it is kept."""
    computed = {place[node] for node in nodes} - kept
    last = {place[item]: node for node in nodes for item in node.inputs}
    dead: dict[Node, list[int]] = {}
    for i, user in last.items():
        if i in computed:
            dead.setdefault(user, []).append(i)
    further = {None: (), "run": (len(place),), "setting": (len(place) + 1,)}
    found = []
    for node in nodes:
        call = _call(node)
        sources = (*further[call.reads], *(place[item] for item in node.inputs))
        found.append(Instruction(call.function, _getter(sources), place[node], tuple(dead.get(node, ()))))
    return found


def _getter(places: tuple[int, ...]) -> Callable[[list[Any]], Sequence[Any]]:
    """The values at these places, as a sequence however many they are."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


# ---------------------------------------------------------------------------------------------------- fields


class FieldProgram:
    """A region over (t, states..., captured..., slices...) in two parts.

    What the captured values and the weights decide is computed once a solve, the rest once an evaluation.
    """

    def __init__(self, region: Region, states: int, captured: int) -> None:
        self.region, self.states = region, states
        arguments = region.arguments
        held = arguments[1 + states : 1 + states + captured]
        moving = (*arguments[: 1 + states], *arguments[1 + states + captured :])
        fixed = frontier(region.results, moving)
        self._once = StraightLineProgram(fixed, held)
        self._each = StraightLineProgram(region.results, (*moving, *fixed))

    def bind(self, run: Run, captured: Sequence[Tensor]) -> TorchField:
        """The field for these captured values, ready to be evaluated."""
        bound = Bound(self.region, self.states, tuple(captured), run)
        return _BoundField(self._each, tuple(map(_set_apart, self._once(run, captured))), bound)


def _set_apart(value: Any) -> Any:
    """The same tensor as a variable of its own: a derivative by k does not count what goes through exp(k), another."""
    return value.view_as(value) if isinstance(value, Tensor) and value.requires_grad else value


class _BoundField:
    def __init__(self, program: StraightLineProgram, fixed: tuple[Any, ...], bound: Bound) -> None:
        self._program = program
        self._run = bound.run
        self.bound = bound
        self.fixed = fixed
        self.parameters = tuple(item for item in fixed if isinstance(item, Tensor) and item.requires_grad)

    def __call__(self, t: Tensor, states: Sequence[Tensor], slices: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        return self._program(self._run, (t, *states, *slices, *self.fixed))


# ---------------------------------------------------------------------------------------------------- programs


@dataclass(frozen=True)
class Evaluation:
    """The outputs by name, and the weights that the evaluation asks to be updated (`batchnorm` while training)."""

    outputs: dict[str, Tensor]
    updates: dict[str, Tensor]


class TorchProgram:
    """A graph as a function of its named inputs and weights."""

    def __init__(self, graph: Graph) -> None:
        self.names = tuple(graph.outputs)
        self._program = StraightLineProgram(tuple(graph.outputs.values()))

    def evaluate(
        self, bound: Mapping[str, Tensor], *, training: bool = False, integrator: Integrator = no_integrator
    ) -> Evaluation:
        """Evaluate on named tensors. Precision and device follow the first of them."""
        run = Run(bound, namespace_of(bound), training, integrator)
        return Evaluation(dict(zip(self.names, self._program(run), strict=True)), run.updates)

    def __call__(
        self, bound: Mapping[str, Tensor], *, training: bool = False, integrator: Integrator = no_integrator
    ) -> dict[str, Tensor]:
        """The outputs by name."""
        return self.evaluate(bound, training=training, integrator=integrator).outputs


def evaluate(
    roots: Sequence[Node],
    bound: Mapping[Node | str, Tensor] | Mapping[str, Tensor] | None = None,
    *,
    training: bool = False,
    integrator: Integrator = no_integrator,
) -> tuple[Tensor, ...]:
    """The values of `roots`, where leaves are given by name and any nodes by themselves."""
    values: Mapping[Any, Tensor] = bound or {}
    given = [key for key in values if isinstance(key, Node)]
    named = {key: value for key, value in values.items() if isinstance(key, str)}
    run = Run(named, namespace_of(values), training, integrator)
    return StraightLineProgram(roots, given)(run, [values[node] for node in given])

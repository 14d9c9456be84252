"""`solve F from ... over|at ... [with scheme]` to a solve node whose field is a region."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from isocline_compiler.graph import ARGUMENT, INPUT, Node, Region, at, here, leaf, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Interval, Row, SolveSpec, State, pick
from isocline_compiler.graph.solve import Solve as SolveRecord
from isocline_compiler.graph.tensor_type import BATCH, Shape, TensorType, describe
from isocline_compiler.lower.called import scheme_called
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.expressions import Expressions, Frame, NetCall, Solution, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.reach import by_use
from isocline_compiler.lower.weights import LayerScope, WeightTable
from isocline_compiler.solvers.grid import discretise
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Argument, Assign, Binding, Equation, Field, Range, Solve, Span


@dataclass
class SolveLowering:
    """What a solve needs of the file around it."""

    table: WeightTable
    numbers: Numbers
    nets: frozenset[str]
    call_net: NetCall
    outer: Callable[[str, Span], Value]

    def lower(self, name: str, solve: Solve, declaration: Field, expressions: Expressions) -> Solution:
        """The solution called `name`, a value a state. `expressions` lowers what is around it. Raises LowerError."""
        states = _states(declaration, self.numbers)
        initial = self._initial(solve, states, expressions)
        interval, times = self._interval(solve, expressions)
        scheme = scheme_called(solve.scheme, self.numbers) if solve.scheme is not None else None
        if scheme is not None:
            _check_steps(scheme, interval, times)
        if declaration.per_step and scheme is None:
            raise LowerError(messages.weights_per_step_without_scheme(solve.span, declaration.name.text))
        body = FieldBody(self, declaration, states, scheme)
        batched = any(node.type.batched for node in initial) or (times is not None and times.type.batched)
        derived = body.lower(batched, times is not None and times.type.batched)
        if not batched and (derived.touches_batch or any(node.type.batched for node in derived.captured)):
            batched = True
            derived = body.lower(batched, False)
        if batched:
            initial = tuple(spread(node, _batch_source(initial, derived.captured, times)) for node in initial)
        spec = SolveSpec(
            name, declaration.name.text, states, interval, scheme,
            rows=tuple(Row(str(item.attrs.get("name", f"row{i}"))) for i, item in enumerate(derived.stacked)),
        )  # fmt: skip
        node = SolveRecord(spec, derived.region, initial, derived.captured, derived.stacked, times, here()).node()
        return Solution({state.name: pick(node, index) for index, state in enumerate(states)})

    def rehearse(self, declaration: Field) -> None:
        """Lower a field for itself, to find its mistakes when no solve gets as far. Raises LowerError."""
        if not declaration.per_step:
            FieldBody(self, declaration, _states(declaration, self.numbers), None).lower(True, False)

    def _initial(self, solve: Solve, states: Sequence[State], expressions: Expressions) -> tuple[Node, ...]:
        given: dict[str, Binding] = {item.name.text + "'" * item.order: item for item in solve.initial}
        if not given.keys() <= {state.name for state in states}:
            raise Poisoned  # the start of something that is no state: reported where names are resolved
        nodes = []
        for state in states:
            if state.name not in given:
                raise LowerError(messages.state_without_start(solve.span, state.name, solve.field.text))
            value = given[state.name].value
            with at(value.span):
                node = conform(expressions.node(value), state.shape)
            if node is None:
                found = describe(expressions.node(value).type)
                raise LowerError(
                    messages.start_shape(value.span, state.name, found, describe(TensorType("real", state.shape)))
                )
            nodes.append(node)
        return tuple(nodes)

    def _interval(self, solve: Solve, expressions: Expressions) -> tuple[Interval, Node | None]:
        if isinstance(solve.times, Range):
            if solve.times.step is not None and not solve.everywhere:
                raise LowerError(messages.step_without_at(solve.times.step.span))
            if solve.times.step is None and solve.everywhere:
                raise LowerError(messages.at_without_step(solve.times.span))
            return Interval(self.numbers.times(solve.times), solve.everywhere), None
        node = expressions.node(solve.times)
        if node.type.kind != "real" or len(node.type.sample) != 1:
            raise LowerError(messages.times_not_a_list(solve.times.span, describe(node.type)))
        return self._listed(solve, node)

    def _listed(self, solve: Solve, node: Node) -> tuple[Interval, Node | None]:
        known = node.attrs.get("value")
        if node.type.sample == (1,):
            raise LowerError(messages.times_not_a_list(solve.times.span, "a single time"))
        if known is None:
            return Interval(None, solve.everywhere), node
        times = tuple(float(item) for item in known)
        if not all(map(math.isfinite, times)):
            raise LowerError(messages.times_not_finite(solve.times.span))
        forward = len(times) < 2 or times[1] > times[0]
        for before, after in pairwise(times):
            if before == after or (after > before) != forward:
                raise LowerError(messages.times_not_increasing(solve.times.span, f"{before:g}", f"{after:g}"))
        if len(times) < 2:
            raise LowerError(messages.times_not_a_list(solve.times.span, "a single time"))
        return Interval(times, solve.everywhere), None


def _states(declaration: Field, numbers: Numbers) -> tuple[State, ...]:
    """The first-order states in the order of the declaration: `q`, followed by its velocity `q'` where its equation is
    second order.
    """
    orders = {item.state.text: item.order for item in declaration.body if isinstance(item, Equation)}
    found: list[State] = []
    for argument in declaration.states:
        shape = _state_shape(argument, numbers)
        order = orders.get(argument.name.text, 1)
        found.extend(State(argument.name.text + "'" * k, shape) for k in range(order))
    return tuple(found)


def _state_shape(argument: Argument, numbers: Numbers) -> Shape:
    if argument.type is None or argument.type.kind.text not in ("real", "positive"):
        raise LowerError(messages.state_type(argument.span, argument.name.text))
    return numbers.sizes(argument.type)


def _check_steps(scheme: Called, interval: Interval, times: Node | None) -> None:
    """The steps must divide evenly among the stretches between the times. Raises LowerError."""
    size = 2 if times is None else times.size(-1)
    if not isinstance(size, int):
        return  # known only when the model runs
    count = size - 1 if interval.times is None else len(interval.times) - 1
    steps = scheme.options["steps"]
    if steps % count:  # else there is nothing to say, and a grid of a million steps is not made for it
        try:
            discretise(interval, scheme.name, steps, intervals=count, span=scheme.span)
        except IsoclineError as error:
            raise LowerError(*error.diagnostics) from None
    if interval.times is not None and _too_fine(interval.times, steps // count):
        raise LowerError(messages.bad_range_step(scheme.span, "these times", f"of 1/{steps // count} of an interval"))


def _too_fine(times: Sequence[float], substeps: int) -> bool:
    """Whether substeps of some interval are shorter than what tells two times apart."""
    return any(abs(b - a) / substeps <= math.ulp(max(abs(a), abs(b))) for a, b in pairwise(times))


@dataclass(frozen=True)
class Derived:
    """A lowered field: its region, and the values that become the solve's further arguments."""

    region: Region
    captured: tuple[Node, ...]
    stacked: tuple[Node, ...]
    touches_batch: bool


@dataclass
class Captures:
    """Outer values that a field uses and that depend on the inputs: each becomes an argument of the region."""

    outer: Callable[[str, Span], Value]
    found: dict[Node, Node] = field(default_factory=dict)

    def lookup(self, name: str, span: Span) -> Value:
        value = self.outer(name, span)
        if isinstance(value, Solution):
            return Solution({state: self._argument(node, f"{name}.{state}") for state, node in value.states.items()})
        return self._argument(value, name)

    def _argument(self, node: Node, name: str) -> Node:
        if not any(item.op in (INPUT, SOLVE) for item in topological([node])):
            return node  # weights and constants only: a region may hold these as they are
        if node not in self.found:
            self.found[node] = leaf(ARGUMENT, name, node.type)
        return self.found[node]


@dataclass
class FieldBody:
    """Lowers the statements of a field for one solve."""

    around: SolveLowering
    declaration: Field
    states: tuple[State, ...]
    scheme: Called | None

    def lower(self, batched: bool, time_batched: bool) -> Derived:
        """The region over (t, states, captured values, slices of stacked weights). Raises LowerError."""
        captures = Captures(self.around.outer)
        name = self.declaration.name.text
        steps = self.scheme.options["steps"] if self.declaration.per_step and self.scheme else None
        scope = LayerScope(self.around.table, name, steps)
        time = leaf(ARGUMENT, self.declaration.time.text, TensorType("real", (BATCH,) if time_batched else ()))
        arguments = {
            state.name: leaf(
                ARGUMENT, state.name, TensorType("real", (BATCH, *state.shape) if batched else state.shape)
            )
            for state in self.states
        }
        frame = Frame(
            scope, captures.lookup, {self.declaration.time.text: time, **arguments},
            frozenset(argument.name.text for argument in self.declaration.states),
        )  # fmt: skip
        expressions = Expressions(frame, self.around.numbers, self.around.nets, self.around.call_net)
        derivatives = self._derivatives(frame, expressions)
        results = tuple(derivatives[state.name] for state in self.states)
        touches = any(node.type.batched for node in results) and not batched
        if batched:
            results = tuple(
                spread(node, arguments[state.name]) for node, state in zip(results, self.states, strict=True)
            )
        slices = [pair[0] for pair in scope.slices.values()]
        region = Region((time, *arguments.values(), *captures.found.values(), *slices), results)
        stacked = tuple(pair[1] for pair in scope.slices.values())
        return Derived(region, tuple(captures.found), stacked, touches)

    def _derivatives(self, frame: Frame, expressions: Expressions) -> Mapping[str, Node]:
        """x' for every first-order state. Local definitions may stand in any order: each is lowered when it is used."""
        definitions = {item.name.text: item for item in self.declaration.body if isinstance(item, Assign)}
        frame.outer = self._with_definitions(frame, expressions, definitions, frame.outer)
        derivatives: dict[str, Node] = {}
        mistakes = Mistakes()
        for name in by_use(definitions):
            mistakes.attempt(frame.lookup, name, definitions[name].name.span)
        for item in self.declaration.body:
            with mistakes.noted():
                if isinstance(item, Assign):
                    continue
                if isinstance(item, Equation):
                    derivatives.update(self._equation(item, frame, expressions))
                else:
                    raise LowerError(messages.not_available_yet(item.span, "a stochastic or controlled equation"))
        mistakes.settle()
        if any(state.name not in derivatives for state in self.states):
            raise Poisoned  # a state without an equation: reported where names are resolved
        return derivatives

    def _equation(self, item: Equation, frame: Frame, expressions: Expressions) -> dict[str, Node]:
        """The derivative of a state; with a second-order equation also that of the state's position, the velocity."""
        state = item.state.text
        if state not in frame.states:
            raise Poisoned  # an equation without a state: reported where names are resolved
        below = {state + "'" * order: _node(frame.names[state + "'" * (order + 1)]) for order in range(item.order - 1)}
        return below | {state + "'" * (item.order - 1): self._right_side(item, frame, expressions)}

    def _with_definitions(
        self,
        frame: Frame,
        expressions: Expressions,
        definitions: Mapping[str, Assign],
        outer: Callable[[str, Span], Value],
    ) -> Callable[[str, Span], Value]:
        begun: set[str] = set()

        def lookup(name: str, span: Span) -> Value:
            if name not in definitions:
                return outer(name, span)
            if name in begun:
                raise Poisoned  # a cycle, or a definition at fault: reported there
            begun.add(name)
            around = frame.scope
            frame.scope = replace_path(around, f"{self.declaration.name.text}.{name}")
            try:
                frame.names[name] = expressions.value(definitions[name].value)
            finally:
                frame.scope = around
            return frame.names[name]

        return lookup

    def _right_side(self, equation: Equation, frame: Frame, expressions: Expressions) -> Node:
        state = equation.state.text
        shape = next(item.shape for item in self.states if item.name == state)
        frame.scope = replace_path(frame.scope, f"{self.declaration.name.text}.{state}")
        node = expressions.node(equation.value)
        with at(equation.value.span):
            fitted = conform(node, shape)
        if fitted is None:
            expected = describe(TensorType("real", shape))
            raise LowerError(messages.equation_shape(equation.value.span, state, describe(node.type), expected))
        return fitted


def replace_path(scope: LayerScope, path: str) -> LayerScope:
    """A scope for another definition; slices of stacked weights are kept together."""
    return replace(scope, path=path, counts=type(scope.counts)(), prefix="")


def _node(value: Value) -> Node:
    assert isinstance(value, Node)
    return value


def _batch_source(initial: Sequence[Node], captured: Sequence[Node], times: Node | None) -> Node:
    candidates = [*initial, *captured, *(() if times is None else (times,))]
    batched: Node = next(node for node in candidates if node.type.batched)
    return batched

"""The statements of a field to the region of one solve: a result for each term of its equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import ARGUMENT, INPUT, Fault, Node, Region, at, constant, leaf, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import SOLVE, State
from isocline_compiler.graph.tensor_type import BATCH, Shape, TensorType, describe
from isocline_compiler.graph.terms import Term
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.controls import controlled
from isocline_compiler.lower.delays import History, Late
from isocline_compiler.lower.differentials import Declared, Diffusion, declared_noises, diffusion, drift, noise_of
from isocline_compiler.lower.events import Switched, switched
from isocline_compiler.lower.expressions import Expressions, Frame, NetCall, Solution, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.fractional import order_of
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.marked import Summand, apart
from isocline_compiler.lower.outside import Body
from isocline_compiler.lower.reach import by_use
from isocline_compiler.lower.weights import LayerScope, WeightTable
from isocline_compiler.ops.normalisation import BATCH_NORM
from isocline_compiler.vocabulary.controls import ControlPath
from isocline_dsl import messages
from isocline_dsl.tree import Assign, Differential, Equation, Event, Field, Solve, Span
from isocline_dsl.tree import Term as DifferentialTerm

InnerCall: TypeAlias = Callable[[str, Solve, Expressions, Callable[[str, Span], Value]], Solution]
"""(name, solve, what lowers the expressions in it, the names of the file in the field around it) -> its solution."""


@dataclass(frozen=True)
class Around:
    """What a field needs of the file around it."""

    table: WeightTable
    numbers: Numbers
    nets: frozenset[str]
    call_net: NetCall
    outer: Callable[[str, Span], Value]
    inner: InnerCall | None = None
    """What lowers a solve in a field."""


@dataclass
class Equations:
    """The right sides of a field: the drift of every state, what of it is marked as stiff, what noise drives, and how
    states jump.
    """

    drifts: dict[str, Node] = field(default_factory=dict)
    stiff: dict[str, Node] = field(default_factory=dict)
    diffusions: list[tuple[str, Diffusion]] = field(default_factory=list)
    orders: dict[str, Node] = field(default_factory=dict)
    """Of Caputo derivatives, in place of x'."""
    events: list[Switched] = field(default_factory=list)


@dataclass(frozen=True)
class Derived:
    """A lowered field: its region, and the values that become the solve's further arguments."""

    region: Region
    captured: tuple[Node, ...]
    stacked: tuple[Node, ...]
    touches_batch: bool
    terms: tuple[Term, ...] = ()
    noises: tuple[Noise, ...] = ()
    controls: tuple[ControlPath, ...] = ()
    delayed: tuple[Node, ...] = ()


@dataclass
class Captures:
    """Outer values that a field uses and that depend on the inputs: each becomes an argument of the region."""

    outer: Callable[[str, Span], Value]
    found: dict[Node, Node] = field(default_factory=dict)
    paths: dict[str, ControlPath] = field(default_factory=dict)
    """The controls among them."""
    body: Body = field(default_factory=lambda: Body({}))
    """The arguments, and what they stand for."""

    def lookup(self, name: str, span: Span) -> Value:
        value = self.outer(name, span)
        if isinstance(value, ControlPath):
            self.paths[name] = value
            return value.with_leaves([self._argument(node, name) for node in value.leaves])
        if isinstance(value, Solution):
            return Solution({state: self._argument(node, f"{name}.{state}") for state, node in value.states.items()})
        return self._argument(value, name)

    def held(self, node: Node, name: str) -> Node:
        """A value of the file in the terms of the field."""
        return self._argument(node, name)

    def _argument(self, node: Node, name: str) -> Node:
        if not any(item.op in (INPUT, SOLVE) for item in topological([node])):
            return node  # weights and constants only: a region may hold these as they are
        if node not in self.found:
            self.found[node] = leaf(ARGUMENT, name, node.type)
            self.body.arguments[self.found[node]] = node
        return self.found[node]


@dataclass
class FieldBody:
    """Lowers the statements of a field for one solve."""

    around: Around
    declaration: Field
    states: tuple[State, ...]
    scheme: Called | None
    history: History = field(default_factory=History)

    def lower(self, batched: bool, time_batched: bool, local: str | None = None) -> Derived:
        """The region over (t, states, captured values, slices of stacked weights): its results are the terms of the
        equations, or the `local` definition of that name. Raises LowerError.
        """
        captures = Captures(self.around.outer)
        self.around.table.bodies.append(captures.body)
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
        expressions = self._within(frame)
        moving = {name: _node(value) for name, value in frame.names.items()}
        late = Late(
            name, self.declaration.time.text, moving, self.states, self.history,
            lambda names: self._within(Frame(scope, captures.lookup, dict(names))), captures.held,
        )  # fmt: skip
        frame.late = late
        equations = self._equations(frame, expressions)
        late.require_read()
        if local is not None:
            stacked = tuple(pair[1] for pair in scope.slices.values())
            value = _along(frame.names[local], self.declaration, local)
            region = Region((time, *arguments.values(), *captures.found.values()), (value,))
            return Derived(region, tuple(captures.found), stacked, False)
        results = tuple(equations.drifts[state.name] for state in self.states)
        marked = tuple(equations.stiff.values())
        diffused = tuple(item.node for _, item in equations.diffusions)
        jumping = [node for item in equations.events for node in (item.switch, *item.jumps.values())]
        refuse_batch_norm((*results, *marked, *diffused, *jumping))
        touches = any(node.type.batched for node in (*results, *marked, *diffused, *jumping)) and not batched
        if batched:
            results = tuple(
                spread(node, arguments[state.name]) for node, state in zip(results, self.states, strict=True)
            )
            marked = tuple(spread(node, arguments[name]) for name, node in equations.stiff.items())
            jumping = [spread(node, arguments[self.states[0].name]) for node in jumping]
        slices = [pair[0] for pair in scope.slices.values()]
        region = Region(
            (time, *arguments.values(), *captures.found.values(), *slices),
            (*results, *marked, *diffused, *equations.orders.values(), *jumping),
        )
        stacked = tuple(pair[1] for pair in scope.slices.values())
        noises = tuple(item.noise for item in self.noises.values())
        controls = tuple(captures.paths.values())
        terms, late_nodes = self._terms(equations), tuple(late.found)
        return Derived(region, tuple(captures.found), stacked, touches, terms, noises, controls, late_nodes)

    def _terms(self, equations: Equations) -> tuple[Term, ...]:
        places = {state.name: i for i, state in enumerate(self.states)}
        drifts = Term("drift", tuple(places.values()))
        return (
            drifts,
            *((Term("stiff", tuple(places[name] for name in equations.stiff)),) if equations.stiff else ()),
            *(
                Term("diffusion", (places[state],), item.noise, item.product, item.entry)
                for state, item in equations.diffusions
            ),
            *((Term("order", tuple(places[name] for name in equations.orders)),) if equations.orders else ()),
            *(
                term
                for item in equations.events
                for term in (Term("switch", ()), Term("jump", tuple(places[state] for state in item.jumps)))
            ),
        )

    @cached_property
    def noises(self) -> dict[str, Declared]:
        """The noises that drive it, by name."""
        return declared_noises(self.declaration, self.around.numbers)

    def _equations(self, frame: Frame, expressions: Expressions) -> Equations:
        """The terms of every first-order state. Local definitions may stand in any order: each is lowered when it is
        used.
        """
        definitions = {item.name.text: item for item in self.declaration.body if isinstance(item, Assign)}
        frame.outer = self._with_definitions(frame, expressions, definitions, frame.outer)
        found = Equations()
        mistakes = Mistakes()
        mistakes.attempt(lambda: self.noises)
        for name in by_use(definitions):
            mistakes.attempt(frame.lookup, name, definitions[name].name.span)
        for item in self.declaration.body:
            with mistakes.noted():
                if isinstance(item, Equation):
                    found.drifts.update(self._equation(item, found, frame, expressions))
                elif isinstance(item, Differential):
                    self._differential(item, found, frame, expressions, mistakes)
                elif isinstance(item, Event):
                    frame.scope = replace_path(frame.scope, f"{self.declaration.name.text}.when")
                    found.events.append(switched(item, self.states, frame, self._within))
        mistakes.settle()
        if any(state.name not in found.drifts for state in self.states):
            raise Poisoned  # a state without an equation: reported where names are resolved
        return found

    def _within(self, frame: Frame) -> Expressions:
        return Expressions(frame, self.around.numbers, self.around.nets, self.around.call_net)

    def _differential(
        self, item: Differential, found: Equations, frame: Frame, expressions: Expressions, mistakes: Mistakes
    ) -> None:
        """`dx = f dt + g dW`: each term for itself, so that all mistakes are told."""
        state = item.state.text
        if state not in frame.states:
            raise Poisoned  # an equation without a state: reported where names are resolved
        shape = next(own.shape for own in self.states if own.name == state)
        frame.scope = replace_path(frame.scope, f"{self.declaration.name.text}.{state}")
        numbers, time = self.around.numbers, self.declaration.time.text
        moved = drift(item.terms, time, state, shape, expressions)
        for term in item.terms:
            if term.differential.text[1:] in frame.scope.table.controls:
                with mistakes.noted():
                    part = self._controlled(term, state, shape, frame, expressions)
                    moved = part if moved is None else moved + part
        still = constant(np.broadcast_to(0.0, [int(size) for size in shape]))
        found.drifts[state] = still if moved is None else moved
        for term in item.terms:
            if term.differential.text != f"d{time}" and term.differential.text[1:] not in frame.scope.table.controls:
                with mistakes.noted():
                    declared = noise_of(term, self.noises)
                    found.diffusions.append((state, diffusion(term, state, shape, declared, expressions, numbers)))

    def _controlled(
        self, term: DifferentialTerm, state: str, shape: Shape, frame: Frame, expressions: Expressions
    ) -> Node:
        """What `F du` adds to an equation. Raises LowerError."""
        path = frame.lookup(term.differential.text[1:], term.differential.span)
        assert isinstance(path, ControlPath), "the name of a control is that of a path"
        try:
            return controlled(term, state, shape, path, _node(frame.names[self.declaration.time.text]), expressions)
        except Fault as fault:
            raise LowerError(fault.make(term.span)) from None

    def _equation(self, item: Equation, found: Equations, frame: Frame, expressions: Expressions) -> dict[str, Node]:
        """The derivative of a state; with a second-order equation also that of the state's position, the velocity."""
        state = item.state.text
        if state not in frame.states:
            raise Poisoned  # an equation without a state: reported where names are resolved
        if item.fraction is not None:
            moving = {self.declaration.time.text: _node(frame.names[self.declaration.time.text])}
            moving |= {name.name: _node(frame.names[name.name]) for name in self.states}
            found.orders[state] = order_of(item, state, expressions, moving)
        below = {state + "'" * order: _node(frame.names[state + "'" * (order + 1)]) for order in range(item.order - 1)}
        return below | {state + "'" * (item.order - 1): self._right_side(item, found, frame, expressions)}

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
                frame.names[name] = self._defined(name, definitions[name], expressions, outer)
            finally:
                frame.scope = around
            return frame.names[name]

        return lookup

    def _defined(self, name: str, item: Assign, expressions: Expressions, outer: Callable[[str, Span], Value]) -> Value:
        """A definition of the field, an inner solution among them. `outer` are the names of the file."""
        if not isinstance(item.value, Solve) or self.around.inner is None:
            return expressions.value(item.value)
        with at(item.value.span):
            try:
                return self.around.inner(f"{self.declaration.name.text}.{name}", item.value, expressions, outer)
            except Fault as fault:
                raise LowerError(fault.make(item.value.span)) from None

    def _right_side(self, equation: Equation, found: Equations, frame: Frame, expressions: Expressions) -> Node:
        state = equation.state.text
        shape = next(item.shape for item in self.states if item.name == state)
        frame.scope = replace_path(frame.scope, f"{self.declaration.name.text}.{state}")
        plain, marked = apart(equation.value)
        total, stiff = (self._sum(items, state, shape, expressions) for items in (plain, marked))
        if stiff is not None:
            found.stiff[state + "'" * (equation.order - 1)] = stiff
        return constant(np.zeros([int(size) for size in shape])) if total is None else total

    def _sum(self, items: Sequence[Summand], state: str, shape: Shape, expressions: Expressions) -> Node | None:
        total: Node | None = None
        for item in items:
            node = expressions.node(item.value)
            with at(item.value.span):
                fitted = conform(node, shape)
                if fitted is None:
                    expected = describe(TensorType("real", shape))
                    raise LowerError(messages.equation_shape(item.value.span, state, describe(node.type), expected))
                signed = -fitted if item.negative else fitted
                total = signed if total is None else total + signed
        return total


def refuse_batch_norm(values: Sequence[Node]) -> None:
    """A solution must not depend on the other samples of its batch. Raises LowerError at the layer."""
    for node in topological(values):
        if node.op is BATCH_NORM:
            raise LowerError(messages.batch_within(node.span))


def replace_path(scope: LayerScope, path: str) -> LayerScope:
    """A scope for another definition; slices of stacked weights are kept together."""
    return replace(scope, path=path, counts=type(scope.counts)(), prefix="")


def _along(value: Value, declaration: Field, name: str) -> Node:
    """A definition as a value along a solution: of an inner solution its one state. Raises LowerError."""
    node = value.only() if isinstance(value, Solution) else value
    if isinstance(value, Solution) and node is None:
        span = next(item.span for item in declaration.body if isinstance(item, Assign) and item.name.text == name)
        raise LowerError(messages.solution_needs_state(span, sorted(value.states)))
    assert isinstance(node, Node)
    return node


def _node(value: Value) -> Node:
    assert isinstance(value, Node)
    return value
